"""Files are replaced whole or left alone."""

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from hf_ext import atomic_file
from hf_ext.atomic_file import atomic_write


def test_a_complete_block_replaces_the_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with atomic_write(path) as file:
        file.write("新\n")
        assert path.read_text() == "old"
    assert path.read_bytes() == "新\n".encode()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failing_block_leaves_the_file_and_no_draft(tmp_path, error):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with pytest.raises(error), atomic_write(path, "wb") as file:  # noqa: PT012
        file.write(b"half")
        raise error
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    with atomic_write(link) as file:
        file.write("new")
    assert link.is_symlink()
    assert target.read_text() == "new"


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_a_file_keeps_its_permissions(mode, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    path.chmod(mode)
    with atomic_write(path) as file:
        # Nor may the draft be read by others.
        assert all(stat.S_IMODE(one.stat().st_mode) == mode for one in tmp_path.iterdir())
        file.write("new")
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_new_file_has_the_permissions_of_new_files(tmp_path):
    (tmp_path / "b.txt").touch()
    with atomic_write(tmp_path / "a.txt") as file:
        file.write("new")
    assert (tmp_path / "a.txt").stat().st_mode == (tmp_path / "b.txt").stat().st_mode


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_a_file_that_may_not_be_written_stays(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    path.chmod(0o400)
    with pytest.raises(PermissionError, match=r"a\.txt"), atomic_write(path) as file:
        file.write("new")
    assert path.read_text() == "old"


def test_threads_that_write_one_path_do_not_mix(tmp_path):
    path, ready, wrong = tmp_path / "a.txt", threading.Barrier(4), []

    def write(letter):
        try:
            with atomic_write(path) as file:
                file.write(letter * 50_000)
                ready.wait(10)
                file.write(letter * 50_000)
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert path.read_text() in {letter * 100_000 for letter in "abcd"}
    assert list(tmp_path.iterdir()) == [path]


def test_a_name_as_long_as_the_disk_allows(tmp_path):
    path = tmp_path / ("长" * 85)
    with atomic_write(path) as file:
        file.write("new")
    assert path.read_text() == "new"


@pytest.mark.parametrize(("mode", "content"), [("w", "好\n"), ("wb", b"ab")])
@pytest.mark.parametrize("fails", [False, True])
def test_a_pipe_gets_all_or_nothing(mode, content, fails, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE) as reader:
        try:
            with atomic_write(pipe, mode) as file:
                # A header that is filled in at the end, as that of an array.
                file.write(content)
                file.seek(0)
                file.write(content)
                if fails:
                    raise ValueError
        except ValueError:
            assert fails
        got = reader.communicate(timeout=10)[0]
    assert got == (b"" if fails else content.encode() if mode == "w" else content)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert list(tmp_path.iterdir()) == [pipe]


def test_devices_stay_and_folders_are_refused(tmp_path):
    (tmp_path / "null").symlink_to("/dev/null")
    for path in ("/dev/null", tmp_path / "null"):
        with atomic_write(path) as file:
            file.write("new")
        assert stat.S_ISCHR(os.stat(path).st_mode)
    with pytest.raises(IsADirectoryError), atomic_write(tmp_path) as file:
        pytest.fail("opened a folder")


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "link"])
@pytest.mark.parametrize("to", ["file", "pipe"])
def test_standard_output_is_written_on_from_where_it_is(name, to, tmp_path):
    (tmp_path / "link").symlink_to("/dev/stdout")
    # Without an import of the package, which takes seconds.
    code = Path(atomic_file.__file__).read_text() + (
        "\nimport sys\n"
        "print('before', flush=True)\n"
        "with atomic_write(sys.argv[1]) as file: file.write('new\\n')\n"
        "print('after')"
    )
    command = [sys.executable, "-c", code, name if name[0] == "/" else tmp_path / name]
    if to == "pipe":
        got = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
    else:
        with open(tmp_path / "out", "w") as out:
            subprocess.run(command, stdout=out, check=True)
        got = (tmp_path / "out").read_text()
    assert got == "before\nnew\nafter\n"
