"""Published numbers of LIC2020's tasks."""

from hf_ext.suites.suite import Published

_ARTICLE = "kexue.fm/archives/7321"

PUBLISHED = (
    Published("article, base size", "test 1", {"dureader_robust": 69.0, "duie": 68.0, "duee": 78.0}, _ARTICLE),
    Published("article, large size", "test 1", {"dureader_robust": 71.0}, _ARTICLE),
)
"""F1 in per cent, as the contest's site said."""
