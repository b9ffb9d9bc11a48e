"""Words of the user's own, the vocabulary's checks, and the errors."""

import builtins
import json
import random
import unicodedata

import fresh_process
import pytest
from word_vocabulary import ENTRIES, SPECIAL, WORDS

from hf_ext.tokenization import JiebaWordPieceTokenizer
from hf_ext.tokenization.normalizer import bert_normalizer
from hf_ext.tokenization.vocabulary import has_words, read_vocabulary, write_vocabulary

VOCABULARY = {entry: index for index, entry in enumerate(ENTRIES)}


def test_user_words_move_boundaries():
    plain = JiebaWordPieceTokenizer(VOCABULARY)
    text = "我们去公园散步"
    assert plain.tokenize(text) == ["我们", "去", "公园", "散步"]
    # Outside the vocabulary a word is cut to its pieces, as with jieba.add_word in the originals.
    outside = JiebaWordPieceTokenizer(VOCABULARY, user_words=["公园散步"])
    assert outside.tokenize(text) == ["我们", "去", "公", "园", "散", "步"]
    # In the vocabulary it becomes reachable.
    entries = {**VOCABULARY, "公园散步": len(VOCABULARY)}
    assert JiebaWordPieceTokenizer(entries).tokenize(text) == ["我们", "去", "公园", "散步"]
    inside = JiebaWordPieceTokenizer(entries, user_words=["公园散步"])
    assert inside.tokenize(text) == ["我们", "去", "公园散步"]
    batch = inside(text, add_special_tokens=False, return_offsets_mapping=True)
    assert batch["offset_mapping"] == [(0, 2), (2, 3), (3, 7)]
    # No tokenizer shares its words with another.
    assert plain.tokenize(text) == ["我们", "去", "公园", "散步"]


def test_user_words_are_normalised_and_added_once():
    tokenizer = JiebaWordPieceTokenizer({**VOCABULARY, "一ok": len(VOCABULARY)})
    tokenizer.add_words(["一OK", "一ok"])
    tokenizer.add_words([])
    assert tokenizer.user_words == ["一ok"]
    assert tokenizer.tokenize("是一Ok的") == ["是", "一ok", "的"]


@pytest.mark.parametrize("word", ["", " ", "公园 散步", "公园，散步", "a·b"])
def test_words_that_jieba_cannot_give_raise(word):
    with pytest.raises(ValueError, match="user_words has"):
        JiebaWordPieceTokenizer(VOCABULARY, user_words=[word])


@pytest.mark.parametrize("words", ["公园", "ab"])
def test_a_string_in_place_of_words_raises(words):
    with pytest.raises(TypeError, match="wanted a list of words"):
        JiebaWordPieceTokenizer(VOCABULARY, user_words=words)
    with pytest.raises(TypeError, match="wanted a list of words"):
        JiebaWordPieceTokenizer(VOCABULARY).add_words(words)


@pytest.mark.parametrize(
    ("vocabulary", "arguments", "error", "message"),
    [
        (ENTRIES, {}, TypeError, "path or a dict of entries to ids, got list"),
        (3, {}, TypeError, "got int"),
        ({"[PAD]": "0"}, {}, TypeError, "strings to integers"),
        ({0: 0}, {}, TypeError, "strings to integers"),
        ({**VOCABULARY, "xx": 10**6}, {}, ValueError, rf"not the id {len(ENTRIES)};"),
        ({**VOCABULARY, "xx": 3}, {}, ValueError, rf"not the id {len(ENTRIES)};"),
        (
            {token: i for i, token in enumerate(SPECIAL[:-1])},
            {},
            ValueError,
            r"mask_token '\[MASK\]' is not among the 4",
        ),
        ({token: i for i, token in enumerate(SPECIAL[1:])}, {}, ValueError, r"pad_token '\[PAD\]' is not among"),
        (VOCABULARY, {"cls_token": "<s>"}, ValueError, "cls_token '<s>' is not among"),
        (VOCABULARY, {"unk_token": None}, ValueError, "unk_token is None"),
        (VOCABULARY, {"tokenize_chinese_chars": False}, ValueError, "tokenize_chinese_chars is False"),
    ],
)
def test_wrong_vocabularies_raise(vocabulary, arguments, error, message):
    with pytest.raises(error, match=message):
        JiebaWordPieceTokenizer(vocabulary, **arguments)


def test_a_vocabulary_may_lack_the_mask():
    tokenizer = JiebaWordPieceTokenizer({token: i for i, token in enumerate(SPECIAL[:-1])}, mask_token=None)
    assert tokenizer.mask_token is None
    assert tokenizer("今")["input_ids"] == [2, 1, 3]


def test_a_line_twice_raises(tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_text("".join(f"{entry}\n" for entry in [*SPECIAL, "今天", "公园", "今天"]), encoding="utf-8")
    with pytest.raises(ValueError, match="entry '今天' twice, in lines 6 and 8"):
        JiebaWordPieceTokenizer.from_pretrained(tmp_path)


def test_a_truncated_file_raises(tmp_path):
    tokenizer = JiebaWordPieceTokenizer(VOCABULARY)
    tokenizer.add_tokens(["新词"])
    tokenizer.save_pretrained(tmp_path)
    write_vocabulary({entry: index for index, entry in enumerate(ENTRIES[:-20])}, tmp_path / "vocab.txt")
    with pytest.raises(ValueError, match=f"has {len(ENTRIES) - 20} entries and gives '新词' the id"):
        JiebaWordPieceTokenizer.from_pretrained(tmp_path)


def test_a_folder_without_a_vocabulary_raises(tmp_path):
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "JiebaWordPieceTokenizer"}')
    with pytest.raises(ValueError, match=r"has no vocabulary; wanted a vocab\.txt"):
        JiebaWordPieceTokenizer.from_pretrained(tmp_path)


def test_a_tokenizer_json_of_another_kind_raises(tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps({"model": {"type": "Unigram", "vocab": [["a", 0.0]]}}))
    with pytest.raises(ValueError, match="model of type 'Unigram'"):
        JiebaWordPieceTokenizer(path)


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_only_line_feeds_end_lines(tmp_path, ending, last):
    path = tmp_path / "vocab.txt"
    entries = ["a", "", "\u2028", "\x85", "\u3000", "b"]
    path.write_bytes((ending.join(entries) + ending * last).encode())
    assert read_vocabulary(path) == {entry: index for index, entry in enumerate(entries)}
    write_vocabulary(read_vocabulary(path), path)
    assert path.read_bytes().decode() == "".join(f"{entry}\n" for entry in entries)
    with pytest.raises(ValueError, match="line break"):
        write_vocabulary({"a\nb": 0}, path)


def test_words_tell_a_word_vocabulary(shared):
    assert has_words(VOCABULARY)
    characters = [chr(0x4E00 + index) for index in range(95)]
    for words, answer in ((WORDS[:5], False), (WORDS[:6], True)):
        assert has_words({entry: index for index, entry in enumerate([*characters, *words])}) is answer
    found = {path.name: has_words(read_vocabulary(path)) for path in (shared / "vocab").glob("*.vocab.txt")}
    assert {name for name, words in found.items() if words} == {
        "roformer-word_wobert-plus_t5-pegasus.vocab.txt",
        "wobert.vocab.txt",
    }
    assert not all(found.values())


def test_the_pre_tokenizer_and_the_model_cannot_be_replaced():
    backend = JiebaWordPieceTokenizer(VOCABULARY).backend_tokenizer
    for name in ("pre_tokenizer", "model"):
        with pytest.raises(AttributeError, match=f"{name} of a word tokenizer cannot be replaced"):
            setattr(backend, name, None)


def test_a_missing_segmenter_raises_when_a_tokenizer_is_built(monkeypatch):
    importer = builtins.__import__

    def without_rjieba(name, *arguments):
        if name == "rjieba":
            raise ImportError(name)
        return importer(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without_rjieba)
    with pytest.raises(ImportError, match="pip install rjieba"):
        JiebaWordPieceTokenizer(VOCABULARY)


def test_importing_does_not_import_the_segmenter():
    code = "import sys, hf_ext.tokenization.registration; print('rjieba' in sys.modules, 'jieba' in sys.modules)"
    run = fresh_process.run(code)
    assert run.stdout.split() == ["False", "False"], run.stderr


# Of these the library's tables say something else than Python's.
UNSETTLED = {"\u1734", "\U0001171e", "\U00011938"}


def lowered(text: str) -> str:
    """As bert4keras lower-cases and strips accents."""
    parts = unicodedata.normalize("NFD", text.lower())
    return "".join(character for character in parts if unicodedata.category(character) != "Mn")


def test_texts_are_lower_cased_as_python_does():
    rng = random.Random(0)
    texts = ["".join(rng.choice("aΣΣσ'.b ʰ甲\u0301İß") for _ in range(8)) for _ in range(2000)]
    # Any character beside a sigma; those newer than this Python's tables are not known to it.
    known = (character for code in range(0x110000) if unicodedata.category(character := chr(code)) not in ("Cn", "Cs"))
    beside = [f"a{character}Σ甲aΣ{character}b" for character in known if character not in UNSETTLED]
    texts += [" 甲 ".join(beside[start : start + 500]) for start in range(0, len(beside), 500)]
    normalize = bert_normalizer(clean_text=False, handle_chinese_chars=False).normalize_str
    for text in texts:
        assert normalize(text) == lowered(text), ascii(text)


@pytest.mark.parametrize(
    "options", [{}, {"do_lower_case": False}, {"do_lower_case": False, "strip_accents": True}, {"strip_accents": False}]
)
def test_offsets_beside_all_combining_characters(options):
    """Each character of a normalised text is told from where the same character stands in the original."""
    tokenizer = JiebaWordPieceTokenizer(VOCABULARY, **options)
    encoder = tokenizer.backend_tokenizer.encoder
    marks = [c for code in range(0x110000) if unicodedata.category(c := chr(code)) in ("Mn", "Mc", "Me")]
    marks = [mark for mark in marks if mark not in UNSETTLED]
    by_class: dict[tuple, list[str]] = {}
    for mark in marks:
        by_class.setdefault((unicodedata.combining(mark), unicodedata.category(mark)), []).append(mark)
    rng = random.Random(0)
    for first in marks:
        second = rng.choice(rng.choice([*by_class.values()]))
        text = f"a{first}{second}乙"
        normalized, origin = encoder._normalize_aligned(text)
        assert normalized is not None, ascii(text)
        assert len(origin) == len(normalized)
        assert options or sorted(normalized) == sorted(lowered(text))
        for character, position in zip(normalized, origin):
            assert character in unicodedata.normalize("NFD", text[position]) or character in text[position].lower()
        offsets = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        assert (offsets[0][0], offsets[-1]) == (0, (3, 4)), ascii(text)
