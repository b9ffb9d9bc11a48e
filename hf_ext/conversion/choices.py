"""Settings that no file of a release states, each decided by an option, the folder's name or the vocabulary."""

from collections.abc import Mapping
from dataclasses import dataclass

from hf_ext.conversion.errors import ConversionError
from hf_ext.conversion.release import Release
from hf_ext.tokenization.vocabulary import count_words, has_words

POOLERS = ("tanh", "linear")
NO_POOLER = "none"
TOKENIZERS = ("character", "word")

# Words in the names of the released folders, such as chinese_roformer-sim-char_L-12_H-768_A-12.
_MODE_OF_WORD: Mapping[str, str] = {
    "sim": "unilm",
    "simbert": "unilm",
    "unilm": "unilm",
    "gpt": "causal",
    "lm": "causal",
}


@dataclass(frozen=True)
class Choice:
    """One decision: what was taken and why. An assumed one rests on no evidence in the release."""

    name: str
    value: str
    reason: str
    assumed: bool = False

    def __str__(self) -> str:
        return f"{self.value} ({'assumed: ' if self.assumed else ''}{self.reason})"


def mode_words(release: Release) -> list[str]:
    """Words of the folder's name that say which positions a token sees."""
    return sorted(word for word in release.words if word in _MODE_OF_WORD)


def stated_mode(given: str | None, release: Release) -> tuple[str, str] | None:
    """The attention mode that the option states, or the folder's name if that states just one; and which of the two."""
    if given is not None:
        return given, "given"
    words = mode_words(release)
    said = {_MODE_OF_WORD[word] for word in words}
    return (said.pop(), f"the folder's name says {words[0]!r}") if len(said) == 1 else None


def choose_attention_mode(given: str | None, release: Release, modes: tuple[str, ...]) -> Choice:
    """Which positions a token sees. The checkpoints of an encoder, of its UniLM and of its causal kind are alike."""
    name = "attention_mode"
    if given is not None:
        _one_of(name, given, modes)
    elif len(modes) == 1:
        return Choice(name, modes[0], "the family has no other")
    stated = stated_mode(given, release)
    if stated is not None and stated[0] in modes:
        return Choice(name, *stated)
    words = mode_words(release)
    if words or "bidirectional" not in modes:
        seen = " and ".join(map(repr, words)) or "nothing of it"
        raise ConversionError(
            f"{release.folder}: the folder's name says {seen}; state attention_mode (--attention-mode), "
            f"one of {', '.join(modes)}"
        )
    reason = "nothing says otherwise; RoFormer-Sim and SimBERT need --attention-mode unilm, GPT models causal"
    return Choice(name, "bidirectional", reason, assumed=True)


def choose_pooler(
    given: str | None, present: bool, attention_mode: Choice, poolers: tuple[str, ...] = POOLERS
) -> Choice:
    """The activation of the pooler: the variables of a tanh and of a linear one are alike."""
    name = "pooler"
    if given is not None:
        value = _one_of(name, given, poolers)
        if not present:
            raise ConversionError(f"pooler={value!r} (--pooler): the checkpoint holds no pooler")
        return Choice(name, value, "given")
    if not present:
        return Choice(name, NO_POOLER, "the checkpoint holds none")
    if len(poolers) == 1:
        return Choice(name, poolers[0], "the family has no other")
    if attention_mode.value == "unilm":
        return Choice(name, "linear", "as in RoFormer-Sim and SimBERT, the originals with a UniLM mask", assumed=True)
    return Choice(name, "tanh", "as in BERT; RoFormer-Sim and SimBERT need --pooler linear", assumed=True)


def choose_tokenizer(given: str | None, vocabulary: Mapping[str, int]) -> Choice:
    """Whether text is cut into words or characters: entries of several Chinese characters are words."""
    name = "tokenizer"
    if given is not None:
        return Choice(name, _one_of(name, given, TOKENIZERS), "given")
    value = "word" if has_words(vocabulary) else "character"
    reason = f"{count_words(vocabulary)} of {len(vocabulary)} tokens are words of several Chinese characters"
    return Choice(name, value, reason)


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise ConversionError(f"{name}={value!r}; one of {', '.join(allowed)} is expected")
    return value
