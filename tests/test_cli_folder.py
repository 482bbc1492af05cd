"""`reconstruct` of a folder, as a user runs it."""

from __future__ import annotations

import errno
import io
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from img2pc.cli.pictures import _expanded
from img2pc.cloud_files import read_cloud
from img2pc.errors import BadInputError
from img2pc.mesh_files import read_mesh
from img2pc.meshing import MeshSettings
from img2pc.reconstruction import Reconstructor
from img2pc.views import Views

from .conftest import ENVIRONMENT, INTERRUPTIBLE, ROOT, Ran, assert_one_line
from .in_a_process import mesh_or_worse, settings_to_file

Run = Callable[..., Ran]


@pytest.fixture
def photos(chair_picture: Path, tmp_path: Path) -> Path:
    """Three pictures in a tree of two folders."""
    folder = tmp_path / "photos"
    (folder / "deep").mkdir(parents=True)
    for name in ("a.png", "b.PNG", "deep/c.png"):
        shutil.copy(chair_picture, folder / name)
    return folder


@pytest.fixture
def clouds(tmp_path: Path) -> Path:
    """Where results go; not there yet."""
    return tmp_path / "clouds"


@pytest.fixture
def reconstruct(img2pc: Run, photos: Path, clouds: Path, tiny_weights: Path) -> Run:
    """Runs `reconstruct photos -o clouds` with more options."""

    def run(*options: object) -> Ran:
        few = ("--points", 50, "--no-colour", "--weights", tiny_weights)
        return img2pc("reconstruct", photos, "-o", clouds, *few, *options)

    return run


def files_in(folder: Path) -> list[str]:
    """Hidden ones too."""
    paths = [path for path in folder.rglob("*") if not path.is_dir()]
    return sorted(path.relative_to(folder).as_posix() for path in paths)


def lines_of(ran: Ran) -> dict[str, dict[str, object]]:
    """What `--json` says, by the picture's name."""
    lines = [json.loads(line) for line in ran.out.splitlines()]
    by_name = {Path(line["picture"]).name: line for line in lines}
    assert len(by_name) == len(lines)
    return by_name


def statuses(ran: Ran) -> dict[str, object]:
    return {name: line["status"] for name, line in lines_of(ran).items()}


def failures_in(path: Path) -> dict[str, object]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return {Path(line["picture"]).name: line["error"] for line in lines}


THREE = ["a.ply", "b.ply", "deep/c.ply"]


# --- What comes of it -----------------------------------------------------------------------------


def test_a_folder_becomes_a_folder_of_clouds(reconstruct: Run, clouds: Path) -> None:
    ran = reconstruct()
    assert ran.code == 0, ran.err
    assert sorted(ran.out.splitlines()) == [f"{clouds / name}\t50 points" for name in THREE]
    assert "3 done, 0 skipped, 0 failed, 0 with warnings" in ran.err
    assert files_in(clouds) == THREE
    assert all(len(read_cloud(clouds / name).points) == 50 for name in THREE)


def test_verbose_says_of_each_picture_what_found_its_object(
    reconstruct: Run, photos: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        assert reconstruct("-v").code == 0
    assert f"{photos / 'a.png'}: object found by alpha" in caplog.messages


def test_verbose_says_the_warnings_of_each_picture(
    reconstruct: Run, photos: Path, caplog: pytest.LogCaptureFixture
) -> None:
    picture = Image.open(photos / "a.png")
    picture.crop(picture.getbbox()).save(photos / "a.png")
    with caplog.at_level(logging.INFO):
        ran = reconstruct("-v")
    assert "1 with warnings\n" in ran.err  # without saying how to see what is shown
    assert f"{photos / 'a.png'}: the object touches the picture's border" in caplog.text


def test_signs_that_a_windows_shell_leaves_stand_for_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "w [2024]"
    folder.mkdir()
    for name in ("b.jpg", "a.jpg", "c.png"):
        (folder / name).touch()
    monkeypatch.setattr("img2pc.cli.pictures.os", SimpleNamespace(name="nt"))
    found = _expanded([folder / "*.jpg", folder / "?.gif", folder / "c.png"])
    assert found == [folder / name for name in ("a.jpg", "b.jpg", "?.gif", "c.png")]


def test_without_an_output_clouds_lie_beside_their_pictures(
    img2pc: Run, photos: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos)
    ran = img2pc("reconstruct", ".", "--weights", tiny_weights)
    assert ran.code == 0, ran.err
    assert files_in(photos) == ["a.ply", "a.png", "b.PNG", "b.ply", "deep/c.ply", "deep/c.png"]


def test_json_is_a_line_for_each_picture(reconstruct: Run, photos: Path, clouds: Path) -> None:
    (photos / "bad.png").touch()
    ran = reconstruct("--json")
    assert ran.code == 6
    assert lines_of(ran) == {
        "bad.png": {
            "picture": str(photos / "bad.png"),
            "status": "failed",
            "error": f"{photos / 'bad.png'} is not an image that can be read",
            "exit_code": 3,
        },
        **{
            Path(picture).name: {
                "picture": str(photos / picture),
                "status": "done",
                "outputs": [str(clouds / cloud)],
                "points": 50,
                "foreground": "alpha",
                "exit_code": 0,
            }
            for picture, cloud in zip(("a.png", "b.PNG", "deep/c.png"), THREE, strict=True)
        },
    }


def test_previews_and_masks_go_to_folders_too_and_are_no_pictures_of_the_next_run(
    reconstruct: Run, photos: Path, clouds: Path, tmp_path: Path
) -> None:
    options = ("--preview", photos / "seen", "--save-mask", tmp_path / "cut", "--json")
    assert reconstruct(*options).code == 0
    seen = ["a_preview.png", "b_preview.png", "deep/c_preview.png"]
    assert files_in(photos / "seen") == seen
    assert files_in(tmp_path / "cut") == ["a_mask.png", "b_mask.png", "deep/c_mask.png"]
    again = reconstruct(*options)
    assert again.code == 0
    assert statuses(again) == dict.fromkeys(["a.png", "b.PNG", "c.png"], "skipped")
    assert files_in(photos / "seen") == seen
    assert files_in(clouds) == THREE


def test_a_mask_that_was_mended_is_not_drawn_over(
    reconstruct: Run, clouds: Path, tmp_path: Path
) -> None:
    options = ("--save-mask", tmp_path / "cut")
    assert reconstruct(*options).code == 0
    mended = tmp_path / "cut/a_mask.png"
    Image.open(mended).save(mended)
    drawn = mended.read_bytes()
    (clouds / "a.ply").unlink()
    ran = reconstruct(*options)
    assert (ran.code, ran.out) == (3, "")
    assert ran.err == f"img2pc: {mended} was not made by img2pc; move it away, or use --overwrite\n"
    assert mended.read_bytes() == drawn
    assert reconstruct(*options, "--overwrite").code == 0
    assert mended.read_bytes() != drawn


def test_what_we_drew_among_the_pictures_is_none(
    img2pc: Run, reconstruct: Run, photos: Path, clouds: Path, tiny_weights: Path
) -> None:
    drawn = ("--preview", photos / "a_preview.png", "--save-mask", photos / "a_mask.png")
    options = ("-o", photos / "a.ply", "--weights", tiny_weights)
    assert img2pc("reconstruct", photos / "a.png", *options, *drawn).code == 0
    assert reconstruct().code == 0
    assert files_in(clouds) == THREE


def test_pictures_named_one_by_one(
    img2pc: Run, photos: Path, clouds: Path, tiny_weights: Path
) -> None:
    """What a shell makes of *.jpg; one that is missing, and one named twice."""
    pictures = [photos / name for name in ("deep/c.png", "a.png", "missing.jpg", "a.png")]
    options = ("--weights", tiny_weights, "--points", 50)
    ran = img2pc("reconstruct", *pictures, "-o", clouds, *options, "--json")
    assert ran.code == 6
    assert statuses(ran) == {"a.png": "done", "c.png": "done", "missing.jpg": "failed"}
    assert files_in(clouds) == ["a.ply", "c.ply", "failures.jsonl"]
    again = img2pc("reconstruct", *pictures, "-o", clouds, *options, "--json")
    assert statuses(again) == {"a.png": "skipped", "c.png": "skipped", "missing.jpg": "failed"}
    ran = img2pc("reconstruct", *pictures[:2], *options)  # beside their pictures
    assert ran.code == 0, ran.err
    assert files_in(photos) == ["a.ply", "a.png", "b.PNG", "deep/c.ply", "deep/c.png"]


def test_pictures_and_folders_do_not_mix(img2pc: Run, photos: Path, clouds: Path) -> None:
    for other in (photos, "-"):
        ran = img2pc("reconstruct", photos / "a.png", other, "-o", clouds)
        assert ran.code == 2
    assert not clouds.exists()


@pytest.mark.parametrize("size", [1, 2, 100])
def test_any_batch_size_does_all(
    size: int, reconstruct: Run, clouds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    views = Reconstructor.views

    def counted(self: Reconstructor, crops: torch.Tensor) -> Views:
        seen.append(len(crops))
        return views(self, crops)

    monkeypatch.setattr(Reconstructor, "views", counted)
    assert reconstruct("--batch-size", size).code == 0
    assert sorted(seen) == {1: [1, 1, 1], 2: [1, 2], 100: [3]}[size]
    assert files_in(clouds) == THREE


def test_meshes_are_made_in_processes_beside_their_clouds(
    reconstruct: Run, clouds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("img2pc.meshing.mesh_to_file", mesh_or_worse)
    assert reconstruct().code == 0
    ran = reconstruct("--mesh", "stl", "--json")  # a mesh that is missing beside a cloud is made
    assert ran.code == 0, ran.err
    told = [json.loads(line)["warnings"] for line in ran.out.splitlines()]
    assert told == 3 * [["a leg is loose"]]
    assert files_in(clouds) == sorted([*THREE, "a.stl", "b.stl", "deep/c.stl"])
    points, process, *_ = (clouds / "a.stl").read_text().split()
    assert int(points) > 1000  # of all, whatever is kept of the cloud
    assert process != str(os.getpid())
    assert statuses(reconstruct("--mesh", "stl", "--json"))["a.png"] == "skipped"


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        (("--height", "6cm"), MeshSettings(height_mm=60.0)),
        (
            ("--size", "2in", "--base", "2", "--min-thickness", "0.8mm", "--faces", "5000"),
            MeshSettings(size_mm=50.8, base_mm=2.0, min_thickness_mm=0.8, faces=5000),
        ),
    ],
)
def test_solids_are_as_they_were_asked_for(
    options: tuple[str, ...],
    settings: MeshSettings,
    reconstruct: Run,
    clouds: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("img2pc.meshing.mesh_to_file", settings_to_file)
    assert reconstruct("--mesh", "stl", *options, "--batch-size", 1).code == 0
    assert (clouds / "deep" / "c.stl").read_text() == repr(settings)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--size", "60mm"), "are of solids"),
        (("--faces", "5000"), "are of solids"),
        (("--mesh", "stl", "--height", "0"), "greater than 0"),
        (("-o", "solids.stl"), "with solids by --mesh stl"),
    ],
)
def test_options_for_solids_that_do_not_fit(
    options: tuple[str, ...], complaint: str, reconstruct: Run, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = reconstruct(*options)
    assert ran.code == 2
    assert complaint in " ".join(ran.err.replace("│", " ").split())
    assert not (tmp_path / "solids.stl").exists()


@pytest.fixture
def unprintable(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One picture alone, of which no solid can be made."""
    monkeypatch.setattr("img2pc.meshing.mesh_to_file", mesh_or_worse)
    for name in ("b.PNG", "deep/c.png"):
        (photos / name).unlink()
    (photos / "a.png").rename(photos / "refuse.png")


@pytest.mark.usefixtures("unprintable")
def test_clouds_without_a_printable_mesh_are_of_use(reconstruct: Run, clouds: Path) -> None:
    ran = reconstruct("--mesh", "stl")
    assert ran.code == 6
    assert "two bodies" in ran.err
    assert files_in(clouds) == ["failures.jsonl", "refuse.ply"]


@pytest.mark.usefixtures("unprintable")
def test_a_mesh_of_an_older_cloud_does_not_pass_for_the_new_ones(
    reconstruct: Run, clouds: Path
) -> None:
    clouds.mkdir()
    for name in ("refuse.ply", "refuse.stl"):
        (clouds / name).write_text("older")
    assert reconstruct("--mesh", "stl", "--overwrite").code == 6
    assert files_in(clouds) == ["failures.jsonl", "refuse.ply"]
    assert reconstruct("--mesh", "stl").code == 6


def test_a_cloud_that_cannot_be_written_costs_no_mesh(
    reconstruct: Run, clouds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path, cloud: object) -> None:
        raise BadInputError(f"cannot write {path}: No space left on device")

    clouds.mkdir()
    (clouds / "a.stl").write_text("older")
    monkeypatch.setattr("img2pc.batch.write_ply", fail)
    assert reconstruct("--mesh", "stl", "--overwrite").code == 3
    assert files_in(clouds) == ["a.stl", "failures.jsonl"]


@pytest.mark.parametrize("bad", [False, True])
def test_failures_of_another_program_stay(reconstruct: Run, photos: Path, bad: bool) -> None:
    theirs = photos / "failures.jsonl"
    theirs.write_text('{"mine": 1}\n')
    if bad:
        (photos / "bad.png").write_text("I am no picture")
    ran = reconstruct("-o", photos)
    assert ran.code == (6 if bad else 0)
    assert theirs.read_text() == '{"mine": 1}\n'
    assert (f"{theirs} was not made by img2pc" in ran.err) == bad


def test_pictures_that_failed_for_another_reason_are_not_called_unusable(
    reconstruct: Run, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU whose memory others have taken, say."""

    def fail(*arguments: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr("img2pc.batch._views", fail)
    ran = reconstruct()
    assert ran.code == 6
    assert "3 of 3 pictures failed" in ran.err


@pytest.mark.slow
def test_two_pictures_become_two_printable_solids(img2pc: Run, photos: Path, clouds: Path) -> None:
    """With the bundled weights: untrained ones see nothing that could be printed."""
    shutil.rmtree(photos)
    photos.mkdir()
    for name in ("chair.png", "mug.png"):
        shutil.copy(ROOT / "examples" / name, photos)
    ran = img2pc("reconstruct", photos, "-o", clouds, "--mesh", "stl")
    assert ran.code == 0, ran.err
    assert files_in(clouds) == ["chair.ply", "chair.stl", "mug.ply", "mug.stl"]
    for name in ("chair.stl", "mug.stl"):
        assert img2pc("check", clouds / name).code == 0
        assert np.ptp(read_mesh(clouds / name).vertices, axis=0).max() == pytest.approx(100)


# --- Going on -------------------------------------------------------------------------------------


def test_what_is_done_is_skipped_and_what_changed_is_redone(
    reconstruct: Run, photos: Path, clouds: Path
) -> None:
    assert reconstruct().code == 0
    before = {name: (clouds / name).stat().st_mtime_ns for name in THREE}
    (clouds / "b.ply").unlink()
    later = before["deep/c.ply"] + 10**6
    os.utime(photos / "deep/c.png", ns=(later, later))
    time.sleep(0.01)
    ran = reconstruct("--json")
    assert ran.code == 0
    assert statuses(ran) == {"a.png": "skipped", "b.PNG": "done", "c.png": "done"}
    assert "2 done, 1 skipped, 0 failed" in ran.err
    assert (clouds / "a.ply").stat().st_mtime_ns == before["a.ply"]
    again = reconstruct()
    assert (again.code, again.out) == (0, "")
    assert "0 done, 3 skipped, 0 failed" in again.err


def test_overwrite_redoes_what_is_done(reconstruct: Run) -> None:
    assert reconstruct().code == 0
    assert set(statuses(reconstruct("--json", "--overwrite")).values()) == {"done"}


def test_failures_are_tried_again_and_forgotten_once_mended(
    reconstruct: Run, photos: Path, clouds: Path
) -> None:
    good = (photos / "a.png").read_bytes()
    (photos / "a.png").write_bytes(good[:200])
    assert reconstruct().code == 6
    assert list(failures_in(clouds / "failures.jsonl")) == ["a.png"]
    (photos / "a.png").write_bytes(good)
    ran = reconstruct("--json")
    assert ran.code == 0
    assert statuses(ran) == {"a.png": "done", "b.PNG": "skipped", "c.png": "skipped"}
    assert files_in(clouds) == THREE


def test_shards_together_do_all_and_keep_their_failures_apart(
    reconstruct: Run, photos: Path, clouds: Path
) -> None:
    (photos / "a.png").write_bytes(b"bad")
    first, second, fourth = (reconstruct("--shard", f"{number}/4") for number in (1, 2, 4))
    assert (first.code, second.code, fourth.code) == (3, 0, 0)
    assert files_in(clouds) == ["b.ply", "failures-1-of-4.jsonl"]
    third = reconstruct("--shard", "3/4")
    assert files_in(clouds) == ["b.ply", "deep/c.ply", "failures-1-of-4.jsonl"]
    assert third.code == 0


def test_an_empty_shard_is_no_error(reconstruct: Run) -> None:
    ran = reconstruct("--shard", "4/4")
    assert (ran.code, ran.out) == (0, "")


# --- What can be wrong ----------------------------------------------------------------------------


def test_bad_files_are_a_line_each_and_never_the_end(
    reconstruct: Run, photos: Path, clouds: Path
) -> None:
    (photos / "empty.png").touch()
    (photos / "text.jpg").write_text("I am no picture")
    (photos / "cut off.png").write_bytes((photos / "a.png").read_bytes()[:500])
    Image.new("RGB", (50, 50), "white").save(photos / "white.png")
    (photos / "gone.png").symlink_to(photos / "nothing")
    (photos / "folder.png").mkdir()
    (photos / "notes.txt").touch()
    ran = reconstruct()
    assert ran.code == 6
    assert sorted(ran.out.splitlines()) == [f"{clouds / name}\t50 points" for name in THREE]
    bad = ["cut off.png", "empty.png", "gone.png", "text.jpg", "white.png"]
    told = [line for line in ran.err.splitlines() if line.startswith(f"{photos}/")]
    assert sorted(re.search(r"photos/(.*?\.\w{3})", line)[1] for line in told) == bad
    assert ran.err.splitlines()[-2].startswith("3 done, 0 skipped, 5 failed")
    failures = clouds / "failures.jsonl"
    assert ran.err.splitlines()[-1] == f"img2pc: 5 of 8 pictures failed, see {failures}"
    assert sorted(failures_in(failures)) == bad
    assert "Traceback" not in ran.err


def test_nothing_usable_is_another_exit_code(reconstruct: Run, photos: Path, clouds: Path) -> None:
    for picture in [path for path in photos.rglob("*") if path.is_file()]:
        picture.write_bytes(b"bad")
    ran = reconstruct()
    assert (ran.code, ran.out) == (3, "")
    failures = clouds / "failures.jsonl"
    assert ran.err.endswith(f"img2pc: none of 3 pictures could be used, see {failures}\n")
    assert sorted(failures_in(failures)) == ["a.png", "b.PNG", "c.png"]


def test_a_folder_without_pictures_is_told_before_the_weights_are_read(
    img2pc: Run, tmp_path: Path
) -> None:
    ran = img2pc("reconstruct", tmp_path, "--weights", tmp_path / "missing.safetensors")
    assert (ran.code, ran.out) == (3, "")
    assert ran.err == f"img2pc: there are no pictures in {tmp_path}\n"


NAMES = [
    "with space.png",
    "line\nend.png",
    "tab\t.png",
    "👩‍🚀.png",
    "-.png",
    "--json.png",
    "\udcff.png",
]


def named(folder: Path, picture: Path) -> list[str]:
    """Puts a picture under every name that the file system can have; returns these."""
    names = []
    for name in NAMES:
        with suppress(OSError, UnicodeError):
            shutil.copy(picture, folder / name)
            names.append(name)
    return names


def test_names_of_any_kind(
    reconstruct: Run,
    photos: Path,
    clouds: Path,
    chair_picture: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = named(photos, chair_picture)
    for name in names:
        (photos / f"bad {name}").touch()
    printed = stdout_in("utf-8", monkeypatch)
    ran = reconstruct()
    assert ran.code == 6, ran.err
    wanted = {f"{name[:-4]}.ply" for name in names} | set(THREE)
    assert set(files_in(clouds)) == wanted | {"failures.jsonl"}
    # Names as they are, to be read by another program.
    for name in wanted:
        assert os.fsencode(f"{clouds / name}\t50 points\n") in printed.getvalue()
    assert set(failures_in(clouds / "failures.jsonl")) == {f"bad {name}" for name in names}
    # A line each, to be read by a person.
    assert f"{len(wanted)} done, 0 skipped, {len(names)} failed" in ran.err
    told = [line for line in ran.err.splitlines() if line.startswith(str(photos / "bad"))]
    assert len(told) == len(names)
    for name in names:
        shown = name.replace("\n", r"\n").replace("\t", r"\t").replace("\udcff", r"\udcff")
        assert f"bad {shown} is not an image" in ran.err


def test_names_of_any_kind_as_json(reconstruct: Run, photos: Path, chair_picture: Path) -> None:
    names = named(photos, chair_picture)
    ran = reconstruct("--json")
    assert ran.code == 0, ran.err
    assert ran.out.isascii()
    assert set(lines_of(ran)) == {*names, "a.png", "b.PNG", "c.png"}


def test_names_that_the_terminal_cannot_show_are_no_end(
    reconstruct: Run, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos / "a.png").rename(photos / "👩.png")
    printed = stdout_in("cp1252", monkeypatch)
    assert reconstruct().code == 0
    assert rb"clouds/\U0001f469.ply" in printed.getvalue()


def stdout_in(encoding: str, monkeypatch: pytest.MonkeyPatch) -> io.BytesIO:
    """What is printed from here on, in bytes."""
    printed = io.BytesIO()
    stdout = io.TextIOWrapper(printed, encoding, newline="\n", write_through=True)
    monkeypatch.setattr(sys, "stdout", stdout)
    return printed


def test_a_folder_named_like_an_option(
    img2pc: Run, photos: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos.rename(photos.with_name("--json"))
    monkeypatch.chdir(photos.parent)
    ran = img2pc("reconstruct", "-o", "-clouds", "--weights", tiny_weights, "--", "--json")
    assert ran.code == 0, ran.err
    assert files_in(Path("-clouds")) == THREE


def test_loops_of_links_end(reconstruct: Run, photos: Path, clouds: Path) -> None:
    (photos / "deep" / "up").symlink_to(photos)
    (photos / "round.png").symlink_to(photos / "round.png")
    ran = reconstruct()
    assert ran.code == 6
    assert files_in(clouds) == [*THREE, "failures.jsonl"]
    assert list(failures_in(clouds / "failures.jsonl")) == ["round.png"]


def test_an_unreadable_folder_is_a_line_and_the_others_are_done(
    reconstruct: Run, photos: Path, clouds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed, scandir = photos / "deep", os.scandir

    def guarded(folder: object = ".") -> object:
        if folder == str(closed):
            raise PermissionError(errno.EACCES, "Permission denied", folder)
        return scandir(folder)

    with monkeypatch.context() as patched:
        patched.setattr(os, "scandir", guarded)
        ran = reconstruct()
    assert ran.code == 6
    assert f"{closed}: cannot read the folder: Permission denied\n" in ran.err
    assert files_in(clouds) == ["a.ply", "b.ply", "failures.jsonl"]
    assert list(failures_in(clouds / "failures.jsonl")) == ["deep"]


@pytest.mark.parametrize("where", ["clouds", "deep/clouds", "."])
def test_the_output_may_lie_inside_the_input(
    img2pc: Run, photos: Path, tiny_weights: Path, where: str
) -> None:
    few = ("--points", 50, "--no-colour", "--weights", tiny_weights)
    arguments = ("reconstruct", photos, "-o", photos / where, *few)
    assert img2pc(*arguments, "--preview", photos / "seen").code == 0
    first = files_in(photos)
    assert set(first) > {str(Path(where, name)) for name in THREE}
    assert len(first) == 9
    ran = img2pc(*arguments, "--preview", photos / "seen", "--overwrite")
    assert ran.code == 0
    assert len(ran.out.splitlines()) == 3
    assert files_in(photos) == first


def test_a_target_that_is_read_only(
    reconstruct: Run, clouds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mkdir = Path.mkdir

    def refused(self: Path, *arguments: object, **named: object) -> None:
        if self.is_relative_to(clouds):
            raise OSError(errno.EROFS, "Read-only file system", str(self))
        mkdir(self, *arguments, **named)

    monkeypatch.setattr(Path, "mkdir", refused)
    ran = reconstruct()
    assert (ran.code, ran.out) == (3, "")
    for name in THREE:
        assert f"cannot write {clouds / name}: Read-only file system\n" in ran.err
    assert ran.err.splitlines()[-1] == (
        "img2pc: none of 3 pictures could be used; "
        f"cannot write {clouds / 'failures.jsonl'}: Read-only file system"
    )
    assert not clouds.exists()


@pytest.fixture
def small_disk(clouds: Path) -> Iterator[Callable[[str], None]]:
    """Mounts a disk of 100 KiB at the target, and changes its options."""

    def mount(options: str) -> None:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(clouds)]
        if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("no disk can be mounted here")

    clouds.mkdir()
    mount("size=100k")
    yield mount
    subprocess.run(["umount", str(clouds)], check=True)


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a tmpfs")
def test_a_full_disk_holds_whole_files_and_the_command_goes_on(
    reconstruct: Run, clouds: Path, small_disk: Callable[[str], None]
) -> None:
    filler = clouds / "filler"
    filler.write_bytes(bytes(90 * 1024))
    ran = reconstruct("--points", 60, "--batch-size", 1)
    assert ran.code == 6
    assert "No space left on device" in ran.err
    left = [name for name in files_in(clouds) if name.endswith(".ply")]
    assert 0 < len(left) < 3
    assert all(len(read_cloud(clouds / name).points) == 60 for name in left)
    assert set(files_in(clouds)) <= {*left, "filler", "failures.jsonl"}
    filler.unlink()
    assert reconstruct("--points", 60).code == 0
    assert files_in(clouds) == THREE


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a tmpfs")
def test_a_disk_mounted_read_only(
    reconstruct: Run, clouds: Path, small_disk: Callable[[str], None]
) -> None:
    small_disk("remount,ro")
    ran = reconstruct()
    assert (ran.code, ran.out) == (3, "")
    assert f"cannot write {clouds / 'a.ply'}: Read-only file system" in ran.err
    assert files_in(clouds) == []


def test_a_disk_that_is_full_from_the_second_file_on(
    reconstruct: Run, clouds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Failures are still told where not even their list can be written."""
    made: list[str] = []
    mkstemp = tempfile.mkstemp

    def filling(*arguments: object, **named: object) -> tuple[int, str]:
        made.append(str(named.get("suffix")))
        if len(made) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return mkstemp(*arguments, **named)

    monkeypatch.setattr(tempfile, "mkstemp", filling)
    ran = reconstruct()
    assert ran.code == 6
    assert files_in(clouds) == ["a.ply"]
    for name in THREE[1:]:
        assert f"cannot write {clouds / name}: No space left on device\n" in ran.err
    assert "1 done, 0 skipped, 2 failed" in ran.err
    assert ran.err.splitlines()[-1] == (
        "img2pc: 2 of 3 pictures failed; "
        f"cannot write {clouds / 'failures.jsonl'}: No space left on device"
    )


def test_masks_of_a_folder(
    reconstruct: Run, img2pc: Run, photos: Path, clouds: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    """One is the whole object, one cuts it in half, one is missing."""
    half = Image.open(photos / "a.png").getchannel("A")
    half.paste(0, (0, 0, half.width // 2, half.height))
    (tmp_path / "masks").mkdir()
    half.save(tmp_path / "masks/a.jpg")
    Image.new("L", half.size, 255).save(tmp_path / "masks/b_mask.png")
    ran = reconstruct("--mask", tmp_path / "masks", "--json")
    assert ran.code == 6
    assert statuses(ran) == {"a.png": "done", "b.PNG": "done", "c.png": "failed"}
    assert {line.get("foreground") for line in lines_of(ran).values()} == {"mask", None}
    assert str(tmp_path / "masks/deep/c_mask.png") in str(lines_of(ran)["c.png"]["error"])
    alone = ("reconstruct", photos / "a.png", "--points", 50, "--weights", tiny_weights)
    assert img2pc(*alone, "-o", tmp_path / "a.ply", "--mask", tmp_path / "masks").code == 0
    assert img2pc(*alone, "-o", tmp_path / "whole.ply").code == 0
    points = [read_cloud(path).points for path in (tmp_path / "a.ply", clouds / "a.ply")]
    assert np.allclose(*points, atol=1e-5)
    assert not np.allclose(points[0], read_cloud(tmp_path / "whole.ply").points, atol=1e-2)
    # A mask that is mended is done again, and so is what had none.
    later = time.time() + 5
    os.utime(tmp_path / "masks/b_mask.png", (later, later))
    ran = reconstruct("--mask", tmp_path / "masks", "--json")
    assert statuses(ran) == {"a.png": "skipped", "b.PNG": "done", "c.png": "failed"}
    ran = reconstruct("--mask", tmp_path / "nowhere")
    assert (ran.code, ran.out) == (3, "")
    assert_one_line(ran.err)


def test_a_file_in_the_place_of_the_output_folder(reconstruct: Run, clouds: Path) -> None:
    clouds.write_text("mine")
    ran = reconstruct()
    assert (ran.code, ran.out) == (3, "")
    assert_one_line(ran.err)
    assert clouds.read_text() == "mine"


@pytest.mark.parametrize(
    "options",
    [
        ["--shard", "0/2"],
        ["--shard", "3/2"],
        ["--shard", "1"],
        ["--batch-size", "0"],
        ["--batch-size", "many"],
        ["--mesh", "ply"],
        ["--mask", str(ROOT / "examples/chair.png")],
        ["--preview", "page.html"],
        ["-o", "-"],
    ],
)
def test_wrong_usage(img2pc: Run, photos: Path, options: list[str]) -> None:
    before = files_in(photos)
    ran = img2pc("reconstruct", photos, *options)
    assert (ran.code, ran.out) == (2, "")
    assert "Usage: img2pc" in ran.err
    assert files_in(photos) == before


@pytest.mark.parametrize("options", [["--batch-size", "2"], ["--shard", "1/2"], ["--ray"]])
def test_options_of_folders_are_not_for_one_picture(
    img2pc: Run, chair_picture: Path, options: list[str]
) -> None:
    ran = img2pc("reconstruct", chair_picture, *options)
    assert (ran.code, ran.out) == (2, "")
    assert "are for many pictures" in " ".join(ran.err.replace("│", " ").split())


# --- What is seen ---------------------------------------------------------------------------------


def test_quiet_says_nothing_but_the_errors(reconstruct: Run, photos: Path, clouds: Path) -> None:
    assert reconstruct("-q").err == ""
    (photos / "bad.png").touch()
    ran = reconstruct("-q")
    bad, told = ran.err.splitlines()
    assert bad.startswith(str(photos / "bad.png"))
    assert told == f"img2pc: 1 of 4 pictures failed, see {clouds / 'failures.jsonl'}"


def test_progress_is_no_more_than_a_line_where_stderr_is_no_terminal(reconstruct: Run) -> None:
    lines = reconstruct().err.splitlines()
    assert len(lines) == 2
    assert re.fullmatch(r"reconstruct .* 3/3 \d+\.\d/s 0:00:00\s*", lines[0])


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
def test_on_a_terminal_a_bar_moves_and_results_still_go_to_stdout(
    photos: Path, clouds: Path, tiny_weights: Path
) -> None:
    import pty

    ours, theirs = pty.openpty()
    environment = {**ENVIRONMENT, "TERM": "xterm", "COLUMNS": "100", "NO_COLOR": "1"}
    process = subprocess.Popen(
        command(photos, clouds, tiny_weights, "--json"),
        stdout=subprocess.PIPE,
        stderr=theirs,
        env=environment,
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            more = os.read(ours, 4096)
        except OSError:  # Linux says so at the end
            more = b""
        if not more:
            break
        shown += more
    out = process.stdout.read().decode()
    assert process.wait() == 0
    os.close(ours)
    assert statuses(Ran(0, out, "")) == dict.fromkeys(["a.png", "b.PNG", "c.png"], "done")
    text = shown.decode()
    assert "━" in text
    assert re.search(r"3/3 +\d+\.\d/s +0:00:00", text)
    assert "\x1b[2K" in text  # the line is drawn again
    assert not re.search(r"\x1b\[[0-9;]*3\dm", text)  # without colours
    assert "picture" not in text


# --- Ctrl-C ---------------------------------------------------------------------------------------


def command(photos: Path, clouds: Path, weights: Path, *options: str) -> list[str]:
    arguments = ["reconstruct", str(photos), "-o", str(clouds), "--weights", str(weights)]
    return [*INTERRUPTIBLE, *arguments, *options]


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_leaves_whole_files_and_the_same_command_goes_on(
    img2pc: Run, photos: Path, clouds: Path, chair_picture: Path, tiny_weights: Path
) -> None:
    for number in range(300):
        os.link(chair_picture, photos / f"{number:03}.png")
    failures = clouds / "failures.jsonl"
    clouds.mkdir()
    untried = {"picture": str(photos / "z.png"), "status": "failed", "error": "of an earlier run"}
    failures.write_text(json.dumps(untried) + "\n")
    process = subprocess.Popen(
        command(photos, clouds, tiny_weights, "--json", "--batch-size", "2"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
        start_new_session=True,
    )
    assert process.stdout.readline()  # the first is done
    os.killpg(process.pid, signal.SIGINT)  # as a terminal sends it: to every process
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert failures.read_text() == json.dumps(untried) + "\n"
    failures.unlink()
    left = files_in(clouds)
    assert 1 <= len(left) < 250
    assert all(name.endswith(".ply") and not Path(name).name.startswith(".") for name in left)
    assert all(len(read_cloud(clouds / name).points) > 1000 for name in left)
    # Fewer pictures, so that the rest is soon done.
    for number in range(300):
        if f"{number:03}.ply" not in left and number != 299:
            (photos / f"{number:03}.png").unlink()
    again = img2pc("reconstruct", photos, "-o", clouds, "--weights", tiny_weights, "--json")
    assert again.code == 0
    skipped = [name for name, status in statuses(again).items() if status == "skipped"]
    assert len(skipped) == len(left)
    assert files_in(clouds) == sorted({*left, *THREE, "299.ply"})
