"""Where the error is: by stance, thickness, visibility and category; what oracles would mend.

    python tests/benchmarks/errors.py --meshes MESHES --benchmark BENCHMARK [--objects 60]

Held-out procedural shapes, `test` meshes and a benchmark folder, from fixed seeds; Markdown tables.
Distances ×100 of the diagonal, shares in %. P and R are precision and recall within 2 %. The truth
is 8,192 points spread over all faces, inner ones included. An oracle replaces a part of the
prediction by the truth: what F-score it gains is what that part costs.

Thickness is the way from a point inwards to the next surface, an inner one too; the side of a fixed
camera that sees the point is out, and where nothing lies inwards (sheets) it is 0. "Seen" is by the
photographer, "hidden" by a fixed camera only, "inner" by none.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree
from torch.nn import functional

from img2pc.cameras import fixed_cameras
from img2pc.data.dataset import FIRST_HELD_OUT_SEED
from img2pc.data.families import FAMILIES
from img2pc.data.mesh_folder import list_meshes, load_mesh
from img2pc.data.pictures import PhotographSettings, photograph
from img2pc.data.ray_caster import RayCaster, cast_views
from img2pc.data.shapes import Shape, assemble
from img2pc.data.solids import rotation
from img2pc.errors import BadInputError
from img2pc.evaluation import list_cases
from img2pc.fusion import fuse
from img2pc.metrics import mask_iou
from img2pc.printability import sample_surface
from img2pc.reconstruction import Reconstructor
from img2pc.views import Views

POINTS = 8192
ELEVATIONS, FIELDS = (-10, 5, 20, 35, 50), (20, 45, 70)
BANDS = (("< 2 %", 0.02), ("2–5 %", 0.05), ("5–10 %", 0.10), ("> 10 %", np.inf))
SIDES = ("seen", "hidden", "inner")
WIDE_PIXELS = 8.0  # errors wider than this are of proportions and poses, narrower ones are noise
Points = np.ndarray
Rows = dict[str, list[list[float]]]


class Subject(NamedTuple):
    """A shape and the truth about it, in the object frame."""

    category: str
    shape: Shape
    caster: RayCaster
    views: Views
    points: Points
    normals: Points


class Tables:
    """Markdown tables, printed as they are added and kept for JSON."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    def add(self, title: str, headings: list[str], rows: list[list[Any]]) -> None:
        self.kept[title] = {"headings": headings, "rows": rows}
        print(f"\n{title}\n\n| {' | '.join(headings)} |\n|{'---|' * len(headings)}")
        for row in rows:
            cells = [f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in row]
            print(f"| {' | '.join(cells)} |", flush=True)


# --- Subjects and pictures of them ----------------------------------------------------------------


def held_out_shapes(count: int) -> Iterator[Shape]:
    weights = np.array([weight for _, weight in FAMILIES.values()], dtype=float)
    for index in range(count):
        rng = np.random.default_rng([FIRST_HELD_OUT_SEED, index])
        name = str(rng.choice(list(FAMILIES), p=weights / weights.sum()))
        yield assemble(name, FAMILIES[name][0](rng))


def mesh_shapes(folder: Path, count: int) -> Iterator[Shape]:
    files = list_meshes(folder, "test")
    for index in np.linspace(0, len(files) - 1, min(count, len(files))).astype(int):
        yield load_mesh(files[index])


def subject_of(shape: Shape, seed: int, view_size: int) -> Subject:
    """The shape turned about the vertical by chance, as training turns it."""
    # Not the numbers that drew the shape: their first one chose its family.
    turn = rotation("y", np.random.default_rng([FIRST_HELD_OUT_SEED, seed, 1]).uniform(0, 360))
    shape = replace(shape, vertices=shape.vertices @ turn.T)
    caster = RayCaster(shape.vertices, shape.faces)
    views = cast_views(caster, fixed_cameras(view_size))
    points, normals = sample_surface(shape.vertices, shape.faces, POINTS)
    return Subject(shape.category, shape, caster, views, points, normals)


def predicted(
    subject: Subject, reconstructor: Reconstructor, seed: int, elevation: float, field: float
) -> Views:
    settings = PhotographSettings((elevation, elevation), (field, field))
    size, rng = reconstructor.info.config.image_size, np.random.default_rng(seed)
    crop = photograph(subject.shape, subject.caster, size, rng, settings)
    views = reconstructor.views(torch.from_numpy(crop.copy())[None])
    return Views(views.coordinates[0], views.mask_logits[0])


def photographer(elevation: float, field: float) -> Points:
    """Where `photograph` stands."""
    distance = 0.5 / np.sin(np.radians(field) / 2)
    angle = np.radians(elevation)
    return distance * np.array([0.0, np.sin(angle), np.cos(angle)])


def draw_stance(seed: int) -> tuple[float, float]:
    """Elevation and field of view, as training draws them."""
    rng, settings = np.random.default_rng([seed, 1]), PhotographSettings()
    return (
        float(rng.uniform(*settings.elevation_degrees)),
        float(rng.uniform(*settings.field_of_view_degrees)),
    )


# --- Measures -------------------------------------------------------------------------------------


def cloud_of(views: Views) -> Points:
    return fuse(views, fixed_cameras(views.depth.shape[-1])).points.double().numpy()


def distances(points: Points, truth: Points) -> tuple[Points, Points]:
    if not len(points):
        return np.ones(1), np.ones(len(truth))
    return cKDTree(truth).query(points)[0], cKDTree(points).query(truth)[0]


SCORES = ["pred→GT", "GT→pred", "P", "R", "F@1%", "F@2%"]


def scores(points: Points, truth: Points) -> list[float]:
    there, back = distances(points, truth)
    f_scores = []
    for threshold in (0.01, 0.02):
        precision, recall = (there < threshold).mean(), (back < threshold).mean()
        f_scores.append(200 * precision * recall / max(precision + recall, 1e-12))
    shares = [100 * (there < 0.02).mean(), 100 * (back < 0.02).mean()]
    return [100 * there.mean(), 100 * back.mean(), *shares, *f_scores]


def mean_rows(rows: Rows) -> list[list[Any]]:
    return [[name, *map(float, np.mean(values, 0))] for name, values in rows.items()]


def free_towards(subject: Subject, points: Points, towards: Points) -> Points:
    """Whether nothing lies between points and a far place."""
    way = towards - points
    unit = way / np.linalg.norm(way, axis=-1, keepdims=True)
    begin = (points + 1e-3 * unit).astype(np.float32)
    free: Points = ~subject.caster.occluded(begin, np.ascontiguousarray(unit, np.float32))
    return free


def sides_and_thickness(subject: Subject, centre: Points) -> tuple[Points, Points]:
    """For each true point an index into SIDES, and the thickness there."""
    points, outwards = subject.points, subject.normals.copy()
    seen_fixed = np.zeros(len(points), dtype=bool)
    for forward in fixed_cameras(1).forward.double().numpy():
        free = free_towards(subject, points, points - forward)
        facing = -(subject.normals @ forward)
        outwards[free & ~seen_fixed] = (np.sign(facing)[:, None] * subject.normals)[
            free & ~seen_fixed
        ]
        seen_fixed |= free
    seen = free_towards(subject, points, centre)
    side = np.where(seen, 0, np.where(seen_fixed, 1, 2))
    begin = (points - 1e-4 * outwards).astype(np.float32)
    hits = subject.caster.first_hits(begin, np.ascontiguousarray(-outwards, np.float32))
    return side, np.where(hits.face >= 0, hits.distance, 0.0)


# --- Oracles --------------------------------------------------------------------------------------


def with_depth(views: Views, depth: torch.Tensor) -> Views:
    return views._replace(coordinates=torch.cat([views.coordinates[..., :2], depth[..., None]], -1))


def oracles(ours: Views, true: Views) -> Iterator[tuple[str, Views]]:
    """Views with a part of the prediction replaced by the truth."""
    seen = true.mask_logits > 0
    yield "as it is", ours
    yield "true masks", ours._replace(mask_logits=true.mask_logits)
    inside = torch.where(seen, ours.mask_logits, -torch.inf)
    yield "pixels outside the true masks dropped", ours._replace(mask_logits=inside)
    yield (
        "true depth inside the true masks",
        with_depth(ours, torch.where(seen, true.depth, ours.depth)),
    )
    error = torch.where(seen, ours.depth - true.depth, 0)
    weight = seen.float()
    mean = error.sum((1, 2), keepdim=True) / weight.sum((1, 2), keepdim=True).clamp(min=1)
    yield "mean depth error of each view removed", with_depth(ours, ours.depth - mean * weight)
    wide = blurred(error) / blurred(weight).clamp(min=1e-6) * weight
    yield "wide depth errors removed", with_depth(ours, ours.depth - wide)
    yield "narrow depth errors removed", with_depth(ours, ours.depth - (error - wide))
    near = fixed_cameras(1).forward[:, 2] < 0  # these cameras stand on the photographer's side
    coordinates = torch.where(near[:, None, None, None], true.coordinates, ours.coordinates)
    logits = torch.where(near[:, None, None], true.mask_logits, ours.mask_logits)
    yield "the four views from the front true", Views(coordinates, logits)
    yield "all views true", true


def blurred(maps: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(gaussian_filter(maps.numpy(), (0, WIDE_PIXELS, WIDE_PIXELS)))


def median_smoothed(views: Views, size: int) -> Views:
    """Each depth the median of those around it inside the mask."""
    depth = functional.pad(
        torch.where(views.mask, views.depth, torch.nan), (size // 2,) * 4, value=torch.nan
    )
    patches = depth.unfold(1, size, 1).unfold(2, size, 1)[views.mask].flatten(1)
    smooth = views.depth.clone()
    smooth[views.mask] = patches.nanmedian(1).values
    return with_depth(views, smooth)


def aligned(points: Points, truth: Points, by_axis: bool, steps: int = 10) -> Points:
    """Points after shift and scale (and a turn about x, or a scale for each axis) to the truth.

    Closest points both ways, reweighted to the least sum of distances; a local best.
    """
    few, few_true, tree = points[::10], truth[::4], cKDTree(truth)
    matrix, shift = np.eye(3), np.zeros(3)
    for _ in range(steps):
        moved = few @ matrix.T + shift
        there, true_index = tree.query(moved)
        back, index = cKDTree(moved).query(few_true)
        source = np.concatenate([few, few[index]])
        target = np.concatenate([truth[true_index], few_true])
        weight = 1 / (np.concatenate([there, back]) + 0.01)
        middle = np.average(source, 0, weight)
        a, b = source - middle, target - np.average(target, 0, weight)
        if by_axis:
            matrix = np.diag((weight @ (a * b)) / (weight @ a**2))
        else:
            sine = weight @ (a[:, 1] * b[:, 2] - a[:, 2] * b[:, 1])
            cosine = weight @ (a[:, 1] * b[:, 1] + a[:, 2] * b[:, 2])
            turn = rotation("x", np.degrees(np.arctan2(sine, cosine)))
            matrix = turn * (weight @ ((a @ turn.T) * b).sum(-1)) / (weight @ (a**2).sum(-1))
        shift = np.average(target, 0, weight) - middle @ matrix.T
    return points @ matrix.T + shift


def of_points_alone(ours: Views, truth: Points) -> dict[str, list[float]]:
    """Oracles that need true points only."""
    cloud = cloud_of(ours)
    rows = {"as it is": scores(cloud, truth)}
    if len(cloud) > 100:
        rows["best shift, scale and turn about x"] = scores(aligned(cloud, truth, False), truth)
        rows["best shift and scale of each axis"] = scores(aligned(cloud, truth, True), truth)
    for size in (3, 5):
        smooth = cloud_of(median_smoothed(ours, size))
        rows[f"depth smoothed, median {size}×{size}"] = scores(smooth, truth)
    return rows


# --- Tables ---------------------------------------------------------------------------------------


def measure_shapes(
    name: str, subjects: list[Subject], reconstructor: Reconstructor, tables: Tables
) -> None:
    rows: Rows = defaultdict(list)
    by_category: Rows = defaultdict(list)
    parts, precise, bias = [], [], []
    for seed, subject in enumerate(subjects):
        stance = draw_stance(seed)
        try:
            ours, true = predicted(subject, reconstructor, seed, *stance), subject.views
        except BadInputError:  # too thin to be seen from there
            continue
        cloud = cloud_of(ours)
        side, thickness = sides_and_thickness(subject, photographer(*stance))
        if len(cloud):
            there, nearest = cKDTree(subject.points).query(cloud)
            precise.append(np.stack([side[nearest], there]))
        back = distances(cloud, subject.points)[1]
        ideal = distances(cloud_of(true), subject.points)[1]
        parts.append(np.stack([side, thickness, back, ideal]))
        for label, values in of_points_alone(ours, subject.points).items():
            rows[label].append(values)
        for label, views in oracles(ours, true):
            if label != "as it is":
                rows[label].append(scores(cloud_of(views), subject.points))
        outer = subject.points[side < 2]
        rows["all views true, inner points left out"].append(scores(cloud_of(true), outer))
        seen = true.mask_logits > 0
        error = torch.where(seen, ours.depth - true.depth, 0)
        by_view = 100 * error.sum((1, 2)) / seen.sum((1, 2)).clamp(min=1)
        bias.append(by_view.numpy())
        area = float(ours.mask.sum() / seen.sum().clamp(min=1))
        overlap = float(mask_iou(Views(*(v[None] for v in ours)), Views(*(v[None] for v in true))))
        f_score = scores(cloud, subject.points)[-1]
        for label in (subject.category, "all"):
            by_category[label].append([area, overlap, float(by_view.mean()), f_score])
    count = f"{name} ({len(subjects)})"
    tables.add(f"{count}: oracles", ["", *SCORES], mean_rows(rows))
    add_parts(count, np.concatenate(parts, 1), np.concatenate(precise, 1), tables)
    headings = ["", "n", "mask area ÷ true", "mask IoU", "depth bias", "F@2%"]
    table = [
        [label, len(values), *map(float, np.mean(values, 0))]
        for label, values in sorted(by_category.items(), key=lambda item: (item[0] == "all", item))
    ]
    tables.add(f"{count}: masks and depth by category", headings, table)
    views = [f"view {i}" for i in range(len(bias[0]))]
    table = [list(map(float, np.mean(bias, 0)))]
    tables.add(f"{count}: mean signed depth error", views, table)


def add_parts(count: str, parts: Points, precise: Points, tables: Tables) -> None:
    """True points by thickness and by side, predicted ones by the side of the nearest true one."""
    side, thickness, back, ideal = parts
    table: list[list[Any]] = []
    low = -1.0
    for label, high in (*BANDS, ("all", np.inf)):
        here = (thickness >= (low if label != "all" else -1)) & (thickness < high)
        low = high
        row: list[Any] = [label, 100 * here.mean(), 100 * back[here].mean()]
        row += [100 * (back[here] < 0.02).mean(), 100 * (ideal[here] < 0.02).mean()]
        row += [100 * (back[here & (side == i)] < 0.02).mean() for i in range(3)]
        table.append(row)
    headings = ["thickness", "share", "GT→pred", "R", "R of true views", *(f"R {s}" for s in SIDES)]
    tables.add(f"{count}: true points by thickness", headings, table)
    near_side, there = precise
    table = []
    for i, label in enumerate(SIDES):
        mine, true_mine = near_side == i, side == i
        row = [label, 100 * true_mine.mean(), 100 * back[true_mine].mean()]
        row += [100 * (back[true_mine] < 0.02).mean(), 100 * mine.mean()]
        row += [100 * there[mine].mean(), 100 * (there[mine] < 0.02).mean()]
        table.append(row)
    headings = ["side", "true points", "GT→pred", "R", "predicted points", "pred→GT", "P"]
    tables.add(f"{count}: by side", headings, table)


def measure_stances(
    name: str, subjects: list[Subject], reconstructor: Reconstructor, tables: Tables
) -> None:
    rows: Rows = defaultdict(list)
    for seed, subject in enumerate(subjects):
        elevation, field = draw_stance(seed)
        stances = {f"elevation {each}°": (float(each), field) for each in ELEVATIONS}
        stances |= {f"field of view {each}°": (elevation, float(each)) for each in FIELDS}
        for label, stance in stances.items():
            with suppress(BadInputError):  # too thin to be seen from there
                cloud = cloud_of(predicted(subject, reconstructor, seed, *stance))
                rows[label].append(scores(cloud, subject.points))
    tables.add(f"{name} ({len(subjects)}): by stance", ["", *SCORES], mean_rows(rows))


def measure_benchmark(
    folder: Path, count: int, reconstructor: Reconstructor, tables: Tables
) -> None:
    rows: Rows = defaultdict(list)
    total, cases = list_cases(folder, reconstructor.info, limit=count)
    for case in cases:
        views = reconstructor.views(torch.from_numpy(case.crop.copy())[None])
        ours = Views(views.coordinates[0], views.mask_logits[0])
        for label, values in of_points_alone(ours, case.points).items():
            rows[label].append(values)
    tables.add(f"benchmark ({total}): oracles", ["", *SCORES], mean_rows(rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, help="default: the shipped ones")
    parser.add_argument("--meshes", type=Path, help="a folder of meshes; its `test` split is used")
    parser.add_argument("--benchmark", type=Path, help="a folder of NAME.png and NAME.ply")
    parser.add_argument("--objects", type=int, default=60, help="of each set; half for stances")
    parser.add_argument("--json", type=Path, help="also write the tables here")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    begin = time.perf_counter()
    reconstructor, tables = Reconstructor.load(arguments.weights), Tables()
    sets = {"held-out": held_out_shapes(arguments.objects)}
    if arguments.meshes:
        sets["test meshes"] = mesh_shapes(arguments.meshes, arguments.objects)
    for name, shapes in sets.items():
        subjects = drawable(shapes, reconstructor)
        measure_shapes(name, subjects, reconstructor, tables)
        measure_stances(name, subjects[::2], reconstructor, tables)
    if arguments.benchmark:
        measure_benchmark(arguments.benchmark, arguments.objects, reconstructor, tables)
    print(f"\n{time.perf_counter() - begin:.0f} s")
    if arguments.json:
        arguments.json.write_text(json.dumps(tables.kept, indent=1, ensure_ascii=False))


def drawable(shapes: Iterator[Shape], reconstructor: Reconstructor) -> list[Subject]:
    """Without those too thin to be photographed."""
    subjects = []
    for seed, shape in enumerate(shapes):
        subject = subject_of(shape, seed, reconstructor.info.config.view_size)
        try:
            predicted(subject, reconstructor, seed, 20.0, 45.0)
        except BadInputError:
            continue
        subjects.append(subject)
    return subjects


if __name__ == "__main__":
    main()
