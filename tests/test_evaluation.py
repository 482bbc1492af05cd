from __future__ import annotations

import json
import shutil
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image
from torch.testing import assert_close

from img2pc.cameras import fixed_cameras
from img2pc.checkpoints import WeightsInfo
from img2pc.data.dataset import DataSettings, ShardedDataset, write_shards
from img2pc.data.shapes import Shape
from img2pc.errors import BadInputError
from img2pc.evaluation import (
    SUMMARY_COLUMNS,
    Case,
    CaseScores,
    Prediction,
    as_record,
    clouds_method,
    evaluate,
    generator_method,
    list_cases,
    saving_pairs,
    summarise,
)
from img2pc.folders import Targets, list_jobs
from img2pc.fusion import fuse
from img2pc.metrics import CloudScores, compare_clouds
from img2pc.pointclouds import write_ply
from img2pc.reconstruction import Reconstructor
from img2pc.views import Views


@pytest.fixture(scope="module")
def reconstructor(tiny_weights: Path) -> Reconstructor:
    return Reconstructor.load(tiny_weights)


@pytest.fixture
def small(reconstructor: Reconstructor) -> WeightsInfo:
    """What weights for the shards' 32 pixels would say of themselves."""
    return replace(reconstructor.info, config=replace(reconstructor.info.config, image_size=32))


@pytest.fixture
def pairs(chair: Shape, chair_picture: Path, tmp_path: Path) -> Path:
    for name in ("chair-a", "chair-b", "lamp-c", "nameless"):
        shutil.copy(chair_picture, tmp_path / f"{name}.png")
        trimesh.PointCloud(chair.vertices).export(tmp_path / f"{name}.ply")
    shutil.copy(chair_picture, tmp_path / "chair-without-truth.png")
    return tmp_path


def test_pairs(pairs: Path, reconstructor: Reconstructor, chair: Shape) -> None:
    count, cases = list_cases(pairs, reconstructor.info)
    listed = list(cases)
    assert count == len(listed) == 4
    assert [(case.name, case.category) for case in listed] == [
        ("chair-a", "chair"),
        ("chair-b", "chair"),
        ("lamp-c", "lamp"),
        ("nameless", "other"),
    ]
    assert listed[0].crop.shape == (128, 128, 4)
    assert listed[0].points == pytest.approx(chair.vertices, abs=1e-6)
    assert listed[0].views is None


@pytest.mark.parametrize("limit", [1, 3, 100])
def test_a_limit_is_kept_and_counted(
    limit: int, pairs: Path, shards: Path, small: WeightsInfo
) -> None:
    for folder, available in ((pairs, 4), (shards, 8)):
        count, cases = list_cases(folder, small, limit=limit)
        assert count == len(list(cases)) == min(limit, available)


def test_shards_agree_with_themselves(shards: Path, small: WeightsInfo) -> None:
    """The true views of a case give a cloud that lies on its true points."""
    _, cases = list_cases(shards, small)
    data = ShardedDataset(shards)
    for item, case in enumerate(cases):
        assert case.category == data.category(item)
        assert case.views is not None
        views = Views(*(values[0] for values in case.views))
        cloud = fuse(views, fixed_cameras(32))
        scores = compare_clouds(cloud.points.double().numpy(), case.points)
        assert scores.predicted_to_true < 5  # 512 points


def test_meshes_are_pictured_once_each(
    chair: Shape, tmp_path: Path, reconstructor: Reconstructor
) -> None:
    (tmp_path / "seat").mkdir()
    mesh = trimesh.Trimesh(chair.vertices, chair.faces, process=False)
    for name in ("one", "two"):
        mesh.export(tmp_path / "seat" / f"{name}.glb")
    count, cases = list_cases(tmp_path, reconstructor.info)
    listed = list(cases)
    assert count == 2
    assert [(case.name, case.category) for case in listed] == [
        ("seat/one.glb", "seat"),
        ("seat/two.glb", "seat"),
    ]
    for case in listed:
        assert case.views is not None
        cloud = fuse(Views(*(values[0] for values in case.views)), fixed_cameras(128))
        scores = compare_clouds(cloud.points.double().numpy(), case.points)
        assert scores.predicted_to_true < 0.5
        assert len(case.points) == 32_768
    again = list(list_cases(tmp_path, reconstructor.info, limit=1)[1])
    assert np.array_equal(again[0].crop, listed[0].crop)


def test_a_limit_sees_all_of_a_folder(pairs: Path, reconstructor: Reconstructor) -> None:
    _, cases = list_cases(pairs, reconstructor.info, limit=2)
    assert [case.name for case in cases] == ["chair-a", "nameless"]


def test_cases_that_cannot_be_read_are_told_of_and_left_out(
    pairs: Path, reconstructor: Reconstructor
) -> None:
    (pairs / "chair-b.png").write_bytes(b"broken")
    Image.new("RGB", (50, 50), "white").save(pairs / "lamp-c.png")
    told: dict[str, str] = {}
    count, cases = list_cases(
        pairs, reconstructor.info, unusable=lambda name, error: told.update({name: str(error)})
    )
    assert count == 4
    assert [case.name for case in cases] == ["chair-a", "nameless"]
    assert told.keys() == {"chair-b", "lamp-c"}


def test_what_img2pc_made_of_a_picture_is_no_truth(
    pairs: Path, reconstructor: Reconstructor
) -> None:
    """Else a folder whose clouds lie beside its pictures would score 100."""
    write_ply(pairs / "chair-a.ply", reconstructor(pairs / "chair-a.png").cloud)
    told: dict[str, str] = {}
    _, cases = list_cases(
        pairs, reconstructor.info, unusable=lambda name, error: told.update({name: str(error)})
    )
    assert "chair-a" not in [case.name for case in cases]
    truth = pairs / "chair-a.ply"
    assert told == {"chair-a": f"{truth} is what img2pc made of the picture, not the truth"}


@pytest.mark.parametrize(("scale", "shift"), [(1000.0, 0.0), (1.6, 0.0), (1.0, 3.0)])
def test_truth_in_another_frame_is_said(
    scale: float, shift: float, pairs: Path, reconstructor: Reconstructor, chair: Shape
) -> None:
    """Else distances would be of the frames, not of the shapes."""
    trimesh.PointCloud(scale * chair.vertices + shift).export(pairs / "chair-a.ply")
    told: dict[str, str] = {}
    _, cases = list_cases(
        pairs, reconstructor.info, unusable=lambda name, error: told.update({name: str(error)})
    )
    assert len(list(cases)) == 3
    assert "is not in the frame of clouds: its bounding box, of diagonal" in told["chair-a"]


def test_clouds_of_other_units_are_said(pairs: Path, reconstructor: Reconstructor) -> None:
    theirs, told = pairs / "theirs", list[BadInputError]()
    theirs.mkdir()
    for path in pairs.glob("*.ply"):
        cloud = trimesh.load(path)
        trimesh.PointCloud(100 * cloud.vertices).export(theirs / path.name)
    _, cases = list_cases(pairs, reconstructor.info, limit=2)
    for result in evaluate({"theirs": clouds_method(theirs, told.append)}, cases):
        assert result.cloud.f_scores == (0.0, 0.0, 0.0)
    assert len(told) == 2
    assert "is not in the frame of clouds: its bounding box, of diagonal" in str(told[0])


def test_saved_pairs_measure_as_what_they_were_made_of(
    shards: Path, small: WeightsInfo, tmp_path: Path
) -> None:
    _, cases = list_cases(shards, small)
    before = list(saving_pairs(cases, tmp_path / "pairs"))
    size = before[0].crop.shape[0]
    count, again = list_cases(tmp_path / "pairs", small)
    assert count == len(before)
    for old, new in zip(sorted(before, key=saved_name), again, strict=True):
        assert (new.name, new.category) == (saved_name(old), old.category)
        assert new.crop.shape == (size, size, 4)
        # It is cropped once more, which moves an outline by half a pixel, of 32 here.
        ours, theirs = new.crop[..., 3] > 127, old.crop[..., 3] > 127
        assert (ours & theirs).sum() > 0.75 * (ours | theirs).sum()
        assert np.allclose(np.sort(new.points, 0), np.sort(old.points, 0), atol=1e-6)


def test_saved_pairs_are_pictures_to_work_on_each_in_a_file_of_its_own(
    shards: Path, small: WeightsInfo, tmp_path: Path
) -> None:
    (case,) = list_cases(shards, small, limit=1)[1]
    names = ("a/b", "a_b", "c")
    cases = [replace(case, name=name, category="seat/arm-chair") for name in names]
    list(saving_pairs(iter(cases), tmp_path))
    saved = [f"seat_arm_chair-{name}" for name in ("a_b", "a_b-2", "c")]
    assert sorted(path.stem for path in tmp_path.glob("*.ply")) == saved
    listing = list_jobs(tmp_path, Targets(tmp_path / "clouds"))
    assert sorted(job.picture.stem for job in listing.jobs) == saved


def saved_name(case: Case) -> str:
    return f"{case.category}-{case.name.replace('/', '_')}"


def test_a_split_is_of_meshes_that_say_theirs(
    pairs: Path, shards: Path, small: WeightsInfo, tmp_path: Path
) -> None:
    """Or a mistaken path would measure on what was trained on."""
    meshes = tmp_path / "meshes"
    meshes.mkdir()
    trimesh.creation.box().export(meshes / "box.glb")
    for folder in (pairs, shards, meshes):
        with pytest.raises(BadInputError, match="has no splits"):
            list_cases(folder, small, split="test")
    (meshes / "manifest.csv").write_text("path,category,split\nbox.glb,box,test\n")
    assert list_cases(meshes, small, split="test")[0] == 1
    with pytest.raises(BadInputError, match="no split train; it has test"):
        list_cases(meshes, small, split="train")


def test_folders_of_nothing_are_bad_input(tmp_path: Path, reconstructor: Reconstructor) -> None:
    with pytest.raises(BadInputError, match="holds no meshes"):
        list_cases(tmp_path, reconstructor.info)
    with pytest.raises(BadInputError, match="does not exist"):
        list_cases(tmp_path / "missing", reconstructor.info)


def test_shards_of_another_size_are_bad_input(shards: Path, reconstructor: Reconstructor) -> None:
    with pytest.raises(BadInputError, match="pictures of 32 and views of 32 pixels"):
        list_cases(shards, reconstructor.info)


def test_evaluation_scores_what_reconstruction_gives(
    pairs: Path, chair: Shape, chair_picture: Path, reconstructor: Reconstructor
) -> None:
    reported: list[CaseScores] = []
    _, cases = list_cases(pairs, reconstructor.info, limit=2)
    results = evaluate({"ours": generator_method(reconstructor)}, cases, report=reported.append)
    assert results == reported
    assert [(result.method, result.name) for result in results] == [
        ("ours", "chair-a"),
        ("ours", "nameless"),
    ]
    cloud = reconstructor(chair_picture).cloud
    expected = compare_clouds(cloud.points.double().numpy(), chair.vertices)
    assert results[0].cloud.predicted_to_true == pytest.approx(expected.predicted_to_true, rel=1e-3)
    assert results[0].mask_iou is None
    assert results[0].depth_l1 is None


def test_a_generator_that_sees_nothing_scores_the_worst(
    pairs: Path, reconstructor: Reconstructor
) -> None:
    generator = deepcopy(reconstructor.generator)
    torch.nn.init.constant_(generator.mask_head.bias, -20.0)
    blind = Reconstructor(generator, reconstructor.info)
    _, cases = list_cases(pairs, blind.info, limit=1)
    (result,) = evaluate({"blind": generator_method(blind)}, cases)
    assert result.cloud == CloudScores(100.0, 100.0, (0.0, 0.0, 0.0))


def truth(cases: list[Case]) -> list[Prediction]:
    """A method that knows: the true points, a hundredth of them; the true views."""
    assert all(case.views for case in cases)
    return [Prediction(case.points[::100], case.views) for case in cases]


def nothing(cases: list[Case]) -> list[Prediction]:
    blank = Views(
        cases[0].views.coordinates + 0.25, torch.full_like(cases[0].views.mask_logits, -9)
    )
    return [Prediction(np.zeros((0, 3)), blank) for _ in cases]


def test_methods_are_measured_on_the_same_cases(shards: Path, small: WeightsInfo) -> None:
    _, cases = list_cases(shards, small, limit=3)
    results = evaluate({"truth": truth, "nothing": nothing}, cases)
    names = [f"{shards.name}/{item}" for item in (0, 3, 7)]
    assert [(result.method, result.name) for result in results] == [
        *(("truth", name) for name in names),
        *(("nothing", name) for name in names),
    ]
    for result in results[:3]:
        assert (result.mask_iou, result.depth_l1) == (1.0, 0.0)
        assert (result.mask_iou_by_view, result.depth_l1_by_view) == ((1.0,) * 8, (0.0,) * 8)
        assert result.cloud.predicted_to_true == 0
    assert results[3].mask_iou_by_view == (0.0,) * 8
    assert results[3].depth_l1_by_view == pytest.approx((25.0,) * 8, rel=1e-3)


def test_samples_depend_on_the_name_of_the_case_only(shards: Path, small: WeightsInfo) -> None:
    def distances(limit: int | None, sampled: int | None) -> dict[str, float]:
        _, cases = list_cases(shards, small, limit=limit)
        results = evaluate({"truth": truth}, cases, sampled)
        return {result.name: result.cloud.true_to_predicted for result in results}

    every, few, exact = distances(None, 20), distances(2, 20), distances(None, None)
    assert few.items() <= every.items()
    assert all(every[name] != exact[name] for name in exact)
    assert every == pytest.approx(exact, rel=0.5)


def test_the_current_folder_gives_the_names_that_its_own_gives(
    shards: Path, small: WeightsInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shards)
    here, there = (
        [case.name for case in list_cases(folder, small)[1]] for folder in (Path(), shards)
    )
    assert here == there == [f"{shards.name}/{item}" for item in range(len(here))]


def test_a_name_that_is_no_text_is_a_name(pairs: Path, reconstructor: Reconstructor) -> None:
    odd = "chair-\udcff"
    try:
        for path in sorted(pairs.iterdir())[:2]:
            path.rename(path.with_name(odd + path.suffix))
    except (OSError, UnicodeError):
        pytest.skip("this file system takes text only")
    _, cases = list_cases(pairs, reconstructor.info)
    results = evaluate({"generator": generator_method(reconstructor)}, cases)
    assert odd in [result.name for result in results]


def test_the_record_is_json_and_names_its_columns(shards: Path, small: WeightsInfo) -> None:
    _, cases = list_cases(shards, small, limit=2)
    results = evaluate({"truth": truth, "nothing": nothing}, cases, 200)
    record = json.loads(json.dumps(as_record(results, 200)))
    assert record["sampled"] == 200
    assert record["columns"] == list(SUMMARY_COLUMNS)
    last = record["cases"][-1]
    assert last["method"] == "nothing"
    assert last["cloud"]["chamfer"] == 200.0
    assert len(last["mask_iou_by_view"]) == len(last["depth_l1_by_view"]) == 8
    of_all = [row for row in record["means"] if row["category"] == "all"]
    assert [row["method"] for row in of_all] == ["truth", "nothing"]
    assert dict(zip(record["columns"], of_all[1]["values"], strict=True))["Chamfer"] == 200.0


def test_the_bundled_weights_are_about_as_good_as_their_card_says(tmp_path: Path) -> None:
    """On sixteen of its held-out objects."""
    settings = DataSettings(seed=1_000_001, pictures_per_object=1, surface_points=8192)
    assert list(write_shards(tmp_path / "held-out", settings, 16, workers=2))[-1] == 16
    reconstructor = Reconstructor.load()
    _, cases = list_cases(tmp_path / "held-out", reconstructor.info)
    results = evaluate({"generator": generator_method(reconstructor)}, cases)
    (means,) = [each for each in summarise(results) if each.category == "all"]
    values = dict(zip(SUMMARY_COLUMNS, means.values, strict=True))
    iou, f_score = values["mask IoU"], values["F@2%"]
    assert iou is not None
    assert iou > 0.65
    assert f_score is not None
    assert f_score > 60


def scores(category: str, distance: float, iou: float | None, method: str = "ours") -> CaseScores:
    depth = by_view = None
    if iou is not None:
        depth, by_view = 10 * iou, (iou, 2 * iou)
    cloud = CloudScores(distance, 2 * distance, (distance, 10.0, 20.0))
    return CaseScores(method, "name", category, cloud, iou, depth, by_view, by_view)


def test_summaries_are_means_over_cases() -> None:
    rows = summarise(
        [
            scores("mug", 1.0, 0.5),
            scores("chair", 2.0, None),
            scores("chair", 4.0, None),
            scores("lamp", 6.0, 0.75),
        ]
    )
    assert [(row.category, row.count) for row in rows] == [
        ("chair", 2),
        ("lamp", 1),
        ("mug", 1),
        ("furniture", 3),
        ("all", 4),
    ]
    values = {row.category: row.values for row in rows}
    assert values["chair"] == (None, None, 3.0, 6.0, 9.0, 3.0, 10.0, 20.0)
    assert values["furniture"] == (0.75, 7.5, 4.0, 8.0, 12.0, 4.0, 10.0, 20.0)
    assert values["all"] == (0.625, 6.25, 3.25, 6.5, 9.75, 3.25, 10.0, 20.0)
    by_view = {row.category: row.mask_iou_by_view for row in rows}
    assert by_view["chair"] is None
    assert by_view["all"] == (0.625, 1.25)
    assert rows[-1].depth_l1_by_view == (0.625, 1.25)


def test_summaries_keep_methods_apart_and_in_order() -> None:
    results = [
        scores(category, distance, None, method)
        for method, distance in (("ours", 1.0), ("mean shape", 5.0))
        for category in ("mug", "lamp")
    ]
    rows = [(row.category, row.method, row.count, row.values[2]) for row in summarise(results)]
    assert rows == [
        ("lamp", "ours", 1, 1.0),
        ("lamp", "mean shape", 1, 5.0),
        ("mug", "ours", 1, 1.0),
        ("mug", "mean shape", 1, 5.0),
        ("furniture", "ours", 1, 1.0),
        ("furniture", "mean shape", 1, 5.0),
        ("all", "ours", 2, 1.0),
        ("all", "mean shape", 2, 5.0),
    ]


def test_a_category_is_not_taken_for_a_sum() -> None:
    rows = summarise([scores("all", 1.0, None), scores("furniture", 3.0, None)])
    assert [(row.category, row.count) for row in rows] == [
        ("all (category)", 1),
        ("furniture (category)", 1),
        ("all", 2),
    ]


def test_a_summary_without_furniture_has_no_furniture_row() -> None:
    assert [row.category for row in summarise([scores("mug", 1.0, None)])] == ["mug", "all"]
    assert summarise([]) == []


def test_convention_summary_columns() -> None:
    assert SUMMARY_COLUMNS == (
        "mask IoU",
        "depth L1",
        "pred→GT",
        "GT→pred",
        "Chamfer",
        "F@1%",
        "F@2%",
        "F@5%",
    )


def test_views_of_a_batch_are_fused_apart(
    reconstructor: Reconstructor, chair_picture: Path
) -> None:
    crop = torch.from_numpy(reconstructor(chair_picture).cut_out.crop.copy())
    views = reconstructor.views(torch.stack([crop, crop.flip(1), crop]))
    clouds = [reconstructor.fuse(views, item) for item in range(3)]
    assert_close(clouds[0].points, clouds[2].points)
    assert not torch.equal(clouds[0].points, clouds[1].points)
