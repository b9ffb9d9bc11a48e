"""Words of what is not Chinese in an answer, as NLTK's ``word_tokenize`` gives them to CMRC2018's official script.

NLTK first cuts a text into sentences by Punkt (Kiss and Strunk, 2006) and each of them into words by the rules of the
Penn Treebank. Here are those of the rules that matter to lower-case text without the marks that the script takes out,
and of Punkt's English model the list of abbreviations. Its statistics of words in capitals are not here: the two may
differ where a lone letter or a number with a full stop comes before a word that often begins a sentence in lower case.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator

_LISTED = """
a.a a.c a.d a.g a.h a.m a.m.e a.s a.t adm ala ariz aug ave b.f b.v bros c c.i.t c.o.m.b c.v calif chg cie co
col colo conn corp cos ct d d.c d.h d.w dec dr e e.f e.h e.l e.m f f.g f.j feb fla fri ft g g.d g.f g.k ga gen
h h.c h.f h.m i.m.s ill inc j.b j.c j.j j.k j.p j.r jan jr k kan ky l l.a l.f l.p lt ltd m m.b.a m.d.c m.j maj
messrs mg mich minn mr mrs ms n n.c n.d n.h n.j n.m n.v n.y nev nov oct ok okla ore p p.a.m p.m pa ph.d prof r
r.a r.h r.i r.j r.k r.t rep reps s s.a s.a.y s.c s.g s.p.a s.s sen sep sept sr st sw t t.j tenn tues u.k u.n
u.s u.s.a u.s.s.r v va vs vt w w.c w.r w.va w.w wash wed wis yr
"""
_ABBREVIATIONS = frozenset(_LISTED.split())
_CLOSING = r"[\"')\]}‘’“”«»]"
# A mark that may end a sentence, and what has to come behind it.
_END = re.compile(r"[.?!](?=[);\"}\]*:@'({\[‘’“”«»?!]|\s+\S)")
_BEHIND = re.compile(rf"\s*(?:{_CLOSING}+?(?:\s+|$))?")
_SPACE = re.compile(r"\s")
_NOT_SPACE = re.compile(r"\S")
# What cannot stand inside a word.
_BORDER = re.compile(r"[\s)\";}\]*:@'({\[‘’“”«»?!]")
_LAST_WORD = re.compile(rf"[^\s(\"`{{\[:;&#*@)}}\]\-,][^{_BORDER.pattern[1:]}*$")
_ALONE = re.compile(r"[;:,]|[.!?](?:\s|$)")
_INITIAL_OR_NUMBER = re.compile(r"[^\W\d]|[.,]?\d[\d,.]*")

# Each is applied to the whole sentence, in this order.
_RULES = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        # Quotation marks that open.
        (r"[«‘„]", r" \g<0> "),
        (r"^\"", " `` "),
        (r"(?<=[ (\[{<])(?:\"|'')", " `` "),
        (r"(?<!\w)'(?!(?:re|ve|ll|m|t|s|d|n)\b)(?=\w)", "' "),
        # The full stop at the end; others are part of their word.
        (r"(?<=[^.])\.([\])}>\"'» ]*+)\s*$", r" . \1 "),
        (r",(\D)", r" , \1"),
        (r",$", " , "),
        (r"\.{2,}", r" \g<0> "),
        (r"[;@#$%&\u2012-\u2015?!]", r" \g<0> "),
        (r"(?<=[^'])' ", " ' "),
        (r"[\]\[(){}<>]", r" \g<0> "),
        (r"^|$", " "),
        # Quotation marks that close, and clitics.
        (r"»", " » "),
        (r"''|\"", " '' "),
        (r"\s+", " "),
        (r"(?<=[^' ])('[smd]|') ", r" \1 "),
        (r"(?<=[^' ])('ll|'re|'ve|n't) ", r" \1 "),
        # Words that are two.
        (r"\b(can)(not)\b|\b(d)('ye)\b|\b(gim|lem)(me)\b|\b(gon)(na)\b|\b(got)(ta)\b", r" \1\3\5\7\9 \2\4\6\8\g<10> "),
        (r"\b(more)('n)\b|\b(wan)(na)(?=\s)| ('t)(is|was)\b", r" \1\3\5 \2\4\6 "),
    )
)


def english_words(text: str) -> list[str]:
    """The words and punctuation marks of a lower-case text.

    Args:
        text: without the marks that `hf_ext.tasks.reading_comprehension.metrics.PUNCTUATION` lists.
    """
    return [word for sentence in _sentences(text) for word in _words(sentence)]


def _sentences(text: str) -> Iterator[str]:
    marks = list(_END.finditer(text))
    starts = [mark.start() for mark in marks]
    places = _Places(text)
    begin = 0
    for number, mark in enumerate(marks):
        # Of marks without a space between them the last one decides for all.
        later = starts[number + 1] if number + 1 < len(marks) else len(text)
        if mark.start() < begin or (later < len(text) and not _SPACE.search(text, mark.end(), later)):
            continue
        chunk = bisect_left(starts, places.chunk(mark.start()))
        if any(places.ends_sentence(place) for place in starts[chunk : number + 1]):
            behind = _BEHIND.match(text, mark.end())
            end = behind.end() if behind else mark.end()
            yield text[begin:end].rstrip()
            begin = end
    if begin < len(text):
        yield text[begin:].rstrip()


class _Places:
    """What stands before a place of a text, found without going through the text from its beginning each time."""

    def __init__(self, text: str):
        self.text = text
        self.after_spaces = [0, *(match.end() for match in _SPACE.finditer(text))]
        self.after_borders = [0, *(match.end() for match in _BORDER.finditer(text))]

    def chunk(self, place: int) -> int:
        """Where what stands before a place without a space begins; a line break right before it does not count."""
        if self.text.endswith("\n", 0, place):
            place -= 1
        return self.after_spaces[bisect_right(self.after_spaces, place) - 1]

    def last_word(self, place: int) -> str:
        """The word that ends at a place, or before a line break there."""
        end = place - self.text.endswith("\n", 0, place)
        inside = self.after_borders[bisect_right(self.after_borders, end) - 1]
        # A word may begin with a mark that may not stand inside one.
        found = _LAST_WORD.search(self.text, max(inside - 1, 0), place)
        return found.group() if found else ""

    def ends_sentence(self, place: int) -> bool:
        text = self.text
        if text[place] != ".":
            return True
        word = self.last_word(place).rpartition("..")[2]
        if word.endswith(".") or word in _ABBREVIATIONS or text.endswith("..", 0, place + 1):
            return False
        following = _NOT_SPACE.search(text, place + 1)
        assert following is not None
        alone = following.group().islower() or _ALONE.match(text, following.start())
        return not (_INITIAL_OR_NUMBER.fullmatch(word) and alone)


def _words(sentence: str) -> list[str]:
    for pattern, replacement in _RULES:
        sentence = pattern.sub(replacement, sentence)
    return sentence.split()
