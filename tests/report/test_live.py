"""Pictures of a meta-training that runs; their callback is tested in tests/experiments."""

from itertools import combinations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from simpl_sb3.report.live import _name_points, draw_latents
from simpl_sb3.results.facts import SUCCESS

PAIRS = np.repeat(np.array([[0.0, 0.0], [2.0, 1.0], [1.0, 3.0], [4.0, 0.0]]), 2, axis=0)
PLACES = PAIRS + np.array([[0.0, 0.0], [0.01, 0.0]] * 4)
NAMES = [f"task {k}" for k in range(len(PLACES))]


def test_names_of_points_that_lie_together_stay_apart() -> None:
    figure = Figure(figsize=(6.6, 5.2), dpi=90, layout="constrained")
    axes = figure.add_subplot()
    axes.scatter(*PLACES.T)
    _name_points(axes, PLACES, NAMES)
    written = [child for child in axes.get_children() if isinstance(child, Annotation)]
    assert [one.get_text() for one in written] == NAMES
    boxes = [one.get_window_extent() for one in written]
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    for box, place in zip(boxes, PLACES, strict=True):
        dot = axes.transData.transform(place)
        assert not box.contains(*dot)
        assert np.abs(np.clip(dot, box.min, box.max) - dot).max() < 10  # pixels: it stands beside its own


def test_a_picture_of_latents_is_drawn() -> None:
    picture = draw_latents(PLACES, NAMES, np.linspace(0.0, 1.0, len(PLACES)), SUCCESS, "Latents")
    assert picture.dtype == np.uint8
    assert picture.shape == (468, 594, 3)
    assert picture.min() < 100 < 250 < picture.max()
