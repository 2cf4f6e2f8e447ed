"""
The maze with another layout as a domain of its own, from nothing: random walls, 40 training goals and ten others::

    simpl-sb3 experiment benchmarks/grids/maze-other-layout.toml --output runs/other-layout --workers 2
"""

from collections.abc import Iterator
from dataclasses import replace

import gymnasium as gym

from simpl_envs import ENVIRONMENTS, GoalTask, random_goals, random_layout
from simpl_envs.maze.layout import BODY_ORIGIN
from simpl_sb3 import Episode
from simpl_sb3.domains import Demonstrator, Domain, find_domain
from simpl_sb3.domains.maze import PlannerSettings
from simpl_sb3.domains.record import Traces
from simpl_sb3.errors import SettingsError
from simpl_sb3.results.facts import Walls

LAYOUT_SEED = 7
LAYOUT = random_layout(LAYOUT_SEED)
GOALS = random_goals(LAYOUT, 50, seed=0)
DATASET = "simpl/other-maze-v0"


def demonstrate(n: int, seed: int, **settings: float) -> Iterator[Episode]:
    """Planned trajectories between random cells of this layout."""
    from simpl_envs.maze.planner import plan_trajectories

    planned = plan_trajectories(n, seed, layout=LAYOUT, **settings)  # type: ignore[arg-type]
    return (Episode(observations, actions) for observations, actions in planned)


def parse_goal(text: str) -> GoalTask:
    """One of the goals by its name; others are not needed here."""
    for goal in GOALS:
        if goal.name == text:
            return goal
    raise SettingsError(f"{text!r} is no goal of this layout")


published = find_domain("maze")
assert published.traces is not None
gym.register("OtherMaze-v0", **ENVIRONMENTS["SimplMaze-v0"], kwargs={"layout": {"seed": LAYOUT_SEED}})

DOMAIN = Domain(
    name="othermaze",
    env_id="OtherMaze-v0",
    task_sets={"train": GOALS[10:], "test": GOALS[:10]},
    parse_task=parse_goal,
    demonstrator=Demonstrator(demonstrate=demonstrate, settings=PlannerSettings, dataset_id=DATASET),
    env_settings=published.env_settings,
    measure=published.measure,
    traces=Traces(
        trace=published.traces.trace,
        episodes=published.traces.episodes,
        walls=Walls(LAYOUT.rows, (0.5 - BODY_ORIGIN, 0.5 - BODY_ORIGIN)),
    ),
    presets=tuple(
        replace(found, name=f"othermaze-{found.name.rpartition('-')[2]}", domain="othermaze", dataset_id=DATASET)
        for found in published.presets
    ),
)
