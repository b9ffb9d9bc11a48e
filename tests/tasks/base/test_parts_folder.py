"""Each file has a folder of its own for its parts, however long its name is, and however much it is like another's."""

import pytest

from hf_ext.engines.kept_parts import KeptParts
from hf_ext.tasks.base.parts_folder import parts_folder
from hf_ext.tasks.similarity.vector_file import VectorParts


@pytest.mark.parametrize("start", ["v", "predictions-of-the-tagger-on-the-news-of-2026-", "长" * 80], ids=len)
def test_files_with_names_that_begin_alike_have_folders_of_their_own(start, tmp_path):
    one, other = tmp_path / f"{start}1", tmp_path / f"{start}2"
    assert parts_folder(one) == parts_folder(one)
    assert parts_folder(one) != parts_folder(other)
    first = KeptParts(one, {"file": "a"})
    first.put(0, b"a")
    KeptParts(other, {"file": "b"}).put(0, b"b")
    assert list(first.contents(1)) == [b"a"]
    VectorParts(other, "c", False).remove()
    assert list(first.contents(1)) == [b"a"]


def test_a_link_has_the_folder_of_what_it_leads_to(tmp_path):
    (tmp_path / "link").symlink_to("file")
    assert parts_folder(tmp_path / "link") == tmp_path / ".file.parts"
