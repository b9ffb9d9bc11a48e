"""Which tags may follow each other under a scheme of tags, and which may begin and end a sequence.

A tag is ``O``, or a prefix and a label separated by ``-`` or ``_``. BIO marks the first token of an entity B and the
others I; BMES and BIOES also mark the last one E and a single one S, and write M or I for those between.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

TAG_SCHEMES: dict[str, str] = {"BIO": "BI", "BMES": "BMES", "BIOES": "BIES"}
"""The prefixes of each scheme."""


class TagRules(NamedTuple):
    """What a scheme forbids, as scores to add: 0 where allowed and -inf where not.

    Attributes:
        transitions: float32 ``[K, K]``, from the first tag to the second.
        start: float32 ``[K]``.
        end: float32 ``[K]``.
    """

    transitions: "Tensor"
    start: "Tensor"
    end: "Tensor"


def split_tag(tag: str) -> tuple[str, str]:
    """Prefix and label; ``("O", "")`` of ``O``.

    Raises:
        ValueError: if the tag is neither ``O`` nor a prefix and a label.
    """
    if tag == "O":
        return "O", ""
    if len(tag) < 3 or tag[0] not in "BIMES" or tag[1] not in "-_":
        raise ValueError(f"a tag must be O or a label after B-, I-, M-, E- or S-, got {tag!r}")
    return tag[0], tag[2:]


def scheme_of_tags(tags: Sequence[str]) -> str:
    """The scheme that has all prefixes of the tags, the one with the fewest where several do.

    Raises:
        ValueError: if a tag has no prefix, or no scheme has all of them.
    """
    prefixes = {split_tag(tag)[0] for tag in tags} - {"O"}
    for scheme, known in TAG_SCHEMES.items():
        if prefixes <= set(known):
            return scheme
    raise ValueError(f"tags must follow one scheme of {', '.join(TAG_SCHEMES)}, got the prefixes {sorted(prefixes)}")


def may_follow(before: str | None, tag: str | None, scheme: str) -> bool:
    """Whether a tag may follow another; None stands for the border of the sequence.

    Raises:
        ValueError: if the scheme is unknown, or a tag does not belong to it.
    """
    (prefix, label), (following, other) = (_checked(one, scheme) for one in (before, tag))
    if scheme == "BIO":
        return following != "I" or (prefix in "BI" and label == other)
    inside = prefix in "BMI"
    continues = following in "MIE"
    return inside == continues and (not inside or label == other)


def tag_rules(tags: Sequence[str], scheme: str | None = None) -> TagRules:
    """The rules for tags in the order of their ids.

    Args:
        tags: the K tags.
        scheme: a key of `TAG_SCHEMES`; None: detected from the tags.

    Raises:
        ValueError: if the scheme is unknown, or a tag does not belong to it.
    """
    scheme = scheme_of_tags(tags) if scheme is None else scheme
    moves = [[may_follow(before, tag, scheme) for tag in tags] for before in tags]
    starts = [may_follow(None, tag, scheme) for tag in tags]
    ends = [may_follow(tag, None, scheme) for tag in tags]
    return TagRules(_scores(moves), _scores(starts), _scores(ends))


def _scores(allowed: list[list[bool]] | list[bool]) -> "Tensor":
    # The names of tags are read where there is no PyTorch, too.
    import torch

    # On the CPU even where a model is being built without memory, on the device "meta": rules are not weights.
    mask = torch.tensor(allowed, dtype=torch.bool, device="cpu")
    return torch.zeros(mask.shape, device="cpu").masked_fill(~mask, -torch.inf)


def _checked(tag: str | None, scheme: str) -> tuple[str, str]:
    if scheme not in TAG_SCHEMES:
        raise ValueError(f"tag_scheme must be one of {', '.join(TAG_SCHEMES)}, got {scheme!r}")
    prefix, label = split_tag("O" if tag is None else tag)
    if prefix not in TAG_SCHEMES[scheme] + "O":
        raise ValueError(f"a tag of {scheme} must begin with one of O{TAG_SCHEMES[scheme]}, got {tag!r}")
    return prefix, label
