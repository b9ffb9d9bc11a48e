"""Where strings stand in texts."""

import pytest

from hf_ext.data.places import locate


@pytest.mark.parametrize(
    ("text", "surface", "start"),
    [
        ("2010年10月", "10", 5),
        ("aBc b", "b", 4),
        ("Abc", "abc", 0),
        ("İa x", "X", 3),
        ("2010", "10", 2),
        ("a", "b", None),
        ("a", "", None),
    ],
)
def test_strings_are_found_where_tokens_can_be(text, surface, start):
    found = locate(text, surface)
    assert (found and found["start"]) == start
