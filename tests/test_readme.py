"""README.md and the model card say what is so: their commands exist, with the options they use."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import typer

from img2pc.cli import app
from img2pc.data.dataset import DataSettings, write_shards
from img2pc.data.families import FAMILIES
from img2pc.errors import Img2pcError
from img2pc.evaluation import FURNITURE

from .conftest import ROOT

README, CARD = ROOT / "README.md", ROOT / "weights" / "README.md"
EXPERIMENTS = ROOT / "weights" / "EXPERIMENTS.md"


def shell_blocks(document: Path = README) -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```", document.read_text(encoding="utf-8"), re.M | re.S)


def commands(document: Path = README) -> list[list[str]]:
    """The arguments of every `img2pc …` command in the shell blocks."""
    found: list[list[str]] = []
    for block in shell_blocks(document):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            breaks = [
                i for i, word in enumerate(words) if word in {"&&", "||", "|", ";", "<", ">", "2>"}
            ]
            for start, end in zip([-1, *breaks], [*breaks, len(words)], strict=True):
                if words[start + 1 : start + 2] == ["img2pc"]:
                    found.append(words[start + 2 : end])
    return found


def test_installing_and_reconstructing_are_shown() -> None:
    assert len(shell_blocks()) >= 2
    assert any("pip install" in block for block in shell_blocks())
    assert any(command[:1] == ["reconstruct"] for command in commands())


def test_the_pytorch_to_install_first_is_one_that_pip_keeps() -> None:
    bounds = re.search(r'"torch>=[0-9.]+,(<[0-9.]+)"', (ROOT / "pyproject.toml").read_text())
    assert bounds is not None
    assert f'pip install "torch{bounds[1]}" --index-url' in README.read_text(encoding="utf-8")


@pytest.mark.parametrize("document", [README, CARD], ids=["readme", "card"])
def test_every_command_parses(document: Path) -> None:
    """Arguments, options and their values are accepted; nothing is run."""
    group = typer.main.get_command(app)
    assert commands(document)
    for words in commands(document):
        arguments = [word for word in words if word != "--debug"]
        if not arguments or {"--help", "--version"} & set(arguments):
            continue
        context = group.make_context("img2pc", list(arguments))
        name, command, rest = group.resolve_command(context, arguments)
        assert command is not None, words
        command.make_context(name, rest, parent=context)


def test_the_python_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    text = README.read_text("utf-8")
    short, stages, truth = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    names: dict[str, Any] = {}
    exec(short, names)
    assert len(names["cloud"]) > 1000
    assert (tmp_path / "chair.ply").exists()
    names = {}
    exec(stages, names)
    assert names["crop"].shape == (128, 128, 4)
    assert names["views"].depth.shape == names["views"].mask_probability.shape == (1, 8, 128, 128)
    seen = names["seen"]
    assert seen.depth.shape == (4, 128, 128)
    assert ((seen.mask_logits > 0).float().mean((1, 2)) > 0.05).all()  # the chair, from each side
    assert names["points"].grad.abs().sum() > 0
    names = {}
    settings = DataSettings(pictures_per_object=1, families=("mug",), surface_points=10)
    list(write_shards(tmp_path / "shapes", settings, 2, workers=1))
    exec(truth, names)
    assert names["crops"].shape == (2, 128, 128, 4)
    assert names["true"].depth.shape == (2, 8, 128, 128)


def test_every_subcommand_is_mentioned() -> None:
    text = README.read_text(encoding="utf-8")
    for name in typer.main.get_command(app).commands:
        assert f"img2pc {name}" in text


def test_every_family_is_mentioned() -> None:
    text = " ".join(README.read_text(encoding="utf-8").split())
    (names,) = re.findall(r"eighteen families \(([^;]*);", text)
    assert re.split(r", | and ", names) == list(FAMILIES)


def test_what_counts_as_furniture_is_said() -> None:
    text = " ".join(README.read_text(encoding="utf-8").split()).lower()
    (names,) = re.findall(r"\. ([^.]*) are also summed up as furniture", text)
    singular = {
        {"benches": "bench"}.get(name, name.removesuffix("s"))
        for name in re.split(r", | and ", names)
    }
    assert singular == FURNITURE


def test_exit_codes_are_listed() -> None:
    text = README.read_text(encoding="utf-8")
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", text, re.M)}
    errors = {Img2pcError, *Img2pcError.__subclasses__()}
    assert listed == {0, 2, 130, 143} | {error.exit_code for error in errors}


def anchors(document: Path) -> set[str]:
    """What GitHub calls the headings of a document."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", each).strip().lower().replace(" ", "-") for each in headings}


@pytest.mark.parametrize("document", [README, CARD, EXPERIMENTS], ids=lambda each: each.stem)
def test_what_it_links_to_exists(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^):\s]+)\)", text) + re.findall(r'src="([^":]+)"', text)
    assert targets
    for target in targets:
        name, _, anchor = target.partition("#")
        file = document.parent / name if name else document
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target
