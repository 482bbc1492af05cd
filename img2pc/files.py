"""Whether files are there; writing them whole or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath

from img2pc.errors import BadInputError

_UMASK = os.umask(0)  # read by setting it, which other threads would notice later
os.umask(_UMASK)


def is_file(path: Path) -> bool:
    """False, too, where the path cannot be looked at; Path's raises that before Python 3.14."""
    return os.path.isfile(path)  # noqa: PTH113


def is_folder(path: Path) -> bool:
    """False, too, where the path cannot be looked at."""
    return os.path.isdir(path)  # noqa: PTH112


def exists(path: Path) -> bool:
    """False, too, where the path cannot be looked at."""
    return os.path.exists(path)  # noqa: PTH110


def is_same_file(one: Path, other: Path) -> bool:
    """Whether both name one file, which need not be there yet."""
    try:
        return one.samefile(other)
    except OSError:
        return os.path.abspath(one) == os.path.abspath(other)  # noqa: PTH100


def by_name(path: PurePath) -> tuple[str, ...]:
    """The key of one order on all systems; Windows' own knows no capitals."""
    return path.parts


@contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """What the operating system refuses within the block is said of `path`.

    Raises:
        BadInputError: it refused something.
    """
    try:
        yield
    except OSError as error:
        raise BadInputError(f"cannot write {path}: {error.strerror or error}") from error


def check_exists(path: Path) -> None:
    """
    Raises:
        BadInputError: it is missing.
    """
    if not exists(path):
        raise BadInputError(f"{path} does not exist")


def check_is_file(path: Path) -> None:
    """
    Raises:
        BadInputError: it is missing, or a folder.
    """
    check_exists(path)
    if not is_file(path):
        raise BadInputError(f"{path} is not a file")


def check_is_folder(path: Path) -> None:
    """
    Raises:
        BadInputError: it is missing, or a file.
    """
    check_exists(path)
    if not is_folder(path):
        raise BadInputError(f"{path} is not a folder")


def check_writable(path: Path) -> None:
    """Before much work is done for it.

    Raises:
        BadInputError: the folder is missing or not writable, or the path is a folder.
    """
    with write_errors(path):
        if is_folder(path):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        tempfile.TemporaryFile(dir=Path(os.path.realpath(path)).parent).close()


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A new folder that is gone afterwards.

    Raises:
        BadInputError: there is no place for one.
    """
    with write_errors(Path("temporary files")):
        folder = tempfile.TemporaryDirectory(prefix="img2pc-")
    with folder as name:
        yield Path(name)


@contextmanager
def written_atomically(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it into place when the block succeeds.

    It ends as `path` does. A link is followed, and stays.

    Raises:
        BadInputError: the folder is missing or not writable.
    """
    with write_errors(path):
        # What a link names may end otherwise, and readers go by the end.
        suffix, path = path.suffix, Path(os.path.realpath(path))
        # A part of the stem: names may be as long as file systems allow.
        handle, name = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.stem[:30]}-", suffix=suffix
        )
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            with suppress(OSError):  # as on a Windows disk in WSL, or one of a network
                temporary.chmod(0o666 & ~_UMASK)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
