"""The tool as a tool: streams, masks, weights, quiet and colourless, the doctor, Python."""

from __future__ import annotations

import inspect
import json
import logging
import os
import pickle
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
import typer
from PIL import Image
from safetensors.torch import save_file

import img2pc as package
from img2pc.checkpoints import weights_digest
from img2pc.cli.options import app
from img2pc.cloud_files import read_cloud
from img2pc.errors import BadInputError
from img2pc.folders import MESH_MARK
from img2pc.mesh_files import read_mesh
from img2pc.open3d_process import NativeCodeError
from img2pc.pointclouds import PointCloud, encode_ply
from img2pc.reconstruction import Reconstructor

from .conftest import (
    COMMAND,
    ENVIRONMENT,
    ROOT,
    Ran,
    Unpickled,
    assert_one_line,
    img2pc_process,
)
from .in_a_process import mesh_or_worse

Run = Callable[..., Ran]


def vertex_count(cloud: Path) -> int:
    return len(read_cloud(cloud).points)


@pytest.fixture
def standard_input(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[bytes], None]]:
    """Puts bytes on stdin."""
    file = tmp_path_factory.mktemp("stdin") / "bytes"
    file.touch()
    with file.open() as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        yield lambda content: file.write_bytes(content) and None


@pytest.fixture
def two_boxes(tmp_path: Path) -> Path:
    """A tall red object to the left and a flat blue one to the right, on nothing."""
    rgba = np.zeros((120, 200, 4), dtype=np.uint8)
    rgba[10:110, 20:50] = (200, 40, 40, 255)
    rgba[80:110, 80:190] = (40, 40, 200, 255)
    path = tmp_path / "two.png"
    Image.fromarray(rgba).save(path)
    return path


def half_mask(path: Path, size: tuple[int, int] = (200, 120)) -> Path:
    """White on the left third, where the tall box is."""
    mask = Image.new("L", size)
    mask.paste(255, (0, 0, size[0] // 3, size[1]))
    mask.save(path)
    return path


# --- Standard input and output --------------------------------------------------------------------


def test_from_stdin(
    img2pc: Run, standard_input, chair_picture: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    arguments = ("--weights", tiny_weights, "-o")
    assert img2pc("reconstruct", chair_picture, *arguments, tmp_path / "file.ply").code == 0
    standard_input(chair_picture.read_bytes())
    ran = img2pc("reconstruct", "-", *arguments, tmp_path / "stdin.ply")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(f"{tmp_path / 'stdin.ply'}\t")
    assert (tmp_path / "stdin.ply").read_bytes() == (tmp_path / "file.ply").read_bytes()


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\ngarbage"])
@pytest.mark.parametrize("command", ["reconstruct", "mesh"])
def test_rubbish_from_stdin(
    img2pc: Run, standard_input, command: str, content: bytes, tiny_weights: Path, tmp_path: Path
) -> None:
    standard_input(content)
    weights = ("--weights", tiny_weights) if command == "reconstruct" else ()
    ran = img2pc(command, "-", "-o", tmp_path / "out.ply", *weights)
    assert (ran.code, ran.out) == (3, "")
    assert_one_line(ran.err)
    assert "BytesIO" not in ran.err
    assert "img2pc-" not in ran.err  # the name of a temporary folder helps nobody
    assert list(tmp_path.iterdir()) == []


def test_to_stdout(img2pc: Run, chair_picture: Path, tiny_weights: Path, tmp_path: Path) -> None:
    """Without --output, what comes from stdin goes to stdout."""
    arguments = ["--points", "300", "--weights", str(tiny_weights)]
    file = tmp_path / "cloud.ply"
    assert img2pc("reconstruct", chair_picture, "-o", file, *arguments).code == 0
    ran = subprocess.run(
        [*COMMAND, "reconstruct", "-", "-v", *arguments],
        input=chair_picture.read_bytes(),
        capture_output=True,
        env=ENVIRONMENT,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == file.read_bytes()
    assert b"generate views" in ran.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full disk to write to")
def test_a_full_disk_behind_stdout(chair_picture: Path, tiny_weights: Path) -> None:
    command = ["reconstruct", str(chair_picture), "-o", "-", "--weights", str(tiny_weights)]
    with Path("/dev/full").open("wb") as full:
        ran = subprocess.run(
            [*COMMAND, *command], stdout=full, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
        )
    assert ran.returncode == 3
    assert "cannot write to stdout" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_other_results_beside_a_cloud_on_stdout(
    chair_picture: Path, tiny_weights: Path, tmp_path: Path, capsysbinary, monkeypatch
) -> None:
    from img2pc.cli import main

    preview, mask = tmp_path / "preview.png", tmp_path / "mask.png"
    arguments = ["reconstruct", chair_picture, "-o", "-", "--weights", tiny_weights]
    arguments += ["--preview", preview, "--save-mask", mask]
    monkeypatch.setattr(sys, "argv", ["img2pc", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    cloud = Reconstructor.load(tiny_weights)(chair_picture).cloud
    assert capsysbinary.readouterr().out == encode_ply(cloud)
    assert preview.exists()
    assert mask.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["-", "-o", "-", "--json"],
        ["-", "--json"],
        ["a.png", "--preview", "a.png"],
        ["a.png", "--preview", "./a.ply"],
        ["a.png", "--mask", "m.png", "--save-mask", "m.png"],
        ["a.png", "--preview", "p.png", "--save-mask", "p.png"],
        ["-", "--mesh", "stl"],
        ["picture.png", "-o", "-", "--mesh", "stl"],
        ["picture.png", "-o", "a.stl", "--mesh", "obj"],
        ["picture.png", "--shard", "1/2"],
        ["picture.png", "--background", "sky"],
    ],
)
def test_what_does_not_go_together(
    img2pc: Run, arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = img2pc("reconstruct", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert "Usage: img2pc" in ran.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="a pipe of two processes")
def test_a_pipe_from_a_picture_to_a_solid(tmp_path: Path) -> None:
    """With the bundled weights, as a user would."""
    solid = tmp_path / "chair.stl"
    picture = (ROOT / "examples" / "chair.png").open("rb")
    first = subprocess.Popen(
        [*COMMAND, "reconstruct", "-", "--points", "8000"],
        stdin=picture,
        stdout=subprocess.PIPE,
        env=ENVIRONMENT,
    )
    second = subprocess.run(
        [*COMMAND, "mesh", "-", "-o", str(solid)],
        stdin=first.stdout,
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
    )
    picture.close()
    assert first.wait() == 0
    assert second.returncode == 0, second.stderr
    assert second.stdout.startswith(f"{solid}\t")
    assert second.stdout.count("\n") == 1
    assert len(read_mesh(solid).faces) > 1000


# --- JSON, masks, backgrounds ---------------------------------------------------------------------


def test_one_picture_as_json(
    img2pc: Run, chair_picture: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    cloud, preview = tmp_path / "cloud.ply", tmp_path / "preview.png"
    ran = img2pc(
        *("reconstruct", chair_picture, "-o", cloud, "--preview", preview),
        *("--weights", tiny_weights, "--json"),
    )
    assert ran.code == 0
    assert ran.out.count("\n") == 1
    told = json.loads(ran.out)
    assert told.pop("points") == vertex_count(cloud)
    assert told == {
        "picture": str(chair_picture),
        "status": "done",
        "outputs": [str(cloud), str(preview)],
        "foreground": "alpha",
        "exit_code": 0,
    }


def test_every_file_is_named(img2pc: Run, chair_picture: Path, tmp_path: Path, monkeypatch) -> None:
    """Beside a cloud and beside a solid."""
    import img2pc.cli.pictures as command

    monkeypatch.setattr(command, "make_mesh", lambda cloud, target, *more: print(target))
    for name in ("out.ply", "out.stl"):
        out, preview, mask = (tmp_path / each for each in (name, "preview.png", "mask.png"))
        ran = img2pc(
            *("reconstruct", chair_picture, "-o", out, "--preview", preview, "--save-mask", mask)
        )
        assert ran.code == 0, ran.err
        named = [line.split("\t")[0] for line in ran.out.splitlines()]
        assert sorted(named) == sorted(map(str, (out, preview, mask)))


@pytest.mark.parametrize("as_json", [True, False])
def test_a_cloud_and_its_solid_or_neither_an_older_one(
    as_json: bool,
    img2pc: Run,
    chair_picture: Path,
    tiny_weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A solid that fails leaves no older one beside the new cloud; alone, it leaves the older."""
    import img2pc.cli.pictures as command

    monkeypatch.setattr("img2pc.meshing.mesh_to_file", mesh_or_worse)
    monkeypatch.setattr(command, "make_mesh", mesh_or_worse)
    told = ("--json",) if as_json else ()

    def reconstruct(out: str, *options: str) -> Ran:
        files = (chair_picture, "-o", tmp_path / out, "--weights", tiny_weights)
        return img2pc("reconstruct", *files, *options, *told)

    made = reconstruct("fine.ply", "--mesh", "stl", "--points", "9")
    assert made.code == 0, made.err
    assert vertex_count(tmp_path / "fine.ply") == 9
    assert int((tmp_path / "fine.stl").read_text().split()[0]) > 1000  # of all points
    for name in ("refuse.stl", "refuse.glb"):
        (tmp_path / name).write_bytes(MESH_MARK)
    shutil.copy(tmp_path / "fine.ply", tmp_path / "refuse.ply")
    for ran in (reconstruct("refuse.ply", "--mesh", "stl"), reconstruct("refuse.glb")):
        assert ran.code == 5
        assert_one_line(ran.err)
        if as_json:
            failed = json.loads(ran.out)
            assert (failed["status"], failed["error"]) == ("failed", "two bodies")
    assert not (tmp_path / "refuse.stl").exists()
    assert (tmp_path / "refuse.glb").read_bytes() == MESH_MARK


def test_a_mask_chooses_the_object(
    img2pc: Run, two_boxes: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    mask = half_mask(tmp_path / "half.png")
    reconstructor = Reconstructor.load(tiny_weights)
    whole, chosen = reconstructor.cut_out(two_boxes), reconstructor.cut_out(two_boxes, mask=mask)
    assert (whole.foreground.method, chosen.foreground.method) == ("alpha", "mask")
    blue = (slice(None), slice(None), 2)
    assert (whole.crop[blue] > 150).sum() > 500
    assert not (chosen.crop[blue] > 150).any()
    for name, more in (("whole", ()), ("half", ("--mask", mask))):
        cloud = tmp_path / f"{name}.ply"
        ran = img2pc("reconstruct", two_boxes, "-o", cloud, "--weights", tiny_weights, *more)
        assert ran.code == 0, ran.err
    assert (tmp_path / "whole.ply").read_bytes() != (tmp_path / "half.ply").read_bytes()


def test_a_saved_mask_gives_the_same_cloud(
    img2pc: Run, tiny_weights: Path, two_boxes: Path, tmp_path: Path
) -> None:
    rgba = Image.open(two_boxes)
    flat = Image.new("RGB", rgba.size, (230, 230, 225))
    flat.paste(rgba, mask=rgba.getchannel("A"))
    picture, mask = tmp_path / "flat.png", tmp_path / "mask.png"
    flat.save(picture)
    arguments = ("reconstruct", picture, "--weights", tiny_weights, "-o")
    assert img2pc(*arguments, tmp_path / "1.ply", "--save-mask", mask).code == 0
    assert Image.open(mask).mode == "L"
    assert Image.open(mask).size == flat.size
    assert img2pc(*arguments, tmp_path / "2.ply", "--mask", mask).code == 0
    assert (tmp_path / "1.ply").read_bytes() == (tmp_path / "2.ply").read_bytes()


@pytest.mark.parametrize("kind", ["missing", "garbage", "black", "of another shape"])
def test_bad_masks(
    img2pc: Run, kind: str, two_boxes: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    mask = tmp_path / "mask.png"
    if kind == "garbage":
        mask.write_bytes(b"garbage")
    elif kind == "black":
        Image.new("L", (200, 120)).save(mask)
    elif kind == "of another shape":
        half_mask(mask, (100, 120))
    ran = img2pc("reconstruct", two_boxes, "--mask", mask, "--weights", tiny_weights)
    assert (ran.code, ran.out) == (3, "")
    assert_one_line(ran.err)
    assert str(mask) in ran.err


@pytest.mark.parametrize("background", ["alpha", "border", "rembg"])
def test_backgrounds_that_do_not_fit(
    img2pc: Run, background: str, tiny_weights: Path, tmp_path: Path, monkeypatch
) -> None:
    """Noise, opaque, and no model on the disk: none of them, and each says what else to try."""
    for variable in ("XDG_DATA_HOME", "U2NET_HOME", "REMBG_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / "empty"))
    picture = tmp_path / "noise.png"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(picture)
    ran = img2pc("reconstruct", picture, "--background", background, "--weights", tiny_weights)
    assert (ran.code, ran.out) == (3, "")
    assert_one_line(ran.err)
    assert re.search(r"try --background|pip install|to download it", ran.err)
    assert list(tmp_path.iterdir()) == [picture]


# --- Weights --------------------------------------------------------------------------------------


def test_weights_from_the_environment(
    img2pc: Run, chair_picture: Path, tiny_weights: Path, tmp_path: Path, monkeypatch
) -> None:
    """They are used, and --weights goes first."""
    arguments = ("reconstruct", chair_picture, "-o")
    assert img2pc(*arguments, tmp_path / "1.ply", "--weights", tiny_weights).code == 0
    monkeypatch.setenv("IMG2PC_WEIGHTS", str(tiny_weights))
    assert img2pc(*arguments, tmp_path / "2.ply").code == 0
    assert (tmp_path / "1.ply").read_bytes() == (tmp_path / "2.ply").read_bytes()
    missing = tmp_path / "missing.safetensors"
    monkeypatch.setenv("IMG2PC_WEIGHTS", str(missing))
    assert img2pc(*arguments, tmp_path / "3.ply", "--weights", tiny_weights).code == 0
    ran = img2pc(*arguments, tmp_path / "4.ply")
    assert ran.code == 4
    assert str(missing) in ran.err


def broken_weights(kind: str, good: Path, folder: Path) -> Path:
    path = folder / "broken.safetensors"
    content = bytearray(good.read_bytes())
    if kind == "flipped bit":
        content[-1000] ^= 4
        path.write_bytes(content)
    elif kind == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif kind == "foreign":
        save_file({"weight": torch.zeros(3)}, path)
    elif kind == "pickle":
        path.write_bytes(pickle.dumps(Unpickled(folder / "unpickled")))
    elif kind == "PyTorch's pickle":
        torch.save(Unpickled(folder / "unpickled"), path)
    elif kind == "folder":
        path.mkdir()
    return path


KINDS = ["missing", "folder", "flipped bit", "truncated", "foreign", "pickle", "PyTorch's pickle"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("command", ["reconstruct", "evaluate"])
def test_broken_weights(
    img2pc: Run, command: str, kind: str, chair_picture: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    weights = broken_weights(kind, tiny_weights, tmp_path)
    before = set(tmp_path.iterdir())
    shutil.copy(chair_picture, tmp_path)
    target = tmp_path / "chair.png" if command == "reconstruct" else tmp_path
    ran = img2pc(command, target, "--weights", weights)
    assert (ran.code, ran.out) == (4, "")
    assert_one_line(ran.err)
    assert str(weights) in ran.err
    assert set(tmp_path.iterdir()) == {*before, tmp_path / "chair.png"}  # nothing was unpickled


# --- What is said ---------------------------------------------------------------------------------


@pytest.mark.parametrize("flag", ["", "-q", "-v"])
def test_warnings_go_to_stderr(
    img2pc: Run, flag: str, two_boxes: Path, tiny_weights: Path, tmp_path: Path, monkeypatch
) -> None:
    # As in a process of its own: without pytest's handlers, and what the command sets up goes.
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    picture = tmp_path / "cut.png"
    Image.open(two_boxes).crop((30, 0, 70, 120)).save(picture)
    arguments = ("-o", tmp_path / "out.ply", "--weights", tiny_weights, *flag.split())
    ran = img2pc("reconstruct", picture, *arguments)
    assert ran.code == 0
    assert ran.out.count("\n") == 1
    warning = "the object touches the picture's border; parts outside are guessed\n"
    if flag == "-v":
        assert warning in ran.err
        assert re.search(r"^generate views +\d+ ms$", ran.err, re.M)
    else:
        assert ran.err == ("" if flag == "-q" else warning)


def test_errors_are_not_quiet(img2pc: Run, tiny_weights: Path, tmp_path: Path) -> None:
    missing = tmp_path / "missing.png"
    ran = img2pc("reconstruct", missing, "-q", "--weights", tiny_weights)
    assert ran.code == 3
    assert_one_line(ran.err)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such terminals")
def test_a_cloud_is_not_poured_into_a_terminal(two_boxes: Path, tiny_weights: Path) -> None:
    shown = in_a_terminal("reconstruct", two_boxes, "-o", "-", "--weights", tiny_weights)
    told = "img2pc: a cloud is binary, and stdout is a terminal; name a file by -o"
    assert " ".join(shown.split()) == told


def in_a_terminal(*arguments: object, **variables: str) -> str:
    """What a command prints where stdout and stderr are a terminal."""
    import pty  # which Windows lacks

    ours, theirs = pty.openpty()
    environment = {**ENVIRONMENT, "TERM": "xterm-256color", **variables}
    for name in ("NO_COLOR", "FORCE_COLOR", "CI", "GITHUB_ACTIONS"):
        if name not in variables:
            environment.pop(name, None)
    process = subprocess.Popen(
        [*COMMAND, *map(str, arguments)], stdout=theirs, stderr=theirs, env=environment
    )
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 4096):
            shown += chunk
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(ours)
    process.wait()
    return shown.decode()


COLOUR = re.compile(r"\x1b\[(?:[\d;]*;)?(?:3|4|9)\d[;m]")


@pytest.mark.skipif(os.name == "nt", reason="no such terminals")
@pytest.mark.parametrize("arguments", [["reconstruct", "-h"], ["reconstruct", "--colour"]])
def test_colours_only_where_they_are_wanted(arguments: list[str]) -> None:
    assert COLOUR.search(in_a_terminal(*arguments))
    assert not COLOUR.search(in_a_terminal(*arguments, NO_COLOR="1"))
    piped = img2pc_process(*arguments)
    assert "\x1b" not in piped.out + piped.err


COMMANDS = sorted(typer.main.get_command(app).commands)


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_in_short(img2pc: Run, command: str) -> None:
    short, long = (img2pc(*command.split(), flag) for flag in ("-h", "--help"))
    assert (short.code, short.err) == (long.code, long.err) == (0, "")
    assert short.out == long.out
    assert f"Usage: img2pc {command}" in short.out


def test_version(img2pc: Run) -> None:
    ran = img2pc("--version")
    assert (ran.code, ran.out, ran.err) == (0, f"{package.__version__}\n", "")


# --- doctor ---------------------------------------------------------------------------------------

FINDINGS = ["img2pc", "Python", "PyTorch", "CUDA", "weights", "forward pass", "meshing"]
FINDINGS += [f"extra {name}" for name in ("heic", "rembg", "train", "ray")]


def test_the_doctor_finds_all_well(img2pc: Run, tiny_weights: Path) -> None:
    ran = img2pc("doctor", "--weights", tiny_weights)
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert [line[:14].strip() for line in lines] == FINDINGS
    told = dict(zip(FINDINGS, (line[15:] for line in lines), strict=True))
    assert torch.__version__ in told["PyTorch"]
    assert "1 threads" in told["PyTorch"]
    assert str(tiny_weights) in told["weights"]
    assert weights_digest(tiny_weights)[:16] in told["weights"]
    assert re.fullmatch(r"\d+ ms", told["forward pass"])
    assert "faces" in told["meshing"]


@pytest.fixture
def no_meshing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The doctor spares Open3D, which takes seconds."""
    monkeypatch.setattr("img2pc.doctor._meshing", lambda: "not tried")


@pytest.mark.parametrize("kind", ["missing", "flipped bit"])
def test_the_doctor_finds_broken_weights(
    img2pc: Run, no_meshing, kind: str, tiny_weights: Path, tmp_path: Path
) -> None:
    """And still says the rest."""
    weights = broken_weights(kind, tiny_weights, tmp_path)
    text = img2pc("doctor", "--weights", weights)
    as_json = img2pc("doctor", "--weights", weights, "--json")
    told = json.loads(as_json.out)
    assert list(told) == FINDINGS
    assert told["meshing"] == "not tried"
    assert [line[:14].strip() for line in text.out.splitlines()] == FINDINGS
    for ran in (text, as_json):
        assert ran.code == 4
        assert_one_line(ran.err)
        assert ran.err == f"img2pc: {told['weights']}\n"


def test_the_doctor_finds_meshing_that_does_not_work(
    img2pc: Run, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing() -> str:
        raise NativeCodeError("Open3D failed (exit -4): no message")

    monkeypatch.setattr("img2pc.doctor._meshing", failing)
    ran = img2pc("doctor", "--weights", tiny_weights)
    assert ran.code == 1
    assert ran.err == "img2pc: Open3D failed (exit -4): no message\n"
    assert [line[:14].strip() for line in ran.out.splitlines()] == FINDINGS


def test_the_doctor_tries_the_weights_of_the_environment(
    img2pc: Run, no_meshing, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMG2PC_WEIGHTS", str(tiny_weights))
    assert str(tiny_weights) in json.loads(img2pc("doctor", "--json").out)["weights"]


def test_the_doctor_finds_a_pytorch_that_does_not_load(tmp_path: Path) -> None:
    """As on Windows without a DLL."""
    (tmp_path / "torch.py").write_text("raise OSError('c10.dll')")
    path = os.pathsep.join([str(tmp_path), ENVIRONMENT["PYTHONPATH"]])
    ran = subprocess.run(
        [*COMMAND, "doctor"],
        capture_output=True,
        text=True,
        env={**ENVIRONMENT, "PYTHONPATH": path},
    )
    assert ran.returncode == 1
    told = {line[:14].strip(): line[15:] for line in ran.stdout.splitlines()}
    assert list(told) == ["img2pc", "Python", "PyTorch", "meshing"]
    assert told["PyTorch"].startswith("PyTorch does not load: c10.dll")
    assert "faces" in told["meshing"]
    assert_one_line(ran.stderr)


# --- From Python ----------------------------------------------------------------------------------


def test_importing_is_light_until_something_is_called(
    chair_picture: Path, tiny_weights: Path
) -> None:
    code = (
        "import sys\n"
        "from img2pc import reconstruct\n"
        "assert not {'torch', 'numpy', 'PIL'} & set(sys.modules)\n"
        "cloud = reconstruct(sys.argv[1], weights=sys.argv[2], points=50)\n"
        "assert len(cloud) == 50\n"
        "assert 'torch' in sys.modules"
    )
    arguments = [sys.executable, "-c", code, str(chair_picture), str(tiny_weights)]
    ran = subprocess.run(arguments, capture_output=True, text=True, env=ENVIRONMENT)
    assert ran.returncode == 0, ran.stderr


def test_one_function_does_what_the_command_does(
    img2pc: Run, two_boxes: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    mask = half_mask(tmp_path / "half.png")
    cloud = package.reconstruct(str(two_boxes), mask=str(mask), weights=str(tiny_weights))
    assert isinstance(cloud, PointCloud)
    img2pc(
        *("reconstruct", two_boxes, "--mask", mask, "--weights", tiny_weights),
        *("-o", tmp_path / "cloud.ply"),
    )
    assert encode_ply(cloud) == (tmp_path / "cloud.ply").read_bytes()


def test_pixels_and_open_files_are_pictures_too(two_boxes: Path, tiny_weights: Path) -> None:
    pixels = np.asarray(Image.open(two_boxes))
    expected = encode_ply(package.reconstruct(two_boxes, weights=tiny_weights))
    with two_boxes.open("rb") as stream, Image.open(two_boxes) as image:
        for picture in (pixels, image, stream):
            cloud = package.reconstruct(picture, weights=tiny_weights)
            assert encode_ply(cloud) == expected
    rgb = Image.new("RGB", (60, 60), (230, 230, 225))
    rgb.paste((60, 90, 160), (20, 10, 40, 50))
    assert len(package.reconstruct(np.asarray(rgb), weights=tiny_weights)) > 0


@pytest.mark.parametrize("points", [0, -1])
def test_a_cloud_of_no_points_is_refused(two_boxes: Path, tiny_weights: Path, points: int) -> None:
    with pytest.raises(BadInputError, match=f"1 point or more, not {points}"):
        package.reconstruct(two_boxes, points=points, weights=tiny_weights)


def test_arrays_that_are_no_pictures(tiny_weights: Path) -> None:
    """In a process where types are not checked, as a user's are not."""
    code = f"""
import numpy as np
import img2pc, img2pc.errors
for shape in ((8, 8), (8, 8, 2), (0, 8, 3)):
    try:
        img2pc.reconstruct(np.zeros(shape, dtype=np.uint8), weights={str(tiny_weights)!r})
    except img2pc.errors.BadInputError as error:
        print(error)
for other in (dict(picture=np.zeros((8, 8, 3))), dict(mask=np.zeros((8, 8)))):
    try:
        img2pc.reconstruct(**dict(picture=np.zeros((8, 8, 3), dtype=np.uint8)) | other)
    except img2pc.errors.BadInputError as error:
        print(error)
"""
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=ENVIRONMENT
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == [
        "an array of uint8, (8, 8), is not RGB or RGBA of 8 bits",
        "an array of uint8, (8, 8, 2), is not RGB or RGBA of 8 bits",
        "the picture has no pixels",
        "an array of float64, (8, 8, 3), is not RGB or RGBA of 8 bits",
        "the mask, an array of float64, (8, 8), is not one of bool or uint8, height × width",
    ]


def test_colours_are_the_pictures(two_boxes: Path, tiny_weights: Path) -> None:
    """All between red and blue; nothing of what is transparent, which is black."""
    cloud = package.reconstruct(two_boxes, weights=tiny_weights)
    assert cloud.colours is not None
    red, green, blue = cloud.colours.int().T
    assert (red + blue - 240).abs().max() <= 2
    assert (green - 40).abs().max() <= 1
    assert package.reconstruct(two_boxes, weights=tiny_weights, colour=False).colours is None


def test_a_mesh_straight_from_a_picture_has_its_colours(img2pc: Run, tmp_path: Path) -> None:
    """With the bundled weights, as a user would: the sofa is purple on all sides."""
    solid = tmp_path / "sofa.glb"
    assert img2pc("reconstruct", ROOT / "examples" / "sofa.png", "-o", solid).code == 0
    (mesh,) = trimesh.load_scene(solid).geometry.values()
    red, green, blue, _ = mesh.visual.vertex_attributes["color"].astype(int).T
    assert len(red) > 1000
    assert ((red > green) & (blue > green)).mean() > 0.98


def test_what_the_package_offers() -> None:
    assert {"Reconstructor", "reconstruct"} <= set(dir(package))
    assert package.Reconstructor is Reconstructor
    with pytest.raises(AttributeError, match="no attribute 'unknown'"):
        _ = package.unknown  # type: ignore[attr-defined]


def test_the_types_are_for_users_too() -> None:
    """Type checkers look for this file (PEP 561), and see through no __getattr__."""
    assert (ROOT / "img2pc" / "py.typed").exists()
    hints = inspect.get_annotations(package.reconstruct)
    assert (hints["picture"], hints["return"]) == ("Picture", "PointCloud")
