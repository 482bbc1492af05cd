"""The command line as a user runs it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

from img2pc.checkpoints import default_weights, load_weights, weights_digest
from img2pc.cli import console, main
from img2pc.cli.console import ProgressBar, print_tables
from img2pc.cloud_files import read_cloud
from img2pc.data import dataset
from img2pc.data.dataset import DataSettings, ShardedDataset, write_shards
from img2pc.data.shapes import Shape
from img2pc.evaluation import SUMMARY_COLUMNS, Summary
from img2pc.folders import is_our_mesh
from img2pc.generator import SIZES
from img2pc.mesh_files import TriangleMesh, encode_mesh
from img2pc.training import loop

from .conftest import (
    COMMAND,
    ENVIRONMENT,
    INTERRUPTIBLE,
    Reached,
    assert_one_line,
    img2pc_process,
    wait_until,
)

# --- reconstruct ----------------------------------------------------------------------------------


def test_reconstruct_in_a_process_of_its_own(
    chair_picture: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    cloud, preview = tmp_path / "cloud.ply", tmp_path / "preview.png"
    ran = img2pc_process(
        *("reconstruct", chair_picture, "-o", cloud, "--preview", preview, "-v"),
        *("--points", 100, "--weights", tiny_weights),
    )
    assert ran.code == 0, ran.err
    assert ran.out == f"{cloud}\t100 points\n{preview}\n"
    for phase in ("load weights", "read", "cut out and crop", "generate views", "fuse", "colour"):
        assert phase in ran.err
    assert read_cloud(cloud).points.shape == (100, 3)
    assert Image.open(preview).size == (6 * 320, 320)


def test_an_error_in_a_process_of_its_own(tiny_weights: Path, tmp_path: Path) -> None:
    ran = img2pc_process("reconstruct", tmp_path / "missing.png", "--weights", tiny_weights)
    assert ran.code == 3
    assert ran.out == ""
    assert_one_line(ran.err)


def test_the_cloud_lies_beside_the_picture(
    img2pc, chair_picture: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    picture = tmp_path / "seat.photo.png"
    shutil.copy(chair_picture, picture)
    ran = img2pc("reconstruct", picture, "--weights", tiny_weights)
    assert ran.code == 0
    cloud = tmp_path / "seat.photo.ply"
    count = len(read_cloud(cloud).points)
    assert ran.out == f"{cloud}\t{count} points\n"
    assert ran.err == ""
    assert count > 1000


def test_colours_can_be_left_out(
    img2pc, chair_picture: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    """The rest of the cloud is the same."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "chair.png").write_bytes(chair_picture.read_bytes())
    for name, option in (("with", "--colour"), ("without", "--no-colour")):
        arguments = (option, "--points", 500, "--weights", tiny_weights)
        one = tmp_path / f"{name}.ply"
        assert img2pc("reconstruct", chair_picture, "-o", one, *arguments).code == 0
        assert img2pc("reconstruct", folder, "-o", tmp_path / name, *arguments).code == 0
    for with_colours, without in (("with.ply", "without.ply"), ("with/chair.ply",) * 2):
        without = without.replace("with/", "without/")
        coloured, plain = read_cloud(tmp_path / with_colours), read_cloud(tmp_path / without)
        assert coloured.colours is not None
        assert plain.colours is None
        assert np.array_equal(coloured.points, plain.points)


@pytest.mark.parametrize("kind", ["missing", "garbage", "empty", "folder", "nothing on it"])
def test_bad_pictures(img2pc, kind: str, tiny_weights: Path, tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    if kind == "garbage":
        picture.write_bytes(b"\x89PNG\r\n\x1a\ngarbage")
    elif kind == "empty":
        picture.touch()
    elif kind == "folder":
        picture.mkdir()
    elif kind == "nothing on it":
        Image.new("RGB", (50, 50), "white").save(picture)
    before = set(tmp_path.iterdir())
    ran = img2pc("reconstruct", picture, "--weights", tiny_weights)
    assert ran.code == 3
    assert ran.out == ""
    assert_one_line(ran.err)
    if kind != "nothing on it":
        assert str(picture) in ran.err
    assert set(tmp_path.iterdir()) == before


def test_targets_that_cannot_be_written(
    img2pc, chair_picture: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    for option, name in (("-o", "target.ply"), ("--preview", "target.png")):
        target = tmp_path / "missing" / name
        ran = img2pc("reconstruct", chair_picture, option, target, "--weights", tiny_weights)
        assert ran.code == 3
        assert_one_line(ran.err)
        assert str(target) in ran.err


def test_a_mistyped_folder_is_what_is_complained_of(img2pc, tmp_path: Path) -> None:
    for options in ([], ["-o", tmp_path / "clouds"], ["--overwrite"]):
        ran = img2pc("reconstruct", tmp_path / "photoz", *options)
        assert (ran.code, ran.out) == (3, "")
        assert ran.err == f"img2pc: {tmp_path / 'photoz'} does not exist\n"


def test_a_mesh_of_others_beside_a_picture_stays(
    img2pc,
    chair_picture: Path,
    tiny_weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    picture, model = tmp_path / "chair.png", tmp_path / "chair.obj"
    shutil.copy(chair_picture, picture)
    model.write_text("theirs")
    # That the cloud is ours says nothing of the mesh.
    assert img2pc("reconstruct", picture, "--weights", tiny_weights).code == 0
    arguments = ("reconstruct", picture, "--mesh", "obj", "--weights", tiny_weights)
    # Naming the cloud alone does not name the mesh.
    for place in ([], ["-o", tmp_path / "chair.ply"]):
        ran = img2pc(*arguments, *place)
        assert (ran.code, ran.out) == (3, "")
        assert model.read_text() == "theirs"
    assert (
        ran.err
        == f"img2pc: {model} was not made by img2pc; write elsewhere by -o, or use --overwrite\n"
    )
    assert model.read_text() == "theirs"
    # Unless they say so; then it is ours.

    def made(cloud: object, path: Path, settings: object) -> None:
        box = trimesh.creation.box()
        path.write_bytes(encode_mesh(TriangleMesh(box.vertices, box.faces), path.suffix))

    monkeypatch.setattr("img2pc.cli.pictures.make_mesh", made)
    assert img2pc(*arguments, "--overwrite").code == 0
    assert is_our_mesh(model)


def test_a_cloud_is_no_picture(img2pc, tmp_path: Path) -> None:
    (tmp_path / "scan.ply").write_bytes(b"ply\n")
    ran = img2pc("reconstruct", tmp_path / "scan.ply", "--mesh", "stl")
    assert (ran.code, ran.out) == (3, "")
    assert (
        "scan.ply is not a picture; if it is a cloud, `img2pc mesh` makes a solid of it" in ran.err
    )


def test_results_of_one_picture_may_go_to_folders(
    img2pc, chair_picture: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    """As those of several do, of which a shell may have found one."""
    options = ("--preview", tmp_path, "--save-mask", tmp_path, "--weights", tiny_weights)
    ran = img2pc("reconstruct", chair_picture, "-o", tmp_path, *options)
    assert ran.code == 0, ran.err
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"chair.ply", "chair_preview.png", "chair_mask.png"}
    ran = img2pc("reconstruct", "-", "-o", tmp_path)
    assert (ran.code, ran.out) == (3, "")
    assert "name a file in it" in ran.err
    # Nor need they be there.
    clouds, seen = tmp_path / "new/clouds", tmp_path / "seen"
    options = ("-o", clouds, "--preview", seen, "--weights", tiny_weights)
    assert img2pc("reconstruct", chair_picture, *options).code == 0
    assert [path.name for path in clouds.iterdir()] == ["chair.ply"]
    assert [path.name for path in seen.iterdir()] == ["chair_preview.png"]


def test_a_cloud_of_others_is_not_replaced_unasked(
    img2pc, chair_picture: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    """In a folder of pairs it is the truth about the picture."""
    picture, cloud = tmp_path / "chair.png", tmp_path / "chair.ply"
    picture.write_bytes(chair_picture.read_bytes())
    for there in (picture, tmp_path):
        cloud.write_text("ply\nformat ascii 1.0\n")
        ran = img2pc("reconstruct", there, "--weights", tiny_weights)
        assert (ran.code, ran.out) == (3, "")
        assert_one_line(ran.err)
        assert cloud.read_text() == "ply\nformat ascii 1.0\n"
    assert img2pc("reconstruct", picture, "-o", cloud, "--weights", tiny_weights).code == 0
    # Ours is.
    assert img2pc("reconstruct", picture, "--points", 9, "--weights", tiny_weights).code == 0
    assert b"vertex 9" in cloud.read_bytes()


@pytest.mark.parametrize("module", ["embreex.mesh_construction", "lightning_fabric"])
def test_what_only_training_needs_is_named(
    img2pc, module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def import_in_vain(*arguments: object) -> None:
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    monkeypatch.setattr("img2pc.training.loop.train", import_in_vain)
    ran = img2pc("train", tmp_path / "run", "--steps", "1")
    assert (ran.code, ran.out) == (3, "")
    package = module.split(".")[0]
    told = f'img2pc: {package} is not installed: pip install "img2pc[train]"'
    assert ran.err.splitlines()[-1] == told
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["reconstruct", "picture.png", "-o", "cloud.xyz"],
        ["reconstruct", "picture.png", "--preview", "preview.jpg"],
        ["reconstruct", "picture.png", "--save-mask", "mask.jpg"],
        ["mesh", "cloud.ply", "--preview", "mesh.jpg"],
        ["reconstruct", "one.png", "other.png", "--preview", "sheet.png"],
        ["reconstruct", "picture.png", "--points", "0"],
        ["reconstruct", "picture.png", "--colourful"],
        ["reconstruct"],
        ["reconstruckt", "picture.png"],
        ["data", "folder", "--family", "unicorn"],
        ["train", "run", "--size", "huge", "--steps", "1"],
        ["train", "run", "--steps", "1", "--minutes", "1"],
        ["train", "run"],
        ["evaluate", "folder", "--sampled", "0"],
    ],
)
def test_wrong_usage(img2pc, arguments: list[str], tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    ran = img2pc(*arguments)
    assert ran.code == 2
    assert ran.out == ""
    assert "Usage: img2pc" in ran.err
    assert list(tmp_path.iterdir()) == []


def test_tracebacks_are_for_those_who_ask(
    tiny_weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And change no exit code."""
    arguments = ["reconstruct", str(tmp_path / "missing.png"), "--weights", str(tiny_weights)]
    for place in (0, 1, 4):
        with_debug = [*arguments[:place], "--debug", *arguments[place:]]
        monkeypatch.setattr(sys, "argv", ["img2pc", *with_debug])
        with pytest.raises(SystemExit) as exit:
            main()
        assert exit.value.code == 3
        shown = capsys.readouterr().err
        assert "Traceback" in shown
        assert shown.endswith(f"\nimg2pc: {tmp_path / 'missing.png'} does not exist\n")


def test_so_are_those_of_one_of_many(
    img2pc,
    chair_picture: Path,
    tiny_weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(*arguments: object) -> None:
        raise ZeroDivisionError("out of the blue")

    monkeypatch.setattr("img2pc.batch.write_ply", broken)
    for name in ("a.png", "b.png"):
        shutil.copy(chair_picture, tmp_path / name)
    arguments = ["reconstruct", tmp_path, "-o", tmp_path / "clouds", "--weights", tiny_weights]
    for debug in (True, False):
        caplog.clear()
        shown = ["--debug"] if debug else []
        monkeypatch.setattr(sys, "argv", ["img2pc", *map(str, arguments), *shown])
        with pytest.raises(SystemExit):
            main()
        assert ("in broken" in caplog.text) == debug


@pytest.mark.parametrize(
    "arguments", [["", "-o", "clouds"], ["photos", "-o", ""], ["a", "--mask="]]
)
def test_an_empty_argument_is_not_the_current_folder(
    arguments: list[str], img2pc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = img2pc("reconstruct", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert_one_line(ran.err)


@pytest.mark.skipif(sys.platform == "win32", reason="shells there close nothing")
@pytest.mark.parametrize(
    ("closed", "picture", "code", "said"),
    [
        ("<&-", "-", 3, "img2pc: the picture is not an image that can be read\n"),
        (">&-", "missing.png", 3, "img2pc: missing.png does not exist\n"),
        (">&-", None, 3, "img2pc: cannot write to stdout: it is closed\n"),
        ("2>&-", "missing\udcff.png", 3, ""),
    ],
)
def test_closed_streams(
    closed: str,
    picture: str | None,
    code: int,
    said: str,
    chair_picture: Path,
    tiny_weights: Path,
) -> None:
    arguments = ["reconstruct", picture or chair_picture, "-o", "-", "--weights", tiny_weights]
    ran = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *COMMAND, *map(str, arguments)],
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    assert (ran.returncode, ran.stderr) == (code, said)


def test_unexpected_errors_are_one_line_too(
    img2pc, chair_picture: Path, tiny_weights: Path, tmp_path: Path, monkeypatch
) -> None:
    def broken(*arguments: object) -> None:
        raise ZeroDivisionError("out of the blue")

    monkeypatch.setattr("img2pc.batch.write_ply", broken)
    ran = img2pc(
        *("reconstruct", chair_picture, "-o", tmp_path / "cloud.ply"), "--weights", tiny_weights
    )
    assert ran.code == 1
    assert_one_line(ran.err)
    assert "ZeroDivisionError: out of the blue" in ran.err
    assert "--debug" in ran.err


# --- evaluate, data, train -------------------------------------------------------------


@pytest.fixture
def pairs(chair: Shape, chair_picture: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "pairs"
    folder.mkdir()
    for name in ("chair-a", "mug-b"):
        shutil.copy(chair_picture, folder / f"{name}.png")
        trimesh.PointCloud(chair.vertices).export(folder / f"{name}.ply")
    return folder


def test_evaluate_pairs(img2pc, pairs: Path, tiny_weights: Path) -> None:
    ran = img2pc("evaluate", pairs, "--weights", tiny_weights, "--json")
    assert ran.code == 0
    report = json.loads(ran.out)
    assert [case["name"] for case in report["cases"]] == ["chair-a", "mug-b"]
    assert [row["category"] for row in report["means"]] == ["chair", "mug", "furniture", "all"]
    assert all(len(row["values"]) == len(report["columns"]) for row in report["means"])
    assert report["sampled"] is None
    assert (report["weights"], report["data"]) == (str(tiny_weights), str(pairs))
    assert report["digest"] == weights_digest(tiny_weights)
    table = img2pc("evaluate", pairs, "--weights", tiny_weights, "--limit", 1).out
    for word in ("chair", "furniture", "all"):
        assert word in table
    assert report["digest"][:16] in table
    assert "mug" not in table
    assert "view 0" not in table  # a pair has no true views


def test_evaluate_what_another_program_made(img2pc, pairs: Path, tiny_weights: Path) -> None:
    """The truth itself is perfect, and what is missing is said and counts as empty."""
    others = pairs / "others"
    others.mkdir()
    shutil.copy(pairs / "chair-a.ply", others)
    ran = img2pc("evaluate", pairs, "--weights", tiny_weights, "--clouds", others, "--json")
    assert ran.code == 6
    assert ran.err.splitlines()[1:] == [  # below the bar
        f"img2pc: counts as empty: {others / 'mug-b.ply'} does not exist",
        "img2pc: clouds that cannot be read: 1",
    ]
    report = json.loads(ran.out)
    scores = {
        case["name"]: case["cloud"] for case in report["cases"] if case["method"] == f"{others}/"
    }
    assert scores["chair-a"]["chamfer"] == pytest.approx(0, abs=1e-6)
    assert scores["chair-a"]["f_scores"] == [100, 100, 100]
    assert scores["mug-b"]["f_scores"] == [0, 0, 0]
    missing = img2pc("evaluate", pairs, "--weights", tiny_weights, "--clouds", pairs / "none")
    assert missing.code == 3
    assert_one_line(missing.err)


def test_evaluate_with_sampled_distances(img2pc, pairs: Path, tiny_weights: Path) -> None:
    every, sampled, again = (
        json.loads(img2pc("evaluate", pairs, "--weights", tiny_weights, "--json", *more).out)
        for more in ([], ["--sampled", 5], ["--sampled", 5])
    )
    assert sampled == again
    assert sampled["sampled"] == 5
    chamfer = [report["cases"][0]["cloud"]["chamfer"] for report in (every, sampled)]
    assert chamfer[0] != chamfer[1] == pytest.approx(chamfer[0], rel=0.9)


@pytest.fixture(scope="module")
def training_shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three objects with two pictures each, of the size of the tiny weights."""
    folder = tmp_path_factory.mktemp("training")
    settings = DataSettings(seed=3, families=("chair", "mug"), surface_points=512)
    assert list(write_shards(folder, settings, 3, workers=1))[-1] == 3
    return folder


METHODS = ["generator", "mean shape", "retrieval", "oracle"]


def test_evaluate_with_baselines(img2pc, training_shards: Path, tiny_weights: Path) -> None:
    """Measured on the training set itself, retrieval and oracle find the very object."""
    arguments = ("evaluate", training_shards, "--weights", tiny_weights)
    ran = img2pc(*arguments, "--baselines", training_shards, "--json")
    assert ran.code == 0, ran.err
    report = json.loads(ran.out)
    assert len(report["cases"]) == 6 * 4
    of_all = {row["method"]: row for row in report["means"] if row["category"] == "all"}
    assert list(of_all) == METHODS
    columns = report["columns"]
    figures = {
        method: dict(zip(columns, row["values"], strict=True)) for method, row in of_all.items()
    }
    for method in ("retrieval", "oracle"):
        assert (figures[method]["Chamfer"], figures[method]["mask IoU"]) == (0.0, 1.0)
        assert of_all[method]["depth_l1_by_view"] == [0.0] * 8
    assert figures["mean shape"]["Chamfer"] > 1
    assert 0 < figures["mean shape"]["mask IoU"] < 1


def test_evaluate_prints_baselines_in_the_same_table(
    img2pc, training_shards: Path, tiny_weights: Path
) -> None:
    ran = img2pc(
        *("evaluate", training_shards, "--weights", tiny_weights, "--limit", 2),
        *("--baselines", training_shards, "--baselines", training_shards),
    )
    assert ran.code == 0, ran.err
    lines = [line.split() for line in ran.out.splitlines() if line.strip()]
    oracle = [line for line in lines if line[0] == "oracle"]
    # A row for each category and all; then mask IoU and depth L1 view by view.
    perfect = ["1.00", "0.00", "0.00", "0.00", "0.00", "100.00", "100.00", "100.00"]
    assert oracle[-3] == ["oracle", "2", *perfect]
    assert oracle[-2:] == [["oracle", *["1.00"] * 8], ["oracle", *["0.00"] * 8]]


def test_baselines_that_are_no_data_set(
    img2pc, pairs: Path, shards: Path, tiny_weights: Path
) -> None:
    for folder, complaint in ((pairs, "holds no data set"), (shards, "pictures of 32")):
        ran = img2pc("evaluate", pairs, "--weights", tiny_weights, "--baselines", folder)
        assert ran.code == 3
        assert ran.out == ""
        assert complaint in ran.err.splitlines()[-1]


def test_evaluate_meshes(img2pc, chair: Shape, tmp_path: Path, tiny_weights: Path) -> None:
    meshes, pairs = tmp_path / "meshes", tmp_path / "pairs"
    (meshes / "seat").mkdir(parents=True)
    trimesh.Trimesh(chair.vertices, chair.faces).export(meshes / "seat" / "one.glb")
    weights = ("--weights", tiny_weights, "--json")
    ran = img2pc("evaluate", meshes, "--save-pairs", pairs, *weights)
    assert ran.code == 0
    (case,) = json.loads(ran.out)["cases"]
    assert (case["name"], case["category"]) == ("seat/one.glb", "seat")
    assert 0 < case["mask_iou"] < 1
    (again,) = json.loads(img2pc("evaluate", pairs, *weights).out)["cases"]
    assert (again["name"], again["category"]) == ("seat-seat_one.glb", "seat")
    # The picture is cropped once more.
    assert again["cloud"]["chamfer"] == pytest.approx(case["cloud"]["chamfer"], rel=0.1)
    ran = img2pc("evaluate", meshes, "--split", "test", *weights)
    assert (ran.code, ran.out) == (3, "")
    assert "has no splits" in ran.err


def test_evaluate_a_broken_mesh(img2pc, chair: Shape, tmp_path: Path, tiny_weights: Path) -> None:
    """Alone, nothing is left to measure; beside a good one, that is measured."""
    alone, beside = tmp_path / "alone", tmp_path / "beside"
    for folder in (alone, beside):
        folder.mkdir()
        (folder / "broken.glb").write_bytes(b"broken")
    ran = img2pc("evaluate", alone, "--weights", tiny_weights)
    assert ran.code == 3
    assert "broken.glb" in ran.err
    assert "none of the 1 cases" in ran.err.splitlines()[-1]
    trimesh.Trimesh(chair.vertices, chair.faces).export(beside / "good.glb")
    ran = img2pc("evaluate", beside, "--weights", tiny_weights, "--json")
    assert ran.code == 6
    assert "1 of 2 cases" in ran.err.splitlines()[-1]
    told = json.loads(ran.out)
    assert [case["name"] for case in told["cases"]] == ["good.glb"]
    assert told["failures"].keys() == {"broken.glb"}


def test_evaluate_an_empty_folder(img2pc, tmp_path: Path, tiny_weights: Path) -> None:
    ran = img2pc("evaluate", tmp_path, "--weights", tiny_weights)
    assert ran.code == 3
    assert "Traceback" not in ran.err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is one")
def test_a_gpu_that_is_not_there(img2pc, chair_picture: Path, shards: Path, tmp_path: Path) -> None:
    for arguments in (
        ("reconstruct", chair_picture, "-o", tmp_path / "cloud.ply", "--device", "cuda"),
        ("train", tmp_path / "run", "--data", shards, "--steps", 1, "--accelerator", "cuda"),
    ):
        ran = img2pc(*arguments)
        assert (ran.code, ran.out) == (3, "")
        assert ran.err == "img2pc: no CUDA GPU is available; choose auto or cpu\n"
    assert list(tmp_path.iterdir()) == []


def test_each_option_of_data_is_its_setting(
    img2pc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen: list[object] = []

    def write(*arguments: object) -> None:
        chosen.extend(arguments[:4])
        raise Reached

    monkeypatch.setattr(dataset, "write_shards", write)
    (tmp_path / "manifest.csv").write_text("path,category,split\na.glb,box,test\n")
    img2pc(
        *("data", tmp_path / "out", "--objects", 11, "--pictures", 3, "--seed", 5),
        *("--family", "mug", "--family", "lamp", "--meshes", tmp_path, "--split", "test"),
        *("--mesh-share", 0.25, "--size", 64, "--novel-views", 4, "--surface-points", 99),
        *("--workers", 7),
    )
    settings = DataSettings(
        seed=5,
        pictures_per_object=3,
        picture_size=64,
        view_size=64,
        families=("mug", "lamp"),
        mesh_folder=str(tmp_path.resolve()),
        mesh_split="test",
        mesh_share=0.25,
        surface_points=99,
        novel_views=4,
        novel_size=32,
    )
    assert chosen == [tmp_path / "out", settings, 11, 7]


def test_each_option_of_train_is_its_setting(
    img2pc, shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen: list[object] = []

    def run(*arguments: object) -> None:
        chosen.extend(arguments)
        raise Reached

    monkeypatch.setattr(loop, "train", run)
    start = tmp_path / "start.safetensors"
    img2pc(
        *("train", tmp_path / "run", "--data", shards, "--size", "tiny", "--minutes", 1.5),
        *("--batch-size", 3, "--learning-rate", 0.1, "--muon-learning-rate", 0.2, "--seed", 4),
        *("--workers", 5, "--initial-weights", start, "--stage", "joint"),
        *("--renderer", "faithful", "--completeness-weight", 0.3, "--augmentation-share", 0.4),
        *("--accelerator", "cpu", "--devices", 6, "--precision", "32-true"),
        *("--checkpoint-minutes", 7, "--compile", "--rescan-minutes", 8),
    )
    settings = loop.TrainingSettings(
        minutes=1.5,
        batch_size=3,
        learning_rate=0.1,
        muon_learning_rate=0.2,
        seed=4,
        workers=5,
        stage="joint",
        renderer="faithful",
        completeness_weight=0.3,
        augmentation_share=0.4,
        accelerator="cpu",
        devices=6,
        precision="32-true",
        checkpoint_minutes=7.0,
        compiled=True,
        rescan_minutes=8.0,
    )
    assert (chosen[0], *chosen[2:5]) == (tmp_path / "run", SIZES["tiny"], settings, start)
    assert isinstance(chosen[1], ShardedDataset)


def test_training_may_start_from_the_bundled_weights(
    img2pc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen: list[object] = []

    def run(*arguments: object) -> None:
        chosen.append(arguments[4])
        raise Reached

    monkeypatch.setattr(loop, "train", run)
    img2pc("train", tmp_path / "run", "--steps", 1, "--initial-weights", "bundled")
    assert chosen == [default_weights()]


def test_training_takes_the_device_that_the_others_take(
    img2pc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Left to itself, Fabric would take what no test has seen: a Mac's."""
    chosen: list[str] = []

    def run(*arguments: object) -> None:
        chosen.append(arguments[3].accelerator)
        raise Reached

    monkeypatch.setattr(loop, "train", run)
    img2pc("train", tmp_path / "run", "--steps", 1)
    assert chosen == ["cuda" if torch.cuda.is_available() else "cpu"]


@pytest.mark.skipif(sys.platform == "win32", reason="has no limits of resources")
@pytest.mark.parametrize(("kilobytes", "left"), [(0, []), (500, ["settings.json"])])
def test_a_disk_that_is_full_is_said(tmp_path: Path, kilobytes: int, left: list[str]) -> None:
    code = (
        f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({kilobytes * 1024},) * 2); "
        "from img2pc.cli import main; main()"
    )
    command = ["data", tmp_path / "new", "--objects", 4, "--family", "mug", "--workers", 1]
    ran = subprocess.run(
        [sys.executable, "-c", code, *map(str, command)],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (3, ""), ran.stderr
    assert "cannot write" in ran.stderr
    assert len(ran.stderr.splitlines()) <= 2  # the last one perhaps after a progress bar
    assert [path.name for path in (tmp_path / "new").iterdir()] == left


def test_from_data_to_measured_weights(
    img2pc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset, "ProcessPoolExecutor", ProcessPoolExecutor)
    monkeypatch.setattr(dataset, "SHARD_OBJECTS", 1)
    shards, run = tmp_path / "shards", tmp_path / "run"
    made = img2pc("data", shards, "--objects", 2, "--family", "chair", "--workers", 2)
    assert made.code == 0, made.err
    assert made.out == f"{shards}\t2 objects\n"

    trained = img2pc(
        *("train", run, "--data", shards, "--size", "tiny", "--steps", 3),
        *("--batch-size", 2, "--workers", 0, "--accelerator", "cpu"),
    )
    assert trained.code == 0, trained.err
    weights = run / "weights.safetensors"
    assert trained.out == f"{weights}\n"
    assert load_weights(weights)[1].samples == 6

    measured = img2pc("evaluate", shards, "--weights", weights, "--json")
    assert [case["category"] for case in json.loads(measured.out)["cases"]] == ["chair"] * 4
    assert np.isfinite(json.loads(measured.out)["means"][-1]["values"]).all()


@pytest.mark.parametrize("command", ["data", "pack"])
def test_of_a_folder_with_splits_what_is_to_train_is_taken(
    command: str, img2pc, tmp_path: Path
) -> None:
    meshes, out = tmp_path / "meshes", tmp_path / "out"
    meshes.mkdir()
    rows = [("seen", "train"), ("kept", "test"), ("chosen", "val")]
    for name, _ in rows:
        trimesh.creation.box().export(meshes / f"{name}.glb")
    listed = "".join(f"{name}.glb,{name},{split}\n" for name, split in rows)
    (meshes / "manifest.csv").write_text("path,category,split\n" + listed)
    few = ("--objects", 8, "--pictures", 1, "--size", 16, "--workers", 1, "--surface-points", 50)
    if command == "data":
        ran = img2pc("data", out, "--meshes", meshes, "--mesh-share", 1, *few)
        categories = set(ShardedDataset(out).categories)
    else:
        ran = img2pc("pack", meshes, out)
        categories = {
            category
            for category in ("seen", "kept", "chosen")
            if category.encode() in out.read_bytes()
        }
    assert ran.code == 0, ran.err
    assert categories == {"seen"}


def test_meshes_that_would_be_left_out_are_not_drawn_from(img2pc, tmp_path: Path) -> None:
    (tmp_path / "meshes").mkdir()
    trimesh.creation.box().export(tmp_path / "meshes" / "one.glb")
    for command in (
        ("data", tmp_path / "data", "--meshes", tmp_path / "meshes"),
        ("pack", tmp_path / "meshes", tmp_path / "pack.safetensors"),
    ):
        ran = img2pc(*command, "--split", "val")
        assert (ran.code, ran.out) == (3, "")
        assert f"{tmp_path / 'meshes'} has no splits" in ran.err
    ran = img2pc("data", tmp_path / "data", "--mesh-share", 1)
    assert ran.code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["meshes"]


def test_a_pack_does_for_its_folder(img2pc, tmp_path: Path) -> None:
    (tmp_path / "meshes" / "box").mkdir(parents=True)
    trimesh.creation.box().export(tmp_path / "meshes" / "box" / "one.glb")
    (tmp_path / "meshes" / "broken.glb").write_bytes(b"broken")
    pack = tmp_path / "pack.safetensors"
    made = img2pc("pack", tmp_path / "meshes", pack)
    assert made.code == 0
    assert made.out.startswith(f"{pack}\t1 meshes\t")
    assert "broken.glb" in made.err
    drawn = img2pc(
        *("data", tmp_path / "shards", "--meshes", pack, "--mesh-share", 1, "--size", 32),
        *("--objects", 1, "--workers", 1, "--surface-points", 100),
    )
    assert drawn.code == 0, drawn.err
    (objects,) = (tmp_path / "shards").glob("objects-*")
    assert b"box" in objects.read_bytes()[:2000]
    assert ShardedDataset(tmp_path / "shards").surface(0).shape == (100, 3)


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_interrupted_training_saves_what_it_has(tmp_path: Path) -> None:
    run = tmp_path / "run"
    arguments = ("--size", "tiny", "--steps", 10_000, "--batch-size", 2)
    process = subprocess.Popen(
        [*INTERRUPTIBLE, "train", str(run), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    wait_until((run / "log.csv").exists, process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert out == f"{run / 'weights.safetensors'}\n"
    assert "Traceback" not in err
    assert 0 < load_weights(run / "weights.safetensors")[1].samples < 20_000


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_leave_whole_shards_and_the_same_command_goes_on(
    number: signal.Signals, img2pc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "shards"
    arguments = ["data", str(folder), "--family", "mug", "--size", "16", "--workers", "1"]
    *python, code = INTERRUPTIBLE
    few = "from img2pc.data import dataset; dataset.SHARD_OBJECTS = 4; "
    process = subprocess.Popen(
        [*python, few + code, *arguments, "--objects", "2000"],
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
        start_new_session=True,
    )
    wait_until(lambda: any(folder.glob("objects-*")), process)
    os.killpg(process.pid, number)  # as a terminal, or `timeout`, sends it: to every process
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "killed" not in err
    left = sorted(path.name for path in folder.glob("[!.]*"))
    assert 1 < len(left) < 300
    assert all(name.startswith("objects-") for name in left[:-1])
    assert left[-1] == "settings.json"
    monkeypatch.setattr(dataset, "SHARD_OBJECTS", 4)
    wanted = 4 * len(left)  # a shard more than there are
    again = img2pc(*arguments, "--objects", wanted)
    assert again.code == 0, again.err
    assert len(ShardedDataset(folder).categories) == wanted


def test_data_of_other_settings_is_not_overwritten(img2pc, shards: Path) -> None:
    ran = img2pc("data", shards, "--objects", 2)
    assert ran.code == 3
    assert "other settings" in ran.err.splitlines()[-1]


def test_training_on_data_of_another_size(img2pc, shards: Path, tmp_path: Path) -> None:
    ran = img2pc(
        *("train", tmp_path / "run", "--data", shards, "--size", "tiny", "--steps", 1),
        *("--workers", 0, "--accelerator", "cpu"),
    )
    assert ran.code == 3
    assert "pictures of 32" in ran.err.splitlines()[-1]


def test_without_a_terminal_progress_is_a_line_a_minute(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = SimpleNamespace(monotonic=map((30.0).__mul__, range(100)).__next__)
    monkeypatch.setattr(console, "time", clock)
    with ProgressBar("train", 1000, show="share") as advance:
        advance(60, "step 20")  # after half a minute
        advance(120, "step 40")
    with ProgressBar("objects", 64) as advance:
        advance(32)
        advance(16)
    with ProgressBar("objects", 64, quiet=True) as advance:
        advance(32)
        advance(16)
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if "━" not in line] == [
        "train: 12 %  step 40",
        "objects: 48 of 64",
    ]


def test_names_in_tables_are_no_markup_and_leave_figures_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    values = (0.5, *[12.345] * (len(SUMMARY_COLUMNS) - 1))
    names = "out[small]/", "[/x]", "/a/long/path/" * 12
    for is_terminal in (False, True):
        monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal)  # noqa: B023
        print_tables([Summary(name, "chair[old]", 1, values, None, None) for name in names])
        printed = capsys.readouterr().out
        assert printed.count("12.35") + printed.count("12.34") == 3 * (len(values) - 1)
        assert "…" not in printed
        assert "chair[old]" in printed or is_terminal
        assert all(name in "".join(printed.split()) for name in names[:2])
