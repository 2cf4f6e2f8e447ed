"""Geometry of mazes: the published map, random ones, shortest paths, goals."""

import dataclasses
import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpl_envs.errors import SimplError, TaskError
from simpl_envs.maze.layout import PUBLISHED_LAYOUT, MazeLayout, as_layout, cell_of, random_goals, random_layout
from simpl_envs.maze.tasks import MAZE_TASK_SETS, GoalTask

TINY = MazeLayout(("#####", "#...#", "#.#.#", "#.#.#", "#####"), start=(2, 1))
ENCLOSED = MazeLayout(("#####", "#.#.#", "#.###", "#####"), start=(1, 1))


def test_published_layout() -> None:
    assert PUBLISHED_LAYOUT.shape == (22, 22)
    assert PUBLISHED_LAYOUT.start == (10, 10)
    free, reachable = (
        {(i, j) for i, j in np.argwhere(~PUBLISHED_LAYOUT.walls).tolist()},
        set(PUBLISHED_LAYOUT.reachable_cells()),
    )
    assert free - reachable == {(13, 16), (13, 17), (15, 17)}


@pytest.mark.parametrize("name", sorted(MAZE_TASK_SETS))
def test_published_goals_can_be_reached(name: str) -> None:
    for task in MAZE_TASK_SETS[name]:
        PUBLISHED_LAYOUT.require_goal(task)


def test_shortest_paths_to_target_goals() -> None:
    goals = [cell_of(task.goal) for task in MAZE_TASK_SETS["target"]]
    lengths = [len(PUBLISHED_LAYOUT.shortest_path((10, 10), goal)) - 1 for goal in goals]
    assert lengths == [5, 18, 7, 12, 14, 12, 19, 5, 22, 18]
    assert lengths == [PUBLISHED_LAYOUT.distances((10, 10))[goal] for goal in goals]


def test_shortest_path_by_hand() -> None:
    assert TINY.shortest_path((3, 1), (2, 3)) == [(3, 1), (2, 1), (1, 1), (1, 2), (1, 3), (2, 3)]
    assert TINY.shortest_path((1, 1), (1, 1)) == [(1, 1)]
    assert TINY.distances((2, 1)).tolist()[1:4] == [[-1, 1, 2, 3, -1], [-1, 0, -1, 4, -1], [-1, 1, -1, 5, -1]]
    with pytest.raises(ValueError, match="no path"):
        ENCLOSED.shortest_path((1, 1), (1, 3))


def test_order_of_moves_decides_between_equal_paths() -> None:
    room = MazeLayout(("####", "#..#", "#..#", "####"), start=(1, 1))
    assert room.shortest_path((1, 1), (2, 2), [(1, 0), (0, 1), (-1, 0), (0, -1)])[1] == (2, 1)
    assert room.shortest_path((1, 1), (2, 2), [(0, 1), (1, 0), (-1, 0), (0, -1)])[1] == (1, 2)


@pytest.mark.parametrize(
    ("position", "cell"),
    [
        ((12.0, 7.0), (12, 7)),
        ((11.8, 6.8), (12, 7)),
        ((11.31, 6.31), (12, 7)),
        ((12.29, 7.29), (12, 7)),
        ((12.31, 7), (13, 7)),
    ],
)
def test_cell_of_an_observation(position: tuple[float, float], cell: tuple[int, int]) -> None:
    """A cell's centre is observed 0.2 below its index, so it spans i - 0.7 to i + 0.3."""
    assert cell_of(position) == cell


@given(seed=st.integers(0, 2**32), size=st.integers(3, 14))
def test_random_layouts_are_connected(seed: int, size: int) -> None:
    layout = random_layout(seed, size)
    assert layout == random_layout(seed, size)
    assert layout.shape == (size + 2, size + 2)
    assert [tuple(cell) for cell in np.argwhere(~layout.walls).tolist()] == layout.reachable_cells()


def test_random_layouts_differ_by_seed_and_have_walls() -> None:
    layouts = [random_layout(seed, 20) for seed in range(3)]
    assert len(set(layouts)) == 3
    for layout in layouts:
        assert 0.25 < layout.walls[1:-1, 1:-1].mean() < 0.35


@pytest.mark.parametrize(("size", "fraction"), [(2, 0.3), (10, 1.0), (10, -0.1)])
def test_random_layout_refuses(size: int, fraction: float) -> None:
    with pytest.raises(ValueError, match="size >= 3"):
        random_layout(0, size, fraction)


def test_random_goals() -> None:
    goals = random_goals(PUBLISHED_LAYOUT, 30, seed=1, min_distance=5, exclude=MAZE_TASK_SETS["train-40"])
    assert goals == random_goals(PUBLISHED_LAYOUT, 30, seed=1, min_distance=5, exclude=MAZE_TASK_SETS["train-40"])
    assert goals != random_goals(PUBLISHED_LAYOUT, 30, seed=2, min_distance=5, exclude=MAZE_TASK_SETS["train-40"])
    assert len(set(goals)) == 30
    assert not set(goals) & set(MAZE_TASK_SETS["train-40"])
    distances = PUBLISHED_LAYOUT.distances(PUBLISHED_LAYOUT.start)
    assert all(distances[cell_of(goal.goal)] >= 5 for goal in goals)
    with pytest.raises(TaskError, match="the maze has 6"):
        random_goals(TINY, 7, seed=0, min_distance=1)


@pytest.mark.parametrize(
    ("goal", "problem"),
    [((1, 2), "in a wall"), ((9, 9), "outside"), ((-3, 1), "outside"), ((1, 3), "cannot be reached")],
)
def test_bad_goals(goal: tuple[float, float], problem: str) -> None:
    with pytest.raises(TaskError, match=problem) as error:
        ENCLOSED.require_goal(GoalTask(goal))
    assert isinstance(error.value, SimplError)


@pytest.mark.parametrize(
    ("rows", "start"),
    [
        (("###", "#.#"), (1, 1)),
        (("###", "#.", "###"), (1, 1)),
        (("###", "#o#", "###"), (1, 1)),
        (("###", "#..", "###"), (1, 1)),
        (("####", "#.##", "####"), (1, 2)),
        (("###", "#.#", "###"), (5, 5)),
    ],
)
def test_bad_layouts(rows: tuple[str, ...], start: tuple[int, int]) -> None:
    with pytest.raises(ValueError):
        MazeLayout(rows, start)


def test_layout_is_data() -> None:
    written = json.loads(json.dumps(dataclasses.asdict(PUBLISHED_LAYOUT)))
    assert MazeLayout(**written) == PUBLISHED_LAYOUT
    assert hash(MazeLayout(**written)) == hash(PUBLISHED_LAYOUT)
    assert pickle.loads(pickle.dumps(PUBLISHED_LAYOUT)) == PUBLISHED_LAYOUT
    with pytest.raises(ValueError):
        PUBLISHED_LAYOUT.walls[0, 0] = False
    with pytest.raises(ValueError):
        PUBLISHED_LAYOUT.distances((1, 1))[0, 0] = 0


def test_as_layout() -> None:
    assert as_layout("published") is PUBLISHED_LAYOUT
    assert as_layout(TINY) is TINY
    assert as_layout({"seed": 3, "size": 8}) == random_layout(3, 8)
    for wrong in ("other", {"size": 8}, {"seed": 1, "colour": 2}, 3):
        with pytest.raises(ValueError, match="published"):
            as_layout(wrong)  # type: ignore[arg-type]
    assert np.array_equal(as_layout({"seed": 1}).shape, (22, 22))
