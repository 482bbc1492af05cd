"""Objects rendered to pictures and true views: drawn on the fly, or kept in memory-mapped shards.

An object is cast once at the fixed cameras; its pictures are taken from azimuths a quarter turn
apart, which only renumbers those views (cameras.views_after_quarter_turns).
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int32, Int64, UInt8, UInt16
from numpy import ndarray
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from img2pc.cameras import (
    OrthographicCameras,
    fixed_cameras,
    random_cameras,
    views_after_mirroring,
    views_after_quarter_turns,
)
from img2pc.data.families import FAMILIES
from img2pc.data.mesh_folder import MATERIALS, MeshFile, list_meshes, load_mesh
from img2pc.data.pictures import photograph
from img2pc.data.ray_caster import RayCaster, cast_depth
from img2pc.data.shapes import Shape, assemble, normalised
from img2pc.data.solids import rotation
from img2pc.errors import BadInputError, Img2pcError
from img2pc.files import write_errors, written_atomically
from img2pc.generator import GeneratorConfig
from img2pc.views import Views, views_from_depth
from img2pc.workers import Stop, begin_worker, interrupts_blocked

SHARD_OBJECTS = 64
_ATTEMPTS = 50
_STORED = ("pictures", "quarter_turns", "depth", "surface")
_STORED_NOVEL = ("novel_depth", "novel_cameras")
# Seeds from here on are never trained on: evaluation and the examples draw from them.
FIRST_HELD_OUT_SEED = 1_000_000


@dataclass(frozen=True)
class DataSettings:
    """What a data set is drawn from; the same settings and version of img2pc give the same data.

    Attributes:
        families: names to draw from; all of them if empty.
        mesh_folder: upright meshes to mix in, a share `mesh_share` of all objects.
        stretch: standard deviation of the log-scale that meshes are stretched by along each axis.
        in_order: take each mesh once, in order and unstretched, to measure on.
        novel_views: views of each object from random sides, to train stage 2 with.
    """

    seed: int = 0
    pictures_per_object: int = 2
    picture_size: int = 128
    view_size: int = 128
    families: tuple[str, ...] = ()
    mesh_folder: str | None = None
    mesh_split: str | None = "train"
    mesh_share: float = 0.4
    stretch: float = 0.15
    in_order: bool = False
    surface_points: int = 4096
    novel_views: int = 0
    novel_size: int = 64

    # What is drawn live answers as a ShardedDataset does.

    @property
    def hashes(self) -> tuple[str, ...]:
        return (repr(self),)

    @property
    def seeds(self) -> tuple[int, ...]:
        return (self.seed,)

    @property
    def has_novel_views(self) -> bool:
        return self.novel_views > 0


@dataclass(frozen=True)
class RenderedObject:
    """One object: its views, its pictures and points on its surface (object frame at turn 0).

    Depths are 0 for background, else 1 + 65534 · (depth - 0.5).

    Attributes:
        novel_cameras: camera_from_object of each novel view.
    """

    category: str
    pictures: UInt8[Tensor, "picture size size 4"]
    quarter_turns: UInt8[Tensor, "picture"]
    depth: UInt16[Tensor, "8 height width"]
    surface: Float[Tensor, "point 3"]
    novel_depth: UInt16[Tensor, "novel novel_height novel_width"]
    novel_cameras: Float[Tensor, "novel 4 4"]


@dataclass(frozen=True)
class Batch:
    """Pictures and what the generator should make of them, as compact as they are stored."""

    crops: UInt8[Tensor, "batch size size 4"]
    depth: UInt16[Tensor, "batch 8 height width"]
    quarter_turns: UInt8[Tensor, "batch"]
    mirrored: bool = False
    novel_depth: UInt16[Tensor, "batch novel novel_height novel_width"] | None = None
    novel_cameras: Float[Tensor, "batch novel 4 4"] | None = None

    def to(self, device: torch.device) -> Batch:
        return self._changed(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Batch:
        """In memory that a GPU copies from while it computes; a DataLoader asks for it."""
        return self._changed(Tensor.pin_memory)

    def _changed(self, change: Callable[[Tensor], Tensor]) -> Batch:
        changed: dict[str, Any] = {
            name: change(each) for name, each in vars(self).items() if isinstance(each, Tensor)
        }
        return replace(self, **changed)

    def pictures(self) -> UInt8[Tensor, "batch size size 4"]:
        return self.crops.flip(2) if self.mirrored else self.crops

    def views(self) -> Views:
        """The views that the pictures should give, exact to 1/65534 of the depth range."""
        chosen = _view_orders(self.mirrored, self.depth.device)[self.quarter_turns.long()]
        items = torch.arange(len(self.depth), device=self.depth.device)[:, None]
        # In int32: torch has few operators for uint16.
        ordered = self.depth.to(torch.int32)[items, chosen]
        return views_from_stored(ordered.flip(-1) if self.mirrored else ordered)

    def novel_views(self) -> tuple[Views, OrthographicCameras]:
        """What the cameras of stage 2 see of the object in the frame of its picture.

        Raises:
            BadInputError: the data set was made without novel views.
        """
        if self.novel_depth is None or self.novel_cameras is None or not self.novel_depth.numel():
            raise BadInputError("the data has no novel views; make it with --novel-views 5")
        depth, cameras = self.novel_depth.to(torch.int32), self.novel_cameras
        turns = torch.eye(4).repeat(4, 1, 1)
        turns[:, :3, :3] = torch.tensor(np.stack([rotation("y", 90.0 * i) for i in range(4)]))
        object_from_turned = turns.mT.to(cameras)[self.quarter_turns.long()]
        camera_from_turned = cameras @ object_from_turned[:, None]
        if self.mirrored:
            # The mirrored object seen by the mirrored camera is the image flipped.
            flip = torch.diag(torch.tensor([-1.0, 1.0, 1.0, 1.0])).to(cameras)
            camera_from_turned, depth = flip @ camera_from_turned @ flip, depth.flip(-1)
        return views_from_stored(depth), OrthographicCameras(camera_from_turned, depth.shape[-1])


def render_object(
    settings: DataSettings,
    index: int,
    unusable: Callable[[BadInputError], None] = lambda error: None,
) -> RenderedObject:
    """The object of that index; a shape that cannot be drawn is replaced by the next draw, a mesh
    that cannot be read by another one. `unusable` is told of those.

    Raises:
        BadInputError: there are no meshes where the settings look for them, or hardly any that can
            be read; or `in_order`, and the mesh cannot be drawn.
    """
    if settings.mesh_folder:
        _meshes(settings.mesh_folder, settings.mesh_split)
    for attempt in range(_ATTEMPTS):
        rng = np.random.default_rng([settings.seed, index, attempt])
        shape = _draw_shape(settings, index, rng, unusable)
        try:
            return _render(shape, settings, rng)
        except BadInputError as error:  # too thin to be seen from there
            if settings.in_order:
                raise
            reason = error
    raise BadInputError(f"no shape could be drawn in {_ATTEMPTS} attempts; the last: {reason}")


def _draw_shape(
    settings: DataSettings,
    index: int,
    rng: np.random.Generator,
    unusable: Callable[[BadInputError], None] = lambda error: None,
) -> Shape:
    if settings.mesh_folder and settings.in_order:
        shape = load_mesh(_meshes(settings.mesh_folder, settings.mesh_split)[index])
    elif settings.mesh_folder and rng.random() < settings.mesh_share:
        meshes = _meshes(settings.mesh_folder, settings.mesh_split)
        shape = _readable_mesh(meshes, rng, unusable)
        stretch = np.exp(rng.normal(0, settings.stretch, 3))
        # As of the families, what is round often stays so; and some meshes are as they are.
        kept = rng.random()
        stretch[2] = stretch[0] if kept < 0.75 else stretch[2]
        stretch = np.ones(3) if kept < 0.25 else stretch
        numbers = rng.integers(len(MATERIALS), size=len(shape.materials))
        materials = tuple(MATERIALS[number] for number in numbers)
        vertices = normalised(shape.vertices * stretch)
        shape = replace(shape, vertices=vertices, materials=materials)
    else:
        names = settings.families or tuple(FAMILIES)
        weights = np.array([FAMILIES[name][1] for name in names], dtype=float)
        name = names[rng.choice(len(names), p=weights / weights.sum())]
        shape = assemble(name, FAMILIES[name][0](rng))
    turn = rotation("y", rng.uniform(0, 360))
    return replace(shape, vertices=shape.vertices @ turn.T)


def _readable_mesh(
    meshes: list[MeshFile], rng: np.random.Generator, unusable: Callable[[BadInputError], None]
) -> Shape:
    for _ in range(_ATTEMPTS):
        try:
            return load_mesh(meshes[rng.integers(len(meshes))])
        except BadInputError as error:
            unusable(error)
            reason = error
    raise BadInputError(f"no mesh could be read in {_ATTEMPTS} attempts; the last: {reason}")


@cache
def _meshes(folder: str, split: str | None) -> list[MeshFile]:
    return list_meshes(Path(folder), split)


def _render(shape: Shape, settings: DataSettings, rng: np.random.Generator) -> RenderedObject:
    caster = RayCaster(shape.vertices, shape.faces)
    depth = cast_depth(caster, fixed_cameras(settings.view_size))
    turns = rng.permutation(4)[: settings.pictures_per_object]
    pictures = [
        photograph(shape, caster, settings.picture_size, rng, azimuth_degrees=-90.0 * turn)
        for turn in turns
    ]
    surface = torch.from_numpy(sample_surface(shape, settings.surface_points, rng)).half()
    generator = torch.Generator().manual_seed(int(rng.integers(1 << 62)))
    novel = random_cameras(settings.novel_views, settings.novel_size, generator)
    return RenderedObject(
        shape.category,
        torch.from_numpy(np.stack(pictures)),
        torch.from_numpy(turns.astype(np.uint8)),
        _stored(depth),
        surface,
        _stored(cast_depth(caster, novel)),
        novel.camera_from_object,
    )


def _stored(depth: Float[Tensor, "view height width"]) -> UInt16[Tensor, "view height width"]:
    """Depth maps, infinite on the background, as they are stored."""
    quantised = torch.where(depth.isfinite(), 1 + 65534 * (depth - 0.5).clamp(0, 1), 0).round()
    return quantised.to(torch.int32).to(torch.uint16)


def views_from_stored(depth: Int32[Tensor, "*batch view height width"]) -> Views:
    """Views of stored depth maps, exact to 1/65534 of the depth range."""
    seen = depth > 0
    metric = torch.where(seen, 0.5 + (depth.float() - 1) / 65534, 1.0)
    return views_from_depth(metric, torch.where(seen, torch.inf, -torch.inf))


def sample_surface(shape: Shape, count: int, rng: np.random.Generator) -> Float[ndarray, "count 3"]:
    """Points drawn uniformly by area from all faces, inner ones included."""
    a, b, c = (shape.vertices[shape.faces[:, i]] for i in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=-1)
    face = rng.choice(len(area), size=count, p=area / area.sum())
    u, v = rng.random((2, count, 1))
    u, v = np.where(u + v > 1, (1 - u, 1 - v), (u, v))
    points: ndarray = a[face] + u * (b - a)[face] + v * (c - a)[face]
    return points


@cache
def _view_orders(mirrored: bool, device: torch.device) -> Int64[Tensor, "4 8"]:
    """Kept on the device: a copy in each step would wait for all the GPU has to do."""
    order = torch.tensor([views_after_quarter_turns(turns) for turns in range(4)])
    return (order[:, torch.tensor(views_after_mirroring())] if mirrored else order).to(device)


def turned_points(
    points: Float[ndarray, "point 3"], quarter_turns: int
) -> Float[ndarray, "point 3"]:
    """Object-frame points of an object after quarter turns about +Y (from +Z to +X)."""
    turned: ndarray = points @ rotation("y", 90.0 * quarter_turns).T
    return turned


# --- Shards ---------------------------------------------------------------------------------------


def write_shards(
    folder: Path,
    settings: DataSettings,
    objects: int,
    workers: int,
    stop: Stop | None = None,
    unusable: Callable[[str], None] = lambda reason: None,
) -> Iterator[int]:
    """Render objects into shards, skipping those that exist; yields objects done, shard by shard.

    A shard appears only when it is whole, so an interrupted run goes on where it stopped. `stop`
    ends it after the shards at hand, or at once where the workers are ended too. `unusable` is told
    once of each mesh that cannot be read; others take its place.

    Raises:
        BadInputError: there are no meshes where the settings look for them, or the folder holds a
            data set with other settings or cannot be written.
    """
    if settings.mesh_folder:
        _meshes(settings.mesh_folder, settings.mesh_split)
    with write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        _keep_settings(folder, settings)
    starts = range(0, objects, SHARD_OBJECTS)
    missing = [
        start
        for start in starts
        if _objects_in(_shard_path(folder, start)) < min(SHARD_OBJECTS, objects - start)
    ]
    done = objects - sum(min(SHARD_OBJECTS, objects - start) for start in missing)
    yield done
    if sys.platform == "win32":
        workers = min(workers, 61)  # concurrent.futures takes no more there
    with ProcessPoolExecutor(workers, get_context("spawn"), begin_worker) as pool:
        told: set[str] = set()
        try:
            with interrupts_blocked():
                jobs = {
                    pool.submit(
                        _write_shard, folder, settings, start, min(objects, start + SHARD_OBJECTS)
                    ): start
                    for start in missing
                }
            for job in as_completed(jobs):
                for reason in job.result():
                    if reason not in told:
                        unusable(reason)
                    told.add(reason)
                done += min(SHARD_OBJECTS, objects - jobs[job])
                yield done
                if stop is not None and stop.asked:
                    break
        except BrokenProcessPool as error:
            if stop is not None and stop.is_asked_by_now():  # SIGTERM was for the workers too
                return
            raise Img2pcError(
                "a process that drew objects was killed, perhaps for want of memory; the same "
                "command goes on"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _keep_settings(folder: Path, settings: DataSettings) -> None:
    path = folder / "settings.json"
    text = json.dumps(asdict(settings), indent=1)
    if path.exists() and path.read_text() != text:
        raise BadInputError(f"{folder} holds a data set with other settings; choose another folder")
    if not path.exists():
        with written_atomically(path) as temporary:
            temporary.write_text(text)


def _shard_path(folder: Path, start: int) -> Path:
    return folder / f"objects-{start:07d}.safetensors"


def _objects_in(shard: Path) -> int:
    """0 if there is no such shard or it is damaged; the last one of a smaller data set holds too
    few."""
    try:
        with safe_open(shard, framework="pt") as file:
            return len(json.loads(file.metadata()["categories"]))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return 0


def _write_shard(folder: Path, settings: DataSettings, start: int, stop: int) -> list[str]:
    """Returns what was wrong with the meshes that could not be read."""
    torch.set_num_threads(1)
    unusable: list[str] = []
    rendered = [
        render_object(settings, index, lambda error: unusable.append(str(error)))
        for index in range(start, stop)
    ]
    tensors = {
        name: torch.stack([getattr(each, name) for each in rendered])
        for name in (*_STORED, *(_STORED_NOVEL if settings.novel_views else ()))
    }
    header = {"categories": json.dumps([each.category for each in rendered])}
    with written_atomically(_shard_path(folder, start)) as temporary:
        temporary.write_bytes(save(tensors, header))
    return unusable


class ShardedDataset(torch.utils.data.Dataset[Batch]):
    """The pictures of folders of shards, memory-mapped, made into batches.

    Item i is picture i % P of object i // P, folder after folder.

    Attributes:
        hashes, seeds, splits: of each folder: its settings and size, and what it was drawn from.
        has_novel_views: as many of each object, so that any batch has them.
        pinned: make batches in memory that a GPU copies from while it computes. It is also used
            again: fresh memory takes four times as long to fill.
    """

    pinned = False

    def __init__(self, *folders: Path) -> None:
        self._folders = folders
        self._opened: dict[tuple[Path, int], tuple[dict[str, Tensor], list[str]]] = {}
        self.grow()

    def grow(self) -> None:
        """Take the folders as they are now; only shards that are new are opened.

        Raises:
            BadInputError: one holds no data set or a damaged one, or they do not fit together.
        """
        self._shards: list[dict[str, Tensor]] = []
        self.categories: list[str] = []
        hashes: list[str] = []
        seeds: list[int] = []
        splits: list[str | None] = []
        for folder in self._folders:
            paths = sorted(folder.glob("objects-*.safetensors"))
            if not paths:
                raise BadInputError(f"{folder} holds no data set; make one with `img2pc data`")
            before = len(self.categories)
            for path in paths:
                tensors, categories = self._open(path)
                self._shards.append(tensors)
                self.categories += categories
            try:
                settings = (folder / "settings.json").read_text()
                described = f"{settings} {len(self.categories) - before} objects"
                drawn = json.loads(settings)
                seeds.append(int(drawn["seed"]))
                splits.append(drawn["mesh_split"] if drawn["mesh_folder"] else None)
            except OSError as error:
                raise BadInputError(f"the data set in {folder} is damaged: {error}") from error
            except (ValueError, KeyError, TypeError) as error:
                raise BadInputError(f"{folder / 'settings.json'} is damaged") from error
            hashes.append(hashlib.sha256(described.encode()).hexdigest()[:16])
        shapes = {
            (*shard["pictures"].shape[1:3], shard["depth"].shape[-1]) for shard in self._shards
        }
        if len(shapes) != 1:
            raise BadInputError(
                "the data sets differ in pictures per object or in resolution; make them with the "
                "same --pictures and --size"
            )
        self.pictures_per_object, self.picture_size, self.view_size = map(int, shapes.pop())
        self.hashes, self.seeds, self.splits = tuple(hashes), tuple(seeds), tuple(splits)
        self._first = np.cumsum([0, *(len(shard["pictures"]) for shard in self._shards)])
        absent = torch.empty(0)
        novel = {shard.get("novel_depth", absent).shape[1:] for shard in self._shards}
        self.has_novel_views = len(novel) == 1 and any(novel)

    def _open(self, path: Path) -> tuple[dict[str, Tensor], list[str]]:
        """The tensors of a shard and the categories of its objects."""
        try:
            # One made anew, because the set has grown, is another file.
            key = (path, path.stat().st_ino)
            if key not in self._opened:
                with safe_open(path, framework="pt") as shard:
                    categories = json.loads(shard.metadata()["categories"])
                self._opened[key] = (load_file(path), categories)
            return self._opened[key]
        except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
            raise BadInputError(f"the shard {path} is damaged: {error}") from error

    def __len__(self) -> int:
        return len(self.categories) * self.pictures_per_object

    def __getitem__(self, items_and_mirrored: tuple[Sequence[int], bool]) -> Batch:
        items, mirrored = items_and_mirrored
        rows = [self._row(item) for item in items]
        return Batch(
            self._stacked([shard["pictures"][row, picture] for shard, row, picture in rows]),
            self._stacked([shard["depth"][row] for shard, row, _ in rows]),
            self._stacked([shard["quarter_turns"][row, picture] for shard, row, picture in rows]),
            mirrored,
            **{
                name: self._stacked([shard[name][row] for shard, row, _ in rows])
                for name in (_STORED_NOVEL if self.has_novel_views else ())
            },
        )

    def _stacked(self, tensors: list[Tensor]) -> Tensor:
        if not self.pinned:
            return torch.stack(tensors)
        shape, kind = (len(tensors), *tensors[0].shape), tensors[0].dtype
        return torch.stack(tensors, out=torch.empty(shape, dtype=kind, pin_memory=True))

    def surface(self, item: int) -> Float[ndarray, "point 3"]:
        """Points on the surface of the item's object, in the object frame of its picture."""
        shard, row, picture = self._row(item)
        points = shard["surface"][row].double().numpy()
        return turned_points(points, int(shard["quarter_turns"][row, picture]))

    def category(self, item: int) -> str:
        return self.categories[item // self.pictures_per_object]

    def _row(self, item: int) -> tuple[dict[str, Tensor], int, int]:
        index, picture = divmod(item, self.pictures_per_object)
        shard = int(np.searchsorted(self._first, index, side="right")) - 1
        return self._shards[shard], index - int(self._first[shard]), picture


def check_sizes(data: DataSettings | ShardedDataset, config: GeneratorConfig) -> None:
    """Raises BadInputError unless pictures and views have the sizes that the generator has."""
    sizes = (data.picture_size, data.view_size)
    if sizes != (config.image_size, config.view_size):
        raise BadInputError(
            f"the data has pictures of {sizes[0]} and views of {sizes[1]} pixels, the generator "
            f"takes {config.image_size} and makes {config.view_size}; make it with the same --size"
        )


class LiveDataset(torch.utils.data.IterableDataset[list[RenderedObject]]):
    """Lots of consecutive objects drawn on the fly, without end, each rank its own.

    A DataLoader takes them from its workers in turn, so that it gives the same with any number.
    """

    def __init__(
        self,
        settings: DataSettings,
        objects: int,
        first_lot: int = 0,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        self._settings, self._objects = settings, objects
        self._first, self._rank, self._ranks = first_lot, rank, ranks

    def __iter__(self) -> Iterator[list[RenderedObject]]:
        worker = torch.utils.data.get_worker_info()
        number, workers = (0, 1) if worker is None else (worker.id, worker.num_workers)
        lot = self._first + number
        while True:
            start = (lot * self._ranks + self._rank) * self._objects
            indices = range(start, start + self._objects)
            yield [render_object(self._settings, index) for index in indices]
            lot += workers


def batch_of_objects(rendered: list[RenderedObject]) -> Batch:
    """All pictures of some objects as one batch."""
    turns = torch.cat([each.quarter_turns for each in rendered])
    counts = torch.tensor([len(each.quarter_turns) for each in rendered])

    def repeated(depth: list[Tensor]) -> Tensor:
        # In int32: torch has few operators for uint16.
        whole = torch.stack(depth).to(torch.int32)
        return whole.repeat_interleave(counts, 0).to(torch.uint16)

    return Batch(
        torch.cat([each.pictures for each in rendered]),
        repeated([each.depth for each in rendered]),
        turns,
        novel_depth=repeated([each.novel_depth for each in rendered]),
        novel_cameras=torch.stack([each.novel_cameras for each in rendered]).repeat_interleave(
            counts, 0
        ),
    )
