from __future__ import annotations

import shutil
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from torch.testing import assert_close

from img2pc.cameras import fixed_cameras
from img2pc.data.dataset import ShardedDataset
from img2pc.data.shapes import Shape
from img2pc.errors import BadInputError
from img2pc.evaluation import (
    SUMMARY_COLUMNS,
    CaseScores,
    evaluate,
    list_cases,
    summarise,
)
from img2pc.fusion import fuse
from img2pc.metrics import CloudScores, compare_clouds
from img2pc.reconstruction import Reconstructor
from img2pc.views import Views


@pytest.fixture(scope="module")
def reconstructor(tiny_weights: Path) -> Reconstructor:
    return Reconstructor.load(tiny_weights)


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
        ("nameless", "all"),
    ]
    assert listed[0].crop.shape == (128, 128, 4)
    assert listed[0].points == pytest.approx(chair.vertices, abs=1e-6)
    assert listed[0].views is None


@pytest.mark.parametrize("limit", [1, 3, 100])
def test_a_limit_is_kept_and_counted(
    limit: int, pairs: Path, shards: Path, reconstructor: Reconstructor
) -> None:
    for folder, available in ((pairs, 4), (shards, 8)):
        count, cases = list_cases(folder, reconstructor.info, limit=limit)
        assert count == len(list(cases)) == min(limit, available)


def test_shards_agree_with_themselves(shards: Path, reconstructor: Reconstructor) -> None:
    """The true views of a case give a cloud that lies on its true points."""
    _, cases = list_cases(shards, reconstructor.info)
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
    assert [(case.name, case.category) for case in listed] == [("one", "seat"), ("two", "seat")]
    for case in listed:
        assert case.views is not None
        cloud = fuse(Views(*(values[0] for values in case.views)), fixed_cameras(128))
        scores = compare_clouds(cloud.points.double().numpy(), case.points)
        assert scores.predicted_to_true < 2
    again = list(list_cases(tmp_path, reconstructor.info, limit=1)[1])
    assert np.array_equal(again[0].crop, listed[0].crop)


def test_folders_of_nothing_are_bad_input(tmp_path: Path, reconstructor: Reconstructor) -> None:
    with pytest.raises(BadInputError, match="no meshes found"):
        list_cases(tmp_path, reconstructor.info)
    with pytest.raises(BadInputError, match="is not a folder"):
        list_cases(tmp_path / "missing", reconstructor.info)


def test_evaluation_scores_what_reconstruction_gives(
    pairs: Path, chair: Shape, chair_picture: Path, reconstructor: Reconstructor
) -> None:
    reported: list[CaseScores] = []
    _, cases = list_cases(pairs, reconstructor.info, limit=2)
    results = evaluate(reconstructor, cases, reported.append)
    assert results == reported
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
    (result,) = evaluate(blind, cases)
    assert result.cloud == CloudScores(100.0, 100.0, (0.0, 0.0, 0.0))


def scores(category: str, distance: float, iou: float | None) -> CaseScores:
    depth = None if iou is None else 10 * iou
    cloud = CloudScores(distance, 2 * distance, (distance, 10.0, 20.0))
    return CaseScores("name", category, cloud, iou, depth)


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
    assert values["chair"] == (None, None, 3.0, 6.0, 3.0, 10.0, 20.0)
    assert values["furniture"] == (0.75, 7.5, 4.0, 8.0, 4.0, 10.0, 20.0)
    assert values["all"] == (0.625, 6.25, 3.25, 6.5, 3.25, 10.0, 20.0)


def test_a_summary_without_furniture_has_no_furniture_row() -> None:
    assert [row.category for row in summarise([scores("mug", 1.0, None)])] == ["mug", "all"]
    assert summarise([]) == []


def test_convention_summary_columns() -> None:
    assert SUMMARY_COLUMNS == (
        "mask IoU",
        "depth L1",
        "pred→GT",
        "GT→pred",
        "F@1%",
        "F@2%",
        "F@5%",
    )


def test_views_of_a_batch_are_fused_apart(
    reconstructor: Reconstructor, chair_picture: Path
) -> None:
    crop = torch.from_numpy(reconstructor(chair_picture).crop.copy())
    views = reconstructor.views(torch.stack([crop, crop.flip(1), crop]))
    clouds = [reconstructor.fuse(views, item) for item in range(3)]
    assert_close(clouds[0].points, clouds[2].points)
    assert not torch.equal(clouds[0].points, clouds[1].points)
