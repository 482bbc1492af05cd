"""From cloud to printable solid: on many shapes and conditions, and its time and memory.

    python tests/benchmarks/meshing.py shapes [--objects 36] [--meshes FOLDER]
    python tests/benchmarks/meshing.py predicted --benchmark FOLDER [--objects 36]
    python tests/benchmarks/meshing.py speed [--repeats 5]

shapes: every object, fused from the eight fixed views, in six conditions. A file counts as good if
both `inspect_mesh` and trimesh, each on the file read again, find one closed body. Distances are
between the file's surface and the part of the source's surface that the views see (within 2 % of a
point of the clean cloud), both ways, in % of the source's diagonal. The solid's position and scale
are not reported by `solid_from_cloud`, so they are fitted; rotation is known. A first guess comes
from colours that hold each point's position and so end on the solid, whatever it lost or grew;
point-to-plane steps towards the clean cloud finish it. Against the true transform (10 objects,
without a foot, which cuts and so moves them) it changed the median distance by 0.02 % at most.
Distances are between samples; two samplings of one surface are 0.04 to 0.15 % apart by this
measure, so the true ones are smaller.

predicted: clouds of pictures with known points, by the bundled weights, as solids: without struts
across gaps and without smoothing, with struts, with both. Means of the distances from the surface
to the true points and back, F@2% and how well normals agree (the mean of |cosine|, with planes
through the true points), all as `img2pc evaluate` counts them, and the share of the volume dropped.

speed: the whole `img2pc mesh` against a process that does nothing but import Open3D, read the
cloud and call its Poisson reconstruction, in turns; then a cloud of a million points.
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import trimesh
from jaxtyping import Float
from numpy import ndarray
from rich.console import Console
from rich.table import Table
from scipy.spatial import cKDTree

import img2pc
from img2pc.cameras import fixed_cameras
from img2pc.cleaning import clean, plane_normals
from img2pc.cloud_files import PointArrays, read_cloud
from img2pc.data.dataset import FIRST_HELD_OUT_SEED, sample_surface
from img2pc.data.families import FAMILIES
from img2pc.data.mesh_folder import list_meshes, load_mesh
from img2pc.data.ray_caster import RayCaster, cast_views
from img2pc.data.shapes import Shape, assemble
from img2pc.errors import Img2pcError
from img2pc.evaluation import list_cases
from img2pc.fusion import fuse
from img2pc.mesh_files import TriangleMesh, read_mesh
from img2pc.meshing import MeshSettings, poisson_depth, solid_from_cloud, write_mesh
from img2pc.metrics import F_SCORE_THRESHOLDS, compare_clouds
from img2pc.pointclouds import PointCloud, write_ply
from img2pc.printability import inspect_mesh
from img2pc.printability import sample_surface as sample_mesh
from img2pc.reconstruction import Reconstructor

VIEW_SIZE = 128
CONDITIONS = (
    "clean",
    "noise 0.5 %",
    "5 % outliers",
    "one view missing",
    "normals absent",
    "normals flipped",
)
METHODS = ("Poisson", "wide cube", "voxel grid")
SURFACE_POINTS = 400_000  # distances are to the nearest of these,
MEASURED_EVERY = 20  # from so many of them
VISIBLE = 0.02  # of the diagonal, to the nearest point of the clean cloud
Z_UP_FROM_Y_UP = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])

SMALL, LARGE = 30_000, 1_000_000
MESH_COMMAND = [sys.executable, "-c", "from img2pc.cli import main; main()", "mesh"]
BARE_POISSON = """
import sys, time
from img2pc.open3d_process import _open3d  # as ours does, without what draws
begin = time.perf_counter()
open3d = _open3d()
imported = time.perf_counter()
cloud = open3d.io.read_point_cloud(sys.argv[1])
read = time.perf_counter()
open3d.geometry.TriangleMesh.create_from_point_cloud_poisson(
    cloud, depth=int(sys.argv[2]), n_threads=1)
print(imported - begin, time.perf_counter() - read)
"""
# A process of its own, because a process counts the memory of the one that it was forked from.
LARGEST_CHILD = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


@dataclass(frozen=True)
class Outcome:
    """What became of one cloud.

    Attributes:
        method: what made the solid; empty if none was written.
        refusal: exit code and reason if none was written.
        warnings: in what the solid differs from the cloud.
        median_percent: of the distances one way, mean of the two ways, % of the diagonal.
        mean_percent: the same of their means.
    """

    name: str
    condition: str
    seconds: float
    method: str = ""
    refusal: str = ""
    warnings: tuple[str, ...] = ()
    printable: bool = False
    closed_for_trimesh: bool = False
    median_percent: float = np.nan
    mean_percent: float = np.nan


# --- Shapes ---------------------------------------------------------------------------------------


def measure_shapes(objects: int, meshes: Path | None) -> None:
    outcomes: list[Outcome] = []
    try:
        for index, (name, shape) in enumerate(draw_shapes(objects, meshes)):
            for outcome in outcomes_of(name, shape, np.random.default_rng(index)):
                outcomes.append(outcome)
                count = f"{len(outcomes)}/{objects * len(CONDITIONS)}"
                print(f"{count:8}{described(outcome)}", file=sys.stderr, flush=True)
    finally:  # what there is, if interrupted
        print_outcomes(outcomes)


def draw_shapes(count: int, meshes: Path | None) -> Iterator[tuple[str, Shape]]:
    """Procedural solids, the families in turn; every other one a mesh if there is a folder."""
    files = list_meshes(meshes, "test") if meshes else []
    families = list(FAMILIES)
    for index in range(count):
        if files and index % 2:
            file = files[index * len(files) // count]
            yield f"{file.path.parent.name}/{file.path.stem}", load_mesh(file)
        else:
            number = index // 2 if files else index
            seed = FIRST_HELD_OUT_SEED + index
            name = families[number % len(families)]
            parts = FAMILIES[name][0](np.random.default_rng(seed))
            yield f"{name} {seed}", assemble(name, parts)


def outcomes_of(name: str, shape: Shape, rng: np.random.Generator) -> Iterator[Outcome]:
    caster = RayCaster(shape.vertices, shape.faces)
    reference = see(caster, VIEW_SIZE).arrays()
    truth = sample_surface(shape, SURFACE_POINTS, rng)
    truth = truth[cKDTree(reference.points).query(truth)[0] < VISIBLE]
    for condition in CONDITIONS:
        cloud = with_positions_as_colours(disturbed(caster, condition, rng))
        yield mesh_and_judge(name, condition, cloud, reference, truth)


def see(caster: RayCaster, view_size: int, noise: float = 0.0) -> PointCloud:
    """The fused cloud; noise comes before normals are estimated, as it does in life."""
    cameras = fixed_cameras(view_size)
    views = cast_views(caster, cameras)
    generator = torch.Generator().manual_seed(0)
    shift = noise * torch.randn(views.coordinates.shape, generator=generator)
    return fuse(views._replace(coordinates=views.coordinates + shift), cameras)


def disturbed(caster: RayCaster, condition: str, rng: np.random.Generator) -> PointArrays:
    cloud = see(caster, VIEW_SIZE, 0.005 if condition == "noise 0.5 %" else 0.0)
    arrays = cloud.arrays()
    points, normals = arrays.points, arrays.normals
    assert normals is not None
    if condition == "5 % outliers":
        count = len(points) // 20
        wrong = rng.normal(size=(count, 3))
        wrong /= np.linalg.norm(wrong, axis=-1, keepdims=True)
        stray = rng.uniform(points.min(0), points.max(0), (count, 3))
        return PointArrays(np.concatenate([points, stray]), np.concatenate([normals, wrong]))
    if condition == "one view missing":
        kept = (cloud.view_index != int(rng.integers(8))).numpy()
        return PointArrays(points[kept], normals[kept])
    if condition == "normals absent":
        return PointArrays(points)
    return PointArrays(points, -normals if condition == "normals flipped" else normals)


def mesh_and_judge(
    name: str,
    condition: str,
    cloud: PointArrays,
    reference: PointArrays,
    truth: Float[ndarray, "point 3"],
) -> Outcome:
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "solid.stl"
        try:
            solid = solid_from_cloud(cloud)
            write_mesh(path, solid)
        except Exception as error:  # a crash is an outcome too
            code = error.exit_code if isinstance(error, Img2pcError) else type(error).__name__
            refusal = f"exit {code}: {error}"
            seconds = time.perf_counter() - begin
            return Outcome(name, condition, seconds, "", refusal)
        seconds = time.perf_counter() - begin
        printable = inspect_mesh(read_mesh(path)).printable
        closed = trimesh_agrees(path)
    surface = put_back(solid.mesh, cloud, reference)
    there = cKDTree(truth).query(surface[::MEASURED_EVERY])[0]
    back = cKDTree(surface).query(truth[::MEASURED_EVERY])[0]
    return Outcome(
        name,
        condition,
        seconds,
        next(method for method in reversed(METHODS) if method in solid.method),
        warnings=solid.warnings,
        printable=printable,
        closed_for_trimesh=closed,
        median_percent=50 * float(np.median(there) + np.median(back)),
        mean_percent=50 * float(there.mean() + back.mean()),
    )


def trimesh_agrees(path: Path) -> bool:
    mesh = trimesh.load_mesh(path)
    return bool(
        mesh.is_watertight
        and mesh.is_winding_consistent
        and mesh.volume > 0
        and mesh.body_count == 1
    )


def with_positions_as_colours(cloud: PointArrays) -> PointArrays:
    share = (cloud.points - cloud.points.min(0)) / np.ptp(cloud.points, axis=0)
    return PointArrays(cloud.points, cloud.normals, (255 * share).round().astype(np.uint8))


def put_back(
    mesh: TriangleMesh, cloud: PointArrays, reference: PointArrays
) -> Float[ndarray, "point 3"]:
    """Points on a solid's surface, in the frame of the cloud that it was made from."""
    assert mesh.colours is not None
    assert reference.normals is not None
    vertices = mesh.vertices @ Z_UP_FROM_Y_UP
    there = cloud.points.min(0) + mesh.colours / 255 * np.ptp(cloud.points, axis=0)
    scale, shift = fitted(vertices, there)
    surface = sample_mesh(mesh, SURFACE_POINTS)[0] @ Z_UP_FROM_Y_UP
    few = surface[:: 4 * MEASURED_EVERY]
    tree = cKDTree(reference.points)
    for _ in range(15):
        distance, index = tree.query(scale * few + shift)
        normal = reference.normals[index]
        gap = (reference.points[index] * normal).sum(-1)
        # Cauchy's weights, so that what has no counterpart does not pull.
        weight = 1 / (1 + (distance / (2 * np.median(distance))) ** 2) ** 0.5
        design = np.concatenate([(few * normal).sum(-1, keepdims=True), normal], -1)
        answer = np.linalg.lstsq(design * weight[:, None], gap * weight, rcond=None)[0]
        scale, shift = float(answer[0]), answer[1:]
    placed: ndarray = scale * surface + shift
    return placed


def fitted(
    source: Float[ndarray, "point 3"], target: Float[ndarray, "point 3"]
) -> tuple[float, Float[ndarray, "3"]]:
    """The scale and shift from source to target with the least sum of distances."""
    weight = np.ones(len(source))
    scale, shift = 1.0, np.zeros(3)
    for _ in range(20):
        from_mean = np.average(source, axis=0, weights=weight)
        to_mean = np.average(target, axis=0, weights=weight)
        spread, moved = source - from_mean, target - to_mean
        scale = (weight @ (spread * moved).sum(-1)) / (weight @ (spread**2).sum(-1))
        shift = to_mean - scale * from_mean
        weight = 1 / (np.linalg.norm(scale * source + shift - target, axis=-1) + 1e-4)
    return float(scale), shift


def described(outcome: Outcome) -> str:
    result = outcome.refusal or (
        f"{outcome.method:11}{'' if outcome.printable else 'NOT PRINTABLE '}"
        f"{'' if outcome.closed_for_trimesh else 'NOT FOR TRIMESH '}"
        f"{outcome.median_percent:.2f} % (mean {outcome.mean_percent:.2f} %)"
    )
    result = "; ".join([result, *outcome.warnings])
    return f"{outcome.name:32.32} {outcome.condition:17}{outcome.seconds:5.1f} s  {result}"


def print_outcomes(outcomes: list[Outcome]) -> None:
    table = Table(title="Clouds to solids; distances in % of the diagonal, median over clouds")
    table.add_column("condition", no_wrap=True)
    for heading in (
        "clouds",
        "written",
        "printable",
        "trimesh",
        *METHODS,
        "exit 5",
        "other",
        "median",
        "(worst)",
        "mean",
        "s",
    ):
        table.add_column(heading, justify="right", no_wrap=True)
    for condition in (*CONDITIONS, "all"):
        rows = [each for each in outcomes if condition in ("all", each.condition)]
        if not rows:
            continue
        written = [each for each in rows if not each.refusal]
        methods = Counter(each.method for each in written)
        unprintable = sum(each.refusal.startswith("exit 5:") for each in rows)
        table.add_row(
            condition,
            str(len(rows)),
            str(len(written)),
            str(sum(each.printable for each in written)),
            str(sum(each.closed_for_trimesh for each in written)),
            *(str(methods[method]) for method in METHODS),
            str(unprintable),
            str(len(rows) - len(written) - unprintable),
            summary([each.median_percent for each in written]),
            f"{max((each.median_percent for each in written), default=np.nan):.2f}",
            summary([each.mean_percent for each in written]),
            f"{statistics.mean(each.seconds for each in rows):.2f}",
            end_section=condition == CONDITIONS[-1],
        )
    console = Console(width=max(160, Console().width))
    console.print(table)
    for each in outcomes:
        good = each.method == METHODS[0] and each.printable and each.closed_for_trimesh
        if not good or each.median_percent > 1:
            print(described(each))


def summary(values: list[float]) -> str:
    return f"{statistics.median(values):.2f}" if values else "–"


# --- Predicted clouds -----------------------------------------------------------------------------

SETTINGS = {
    "neither": MeshSettings(smooth=False, bridge=False),
    "struts": MeshSettings(smooth=False),
    "smoothed, struts": MeshSettings(),
}
COLUMNS = ("pred→GT", "GT→pred", "F@2%", "normals", "dropped %", "seconds")


def measure_predicted(folder: Path, count: int) -> None:
    reconstructor = Reconstructor.load()
    total, cases = list_cases(folder, reconstructor.info, limit=count)
    rows: dict[str, list[list[float]]] = {name: [] for name in SETTINGS}
    for case in cases:
        views = reconstructor.views(torch.from_numpy(case.crop.copy())[None])
        truth = np.asarray(case.points, dtype=np.float64)
        try:
            cloud = reconstructor.fuse(views, 0).arrays()
            measured = [scores_of_solid(cloud, truth, each) for each in SETTINGS.values()]
        except Img2pcError as error:
            print(f"{case.name}: {error}", file=sys.stderr, flush=True)
            continue
        for name, scores in zip(SETTINGS, measured, strict=True):
            rows[name].append(scores)
    table = Table("", *COLUMNS, title=f"{len(rows['neither'])} of {total} pictures")
    for name, each in rows.items():
        table.add_row(name, *(f"{value:.2f}" for value in np.mean(each, 0)))
    Console(width=100).print(table)


def scores_of_solid(
    cloud: PointArrays, truth: Float[ndarray, "point 3"], settings: MeshSettings
) -> list[float]:
    begin = time.perf_counter()
    solid = solid_from_cloud(with_positions_as_colours(cloud), settings)
    seconds = time.perf_counter() - begin
    surface = put_back(solid.mesh, cloud, clean(cloud)[0])[::MEASURED_EVERY]
    normals = sample_mesh(solid.mesh, SURFACE_POINTS)[1][::MEASURED_EVERY] @ Z_UP_FROM_Y_UP
    scores = compare_clouds(surface, truth)
    _, nearest = cKDTree(truth).query(surface)
    agreement = np.abs((plane_normals(truth)[nearest] * normals).sum(-1)).mean()
    within = scores.f_scores[F_SCORE_THRESHOLDS.index(0.02)]
    return [
        scores.predicted_to_true,
        scores.true_to_predicted,
        within,
        100 * float(agreement),
        100 * solid.dropped_share,
        seconds,
    ]


# --- Speed ----------------------------------------------------------------------------------------


def measure_speed(repeats: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        compare_with_poisson(Path(folder), repeats)
        measure_large(Path(folder))


def compare_with_poisson(folder: Path, repeats: int) -> None:
    path, target = folder / "small.ply", folder / "small.stl"
    write_chair(path, SMALL)
    cloud = read_cloud(path)
    depth = poisson_depth(clean(cloud)[0].points)
    ours, bare, ours_inside, bare_inside = [], [], [], []
    for number in range(repeats):
        print(f"repetition {number + 1} of {repeats}", file=sys.stderr, flush=True)
        seconds, _ = timed([*MESH_COMMAND, str(path), "-o", str(target)])
        ours.append(seconds)
        seconds, said = timed([sys.executable, "-c", BARE_POISSON, str(path), str(depth)])
        importing, poisson = map(float, said.split())
        bare.append(seconds)
        bare_inside.append(poisson)
        begin = time.perf_counter()
        write_mesh(target, solid_from_cloud(cloud))
        ours_inside.append(time.perf_counter() - begin - importing)
    table = Table(title=f"{len(cloud.points)} points, depth {depth}, median of {repeats}")
    table.add_column("")
    for heading in ("img2pc mesh", "bare Poisson", "ratio"):
        table.add_column(heading, justify="right")
    for label, mine, theirs in (
        ("whole process", ours, bare),
        ("without starting Python and importing", ours_inside, bare_inside),
    ):
        pair = statistics.median(mine), statistics.median(theirs)
        table.add_row(label, *(f"{each:.2f} s" for each in pair), f"{pair[0] / pair[1]:.2f}")
    Console().print(table)


def measure_large(folder: Path) -> None:
    path = folder / "large.ply"
    print("a million points", file=sys.stderr, flush=True)
    write_chair(path, LARGE)
    command = [*MESH_COMMAND, str(path), "-o", str(folder / "large.stl")]
    begin = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", LARGEST_CHILD, *command],
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    together = 0
    while process.poll() is None:
        together = max(together, proportional_memory(process.pid))
        time.sleep(0.05)
    seconds = time.perf_counter() - begin
    assert process.stdout is not None
    if process.returncode:
        raise SystemExit("img2pc mesh failed")
    unit = 1 if sys.platform == "darwin" else 1024
    largest = unit * int(process.stdout.read())
    print(
        f"{LARGE} points: {seconds:.1f} s, largest process {largest / 1e9:.2f} GB"
        + (f", all processes together {together / 1e9:.2f} GB" if together else "")
    )


def write_chair(path: Path, count: int) -> None:
    """A fused chair of so many points."""
    parts = FAMILIES["chair"][0](np.random.default_rng(FIRST_HELD_OUT_SEED))
    shape = assemble("chair", parts)
    caster = RayCaster(shape.vertices, shape.faces)
    pixels = len(see(caster, VIEW_SIZE))
    cloud = see(caster, int(VIEW_SIZE * (1.05 * count / pixels) ** 0.5) + 1)
    write_ply(path, cloud.subsample(count, torch.Generator().manual_seed(0)))


def timed(command: list[str]) -> tuple[float, str]:
    begin = time.perf_counter()
    done = subprocess.run(command, env=environment(), stdout=subprocess.PIPE, text=True, check=True)
    return time.perf_counter() - begin, done.stdout


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(Path(img2pc.__file__).parents[1])}


def proportional_memory(process: int) -> int:
    """Bytes held by a process and all below it, shared pages counted once; 0 if not on Linux."""
    folder = Path("/proc") / str(process)
    try:
        rollup = (folder / "smaps_rollup").read_text()
        children = (folder / "task" / str(process) / "children").read_text().split()
    except OSError:  # it ended, or there is no such thing here
        return 0
    held = 1024 * int(rollup.split("\nPss:")[1].split()[0])
    return held + sum(proportional_memory(int(child)) for child in children)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=("shapes", "predicted", "speed"))
    parser.add_argument("--objects", type=int, default=36, help="six clouds each, or pictures")
    parser.add_argument("--benchmark", type=Path, help="pictures NAME.png with NAME.ply")
    parser.add_argument("--meshes", type=Path, help="a folder of meshes for every other object")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    logging.getLogger("img2pc").propagate = False
    if arguments.part == "shapes":
        measure_shapes(arguments.objects, arguments.meshes)
    elif arguments.part == "predicted":
        if arguments.benchmark is None:
            parser.error("predicted needs --benchmark")
        measure_predicted(arguments.benchmark, arguments.objects)
    else:
        measure_speed(arguments.repeats)


if __name__ == "__main__":
    main()
