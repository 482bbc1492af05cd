"""Which pictures a folder holds, what each becomes, and what is done already."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from img2pc.errors import BadInputError
from img2pc.folders import (
    PICTURE_FORMATS,
    GivenMasks,
    Job,
    Listing,
    Targets,
    check_replaceable,
    jobs_of_pictures,
    list_jobs,
)
from img2pc.images import write_gif, write_png

SECOND = 10**9


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    return folder


def fill(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def names_of(listing: Listing, folder: Path) -> list[str]:
    return [job.picture.relative_to(folder).as_posix() for job in listing.jobs]


def names_in(folder: Path) -> list[str]:
    """The pictures found below a folder whose clouds go elsewhere."""
    return names_of(list_jobs(folder, Targets(folder.parent / "clouds")), folder)


# --- Which there are ------------------------------------------------------------------------------


def test_pictures_are_found_at_any_depth_in_the_order_of_their_names(photos: Path) -> None:
    fill(photos, "b/2.png", "b/10.png", "a.png", "b/c/d/e.png", "z.png")
    assert names_in(photos) == ["a.png", "b/10.png", "b/2.png", "b/c/d/e.png", "z.png"]


@pytest.mark.parametrize("ending", ["jpg", "JPG", "Jpeg", "PNG", "wEbP", "TIFF", "heic", "AVIF"])
def test_any_case_of_an_extension_is_a_picture(photos: Path, ending: str) -> None:
    fill(photos, f"a.{ending}")
    assert names_in(photos) == [f"a.{ending}"]


def test_what_is_no_picture_by_its_name_is_left_out(photos: Path) -> None:
    others = ["notes.txt", "png", "a.png.part", "a.ply", "b.stl", ".hidden.png", "._a.jpg", "c."]
    fill(photos, "a.jpg", *others, ".Trash-1000/files/b.jpg", "deep/.thumbnails/c.png")
    (photos / "folder.png").mkdir()
    assert names_in(photos) == ["a.jpg"]


def test_there_are_no_formats_that_results_are_written_in() -> None:
    assert {"ply", "stl", "obj", "glb", "3mf", "jsonl"}.isdisjoint(PICTURE_FORMATS)


NAMES = [
    "with space.png",
    "with\nnewline.png",
    "\t.png",
    "👩‍🚀 é 漢.png",
    "-.png",
    "--json.png",
    "'\"$(x)*.png",
    "\udcff.png",  # a byte that is no UTF-8
]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_keeps_its_stem(photos: Path, name: str) -> None:
    try:
        fill(photos, name)
    except (OSError, UnicodeError):
        pytest.skip("this file system has no such names")
    (job,) = list_jobs(photos, Targets(Path("clouds"), ".stl")).jobs
    assert job.picture == photos / name
    assert job.outputs == (Path("clouds", f"{name[:-4]}.ply"), Path("clouds", f"{name[:-4]}.stl"))


@pytest.mark.skipif(sys.platform == "win32", reason="no links without a privilege")
def test_loops_of_links_end(photos: Path) -> None:
    fill(photos, "a.png", "deep/b.png")
    (photos / "deep" / "up").symlink_to(photos)
    (photos / "deep" / "self").symlink_to(photos / "deep")
    (photos / "round").symlink_to(photos / "round")
    assert names_in(photos) == ["a.png", "deep/b.png"]


@pytest.mark.skipif(sys.platform == "win32", reason="no links without a privilege")
def test_a_linked_folder_is_followed_once(photos: Path, tmp_path: Path) -> None:
    fill(tmp_path / "elsewhere", "c.png")
    for name in ("one", "two"):
        (photos / name).symlink_to(tmp_path / "elsewhere")
    assert names_in(photos) == ["one/c.png"]


@pytest.mark.skipif(sys.platform == "win32", reason="no links without a privilege")
def test_links_to_nothing_and_to_themselves_are_jobs_that_can_fail(photos: Path) -> None:
    (photos / "gone.png").symlink_to(photos / "nothing")
    (photos / "itself.png").symlink_to(photos / "itself.png")
    assert names_in(photos) == ["gone.png", "itself.png"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_a_pipe_that_would_be_waited_for_is_left_out(photos: Path) -> None:
    os.mkfifo(photos / "pipe.png")
    fill(photos, "a.png")
    assert names_in(photos) == ["a.png"]


def test_an_unreadable_folder_is_told_and_the_others_are_read(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(photos, "closed/a.png", "open/b.png")
    refuse(monkeypatch, photos / "closed")
    listing = list_jobs(photos, Targets(photos / "clouds"))
    assert names_of(listing, photos) == ["open/b.png"]
    assert listing.unreadable == ((photos / "closed", "Permission denied"),)


def test_a_folder_that_cannot_be_read_itself_is_an_error(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, photos)
    with pytest.raises(BadInputError, match=r"cannot read .*photos: Permission denied"):
        list_jobs(photos, Targets(photos))


def refuse(monkeypatch: pytest.MonkeyPatch, closed: Path) -> None:
    """As for a folder without permissions, which root does not notice."""
    scandir = os.scandir

    def guarded(folder: str) -> object:
        if Path(folder) == closed:
            raise PermissionError(13, "Permission denied", str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", guarded)


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root reads everything")
def test_a_folder_without_permissions_is_told(photos: Path) -> None:
    fill(photos, "closed/a.png", "b.png")
    (photos / "closed").chmod(0)
    try:
        listing = list_jobs(photos, Targets(photos / "clouds"))
    finally:
        (photos / "closed").chmod(0o700)
    assert listing.unreadable == ((photos / "closed", "Permission denied"),)


@pytest.mark.parametrize("names", [[], ["notes.txt", "below/.a.png"]])
def test_a_folder_without_pictures_is_an_error(photos: Path, names: list[str]) -> None:
    fill(photos, *names)
    with pytest.raises(BadInputError, match=r"no pictures in .*photos"):
        list_jobs(photos, Targets(photos))


# --- What each becomes ----------------------------------------------------------------------------


def test_results_mirror_the_tree(photos: Path) -> None:
    fill(photos, "chairs/old/a.v1.JPG")
    targets = Targets(Path("clouds"), ".stl", Path("seen"), Path("cut"))
    (job,) = list_jobs(photos, targets).jobs
    assert job == Job(
        photos / "chairs/old/a.v1.JPG",
        Path("clouds/chairs/old/a.v1.ply"),
        Path("clouds/chairs/old/a.v1.stl"),
        Path("seen/chairs/old/a.v1_preview.png"),
        Path("cut/chairs/old/a.v1_mask.png"),
    )


def clouds_of(*names: str) -> list[str]:
    folder = Path.cwd()
    fill(folder, *names)
    jobs = list_jobs(folder, Targets(folder / "clouds")).jobs
    clouds = {job.picture.name: job.cloud for job in jobs}
    return [str(clouds[name].relative_to(folder / "clouds")) for name in names]


@pytest.mark.parametrize(
    ("names", "clouds"),
    [
        (["a.png", "b.jpg"], ["a.ply", "b.ply"]),
        (["a.png", "a.jpg", "b.jpg"], ["a.png.ply", "a.jpg.ply", "b.ply"]),
        (["a.png", "a.jpg", "a.png.png"], ["a.png.ply", "a.jpg.ply", "a.png.png.ply"]),
        (["a.png.webp", "a.png", "a.jpg"], ["a.png.webp.ply", "a.png.ply", "a.jpg.ply"]),
    ],
)
def test_two_pictures_never_become_one_cloud(
    photos: Path, monkeypatch: pytest.MonkeyPatch, names: list[str], clouds: list[str]
) -> None:
    monkeypatch.chdir(photos)
    assert clouds_of(*names) == clouds


@pytest.mark.parametrize(
    "names", [["A.png", "a.jpg"], ["e\u0301.png", "\xe9.jpg"], ["straße.png", "STRASSE.jpg"]]
)
def test_names_that_are_one_on_some_disks_keep_their_suffix(
    photos: Path, monkeypatch: pytest.MonkeyPatch, names: list[str]
) -> None:
    monkeypatch.chdir(photos)
    assert clouds_of(*names) == [f"{name}.ply" for name in names]


def test_pictures_of_two_folders_may_share_a_name(photos: Path) -> None:
    fill(photos, "a/x.png", "b/x.jpg")
    jobs = list_jobs(photos, Targets(Path("clouds"))).jobs
    assert [job.cloud for job in jobs] == [Path("clouds/a/x.ply"), Path("clouds/b/x.ply")]


def test_results_inside_the_folder_are_no_pictures(photos: Path) -> None:
    fill(photos, "a.png", "seen/a_preview.png", "seen/deep/b_preview.png", "cut/a_mask.png")
    fill(photos, "clouds/b.png")  # but what lies among clouds is
    targets = Targets(photos / "clouds", None, photos / "seen", photos / "deep/../cut")
    assert names_of(list_jobs(photos, targets), photos) == ["a.png", "clouds/b.png"]


def test_what_was_drawn_is_no_picture_wherever_it_lies(photos: Path) -> None:
    fill(photos, "a.png", "others.gif")
    grey = np.zeros((8, 8, 3), dtype=np.uint8)
    write_png(photos / "drawn.png", grey)
    write_gif(photos / "turning.gif", [grey, grey + 255], 80)
    assert names_in(photos) == ["a.png", "others.gif"]


def test_clouds_may_lie_beside_their_pictures(photos: Path) -> None:
    fill(photos, "a.png", "deep/b.png")
    jobs = list_jobs(photos, Targets(photos)).jobs
    assert [job.cloud for job in jobs] == [photos / "a.ply", photos / "deep/b.ply"]


def test_masks_are_found_by_place_and_name(photos: Path, tmp_path: Path) -> None:
    fill(photos, "a.jpg", "b.png", "b.jpg", "deep/c.v1.png", "deep/d.png", "masks/x.png")
    write_png(photos / "a_preview.png", np.zeros((2, 2), dtype=np.uint8))
    fill(photos / "masks", "a.png", "a_mask.png", "b.jpg", "b.png", "deep/C.V1.webp", "d.png")
    # What img2pc drew is a mask as well.
    write_png(photos / "masks/a_mask.png", np.zeros((2, 2), dtype=np.uint8))
    masks = GivenMasks.read(photos / "masks")
    jobs = list_jobs(photos, Targets(tmp_path / "clouds"), masks=masks).jobs
    found = {str(job.picture.relative_to(photos)): job.given_mask for job in jobs}
    assert found == {
        "a.jpg": photos / "masks/a_mask.png",
        "b.jpg": photos / "masks/b.jpg",
        "b.png": photos / "masks/b.png",
        "deep/c.v1.png": photos / "masks/deep/C.V1.webp",
        "deep/d.png": photos / "masks/deep/d_mask.png",  # which is not there
    }
    named = jobs_of_pictures([photos / "deep/d.png"], Targets(tmp_path / "clouds"), masks=masks)
    assert named.jobs[0].given_mask == photos / "masks/d.png"


@pytest.mark.parametrize("place", ["photos", "clouds", "previews"])
def test_masks_may_not_lie_among_pictures_or_results(
    photos: Path, tmp_path: Path, place: str
) -> None:
    fill(photos, "a.png")
    fill(tmp_path, "clouds/a.png", "previews/a.png")
    targets = Targets(tmp_path / "clouds", previews=tmp_path / "previews")
    with pytest.raises(BadInputError, match="keep them out of"):
        list_jobs(photos, targets, masks=GivenMasks.read(tmp_path / place))


def test_a_mask_that_is_newer_than_the_results_is_work(photos: Path, tmp_path: Path) -> None:
    fill(tmp_path, "photos/a.png", "masks/a.png", "a.ply")
    job = Job(photos / "a.png", tmp_path / "a.ply", given_mask=tmp_path / "masks/a.png")
    for path, moment in ((job.picture, 1), (job.given_mask, 3), (job.cloud, 2)):
        assert path is not None
        os.utime(path, ns=(moment * SECOND, moment * SECOND))
    assert not job.is_done
    os.utime(tmp_path / "a.ply", ns=(3 * SECOND, 3 * SECOND))
    assert job.is_done
    (tmp_path / "masks/a.png").unlink()
    assert not job.is_done


@pytest.mark.parametrize("where", ["previews", "masks"])
def test_previews_and_masks_may_not_lie_among_the_pictures(photos: Path, where: str) -> None:
    fill(photos, "a.png")
    with pytest.raises(BadInputError, match="keep them out"):
        list_jobs(photos, Targets(photos, **{where: photos / "." / "x" / ".."}))


# --- Shards ---------------------------------------------------------------------------------------


def test_shards_are_every_picture_once_and_about_as_large(photos: Path) -> None:
    fill(photos, *(f"{number}.png" for number in range(8)))
    shards = [
        names_of(list_jobs(photos, Targets(photos), (number, 3)), photos) for number in (1, 2, 3)
    ]
    assert shards == [
        ["0.png", "3.png", "6.png"],
        ["1.png", "4.png", "7.png"],
        ["2.png", "5.png"],
    ]


def test_a_shard_gives_the_names_that_the_whole_gives(photos: Path) -> None:
    fill(photos, "a.jpg", "a.png", "b.png")
    targets = Targets(Path("clouds"))
    whole = list_jobs(photos, targets).jobs
    assert [list_jobs(photos, targets, (number, 3)).jobs for number in (1, 2, 3)] == [
        whole[:1],
        whole[1:2],
        whole[2:],
    ]


def test_a_shard_of_few_pictures_may_be_empty(photos: Path) -> None:
    fill(photos, "a.png")
    assert list_jobs(photos, Targets(photos), (2, 2)).jobs == ()


# --- What is done ---------------------------------------------------------------------------------


@pytest.fixture
def job(photos: Path) -> Job:
    """A job whose two outputs are as new as its picture."""
    job = Job(photos / "a.png", photos / "a.ply", photos / "a.stl")
    for path in (job.picture, *job.outputs):
        path.touch()
        os.utime(path, ns=(0, 50 * SECOND))
    return job


def test_outputs_as_new_as_the_picture_are_done(job: Job) -> None:
    assert job.is_done
    os.utime(job.picture, ns=(0, 49 * SECOND))
    assert job.is_done


def test_a_picture_that_changed_is_not_done(job: Job) -> None:
    os.utime(job.picture, ns=(0, 50 * SECOND + 1000))
    assert not job.is_done


def test_one_missing_or_older_output_is_not_done(job: Job) -> None:
    os.utime(job.outputs[1], ns=(0, 49 * SECOND))
    assert not job.is_done
    job.outputs[1].unlink()
    assert not job.is_done


def test_a_folder_in_the_place_of_an_output_is_not_done(job: Job) -> None:
    job.outputs[0].unlink()
    job.outputs[0].mkdir()
    assert not job.is_done


def test_a_picture_that_is_gone_is_not_done(job: Job) -> None:
    job.picture.unlink()
    assert not job.is_done


def test_a_mesh_that_was_edited_stops_only_its_own_picture(job: Job) -> None:
    assert job.cloud is not None
    job.cloud.write_bytes(b"ply\ncomment img2pc\n")
    check_replaceable([job], [])
    with pytest.raises(BadInputError, match=r"a\.stl was not made by img2pc"):
        check_replaceable([job], [job])
    check_replaceable([job], [job], named=job.mesh)
    job.cloud.write_bytes(b"ply\n")
    for todo in ([], [job]):
        with pytest.raises(BadInputError, match=r"a\.ply was not made by img2pc"):
            check_replaceable([job], todo, named=job.mesh)


def test_a_job_is_the_same_from_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    job = pickle.loads(pickle.dumps(Job(Path("a.png"), Path("c/a.ply"), mask=Path("/m.png"))))
    assert job.absolute() == Job(tmp_path / "a.png", tmp_path / "c/a.ply", mask=Path("/m.png"))


def test_listing_needs_no_heavy_library() -> None:
    code = "import img2pc.folders, sys; print('torch' in sys.modules, 'numpy' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "False False\n"


def test_pictures_named_one_by_one_become_files_of_one_folder() -> None:
    pictures = [Path("x/b.png"), Path("y/deep/a.jpg"), Path("a.png")]
    jobs = jobs_of_pictures(pictures, Targets(Path("out"), ".stl", masks=Path("cut"))).jobs
    assert [(job.picture, job.cloud, job.mask) for job in jobs] == [
        (Path("a.png"), Path("out/a.png.ply"), Path("cut/a.png_mask.png")),
        (Path("x/b.png"), Path("out/b.ply"), Path("cut/b_mask.png")),
        (Path("y/deep/a.jpg"), Path("out/a.jpg.ply"), Path("cut/a.jpg_mask.png")),
    ]
    assert jobs[1].mesh == Path("out/b.stl")
    parts = [jobs_of_pictures(pictures, Targets(Path("out")), (part, 2)).jobs for part in (1, 2)]
    assert [len(part) for part in parts] == [2, 1]


def test_pictures_named_one_by_one_lie_beside_their_clouds(photos: Path) -> None:
    """Of two folders, names may be alike."""
    pictures = [Path("x/a.png"), Path("y/a.png")]
    jobs = jobs_of_pictures(pictures, Targets(None)).jobs
    assert [job.cloud for job in jobs] == [Path("x/a.ply"), Path("y/a.ply")]
    for targets in (Targets(Path("out")), Targets(None, previews=Path("seen"))):
        with pytest.raises(BadInputError, match="not the only one of its name"):
            jobs_of_pictures(pictures, targets)
    masks = GivenMasks.read(photos)
    with pytest.raises(BadInputError, match="not the only one of its name"):
        jobs_of_pictures(pictures, Targets(None), masks=masks)


def test_pictures_named_one_by_one_are_neither_drawn_over_nor_drawn(tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    picture.touch()
    with pytest.raises(BadInputError, match="keep them out"):
        jobs_of_pictures([picture], Targets(None, masks=tmp_path))
    write_png(tmp_path / "a_mask.png", np.zeros((2, 2), dtype=np.uint8))
    jobs = jobs_of_pictures([tmp_path / "a_mask.png", picture], Targets(None)).jobs
    assert [job.picture for job in jobs] == [picture]
    with pytest.raises(BadInputError, match="that img2pc drew"):
        jobs_of_pictures([tmp_path / "a_mask.png"], Targets(None))


def test_clouds_and_meshes_that_a_shell_names_beside_pictures_are_left_out() -> None:
    named = [Path(name) for name in ("a.jpg", "a.ply", "a.STL", "b.png")]
    jobs = jobs_of_pictures(named, Targets(None, ".stl")).jobs
    assert [(job.picture, job.cloud) for job in jobs] == [
        (Path("a.jpg"), Path("a.ply")),
        (Path("b.png"), Path("b.ply")),
    ]
    with pytest.raises(BadInputError, match="clouds and meshes, not pictures"):
        jobs_of_pictures(named[1:3], Targets(None))
