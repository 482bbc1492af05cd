from __future__ import annotations

import errno
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath

import pytest

from img2pc.errors import BadInputError
from img2pc.files import (
    by_name,
    check_writable,
    exists,
    is_file,
    is_folder,
    is_same_file,
    written_atomically,
)


def test_what_cannot_be_looked_at_is_not_there(tmp_path: Path) -> None:
    too_long = tmp_path / ("a" * 300)
    assert [look(too_long) for look in (is_file, is_folder, exists)] == [False] * 3
    assert [look(tmp_path) for look in (is_file, is_folder, exists)] == [False, True, True]


def test_files_are_the_same_by_whatever_name(tmp_path: Path) -> None:
    """There or not yet."""
    there, link, missing = tmp_path / "a", tmp_path / "link", tmp_path / "b"
    there.touch()
    link.symlink_to(there)
    assert is_same_file(there, link)
    assert is_same_file(missing, tmp_path / "below" / ".." / "b")
    assert not is_same_file(there, missing)


@pytest.mark.parametrize("kind", [PurePosixPath, PureWindowsPath])
def test_the_order_is_the_same_on_all_systems(kind: type[PurePath]) -> None:
    """Windows' own has a.png before B.png."""
    paths = [kind(name) for name in ("a.png", "a/c.png", "a-b/c.png", "B.png")]
    ordered = [path.as_posix() for path in sorted(paths, key=by_name)]
    assert ordered == ["B.png", "a/c.png", "a-b/c.png", "a.png"]


def test_a_link_is_followed(tmp_path: Path) -> None:
    link, there = tmp_path / "link", tmp_path / "far" / "there"
    there.parent.mkdir()
    link.symlink_to(there)
    for content in ("new", "newer"):
        with written_atomically(link) as temporary:
            temporary.write_text(content)
        assert link.is_symlink()
        assert there.read_text() == content
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["far", "link", "there"]


def test_what_is_written_through_a_link_ends_as_the_link(tmp_path: Path) -> None:
    link = tmp_path / "chair.stl"
    link.symlink_to(tmp_path / "4f2a.obj")
    with written_atomically(link) as temporary:
        assert temporary.suffix == ".stl"
        temporary.write_text("solid")
    assert (tmp_path / "4f2a.obj").read_text() == "solid"


def test_what_cannot_be_written_is_said_beforehand(tmp_path: Path) -> None:
    check_writable(tmp_path / "new")
    for path in (tmp_path / "missing" / "new", tmp_path):
        with pytest.raises(BadInputError, match=f"cannot write {re.escape(str(path))}: "):
            check_writable(path)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_modes_is_written_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Windows disk in WSL, say."""

    def refuse(*arguments: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "chmod", refuse)
    with written_atomically(tmp_path / "a") as temporary:
        temporary.write_text("new")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_files_written_by_many_threads_have_the_usual_mode(tmp_path: Path) -> None:
    def write(number: int) -> int:
        with written_atomically(tmp_path / str(number)) as temporary:
            temporary.write_text("")
        return (tmp_path / str(number)).stat().st_mode & 0o777

    umask = os.umask(0)
    os.umask(umask)
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(write, range(400))) == {0o666 & ~umask}
    assert os.umask(umask) == umask
