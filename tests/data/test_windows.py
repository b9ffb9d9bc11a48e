"""Windows over long documents: the cut of a fast tokenizer, and spans as if there were no windows."""

import random
import re

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from hf_ext.data.windows import merge_spans, window_of


def split_windows(length, size, overlap):
    """Windows over a sequence, as a fast tokenizer cuts it with ``stride=overlap``."""
    step = size - overlap
    return [(start, min(start + size, length)) for start in range(0, max(length - overlap, 1), step)]


def found(text, patterns, offset=0):
    """All spans of the patterns in a text, as an extractor sees it that knows nothing beyond the text."""
    return [
        {"start": offset + m.start(), "end": offset + m.end(), "label": label, "score": float(m.end() - m.start())}
        for label, pattern in patterns.items()
        for m in re.finditer(pattern, text)
    ]


def key(span):
    return span["start"], span["end"], span["label"]


def through_windows(text, patterns, size, overlap):
    windows = split_windows(len(text), size, overlap)
    return merge_spans([found(text[a:b], patterns, a) for a, b in windows], windows)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 10])
def test_windows_are_those_of_a_fast_tokenizer(size):
    for overlap in range(size):
        for length in range(41):
            tokenizer = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
            tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
            tokenizer.enable_truncation(size, stride=overlap)
            encoding = tokenizer.encode(" ".join("a" * length))
            expected = [
                (part.offsets[0][0] // 2, part.offsets[-1][1] // 2 + 1) if part.offsets else (0, 0)
                for part in (encoding, *encoding.overflowing)
            ]
            assert split_windows(length, size, overlap) == expected, (length, overlap)


# Runs, words, and words inside words; the longest span is given with each.
PATTERNS = [
    ({"run": "b+"}, 3),
    ({"word": "ab", "other": "ba"}, 2),
    ({"outer": "cab+c", "inner": "ab+", "letter": "a"}, 6),
    ({"single": "c"}, 1),
]


@pytest.mark.parametrize(("patterns", "longest"), PATTERNS)
def test_any_window_gives_the_spans_of_the_whole_document(patterns, longest):
    source = random.Random(0)
    seen = 0
    for _ in range(700):
        length = source.randint(0, 50)
        # Runs stay within the longest span, so that the promise holds.
        text = re.sub("b{4,}", "bbb", "".join(source.choices("abc", [2, 4, 1], k=length)))
        overlap = source.randint(longest, longest + 6)
        size = source.randint(overlap + 1, overlap + 12)
        expected = sorted(found(text, patterns), key=key)
        assert all(span["end"] - span["start"] <= longest for span in expected)
        assert through_windows(text, patterns, size, overlap) == expected, (text, size, overlap)
        seen += len(expected)
    assert seen > 700


def test_overlap_beyond_half_a_window():
    source = random.Random(1)
    patterns = {"run": "[ab]+", "pair": "ab"}
    for _ in range(200):
        text = "c".join("".join(source.choices("ab", k=source.randint(0, 5))) for _ in range(source.randint(1, 12)))
        for size in range(6, 12):
            for overlap in range(5, size):
                assert through_windows(text, patterns, size, overlap) == sorted(found(text, patterns), key=key)


def span(start, end, label="A", **extra):
    return {"start": start, "end": end, "label": label, **extra}


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        # Cut at the right border of the first window, whole in the second.
        ([[span(8, 10)], [span(8, 12)]], [span(8, 12)]),
        # Cut at the left border of the second window.
        ([[span(4, 8)], [span(6, 8)]], [span(4, 8)]),
        # Even with the better score, and even if the other window finds nothing there.
        ([[span(8, 10, score=9.0)], [span(8, 12, score=1.0)]], [span(8, 12, score=1.0)]),
        ([[span(8, 10)], []], []),
        # Where no window sees more, a span at the border stays.
        ([[span(5, 10)], []], [span(5, 10)]),
        ([[span(6, 10)], [span(6, 10)]], [span(6, 10)]),
        # The ends of the text are no borders.
        ([[span(0, 2)], [span(14, 16)]], [span(0, 2), span(14, 16)]),
        # A nested span of another type is no rival.
        ([[span(7, 9, "B")], [span(7, 12)]], [span(7, 9, "B"), span(7, 12)]),
        # The same span twice: the better one, with all it carries.
        ([[span(7, 9, score=1.0, text="x")], [span(7, 9, score=2.0, text="y")]], [span(7, 9, score=2.0, text="y")]),
        ([[span(7, 9, score=2.0)], [span(7, 9, score=1.0)]], [span(7, 9, score=2.0)]),
        ([[span(7, 9)], [span(7, 9, score=-1.0)]], [span(7, 9, score=-1.0)]),
        # Sorted.
        ([[span(3, 4), span(1, 2, "B"), span(1, 2)], []], [span(1, 2), span(1, 2, "B"), span(3, 4)]),
    ],
)
def test_merging_two_windows(spans, expected):
    assert merge_spans(spans, [(0, 10), (6, 16)]) == expected


def test_merging_nothing_and_bad_arguments():
    assert merge_spans([], []) == []
    assert merge_spans([[span(0, 5)]], [(0, 5)]) == [span(0, 5)]
    with pytest.raises(ValueError, match="one entry for each of the 1 windows, got 0"):
        merge_spans([], [(0, 5)])
    with pytest.raises(ValueError, match="in the order"):
        merge_spans([[], []], [(6, 16), (0, 10)])


def test_windows_end_where_their_text_does():
    text = "ab  cd "
    assert window_of([(0, 0), (0, 2), (2, 5), (0, 0)], text) == (0, 5)
    assert window_of([(2, 5), (5, 7)], text) == (4, 6)
    assert window_of([(2, 5), (5, 7)]) == (2, 7)
    # A window of white space alone, and one without any text.
    assert window_of([(2, 3), (3, 4)], text) == (2, 4)
    assert window_of([(0, 0)], text) == (0, 0)
