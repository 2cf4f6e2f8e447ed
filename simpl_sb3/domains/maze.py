"""The maze: reach a hidden goal."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from simpl_envs import MAZE_TASK_SETS, PUBLISHED_LAYOUT, GoalTask, random_goals
from simpl_envs.maze.layout import BODY_ORIGIN
from simpl_envs.maze.tasks import goal_reached
from simpl_sb3.demonstrations.windows import Episode
from simpl_sb3.domains.maze_presets import PRESETS
from simpl_sb3.domains.record import Demonstrator, Domain, Goals, Traces
from simpl_sb3.errors import SettingsError
from simpl_sb3.results.episodes import EpisodeSummary, Whose
from simpl_sb3.results.facts import SUCCESS, Walls
from simpl_sb3.results.published import published_curves
from simpl_sb3.results.traces import Trajectory
from simpl_sb3.settings import Settings, setting

__all__ = ["DOMAIN", "PlannerSettings"]

MIN_DISTANCE = 5
"""From the start to a random goal, at least; cells along the shortest path."""
LAST_KEPT = 3
"""Episodes at the end of a run whose paths are kept."""


# ------------------------------------------------------------ tasks


def parse_goal(text: str) -> GoalTask:
    """
    A goal by its name.

    :param text: x and y in cells, ``12-7`` or ``12.5-7``, and the radius where it is not 1: ``12-7-r0.5``
    :raises SimplError: for another text, or a place in a wall, outside, or out of reach
    """
    number = r"(\d{1,4}(?:\.\d{1,6})?)"
    found = re.fullmatch(rf"{number}-{number}(?:-r{number})?", text)
    if not found:
        raise SettingsError(f"{text!r} is no goal")
    x, y, radius = (float(part) for part in (found[1], found[2], found[3] or "1"))
    task = GoalTask((x, y), radius)
    PUBLISHED_LAYOUT.require_goal(task)
    return task


def random_tasks(n: int, seed: int) -> tuple[GoalTask, ...]:
    """Random goals at least five cells away from the start, none of them in a published set."""
    published = {task for tasks in MAZE_TASK_SETS.values() for task in tasks}
    return random_goals(PUBLISHED_LAYOUT, n, seed, min_distance=MIN_DISTANCE, exclude=tuple(published))


# ------------------------------------------------------------ goals


def goal(task: GoalTask) -> np.ndarray:
    """A task as (x, y, radius), cells."""
    return np.array([*task.goal, task.radius])


def achieved(observations: np.ndarray) -> np.ndarray:
    """The place of each observation, as a goal with the published radius, (N, 3)."""
    return np.column_stack([observations[:, :2], np.ones(len(observations))])


def reached(places: np.ndarray, goals: np.ndarray) -> np.ndarray:
    """Whether places lie within the radius of goals, each (N, 3): (N,)."""
    return goal_reached(places, goals[:, :2], goals[:, 2])


# ------------------------------------------------------------ demonstrations


@dataclass(frozen=True, kw_only=True)
class PlannerSettings(Settings):
    """
    Of the planner, which drives between random cells of the maze.

    :param noise: standard deviation of Gaussian noise on the actions, which are in [-1, 1]
    :param jitter: half width of the uniform noise on each waypoint, cells
    :param min_steps: shortest trajectory kept, env steps
    :param max_steps: longest trajectory kept, env steps
    :param arrived_only: drop trajectories that have not arrived after ``max_steps``; else they are kept, cut off there
    """

    noise: float = setting(0.0, at_least=0, at_most=3)
    jitter: float = setting(0.2, at_least=0, at_most=0.5)
    min_steps: int = setting(50, at_least=1)
    max_steps: int = setting(1600, at_least=1, at_most=100_000)
    arrived_only: bool = True

    def check(self) -> None:
        if self.min_steps > self.max_steps:
            raise SettingsError(f"min_steps is {self.min_steps}: expected at most max_steps, {self.max_steps}.")


def demonstrate(n: int, seed: int, first: int = 0, **settings: float) -> Iterator[Episode]:
    """
    Planned trajectories.

    :param n: how many
    :param seed: equal seeds give equal trajectories
    :param first: number of the first one
    :param settings: of ``PlannerSettings``
    """
    from simpl_envs.maze.planner import plan_numbered  # needs MuJoCo

    planned = plan_numbered(n, seed, first, **settings)  # type: ignore[arg-type]
    return (Episode(observations, actions, number) for number, (observations, actions) in planned)


# ------------------------------------------------------------ pictures


def traced_episodes(n: int) -> set[int]:
    """
    :param n: episodes of a run
    :return: those whose paths are kept: the first three, three after exploring, and around the 100th, as in the paper's
        Fig. 5; and the last three
    """
    return {1, 2, 3, 21, 22, 23, 98, 99, 100} | set(range(max(1, n - LAST_KEPT + 1), n + 1))


def trace(whose: Whose, task: GoalTask, episode: EpisodeSummary) -> Trajectory | None:
    """The path of an episode: the observed (x, y), start included."""
    if episode.observations is None:
        return None
    return Trajectory(*whose, episode.success, task.goal, episode.observations[:, :2], task.radius)


DOMAIN = Domain(
    name="maze",
    env_id="SimplMaze-v0",
    task_sets=MAZE_TASK_SETS,
    train_tasks="train-40",
    test_tasks="target",
    parse_task=parse_goal,
    task_text="a goal such as 12-7, in cells",
    random_tasks=random_tasks,
    demonstrator=Demonstrator(
        demonstrate=demonstrate,
        numbered=True,
        settings=PlannerSettings,
        dataset_id="simpl/maze-planner-v0",
        algorithm_name="waypoint controller on shortest paths",
        description="Planned trajectories between random cells of the maze, without rewards or task labels.",
    ),
    env_settings=Settings,
    measure=SUCCESS,
    traces=Traces(
        trace=trace,
        episodes=traced_episodes,
        task_at=lambda x, y: f"{max(0.0, round(x, 1)):g}-{max(0.0, round(y, 1)):g}",
        walls=Walls(PUBLISHED_LAYOUT.rows, (0.5 - BODY_ORIGIN, 0.5 - BODY_ORIGIN)),
    ),
    goals=Goals(goal=goal, achieved=achieved, reached=reached),
    film_mode="rgb_array_top_down",
    published=published_curves("SimplMaze-v0"),
    presets=PRESETS,
)
"""The record."""
