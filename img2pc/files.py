"""Writing files whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from img2pc.errors import BadInputError


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


@contextmanager
def written_atomically(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it into place when the block succeeds.

    Raises:
        BadInputError: the folder is missing or not writable.
    """
    with write_errors(path):
        # A part of the stem: names may be as long as file systems allow.
        handle, name = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.stem[:30]}-", suffix=path.suffix
        )
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            umask = os.umask(0)
            os.umask(umask)
            temporary.chmod(0o666 & ~umask)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
