"""How texts are lower-cased and freed of accents before they are cut."""

import unicodedata
from itertools import accumulate

from tokenizers import Regex
from tokenizers.normalizers import BertNormalizer, Normalizer, Replace, Sequence

# The originals lower-case a text as Python does: a capital sigma that ends a word becomes a final one.
_CASED = r"[\p{Cased}&&\P{Case_Ignorable}]"
# What stands before it is matched and kept (``\K``): looking behind takes time by the square of the text.
_FINAL_SIGMA = Replace(Regex(rf"{_CASED}\p{{Case_Ignorable}}*\KΣ(?!\p{{Case_Ignorable}}*{_CASED})"), "ς")
# BERT's normaliser knows fewer accents than Python, and after it has put accents in order no longer where they stood.
_ACCENTS = Replace(Regex(r"\p{Mn}+"), "")


def bert_normalizer(
    lowercase: bool = True,
    strip_accents: bool | None = None,
    handle_chinese_chars: bool = True,
    clean_text: bool = True,
) -> Normalizer:
    """BERT's normaliser with the rules of the originals, which lower-case and strip accents as Python does.

    Args:
        lowercase: lower-case the text.
        strip_accents: strip accents; None: if ``lowercase``.
        handle_chinese_chars: put spaces around ideographs.
        clean_text: take out control characters, and make all white space plain.
    """
    steps: list[Normalizer] = [_FINAL_SIGMA] if lowercase else []
    if lowercase if strip_accents is None else strip_accents:
        steps.append(_ACCENTS)
    bert = BertNormalizer(
        lowercase=lowercase,
        strip_accents=strip_accents,
        handle_chinese_chars=handle_chinese_chars,
        clean_text=clean_text,
    )
    return Sequence([*steps, bert]) if steps else bert


def bert_part(normalizer: Normalizer | None) -> BertNormalizer | None:
    """BERT's own part of a `bert_normalizer`; None of any other normaliser."""
    if isinstance(normalizer, Sequence):
        *steps, normalizer = (normalizer[index] for index in range(len(normalizer)))
        known = [step.__getstate__() for step in (_FINAL_SIGMA, _ACCENTS)]
        if any(step.__getstate__() not in known for step in steps):
            return None
    return normalizer if isinstance(normalizer, BertNormalizer) else None


def final_sigmas(text: str) -> str:
    """The text with the capital sigmas that end a word as final ones, in as many characters."""
    return _FINAL_SIGMA.normalize_str(text) if "Σ" in text else text


def canonical_order(text: str) -> list[tuple[int, str]]:
    """The characters of a text's canonical decomposition, each with the position of the one that it is of."""
    parts = [(index, one) for index, character in enumerate(text) for one in unicodedata.normalize("NFD", character)]
    # A sort that is stable keeps marks of one class, and what is no mark begins a run of its own.
    runs = accumulate(unicodedata.combining(character) == 0 for _, character in parts)
    keyed = sorted(zip(runs, parts), key=lambda item: (item[0], unicodedata.combining(item[1][1])))
    return [part for _, part in keyed]
