"""Episodes become rows, and leave the traces that their domain asks for."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from envs_for_tests import LineTask, numbered_episode

from simpl_envs.kitchen.tasks import SUBTASKS, SubtaskSequence
from simpl_envs.maze.tasks import GoalTask
from simpl_sb3.domains import Domain
from simpl_sb3.domains.maze import DOMAIN as MAZE
from simpl_sb3.experience.collector import FinishedEpisode, Job
from simpl_sb3.experiments.recorder import RowKeeper
from simpl_sb3.results.traces import read_completions, read_trajectories

TEMPLATE = {"method": "simpl", "preset": "p", "env": "SimplKitchen-v0", "task_set": "target"}


def test_every_episode_of_a_kitchen_is_kept(tmp_path: Path) -> None:
    task = SubtaskSequence.from_name("5021")
    keeper = RowKeeper(TEMPLATE, [task], [3], 51, False)
    observations = np.zeros((5, 60), np.float32)
    observations[3:, 22] = -0.75  # the microwave, from the fourth env step on
    lived = replace(numbered_episode(0, 1), observations=np.zeros((1, 60), np.float32), env_observations=observations)
    for episode in (1, 50):
        keeper(0, episode, FinishedEpisode(Job(task, 0, "exploration"), lived, False))
    keeper(0, 51, FinishedEpisode(Job(task, 0, "exploration"), replace(lived, env_observations=None), False))
    keeper.close()
    assert (len(keeper.rows), len(keeper.kept)) == (3, 2)
    keeper.write_kept(tmp_path / "rows.npz", overwrite=False)
    found, subtasks = read_completions(tmp_path / "rows.npz")
    assert [(trace.method, trace.task, trace.seed, trace.episode) for trace in found] == [
        ("simpl", "5021", 3, 1),
        ("simpl", "5021", 3, 50),
    ]
    assert subtasks == SUBTASKS
    assert found[0].asked == (5, 0, 2, 1)
    assert found[0].rewarded.tolist() == [4, 0, 0, 0]
    assert found[0].order == (5,)


def test_paths_of_some_episodes_are_kept_with_their_walls(tmp_path: Path) -> None:
    keeper = RowKeeper({**TEMPLATE, "env": "SimplMaze-v0"}, [GoalTask((12.0, 7.0))], [0], 60, False)
    observations = np.arange(20, dtype=np.float32).reshape(5, 4)
    lived = replace(numbered_episode(0, 1), observations=observations[:1], env_observations=observations[1:])
    for episode in range(1, 61):
        keeper(0, episode, FinishedEpisode(Job(keeper.tasks[0], 0, "exploration"), lived, episode == 60))
    keeper.close()
    keeper.write_kept(tmp_path / "rows.npz", overwrite=False)
    found, walls = read_trajectories(tmp_path / "rows.npz")
    assert [path.episode for path in found] == [1, 2, 3, 21, 22, 23, 58, 59, 60]
    assert [path.success for path in found] == [False] * 8 + [True]
    assert found[0].positions.tolist() == observations[:, :2].tolist()
    assert MAZE.traces is not None
    assert walls == MAZE.traces.walls


def test_a_domain_without_traces_leaves_rows_only(tmp_path: Path) -> None:
    domain = Domain(name="line", env_id="Line-v0", task_sets={})
    keeper = RowKeeper({**TEMPLATE, "env": "Line-v0"}, [LineTask(1.0)], [0], 1, False, domain)
    keeper(0, 1, FinishedEpisode(Job(LineTask(1.0), 0, "exploration"), numbered_episode(0, 2), True))
    keeper.close()
    keeper.write_kept(tmp_path / "rows.npz", overwrite=False)
    assert not list(tmp_path.iterdir())
    assert [(row.task, row.success, row.env_steps) for row in keeper.rows] == [("1", 1, 8)]
