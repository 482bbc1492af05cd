"""Chamfer loss: how far the predicted points are from the true surface, and it from them.

The losses of views ask for the true depth along each ray. A cloud is judged by less: its points
lie on the surface, whichever ray they came by.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int64
from scipy.spatial import cKDTree
from torch import Tensor

from img2pc.cameras import OrthographicCameras
from img2pc.views import Views

SCALE = 0.02  # object units
MISSED = 0.2  # how far a part of the surface counts as being from a cloud with no point near it
_POINTS = 8192
_QUERIES = 4096  # of them
_PARTS = 1536
_NEIGHBOURS = 6
_CELL = 0.01
_UNLIKELY_LOGIT = -3.0
_FAR = 1e3
_AT_ONCE = 8  # items, on a GPU: a gigabyte of distances
_GROUP = 64  # points, of which there must be a multiple


@dataclass(frozen=True)
class ChamferLosses:
    """Scalars; `total` is what training minimises."""

    total: Float[Tensor, ""]
    predicted_to_true: Float[Tensor, ""]
    true_to_predicted: Float[Tensor, ""]


def chamfer_losses(
    predicted: Views,
    true: Views,
    cameras: OrthographicCameras,
    generator: torch.Generator,
    completeness_weight: float = 1.0,
) -> ChamferLosses:
    """Mean log(1 + distance / SCALE) to the nearest point, both ways, of points drawn at random.

    A pixel is a point that exists with the probability of its mask. Predicted to true is a mean
    over the points expected to exist; true to predicted the expected distance to the nearest point
    that exists, a mean over the surface that cameras see. The logarithm has what is nearly right
    put right before what is hopeless.

    `completeness_weight` is that of true to predicted: less of it costs thin legs, and buys
    precision.

    Differentiable in the prediction. The generator is of its device.
    Source: Fan, Su and Guibas 2017, sec. 4.1 (Chamfer distance); the probabilities are ours.
    """
    points, probability, first = _draw_points(predicted, cameras, generator)
    surface, _, _ = _draw_points(true, cameras, generator)
    items = torch.arange(len(points), device=points.device)[:, None, None]
    every = _POINTS // _QUERIES
    start = torch.randint(every, (1,), generator=generator, device=points.device)
    some = torch.arange(0, _POINTS, every, device=points.device) + start
    asked, exists = points[:, some], probability[:, some]
    nearest = surface[items, _nearest(asked, surface, 1)].squeeze(2)
    cost = _cost(asked - nearest)
    accuracy = ((cost * exists).sum(1) / exists.sum(1)).mean()

    parts = _parts(surface, generator)
    # A pixel drawn again is no second chance of a point there.
    around = _nearest(parts, points.detach().where(first[..., None], _FAR), _NEIGHBOURS)
    exists = (probability * first)[items, around]
    cost = _cost(points[items, around] - parts[:, :, None])
    completeness = _expected_cost(cost, exists).mean()
    total = accuracy + completeness_weight * completeness
    return ChamferLosses(total, accuracy.detach(), completeness.detach())


def _cost(offset: Float[Tensor, "*point 3"]) -> Float[Tensor, "*point"]:
    return torch.log1p((offset.square().sum(-1) + 1e-12).sqrt() / SCALE)


def _expected_cost(
    cost: Float[Tensor, "*part neighbour"], exists: Float[Tensor, "*part neighbour"]
) -> Float[Tensor, "*part"]:
    """What the first neighbour that exists is expected to cost, or that there is none."""
    # Backwards torch.cumprod asks a GPU whether there are zeros, and waits for the answer.
    none_nearer, expected = torch.ones_like(cost[..., 0]), torch.zeros_like(cost[..., 0])
    for one_cost, there in zip(cost.unbind(-1), exists.unbind(-1), strict=True):
        expected = expected + none_nearer * there * one_cost
        none_nearer = none_nearer * (1 - there)
    return expected + math.log1p(MISSED / SCALE) * none_nearer


def _draw_points(
    views: Views, cameras: OrthographicCameras, generator: torch.Generator
) -> tuple[
    Float[Tensor, "batch chosen 3"], Float[Tensor, "batch chosen"], Bool[Tensor, "batch chosen"]
]:
    """Points of pixels that are not unlikely, in the object frame, their probabilities, and
    whether they are drawn for the first time.

    Differentiable in the views. All points would take several times as long.
    """
    logits = views.mask_logits.flatten(1)
    chosen, first = _sample(logits.detach() > _UNLIKELY_LOGIT, _POINTS, generator)
    # X, Y and Z of an item are each in one piece (views.views_from_depth).
    planes = views.coordinates.movedim(-1, 1).flatten(2)
    in_camera = planes.gather(2, chosen[:, None].expand(-1, 3, -1)).mT
    view = chosen // views.depth[0, 0].numel()
    object_from_camera = cameras.to(in_camera).object_from_camera[view]
    turned = (object_from_camera[..., :3, :3] * in_camera[..., None, :]).sum(-1)
    points = turned + object_from_camera[..., :3, 3]
    return points, logits.gather(1, chosen).sigmoid(), first


def _parts(
    surface: Float[Tensor, "batch chosen 3"], generator: torch.Generator
) -> Float[Tensor, "batch part 3"]:
    """Points of the surface, more alike in number wherever the area is.

    What many cameras see, and straight on, has more pixels: one for each cell of a grid, if one of
    the cell's pixels was drawn.
    """
    x, y, z = (surface / _CELL).floor().long().unbind(-1)
    cells, order = ((x * 512 + y) * 512 + z).sort(1)
    starts = cells.diff(dim=1, prepend=cells[:, :1] - 1) != 0
    chosen = order.gather(1, _sample(starts, _PARTS, generator)[0])
    return surface.gather(1, chosen[..., None].expand(-1, -1, 3))


def _nearest(
    queries: Float[Tensor, "batch query 3"], points: Float[Tensor, "batch point 3"], count: int
) -> Int64[Tensor, "batch query count"]:
    """Which points are nearest to each query, the nearest first."""
    queries, points = queries.detach(), points.detach()
    if queries.is_cuda:
        asked, among = torch.split(queries, _AT_ONCE), torch.split(points, _AT_ONCE)
        some = zip(asked, among, strict=True)
        return torch.cat([_nearest_of_all(*each, count) for each in some])
    found = []
    for each, of in zip(queries, points, strict=True):
        # Asked too little to be worth balancing.
        tree = cKDTree(of.numpy(), balanced_tree=False, compact_nodes=False)
        ranks, threads = [*range(1, count + 1)], torch.get_num_threads()
        _, indices = tree.query(each.numpy(), ranks, workers=threads)
        found.append(torch.from_numpy(indices))
    return torch.stack(found)


def _nearest_of_all(
    queries: Float[Tensor, "batch query 3"], points: Float[Tensor, "batch point 3"], count: int
) -> Int64[Tensor, "batch query count"]:
    """The same by comparing every query with every point, in few and large steps."""
    # |p|² - 2 q·p is in the order of the distances.
    ones = torch.ones_like(queries[..., :1])
    squares = points.square().sum(-1, keepdim=True)
    far = torch.cat([queries, ones], -1) @ torch.cat([-2 * points, squares], -1).mT
    # The nearest are in the groups whose own nearest points are nearest: few are sorted.
    groups = rearrange(far, "batch query (group point) -> batch query group point", point=_GROUP)
    group = groups.amin(-1).topk(min(count, groups.shape[2]), largest=False).indices
    among = groups.gather(2, group[..., None].expand(-1, -1, -1, _GROUP)).flatten(2)
    place = among.topk(count, largest=False).indices
    found: Tensor = group.gather(2, place // _GROUP) * _GROUP + place % _GROUP
    return found


def _sample(
    eligible: Bool[Tensor, "batch item"], count: int, generator: torch.Generator
) -> tuple[Int64[Tensor, "batch {count}"], Bool[Tensor, "batch {count}"]]:
    """`count` of the eligible items of each row, in their order and each as likely as the others,
    and whether they come for the first time."""
    numbers = eligible.cumsum(1, dtype=torch.int32)
    # At even distances from a random start: none twice where there are more, all where fewer.
    lots = torch.rand(len(eligible), 1, generator=generator, device=eligible.device)
    places = (torch.arange(count, device=lots.device) + lots.double()) / count
    ranks = (places * numbers[:, -1:]).int().clamp(max=numbers[:, -1:] - 1) + 1
    return torch.searchsorted(numbers, ranks), ranks.diff(
        dim=1, prepend=ranks.new_zeros(len(ranks), 1)
    ) > 0
