"""weights/sitting.py: a run in several calls, brought home in parts."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from .conftest import ROOT

SCRIPT = ROOT / "weights" / "sitting.py"


@pytest.fixture(scope="module")
def sitting() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sitting", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["sitting"] = module  # dataclasses look it up
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("size", [1, 299, 300, 301, 1000])
def test_parts_make_the_whole(sitting: ModuleType, size: int, tmp_path: Path) -> None:
    content = bytes(index % 251 for index in range(size))
    (tmp_path / "file").write_bytes(content)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "part-9").write_bytes(b"of an earlier file")
    parts = sitting.split(tmp_path / "file", tmp_path / "out", 300)
    assert len(parts) == -(-size // 300)
    assert sorted(tmp_path.glob("out/part-*")) == parts
    assert max(part.stat().st_size for part in parts) <= 300
    sitting.join(tmp_path / "out", tmp_path / "new" / "file")
    assert (tmp_path / "new" / "file").read_bytes() == content


def test_parts_of_before_are_whole_until_the_new_ones_are(
    sitting: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"first")
    (tmp_path / "out").mkdir()
    sitting.split(tmp_path / "file", tmp_path / "out", 3)
    (tmp_path / "file").write_bytes(b"second")

    def ended(*arguments: object, **more: object) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as ending:
        ending.setattr(sitting.json, "dumps", ended)
        with pytest.raises(KeyboardInterrupt):
            sitting.split(tmp_path / "file", tmp_path / "out", 3)
    sitting.join(tmp_path / "out", tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == b"first"


@pytest.mark.parametrize("damage", ["missing", "altered", "cut"])
def test_damaged_parts_are_refused(sitting: ModuleType, damage: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(range(200)))
    last = sitting.split(tmp_path / "file", tmp_path, 150)[-1]
    if damage == "missing":
        last.unlink()
    else:
        last.write_bytes(b"\0" + last.read_bytes()[1:] if damage == "altered" else b"\x96")
    with pytest.raises(SystemExit, match="-1 is missing or damaged"):
        sitting.join(tmp_path, tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_base_weights_come_home_in_three_parts_at_most(sitting: ModuleType) -> None:
    from img2pc.generator import SIZES, StructureGenerator

    parameters = sum(each.numel() for each in StructureGenerator(SIZES["base"]).parameters())
    assert 2 * parameters < 32e6
    assert 2 * parameters < 3 * sitting.PART_BYTES
    assert sitting.PART_BYTES < 16 * 2**20


def test_the_commands_that_the_card_shows_parse(sitting: ModuleType) -> None:
    card = (ROOT / "weights" / "README.md").read_text(encoding="utf-8")
    shown = [
        line.split("weights/sitting.py", 1)[1].split()
        for line in card.splitlines()
        if line.startswith("python weights/sitting.py")
    ]
    assert {arguments[0] for arguments in shown} == {"rehearse", "run", "join"}
    for arguments in shown:
        sitting._parsed(arguments)


def test_what_follows_two_dashes_goes_to_training(sitting: ModuleType) -> None:
    call = ["run", "work", "out", "--meshes", "pack", "--last"]
    parsed = sitting._parsed([*call, "--", "--stage", "joint"])
    assert parsed.last
    assert parsed.train_options == ("--compile", "--stage", "joint")
    assert sitting._parsed(call).train_options == ("--compile",)


@pytest.mark.slow
def test_failing_training_is_said(sitting: ModuleType, tmp_path: Path) -> None:
    """Though weights of an earlier call are there, and come home."""
    first = sitting.tiny(tmp_path)
    sitting.run(first)
    (first.work / "run" / "checkpoint.pt").write_bytes(b"damaged")
    with pytest.raises(SystemExit, match="training failed"):
        sitting.run(first)
    assert list(first.out.glob("part-*-0"))


@pytest.mark.slow
def test_the_rehearsal(tmp_path: Path) -> None:
    """Rendered, trained, stopped, gone on with, also on a bare machine, measured and loaded."""
    ran = subprocess.run(
        [sys.executable, SCRIPT, "rehearse", tmp_path / "rehearsal"],
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert ran.returncode == 0, ran.stderr
    summary = json.loads(ran.stdout)
    assert summary["steps"] >= 60
    assert 0 < summary["held_out"]["mask IoU"] < 1
    assert summary["share_of_bare"] > 0
    out = tmp_path / "rehearsal" / "out-3"
    (part,) = out.glob("part-*-0")
    assert sorted(path.name for path in out.iterdir()) == [
        *("log.csv", part.name, "parts.json", "sitting.json", "sitting.log")
    ]
