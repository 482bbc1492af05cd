"""Baselines: the training set's mean shape, nearest picture and nearest shape."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy import ndarray
from torch.testing import assert_close

from img2pc import baselines
from img2pc.baselines import Answer, Baselines, chamfer_to_each, thumbnails
from img2pc.cameras import fixed_cameras
from img2pc.data.dataset import (
    DataSettings,
    ShardedDataset,
    batch_of_objects,
    render_object,
    turned_points,
    write_shards,
)
from img2pc.errors import BadInputError
from img2pc.evaluation import Case, evaluate
from img2pc.fusion import fuse
from img2pc.generator import SIZES, GeneratorConfig
from img2pc.metrics import compare_clouds
from img2pc.views import Views

CONFIG = GeneratorConfig(image_size=32)
FLIP = np.array([-1.0, 1.0, 1.0])


@pytest.fixture(scope="module")
def trained(shards: Path) -> Baselines:
    return Baselines.read([shards], CONFIG)


def case_of(data: ShardedDataset, item: int, mirrored: bool = False) -> Case:
    batch = data[[item], mirrored]
    points = data.surface(item)
    return Case(
        f"{item}",
        data.category(item),
        batch.pictures()[0].numpy(),
        points * FLIP if mirrored else points,
        batch.views(),
    )


@pytest.fixture(scope="module")
def unseen() -> list[Case]:
    """Four objects that are not in the shards."""
    settings = DataSettings(
        seed=11, pictures_per_object=1, picture_size=32, view_size=32, surface_points=512
    )
    cases = []
    for index in range(4):
        rendered = render_object(settings, index)
        points = turned_points(rendered.surface.double().numpy(), int(rendered.quarter_turns[0]))
        views = batch_of_objects([rendered]).views()
        cases.append(
            Case(f"{index}", rendered.category, rendered.pictures[0].numpy(), points, views)
        )
    return cases


# --- Retrieval ------------------------------------------------------------------------------------


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_training_picture_retrieves_itself(trained: Baselines, mirrored: bool) -> None:
    cases = [case_of(trained.data, item, mirrored) for item in range(len(trained.data))]
    assert trained.nearest_pictures(cases) == [Answer(item, mirrored) for item in range(8)]
    for scores in evaluate({"retrieval": trained.methods()["retrieval"]}, iter(cases)):
        assert scores.cloud.chamfer == 0
        assert (scores.mask_iou, scores.depth_l1) == (1.0, 0.0)


@pytest.mark.parametrize("mirrored", [False, True])
def test_points_and_views_of_an_answer_are_in_one_frame(trained: Baselines, mirrored: bool) -> None:
    cases = [case_of(trained.data, item, mirrored) for item in range(len(trained.data))]
    for prediction in trained.methods()["retrieval"](cases):
        seen = fuse(Views(*(values[0] for values in prediction.views)), fixed_cameras(32))
        scores = compare_clouds(seen.arrays().points, prediction.points)
        assert scores.predicted_to_true < 5  # 512 points


def test_a_slightly_different_picture_is_still_recognised(trained: Baselines) -> None:
    case = case_of(trained.data, 5)
    crop = case.crop.copy()
    crop[10:14, 10:14, :3] ^= 64
    (answer,) = trained.nearest_pictures([Case("", "", crop, case.points)])
    assert answer == Answer(5, False)


def test_colour_counts_as_far_as_it_can_be_seen() -> None:
    """One crop of two pixels a cell: opaque 255, 0, 51 beside transparent white."""
    crop = np.zeros((1, 32, 32, 4), np.uint8)
    crop[:, :, ::2] = (255, 0, 51, 255)
    crop[:, :, 1::2] = (255, 255, 255, 0)
    values = thumbnails(torch.from_numpy(crop)).view(4, 16, 16)
    expected = torch.tensor([0.5, 0.0, 0.1, 0.5])
    assert_close(values, expected[:, None, None].expand(4, 16, 16))


# --- Oracle ---------------------------------------------------------------------------------------


def every_chamfer(trained: Baselines, true: ndarray) -> dict[Answer, float]:
    surfaces = [trained.data.surface(item) for item in range(len(trained.data))]
    return {
        Answer(item, mirrored): compare_clouds(points * FLIP if mirrored else points, true).chamfer
        for item, points in enumerate(surfaces)
        for mirrored in (False, True)
    }


def test_the_oracle_is_the_best_of_all_answers(trained: Baselines, unseen: list[Case]) -> None:
    for case, answer in zip(unseen, trained.nearest_shapes(unseen), strict=True):
        chamfer = every_chamfer(trained, case.points)
        assert chamfer[answer] == min(chamfer.values())


def test_the_oracle_is_never_worse_than_retrieval(
    trained: Baselines, unseen: list[Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even with sieves so coarse that they find next to nothing."""
    monkeypatch.setattr(baselines, "SIEVES", ((1, 1),))
    results = evaluate(trained.methods(), iter(unseen))
    chamfer = {(each.method, each.name): each.cloud.chamfer for each in results}
    for case in unseen:
        assert chamfer["oracle", case.name] <= chamfer["retrieval", case.name]
    assert any(chamfer["oracle", case.name] < chamfer["mean shape", case.name] for case in unseen)


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_training_shape_is_its_own_oracle(trained: Baselines, mirrored: bool) -> None:
    """Whatever the picture shows."""
    blank = np.zeros((32, 32, 4), np.uint8)
    cases = [Case("", "", blank, case_of(trained.data, item, mirrored).points) for item in range(8)]
    assert trained.nearest_shapes(cases) == [Answer(item, mirrored) for item in range(8)]


def test_sieving_agrees_with_the_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    clouds, wanted = rng.random((5, 30, 3)) - 0.5, rng.random((2, 40, 3)) - 0.5
    expected = [[compare_clouds(a, b).chamfer / 100 for b in wanted] for a in clouds]
    for held in (1, 2 * 30 * 80, 1 << 17):
        monkeypatch.setattr(baselines, "CACHED_DISTANCES", held)
        distances = chamfer_to_each(
            torch.from_numpy(clouds).float(), torch.from_numpy(wanted).float()
        )
        assert_close(distances, torch.tensor(expected), atol=1e-4, rtol=1e-4)


# --- Mean shape -----------------------------------------------------------------------------------


def test_the_mean_shape_of_one_object_is_that_object(tmp_path: Path) -> None:
    settings = DataSettings(
        seed=2, pictures_per_object=1, picture_size=32, view_size=32, surface_points=512
    )
    list(write_shards(tmp_path, settings, 1, workers=1))
    trained = Baselines.read([tmp_path], CONFIG)
    batch = trained.data[[0], False]
    assert batch.quarter_turns[0] != 0, "a turn that tells frames apart"
    assert_close(trained.mean_shape.views, batch.views())
    cloud = fuse(Views(*(values[0] for values in batch.views())), fixed_cameras(32))
    assert_close(trained.mean_shape.points, cloud.arrays().points)


def test_the_mean_shape_is_a_mean_over_the_objects_that_have_the_pixel(
    trained: Baselines,
) -> None:
    views = trained.data[range(8), False].views()
    seen = (views.mask_logits > 0).float()
    mean = trained.mean_shape.views
    assert_close(mean.mask_probability[0], seen.mean(0), atol=1e-5, rtol=1e-5)
    assert len(seen.mean(0).unique()) > 4
    somewhere = seen.any(0)
    depth = (views.depth * seen).sum(0) / seen.sum(0)
    assert_close(mean.depth[0][somewhere], depth[somewhere], atol=2e-5, rtol=0)
    cloud = fuse(Views(*(values[0] for values in mean)), fixed_cameras(32))
    assert len(trained.mean_shape.points) == len(cloud) > 100


# --- Reading --------------------------------------------------------------------------------------


def test_several_folders_are_one_training_set(shards: Path, trained: Baselines) -> None:
    reported: list[float] = []
    both = Baselines.read([shards, shards], CONFIG, reported.append)
    assert len(both.data) == len(both.thumbnails) == len(both.surfaces) == 16
    assert_close(both.thumbnails[8:], trained.thumbnails)
    assert_close(both.mean_shape.views, trained.mean_shape.views)
    assert reported[-1] == 1.0


def test_batches_of_reading_do_not_matter(
    shards: Path, trained: Baselines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(baselines, "READ_ITEMS", 3)
    again = Baselines.read([shards], CONFIG)
    assert torch.equal(again.surfaces, trained.surfaces)
    assert torch.equal(again.thumbnails, trained.thumbnails)
    assert_close(again.mean_shape.views, trained.mean_shape.views)


def test_a_folder_without_shards_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="holds no data set"):
        Baselines.read([tmp_path], CONFIG)


def test_shards_of_another_size_are_bad_input(shards: Path) -> None:
    with pytest.raises(BadInputError, match="pictures of 32 and views of 32 pixels"):
        Baselines.read([shards], SIZES["tiny"])
