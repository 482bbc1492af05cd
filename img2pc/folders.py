"""A folder of pictures: which there are, what each becomes, and what is done already."""

from __future__ import annotations

import os
import stat
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from img2pc.choices import CLOUD_SUFFIXES, MESH_SUFFIXES
from img2pc.errors import BadInputError
from img2pc.files import by_name, exists, is_file

PICTURE_FORMATS = (
    *("apng", "avif", "bmp", "dib", "gif", "heic", "heics", "heif", "hif", "j2c", "j2k", "jfif"),
    *("jp2", "jpc", "jpe", "jpeg", "jpf", "jpg", "jpx", "mpo", "pbm", "pgm", "png", "pnm", "ppm"),
    *("psd", "tga", "tif", "tiff", "webp"),
)
# Of the PNGs that img2pc writes (PNG specification, sec. 11.3.4: textual information).
MARK = ("Software", "img2pc")
GIF_MARK = b"drawn by img2pc"  # a comment of its GIFs
CLOUD_MARK = b"\ncomment img2pc"  # of the PLYs (pointclouds.encode_ply)
MESH_MARK = b"mesh by img2pc"  # in a header or a comment (mesh_files.encode_mesh)
PREVIEW_ENDING, MASK_ENDING = "_preview.png", "_mask.png"


@dataclass(frozen=True)
class Targets:
    """Where results go: folders that mirror the folder of pictures; of one picture, files.

    Attributes:
        clouds: PLY files; meshes lie beside them. None: beside their pictures.
        mesh_suffix: of the meshes, if any are wanted; not .ply.
    """

    clouds: Path | None
    mesh_suffix: str | None = None
    previews: Path | None = None
    masks: Path | None = None

    @property
    def folders(self) -> tuple[Path, ...]:
        return tuple(each for each in (self.clouds, *self.drawn) if each is not None)

    @property
    def drawn(self) -> tuple[Path, ...]:
        """Where pictures of ours go."""
        return tuple(each for each in (self.previews, self.masks) if each is not None)


@dataclass(frozen=True)
class GivenMasks:
    """A folder of masks that mirrors the folder of pictures."""

    folder: Path
    known: dict[str, Path]

    @classmethod
    def read(cls, folder: Path) -> GivenMasks:
        """The masks that the folder holds; those that img2pc drew are masks as well.

        Raises:
            BadInputError: the folder cannot be read.
        """
        known: dict[str, Path] = {}
        for mask in _pictures(folder, set(), with_ours=True)[0]:
            place = mask.relative_to(folder)
            known.setdefault(_on_any_disk(place.with_suffix("")), mask)
            known[_on_any_disk(place)] = mask
        return cls(folder, known)

    def of(self, place: Path, stem: Path) -> Path:
        """The mask of a picture by its place in its folder, and by what its results are called.

        That of `a.jpg` is `a_mask.png`, the name that saved masks have, or else `a.jpg` or `a.png`,
        of whatever format. Where there is none, the first of these.
        """
        saved = stem.with_name(stem.name + MASK_ENDING)
        names = (saved, saved.with_suffix(""), place, stem)
        found = (self.known.get(_on_any_disk(name)) for name in names)
        return next((mask for mask in found if mask is not None), self.folder / saved)


@dataclass(frozen=True)
class Job:
    """One picture and the files that it becomes.

    Attributes:
        given_mask: no result, but what shows where the object is.
    """

    picture: Path
    cloud: Path | None
    mesh: Path | None = None
    preview: Path | None = None
    mask: Path | None = None
    given_mask: Path | None = None

    @property
    def outputs(self) -> tuple[Path, ...]:
        wanted = (self.cloud, self.mesh, self.preview, self.mask)
        return tuple(path for path in wanted if path is not None)

    @property
    def is_done(self) -> bool:
        """Whether every output is a file and no older than the picture and its mask."""
        inputs = (self.picture, self.given_mask)
        try:
            changed = max(path.stat().st_mtime_ns for path in inputs if path is not None)
            found = [path.stat() for path in self.outputs]
        except OSError:
            return False
        return all(stat.S_ISREG(one.st_mode) and one.st_mtime_ns >= changed for one in found)

    def absolute(self) -> Job:
        """The same files, from whatever folder they are looked for."""
        paths = ((field.name, getattr(self, field.name)) for field in fields(self))
        return replace(self, **{name: path.absolute() for name, path in paths if path is not None})


@dataclass(frozen=True)
class Listing:
    """The work that a folder holds; `unreadable` are folders below it, and why."""

    jobs: tuple[Job, ...]
    unreadable: tuple[tuple[Path, str], ...]


def list_jobs(
    folder: Path,
    targets: Targets,
    shard: tuple[int, int] = (1, 1),
    masks: GivenMasks | None = None,
) -> Listing:
    """The pictures below a folder, by name, and what becomes of each.

    Names are kept: `chairs/a.jpg` becomes `chairs/a.ply`. Pictures of one folder that differ in
    nothing but the suffix keep it: `a.png.ply` and `a.jpg.ply`. Previews and masks that img2pc drew
    are no pictures. Shard (i, n) is every nth picture from the ith, counted from 1; with few
    pictures it may be empty.

    Raises:
        BadInputError: the folder cannot be read or holds no picture, or previews or masks would lie
            among the pictures.
    """
    _keep_apart(targets, masks, folder)
    elsewhere = {each.resolve() for each in targets.drawn}
    pictures, unreadable = _pictures(
        folder, elsewhere if masks is None else {*elsewhere, masks.folder.resolve()}
    )
    if not pictures and not unreadable:
        raise BadInputError(f"there are no pictures in {folder}")
    jobs = _jobs([(folder, picture, picture) for picture in pictures], targets, shard, masks)
    return Listing(jobs, tuple(unreadable))


def jobs_of_pictures(
    pictures: Sequence[Path],
    targets: Targets,
    shard: tuple[int, int] = (1, 1),
    masks: GivenMasks | None = None,
) -> Listing:
    """The work of pictures named one by one, as if each lay in a folder of its own; those that
    img2pc drew are left out, and clouds and meshes, which a shell's `*` names beside them.

    Raises:
        BadInputError: two of the same name would become one file or have one mask, none is left, or
            previews or masks would lie among the pictures.
    """
    results = (*CLOUD_SUFFIXES, *MESH_SUFFIXES)
    named = [each for each in dict.fromkeys(pictures) if each.suffix.lower() not in results]
    pictures = sorted((each for each in named if not _is_our_picture(each)), key=by_name)
    if not pictures:
        what = "previews and masks that img2pc drew" if named else "clouds and meshes, not pictures"
        raise BadInputError(f"these are {what}")
    for folder in {picture.parent for picture in pictures}:
        _keep_apart(targets, masks, folder)
    mirrored = any(targets.folders)
    places = [Path(picture.name) if mirrored else picture for picture in pictures]
    told_apart = places if masks is None else [Path(picture.name) for picture in pictures]
    count = Counter(map(_on_any_disk, told_apart))
    for picture, place in zip(pictures, told_apart, strict=True):
        if count[_on_any_disk(place)] > 1:
            raise BadInputError(
                f"{picture} is not the only one of its name; give the folder above them instead"
            )
    placed = [
        (picture.parent, picture, place) for picture, place in zip(pictures, places, strict=True)
    ]
    return Listing(_jobs(placed, targets, shard, masks), ())


def _jobs(
    placed: Sequence[tuple[Path, Path, Path]],
    targets: Targets,
    shard: tuple[int, int],
    masks: GivenMasks | None,
) -> tuple[Job, ...]:
    """Of folders, pictures in them, and what must differ for two pictures to become two files."""
    # Beside a.png and a.jpg, a.png.png cannot become a.png.ply: so it keeps its suffix as well.
    taken = Counter(_on_any_disk(place.with_suffix("")) for _, _, place in placed)
    taken.update(_on_any_disk(place) for _, _, place in placed)
    number, count = shard
    return tuple(
        _job(folder, picture, targets, masks, taken[_on_any_disk(place.with_suffix(""))] > 1)
        for folder, picture, place in placed[number - 1 :: count]
    )


def check_replaceable(jobs: Sequence[Job], todo: Sequence[Job], named: Path | None = None) -> None:
    """Clouds and meshes beside their pictures replace none but ours: others' may be the truth about
    them. What is `named` may be replaced, and a mesh is only by what is yet to do.

    Raises:
        BadInputError: one would.
    """
    remedy = "write elsewhere by -o, or use --overwrite"
    for job in jobs:
        if job.cloud != named:
            _check_ours(job.cloud, is_our_cloud, remedy)
    for job in todo:
        if job.mesh != named:
            _check_ours(job.mesh, is_our_mesh, remedy)


def check_masks(todo: Sequence[Job]) -> None:
    """Saved masks replace none but ours: those that were mended are someone's work.

    Raises:
        BadInputError: one would.
    """
    for job in todo:
        _check_ours(job.mask, _is_our_picture, "move it away, or use --overwrite")


def _check_ours(path: Path | None, is_ours: Callable[[Path], bool], remedy: str) -> None:
    if path is not None and is_file(path) and not is_ours(path):
        raise BadInputError(f"{path} was not made by img2pc; {remedy}")


def is_our_cloud(path: Path) -> bool:
    """Whether it is a PLY that img2pc wrote."""
    return _is_marked(path, CLOUD_MARK)


def is_our_mesh(path: Path) -> bool:
    """Whether it is a mesh that img2pc wrote, and no other program since."""
    if path.suffix.lower() != ".3mf":
        return _is_marked(path, MESH_MARK, 1024)
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.comment == MESH_MARK
    except (OSError, zipfile.BadZipFile):
        return False


def _is_marked(path: Path, mark: bytes, within: int = 128) -> bool:
    try:
        with path.open("rb") as file:
            return mark in file.read(within)
    except OSError:  # said later
        return False


def _keep_apart(targets: Targets, masks: GivenMasks | None, folder: Path) -> None:
    given = None if masks is None else masks.folder.resolve()
    if folder.resolve() in (given, *(each.resolve() for each in targets.drawn)):
        raise BadInputError(f"previews and masks are pictures too; keep them out of {folder}")
    if given is not None and given in [each.resolve() for each in targets.folders]:
        raise BadInputError(f"results would lie among the masks; keep them out of {given}")


def _pictures(
    folder: Path, elsewhere: set[Path], with_ours: bool = False
) -> tuple[list[Path], list[tuple[Path, str]]]:
    """Pictures below a folder, each linked folder once, and what could not be read.

    Folders of what is no picture are left out, but not the folder itself.
    """
    pictures, unreadable, seen = [], [], set()

    def note(error: OSError) -> None:
        if Path(error.filename) == folder:
            raise BadInputError(f"cannot read {folder}: {error.strerror}") from error
        unreadable.append((Path(error.filename), error.strerror or str(error)))

    for name, below, files in os.walk(folder, onerror=note, followlinks=True):
        here = Path(name)
        real = here.resolve()
        if real in seen or (real in elsewhere and here != folder):
            below.clear()
            continue
        seen.add(real)
        # What starts with a dot is another program's: .Trash-1000, .venv.
        below[:] = sorted(each for each in below if not each.startswith("."))
        pictures += [here / file for file in files if _is_picture(here / file, with_ours)]
    return sorted(pictures, key=by_name), unreadable


def _is_picture(path: Path, with_ours: bool) -> bool:
    # And so is macOS's ._a.jpg.
    if path.name.startswith(".") or path.suffix.lower()[1:] not in PICTURE_FORMATS:
        return False
    # A link to nothing is said to fail; a pipe would be waited for.
    return (with_ours or not _is_our_picture(path)) if is_file(path) else not exists(path)


def _is_our_picture(path: Path) -> bool:
    if path.suffix.lower() == ".gif":
        return _is_marked(path, GIF_MARK, 1024)  # a palette stands before it
    mark = b"tEXt" + b"\0".join(part.encode() for part in MARK)
    return path.suffix.lower() == ".png" and _is_marked(path, mark)


def _on_any_disk(path: Path) -> str:
    """What must differ for two files to be two on any file system."""
    return unicodedata.normalize("NFC", str(path)).casefold()


def _job(
    folder: Path, picture: Path, targets: Targets, masks: GivenMasks | None, keeps_suffix: bool
) -> Job:
    relative = picture.relative_to(folder)
    stem = relative.name if keeps_suffix else relative.stem

    def beside(root: Path | None, ending: str | None) -> Path | None:
        return None if root is None or ending is None else root / relative.parent / (stem + ending)

    clouds = targets.clouds or folder
    return Job(
        picture,
        clouds / relative.parent / f"{stem}.ply",
        beside(clouds, targets.mesh_suffix),
        beside(targets.previews, PREVIEW_ENDING),
        beside(targets.masks, MASK_ENDING),
        None if masks is None else masks.of(relative, relative.parent / stem),
    )
