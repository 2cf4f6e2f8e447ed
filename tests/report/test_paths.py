"""Paths in a plane."""

import numpy as np
import pytest

from simpl_sb3.report.paths import draw_trajectories
from simpl_sb3.results.facts import Walls
from simpl_sb3.results.traces import Trajectory


def test_maze_is_drawn_as_in_the_paper():
    rows = ("####", "#..#", "#.##", "####")  # three cells, the enclosed corner at (2, 2)
    trajectory = Trajectory("simpl", "2-1", 0, 1, True, (2.0, 1.0), np.array([[0.8, 0.8], [1.8, 0.8]]))
    axes = draw_trajectories([trajectory], Walls(rows, (-0.7, -0.7))).axes[0]
    (image,) = axes.images
    left, right, bottom, top = image.get_extent()
    assert (left, right, bottom, top) == pytest.approx(
        (-0.7, 3.3, -0.7, 3.3)
    )  # cell (i, j) is observed at i - 0.2, j - 0.2
    walls = np.asarray(image.get_array())  # (j, i): i to the right, j up
    assert image.origin == "lower"
    assert not walls[1, 1]
    assert not walls[1, 2]
    assert not walls[2, 1]
    assert walls[2, 2]
    assert axes.get_xlabel() == "1 of 1 reach it"


def test_paths_are_drawn_without_walls_and_only_where_some_were_recorded():
    paths = [
        Trajectory("mine", "door", seed, episode, False, (2.0, 1.0), np.array([[0.8, 0.8], [1.8, 0.8]]))
        for seed in (0, 1)
        for episode in (1, 2, 3, 58, 59, 60)
    ]
    figure = draw_trajectories(paths)
    assert [axes.get_title() for axes in figure.axes] == ["episodes 1 to 3", "episodes 58 to 60"]
    assert [axes.get_xlabel() for axes in figure.axes] == ["0 of 6 reach it"] * 2
    assert figure.axes[0].get_ylabel() == "mine"
