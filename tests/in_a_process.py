"""What stands in for meshing in a process of its own; light, for each imports it anew."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from img2pc.errors import NotPrintableError

if TYPE_CHECKING:
    from img2pc.cloud_files import PointArrays
    from img2pc.meshing import MeshSettings


def mesh_or_worse(cloud: PointArrays, path: Path, settings: MeshSettings | None) -> tuple[str, ...]:
    """Write count, process, and what becomes of Ctrl-C, and warn; or do what the file's name
    says."""
    if path.stem == "die":
        os._exit(9)
    if path.stem == "refuse":
        raise NotPrintableError("two bodies")
    words = (len(cloud.points), os.getpid(), interrupts_ignored(), interrupts_blocked())
    path.write_text(" ".join(map(str, words)))
    return ("a leg is loose",)


def settings_to_file(
    cloud: PointArrays, path: Path, settings: MeshSettings | None
) -> tuple[str, ...]:
    """Write what was asked for."""
    path.write_text(repr(settings))
    return ()


def interrupts_ignored() -> bool:
    return signal.getsignal(signal.SIGINT) == signal.SIG_IGN


def interrupts_blocked() -> bool:
    """Whether this thread, and what it starts, hears no Ctrl-C."""
    return sys.platform != "win32" and signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])
