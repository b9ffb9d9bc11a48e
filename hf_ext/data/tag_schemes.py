"""Tags of tokens from entity spans and back, under the schemes BIO, BMES and BIOES."""

from collections.abc import Iterable, Sequence

from hf_ext.ops.tag_rules import TAG_SCHEMES, split_tag

TokenSpan = tuple[str, int, int]
"""Label, first and last token."""


def tags_of_labels(labels: Iterable[str], scheme: str = "BIO") -> list[str]:
    """All tags for the labels: ``O`` first, then for each label its prefixes in the scheme's order.

    Raises:
        ValueError: if the scheme is unknown.
    """
    if scheme not in TAG_SCHEMES:
        raise ValueError(f"scheme must be one of {', '.join(TAG_SCHEMES)}, got {scheme!r}")
    return ["O", *(f"{prefix}-{label}" for label in labels for prefix in TAG_SCHEMES[scheme])]


def spans_to_tags(spans: Iterable[TokenSpan], length: int, scheme: str = "BIO") -> list[str]:
    """Tags of BIO, BMES or BIOES for the entities of a sequence.

    Args:
        spans: (label, first, last), both inclusive.
        length: number of tokens L.
        scheme: a key of `TAG_SCHEMES`.

    Raises:
        ValueError: if a span is not within the sequence, or two overlap.
    """
    prefixes = TAG_SCHEMES[scheme] if scheme in TAG_SCHEMES else tags_of_labels((), scheme)
    tags = ["O"] * length
    for label, first, last in spans:
        if not 0 <= first <= last < length:
            raise ValueError(f"a span must lie within the {length} tokens, got {label!r} at {first} to {last}")
        if any(tag != "O" for tag in tags[first : last + 1]):
            raise ValueError(
                f"spans must not overlap, got {label!r} at {first} to {last} beside {tags[first : last + 1]}"
            )
        inside, ends = ("I", False) if scheme == "BIO" else (prefixes[1], True)
        tags[first : last + 1] = [f"{inside}-{label}"] * (last - first + 1)
        tags[first] = f"B-{label}"
        if ends:
            tags[last] = f"S-{label}" if first == last else f"E-{label}"
    return tags


def tags_to_spans(tags: Sequence[str]) -> list[TokenSpan]:
    """The entities of a sequence as (label, first, last), both inclusive, by the rules of ``conlleval``.

    Tags of any scheme are read, and sequences against their scheme too: an entity begins wherever a tag cannot continue
    the one before.

    Raises:
        ValueError: if a tag is neither ``O`` nor a prefix and a label.
    """
    spans: list[TokenSpan] = []
    before, label, start = "O", "", 0
    for place, tag in enumerate([*tags, "O"]):
        prefix, own = split_tag(tag)
        if before in "BIM" and prefix in "IME" and own == label:
            before = prefix
            continue
        if before != "O":
            spans.append((label, start, place - 1))
        before, label, start = prefix, own, place
    return spans
