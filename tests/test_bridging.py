from __future__ import annotations

import numpy as np
import pytest
from manifold3d import Manifold

from img2pc.bridging import bridged

SEAT = Manifold.cube((4, 4, 1)).refine_to_length(0.2)
TOP = 1.0


def leg(low: float, high: float, x: float = 2.0, radius: float = 0.2) -> Manifold:
    """A rod from `low` to `high` above the seat's top."""
    rod = Manifold.cylinder(high - low, radius, circular_segments=24).refine_to_length(0.1)
    return rod.translate((x, 2, TOP + low))


def bodies(solid: Manifold) -> list[float]:
    return sorted(body.volume() for body in solid.decompose())


def diagonal(solid: Manifold) -> float:
    return float(np.linalg.norm(np.ptp(np.reshape(solid.bounding_box(), (2, 3)), axis=0)))


def test_a_short_gap_is_bridged_by_a_strut_as_thick_as_the_leg() -> None:
    apart = SEAT + leg(0.4, 3.0)
    whole, gaps = bridged(apart)
    assert gaps == pytest.approx([0.4 / diagonal(apart)], rel=0.05)
    assert len(bodies(whole)) == 1
    assert whole.slice(TOP + 0.2).area() == pytest.approx(np.pi * 0.2**2, rel=0.1)
    # Below the leg, and nothing else has changed.
    middle = np.reshape(whole.slice(TOP + 0.2).bounds(), (2, 2)).mean(0)
    assert middle == pytest.approx([2, 2], abs=0.1)
    assert whole.volume() == pytest.approx(apart.volume() + 0.4 * np.pi * 0.2**2, rel=0.01)


def test_a_gap_of_more_than_three_fifths_of_the_leg_stays() -> None:
    apart = SEAT + leg(1.2, 3.0)
    whole, gaps = bridged(apart)
    assert gaps == ()
    assert whole is apart
    assert len(bridged(SEAT + leg(1.2, 3.4))[1]) == 1


def test_a_gap_too_wide_for_the_whole_stays() -> None:
    """Of a fifth of the diagonal, whatever the leg's length."""
    apart = SEAT + leg(3.0, 12.0)
    assert bridged(apart)[1] == ()


def test_one_piece_comes_back_as_it_is() -> None:
    assert bridged(SEAT) == (SEAT, ())


def test_pieces_of_a_leg_become_a_leg_before_it_meets_the_seat() -> None:
    """0.7 is more than three fifths of a piece, and less than that of three."""
    pieces = [leg(start, start + 1.0) for start in (0.7, 1.9, 3.1)]
    assert bridged(SEAT + pieces[0])[1] == ()
    apart = SEAT + pieces[0] + pieces[1] + pieces[2]
    whole, gaps = bridged(apart)
    assert np.array(gaps) * diagonal(apart) == pytest.approx([0.2, 0.2, 0.7], rel=0.1)
    assert len(bodies(whole)) == 1


def test_each_piece_is_joined_once() -> None:
    """Two legs that are near each other, too."""
    whole, gaps = bridged(SEAT + leg(0.3, 3, x=1) + leg(0.3, 3, x=2) + leg(0.3, 3, x=3))
    assert len(gaps) == 3
    assert len(bodies(whole)) == 1


def test_what_is_far_away_is_not_joined_with_its_like() -> None:
    far = leg(4.0, 5.0, x=20) + leg(5.2, 6.2, x=20)
    apart = SEAT + leg(0.4, 3.0) + far
    whole, gaps = bridged(apart)
    assert len(gaps) == 1
    assert len(bodies(whole)) == 3


def test_crumbs_are_not_worth_a_strut() -> None:
    apart = SEAT + leg(0.02, 0.1, radius=0.03)
    assert bridged(apart) == (apart, ())


def test_a_strut_does_not_come_out_on_the_other_side_of_a_plate() -> None:
    plate = Manifold.cube((8, 8, 0.1)).refine_to_length(0.2)
    apart = plate + leg(0.4, 3.0).translate((2, 2, 0.1 - TOP))
    whole, gaps = bridged(apart)
    assert len(gaps) == 1
    assert len(bodies(whole)) == 1
    assert whole.bounding_box()[2] == pytest.approx(0, abs=1e-6)


def test_hollows_stay_hollow() -> None:
    hollow = SEAT - Manifold.cube((1, 1, 0.4)).translate((0.5, 0.5, 0.3)) + leg(0.4, 3.0)
    whole, _ = bridged(hollow)
    assert whole.volume() == pytest.approx(hollow.volume() + 0.4 * np.pi * 0.2**2, rel=0.01)
    assert min(bodies(whole)) < 0
