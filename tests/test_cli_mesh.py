"""`mesh`, `check` and `reconstruct` to a solid, as a user runs them."""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
from numpy import ndarray
from PIL import Image

from img2pc import meshing
from img2pc.cloud_files import PointArrays
from img2pc.data.shapes import Shape
from img2pc.pointclouds import PointCloud, write_ply
from img2pc.reconstruction import Reconstructor

from . import test_meshing
from .conftest import (
    ENVIRONMENT,
    INTERRUPTIBLE,
    Ran,
    Reached,
    assert_one_line,
    img2pc_process,
    wait_until,
)
from .test_meshing import ball, judge, seen

SUFFIXES = [".stl", ".obj", ".ply", ".glb", ".3mf"]

sparing = test_meshing.sparing  # the fixture, for every test here
Run = Callable[..., Ran]


@pytest.fixture(scope="module")
def chair_cloud(chair: Shape) -> PointCloud:
    return seen(chair)


@pytest.fixture
def cloud(chair_cloud: PointCloud, tmp_path: Path) -> Path:
    """A cloud as `reconstruct` writes it, alone in its folder."""
    path = tmp_path / "clouds" / "chair.v1.ply"
    path.parent.mkdir()
    write_ply(path, chair_cloud)
    return path


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """A cube of 20 mm as an STL file, on the bed."""
    path = tmp_path / "box.stl"
    trimesh.creation.box((20, 20, 20)).apply_translation((0, 0, 10)).export(path)
    return path


@pytest.fixture
def open_box(tmp_path: Path) -> Path:
    path = tmp_path / "open.stl"
    mesh = trimesh.creation.box((20, 20, 20)).apply_translation((0, 0, 10))
    mesh.update_faces(np.arange(len(mesh.faces)) > 0)
    mesh.export(path)
    return path


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


# --- mesh -----------------------------------------------------------------------------------------


def test_mesh_and_check_in_processes_of_their_own(img2pc: Run, cloud: Path) -> None:
    made = img2pc_process("mesh", cloud, "--stl")
    assert (made.code, made.err) == (0, "")
    target = cloud.with_name("chair.v1.stl")
    solid = trimesh.load_mesh(target)
    size = " x ".join(f"{length:.1f}" for length in solid.extents)
    assert made.out == f"{target}\t{size} mm, {len(solid.faces)} triangles\n"
    assert solid.extents.max() == pytest.approx(100, rel=1e-6)
    assert set(cloud.parent.iterdir()) == {cloud, target}
    judge(target)

    checked = img2pc_process("check", target)
    assert (checked.code, checked.err) == (0, "")
    assert "printable" in checked.out

    first = target.read_bytes()
    assert img2pc("mesh", cloud, "--stl").code == 0
    assert target.read_bytes() == first


@pytest.fixture(scope="module")
def chair_solid(chair_cloud: PointCloud) -> meshing.Solid:
    return meshing.solid_from_cloud(chair_cloud.arrays())


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".STL"])
def test_every_format_passes_the_check(
    img2pc: Run,
    suffix: str,
    cloud: Path,
    chair_solid: meshing.Solid,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of one solid."""
    monkeypatch.setattr(meshing, "solid_from_cloud", lambda *arguments: chair_solid)
    target = cloud.with_name(f"solid{suffix}")
    made = img2pc("mesh", cloud, "-o", target)
    assert (made.code, made.err) == (0, "")
    assert set(cloud.parent.iterdir()) == {cloud, target}
    checked = img2pc("check", target, "--json")
    assert (checked.code, checked.err) == (0, "")
    report = json.loads(checked.out)
    assert report["printable"]
    # The headrest makes the chair higher than wide.
    assert report["size_mm"][2] == pytest.approx(100, rel=1e-5)
    assert report["lowest_mm"] == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("flag", ["", "-q"])
def test_warnings_are_said_unless_quiet_and_a_preview_is_named(
    img2pc: Run,
    flag: str,
    cloud: Path,
    chair_solid: meshing.Solid,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = logging.getLogger()  # as in a process of its own
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    loose = replace(chair_solid, notes=("a leg is loose",))
    monkeypatch.setattr(meshing, "solid_from_cloud", lambda *arguments: loose)
    target, preview = cloud.with_suffix(".stl"), cloud.with_name("solid.png")
    ran = img2pc("mesh", cloud, "--preview", preview, *flag.split())
    assert (ran.code, ran.err) == (0, "" if flag else "a leg is loose\n")
    assert [line.split("\t")[0] for line in ran.out.splitlines()] == [str(target), str(preview)]
    with Image.open(preview) as drawn:
        assert drawn.width == 4 * drawn.height


def test_beside_a_cloud_of_others_nothing_is_replaced_unasked(img2pc: Run, tmp_path: Path) -> None:
    cloud, target = tmp_path / "scan.xyz", tmp_path / "scan.stl"
    np.savetxt(cloud, np.concatenate([ball().points, ball().normals], 1))
    target.write_text("of the scanner")
    refused = img2pc("mesh", cloud)
    assert refused.code == 3
    assert (
        refused.err
        == f"img2pc: {target} was not made by img2pc; to replace it, name it by -o {target}\n"
    )
    assert target.read_text() == "of the scanner"
    assert img2pc("mesh", cloud, "-o", target).code == 0
    judge(target)
    assert img2pc("mesh", cloud).code == 0  # now it is ours


@pytest.mark.parametrize("options", [["-o", "missing/chair.stl"], ["--preview", "missing/a.png"]])
def test_where_nothing_can_be_written_nothing_is_done(
    img2pc: Run, options: list[str], cloud: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reach(*arguments: object) -> None:
        raise Reached

    monkeypatch.setattr(meshing, "solid_from_cloud", reach)
    ran = img2pc("mesh", cloud, *options)
    assert ran.code == 3
    assert ran.err == f"img2pc: cannot write {options[1]}: No such file or directory\n"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_each_flag_names_a_file_beside_the_cloud(
    img2pc: Run, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    targets: list[Path] = []

    def write(path: Path, *rest: object) -> None:
        targets.append(path)
        raise Reached

    monkeypatch.setattr(meshing, "solid_from_cloud", lambda *arguments: None)
    monkeypatch.setattr(meshing, "write_mesh", write)
    cloud = tmp_path / "chair.v1.xyz"
    np.savetxt(cloud, ball(100).points)
    img2pc("mesh", cloud, f"--{suffix[1:]}")
    img2pc("mesh", cloud)
    assert targets == [tmp_path / f"chair.v1{suffix}", tmp_path / "chair.v1.stl"]


@pytest.mark.parametrize(
    ("length", "millimetres"), [("120mm", 120.0), ("12cm", 120.0), ("4in", 101.6), ("0.1m", 100.0)]
)
def test_heights_have_units(
    img2pc: Run,
    length: str,
    millimetres: float,
    cloud: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heights: list[float | None] = []

    def solid(cloud: PointArrays, settings: meshing.MeshSettings) -> None:
        heights.append(settings.height_mm)
        raise Reached

    monkeypatch.setattr(meshing, "solid_from_cloud", solid)
    img2pc("mesh", cloud, "--height", length)
    assert heights == [pytest.approx(millimetres)]


@pytest.mark.parametrize(
    ("options", "changed"),
    [
        ((), {}),
        (("--no-smooth",), {"smooth": False}),
        (("--no-carve",), {"carve": False}),
        (("--no-bridge",), {"bridge": False}),
        (("--no-foot",), {"foot": False}),
        (("--best-effort",), {"best_effort": True}),
        (
            ("--size", "10", "--base", "2", "--min-thickness", "3", "--tolerance", "4"),
            {"size_mm": 10.0, "base_mm": 2.0, "min_thickness_mm": 3.0, "tolerance_mm": 4.0},
        ),
        (
            ("--depth", "6", "--faces", "77", "--up", "z", "--height", "5"),
            {"depth": 6, "faces": 77, "up": "z", "height_mm": 5.0},
        ),
    ],
)
def test_each_option_is_its_setting(
    img2pc: Run,
    options: tuple[str, ...],
    changed: dict[str, object],
    cloud: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chosen: list[meshing.MeshSettings] = []

    def solid(cloud: PointArrays, settings: meshing.MeshSettings) -> None:
        chosen.append(settings)
        raise Reached

    monkeypatch.setattr(meshing, "solid_from_cloud", solid)
    img2pc("mesh", cloud, *options)
    assert chosen == [replace(meshing.MeshSettings(), **changed)]


def test_the_best_effort_is_written_loudly(
    img2pc: Run, cloud: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two bodies: nothing is dropped."""
    monkeypatch.setattr(meshing, "_largest_body", two_of_it)
    target = cloud.with_suffix(".stl")
    refused = img2pc("mesh", cloud, "--depth", 5)
    assert (refused.code, refused.out) == (5, "")
    assert_one_line(refused.err)
    assert list(cloud.parent.iterdir()) == [cloud]
    ran = img2pc("mesh", cloud, "--depth", 5, "--best-effort")
    assert ran.code == 5
    assert ran.out.startswith(f"{target}\t")
    assert_one_line(ran.err)
    assert "2 separate bodies" in ran.err
    assert trimesh.load_mesh(target).body_count == 2


def two_of_it(solid: meshing.Manifold) -> tuple[meshing.Manifold, float]:
    bodies = sorted(solid.decompose(), key=lambda body: -body.volume())
    if len(bodies) > 1:
        return solid, 0.0
    return bodies[0] + bodies[0].translate((0, 0, 2 * bodies[0].bounding_box()[5] + 1)), 0.0


# --- reconstruct ----------------------------------------------------------------------------------


def test_from_a_picture_straight_to_a_solid(
    img2pc: Run,
    chair_picture: Path,
    tiny_weights: Path,
    chair_cloud: PointCloud,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same solid as by way of the cloud; untrained weights see no shape, so it is given."""
    monkeypatch.setattr(Reconstructor, "fuse", lambda self, views, points: chair_cloud)
    solid = tmp_path / "chair.stl"
    ran = img2pc("reconstruct", chair_picture, "-o", solid, "--weights", tiny_weights)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(f"{solid}\t")
    assert img2pc("check", solid).code == 0
    write_ply(tmp_path / "cloud.ply", chair_cloud)
    assert img2pc("mesh", tmp_path / "cloud.ply").code == 0
    assert (tmp_path / "cloud.stl").read_bytes() == solid.read_bytes()


def test_the_solid_of_one_picture_is_as_it_was_asked_for(
    img2pc: Run,
    chair_picture: Path,
    tiny_weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chosen: list[object] = []

    def made(cloud: object, path: Path, settings: object) -> None:
        chosen.append((path, settings))

    monkeypatch.setattr("img2pc.cli.pictures.make_mesh", made)
    solid = tmp_path / "chair.glb"
    ran = img2pc(
        *("reconstruct", chair_picture, "-o", solid, "--weights", tiny_weights),
        *("--height", "6cm", "--base", "2", "--min-thickness", "0.8", "--faces", "5000"),
    )
    assert ran.code == 0, ran.err
    wanted = meshing.MeshSettings(height_mm=60, base_mm=2, min_thickness_mm=0.8, faces=5000)
    assert chosen == [(solid, wanted)]


# --- check ----------------------------------------------------------------------------------------


def test_check_as_json(img2pc: Run, box: Path) -> None:
    ran = img2pc("check", box, "--json")
    assert (ran.code, ran.err) == (0, "")
    assert json.loads(ran.out) == {
        "printable": True,
        "triangles": 12,
        "boundary_edges": 0,
        "non_manifold_edges": 0,
        "flipped_edges": 0,
        "bodies": 1,
        "voids": 0,
        "degenerate_faces": 0,
        "volume_mm3": pytest.approx(8000),
        "size_mm": [20, 20, 20],
        "lowest_mm": 0,
        "contact_mm2": pytest.approx(400),
        "stands": True,
        "fits_bed": None,
        "wall_mm": None,
        "overhang_share": 0,
        "problems": [],
        "warnings": [],
    }


def test_a_missing_face_is_found(img2pc: Run, open_box: Path) -> None:
    ran = img2pc("check", open_box)
    assert ran.code == 5
    assert "3 edges border a hole" in ran.out
    assert "triangles" in ran.out
    assert_one_line(ran.err)
    assert str(open_box) in ran.err
    as_json = img2pc("check", open_box, "--json")
    assert as_json.code == 5
    assert json.loads(as_json.out)["boundary_edges"] == 3
    assert_one_line(as_json.err)


@pytest.mark.parametrize(
    ("bed", "code"),
    [("220x220x250", 0), ("20x20x20", 0), ("19x220x250", 5), ("220X220X19.5", 5)],
)
def test_the_bed_is_large_enough_or_not(img2pc: Run, bed: str, code: int, box: Path) -> None:
    ran = img2pc("check", box, "--bed", bed)
    assert ran.code == code
    if code:
        assert_one_line(ran.err)
        assert "does not fit the bed" in ran.err


def test_walls_of_what_has_no_inside_are_not_measured(img2pc: Run, tmp_path: Path) -> None:
    sheet = trimesh.creation.box((20, 20, 0.4))
    sheet.invert()
    sheet.export(tmp_path / "inside_out.stl")
    ran = img2pc("check", tmp_path / "inside_out.stl")
    assert ran.code == 5
    assert "not measured" in ran.out
    assert "5 mm or more" not in ran.out


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_command_leaves_nothing_behind(number: int, code: int, tmp_path: Path) -> None:
    """While it waits for a cloud on stdin, with a temporary folder to put it into."""
    process = subprocess.Popen(
        [*INTERRUPTIBLE, "mesh", "-", "-o", "x.stl"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=ENVIRONMENT | {"TMPDIR": str(tmp_path)},
    )
    wait_until(lambda: any(tmp_path.iterdir()), process)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_thin_walls_are_a_warning(img2pc: Run, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.stl"
    trimesh.creation.box((20, 20, 1)).apply_translation((0, 0, 0.5)).export(sheet)
    for least, warnings in [("0.8mm", 0), ("0.2cm", 1)]:
        ran = img2pc("check", sheet, "--json", "--min-wall", least)
        assert ran.code == 0
        report = json.loads(ran.out)
        assert report["wall_mm"] == pytest.approx(1, abs=0.05)
        assert len(report["warnings"]) == warnings


def empty(path: Path) -> None:
    path.touch()


def garbage(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 4)


def folder(path: Path) -> None:
    path.mkdir()


def missing(path: Path) -> None:
    """Nothing is there."""


def truncated_mesh(path: Path) -> None:
    trimesh.creation.icosphere().export(path)
    path.write_bytes(path.read_bytes()[:-1000])


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("make", [empty, garbage, folder, missing, truncated_mesh])
def test_check_of_what_is_no_mesh(
    img2pc: Run, make: Callable[[Path], None], suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / f"mesh{suffix}"
    make(path)
    ran = img2pc("check", path)
    # A text file cut at the end of a line is a mesh still, only not a closed one.
    assert ran.code in ((3, 5) if make is truncated_mesh and suffix == ".obj" else (3,))
    assert_one_line(ran.err)
    assert str(path) in ran.err
    assert ran.code == 5 or ran.out == ""


def test_check_of_a_cloud_and_of_another_file(img2pc: Run, cloud: Path, box: Path) -> None:
    for path in (cloud, box.rename(box.with_suffix(".txt"))):
        ran = img2pc("check", path)
        assert (ran.code, ran.out) == (3, "")
        assert_one_line(ran.err)


# --- bad input ------------------------------------------------------------------------------------


def write_ascii(path: Path, points: ndarray, normals: ndarray | None = None, more: int = 0) -> None:
    """A PLY file that announces `more` points than it has."""
    names = "xyz" if normals is None else ["x", "y", "z", "nx", "ny", "nz"]
    rows = points if normals is None else np.concatenate([points, normals], -1)
    lines = ["ply", "format ascii 1.0", f"element vertex {len(points) + more}"]
    lines += [*(f"property float {name}" for name in names), "end_header"]
    lines += [" ".join(f"{value:.9g}" for value in row) for row in rows]
    path.write_text("\n".join([*lines, ""]))


def announcing(count: int) -> Callable[[Path], None]:
    """A binary PLY file of 500 points that announces another count."""

    def make(path: Path) -> None:
        header = f"ply\nformat binary_little_endian 1.0\nelement vertex {count}\n"
        header += "property float x\nproperty float y\nproperty float z\nend_header\n"
        path.write_bytes(header.encode() + ball(500).points.astype("<f4").tobytes())

    return make


def header_only(path: Path) -> None:
    announcing(500)(path)
    path.write_bytes(path.read_bytes()[:60])


def cut_off(path: Path) -> None:
    announcing(500)(path)
    path.write_bytes(path.read_bytes()[:-1001])


def holding(points: ndarray, normals: ndarray | None = None) -> Callable[[Path], None]:
    return lambda path: write_ascii(path, points, normals)


UNIFORM = np.random.default_rng(0).random((500, 3))
TILTED = np.array([[1.0, 0.2, 0.3], [-0.1, 1.0, 0.5]])
BAD_CLOUDS: dict[str, Callable[[Path], None]] = {
    "empty": empty,
    "garbage": garbage,
    "a folder": folder,
    "missing": missing,
    "cut off": cut_off,
    "cut off in the header": header_only,
    "too many announced": announcing(1000),
    "far too many announced": announcing(10**15),
    "a negative count": announcing(-500),
    "too few announced": announcing(400),
    "too many announced in text": lambda path: write_ascii(path, UNIFORM, more=500),
    "too few announced in text": lambda path: write_ascii(path, UNIFORM, more=-100),
    "no points": holding(UNIFORM[:0]),
    "nan": holding(np.full((500, 3), np.nan)),
    "inf": holding(np.full((500, 3), np.inf)),
    "one point": holding(UNIFORM[:1]),
    "ten points": holding(UNIFORM[:10]),
    "identical": holding(np.repeat(UNIFORM[:1], 500, 0)),
    "coplanar": holding(UNIFORM[:, :2] @ TILTED),
    "coplanar with normals": holding(UNIFORM * [1, 1, 0], np.repeat([[0.0, 0, 1]], 500, 0)),
    "collinear": holding(UNIFORM[:, :1] @ TILTED[:1]),
    "collinear with normals": holding(UNIFORM * [1, 0, 0], np.repeat([[0.0, 0, 1]], 500, 0)),
    "a mesh": lambda path: path.write_bytes(trimesh.creation.icosphere().export(file_type="ply")),
}


@pytest.mark.parametrize("kind", BAD_CLOUDS)
def test_bad_clouds(
    img2pc: Run,
    kind: str,
    tmp_path: Path,
    temporary: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    cloud = tmp_path / "cloud.ply"
    BAD_CLOUDS[kind](cloud)
    before = set(tmp_path.rglob("*"))
    ran = img2pc("mesh", cloud, "--stl")
    assert (ran.code, ran.out) == (3, "")
    assert_one_line(ran.err)
    assert "--debug" not in ran.err
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["cloud.obj", "cloud.xyz", "cloud.pcd", "cloud.txt", "cloud"])
def test_bad_clouds_of_other_formats(
    img2pc: Run, name: str, tmp_path: Path, temporary: Path
) -> None:
    cloud = tmp_path / name
    garbage(cloud)
    before = set(tmp_path.rglob("*"))
    ran = img2pc("mesh", cloud, "-o", tmp_path / "solid.stl")
    assert (ran.code, ran.out) == (3, "")
    assert_one_line(ran.err)
    assert str(cloud) in ran.err
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("suffix", [".stl", ".obj", ".glb", ".ply"])
def test_a_mesh_is_no_cloud(img2pc: Run, suffix: str, tmp_path: Path) -> None:
    mesh = tmp_path / f"mesh{suffix}"
    trimesh.creation.icosphere().export(mesh)
    ran = img2pc("mesh", mesh, "-o", tmp_path / "solid.3mf")
    assert (ran.code, ran.out) == (3, "")
    assert_one_line(ran.err)
    assert f"{mesh} is a mesh" in ran.err
    assert list(tmp_path.iterdir()) == [mesh]


def test_a_target_that_cannot_be_written(img2pc: Run, cloud: Path, temporary: Path) -> None:
    target = cloud.parent / "missing" / "solid.stl"
    ran = img2pc("mesh", cloud, "-o", target)
    assert (ran.code, ran.out) == (3, "")
    assert_one_line(ran.err)
    assert str(target) in ran.err
    assert list(cloud.parent.iterdir()) == [cloud]
    assert list(temporary.iterdir()) == []


def test_a_folder_as_target(img2pc: Run, cloud: Path) -> None:
    target = cloud.with_name("solid.stl")
    target.mkdir()
    ran = img2pc("mesh", cloud, "-o", target)
    assert (ran.code, ran.out) == (3, "")
    assert_one_line(ran.err)
    assert set(cloud.parent.iterdir()) == {cloud, target}
    assert list(target.iterdir()) == []


def test_an_older_file_stays_where_the_new_one_fails(img2pc: Run, tmp_path: Path) -> None:
    cloud, solid = tmp_path / "cloud.ply", tmp_path / "cloud.stl"
    BAD_CLOUDS["coplanar"](cloud)
    solid.write_text("older")
    ran = img2pc("mesh", cloud, "-o", solid)
    assert ran.code == 3
    assert "plane" in ran.err
    assert solid.read_text() == "older"


@pytest.mark.parametrize(
    "arguments",
    [
        ["mesh"],
        ["mesh", "cloud.ply", "-o", "solid.step"],
        ["mesh", "cloud.ply", "-o", "solid"],
        ["mesh", "cloud.ply", "-o", "cloud.ply"],
        ["mesh", "cloud.ply", "-o", "../here/cloud.ply"],
        ["mesh", "cloud.ply", "--ply"],
        ["mesh", "cloud.ply", "--preview", "cloud.ply"],
        ["mesh", "cloud.ply", "--preview", "cloud.stl"],
        ["mesh", "cloud.ply", "--stl", "--obj"],
        ["mesh", "cloud.ply", "--stl", "-o", "solid.stl"],
        ["mesh", "cloud.ply", "--height", "tall"],
        ["mesh", "cloud.ply", "--height", "12 feet"],
        ["mesh", "cloud.ply", "--height", "-5"],
        ["mesh", "cloud.ply", "--height", "nan"],
        ["mesh", "cloud.ply", "--height", "0"],
        ["mesh", "cloud.ply", "--size", "0mm"],
        ["mesh", "cloud.ply", "--size", "10", "--tolerance", "0"],
        ["mesh", "cloud.ply", "--faces", "3"],
        ["mesh", "cloud.ply", "--depth", "30"],
        ["mesh", "cloud.ply", "--up", "x"],
        ["reconstruct", "picture.png", "-o", "solid.step"],
        ["check"],
        ["check", "cloud.ply", "--bed", "220"],
        ["check", "cloud.ply", "--bed", "220x220"],
        ["check", "cloud.ply", "--bed", "axbxc"],
        ["check", "cloud.ply", "--bed", "nanx220x220"],
        ["check", "cloud.ply", "--bed", "-220x220x220"],
        ["check", "cloud.ply", "--min-wall", "thin"],
    ],
)
def test_wrong_usage(
    img2pc: Run, arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    write_ascii(here / "cloud.ply", ball(500).points)
    before = (here / "cloud.ply").read_bytes()
    monkeypatch.chdir(here)
    ran = img2pc(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert "Usage: img2pc" in ran.err
    assert [path.name for path in here.iterdir()] == ["cloud.ply"]
    assert (here / "cloud.ply").read_bytes() == before
