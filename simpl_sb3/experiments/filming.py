"""Film an adapted agent: choose it by its rows, let it act until it succeeds, and hand the pictures to the report."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch as th
from tqdm import tqdm

from simpl_sb3.algorithms.skill_prior_sac import SkillPriorSAC
from simpl_sb3.errors import DrawingError, SettingsError
from simpl_sb3.experiments.recorder import Adapted
from simpl_sb3.report.film import Film, draw_film, write_film
from simpl_sb3.results.rows import EpisodeRow, read_results
from simpl_sb3.results.traces import Completions
from simpl_sb3.skills.wrapper import SkillActionWrapper

__all__ = ["check_camera", "check_tasks", "film_beside", "film_best", "has_camera", "most_successful", "take_episode"]

LAST = 10  # episodes by which agents are compared
TAKES = 10  # episodes that the chosen agent has to succeed in one


@dataclass(frozen=True)
class Take:
    """
    One episode.

    :param seed: of the environment, and of the agent's noise
    :param observations: after each env step, (L, O)
    :param pictures: at the start and after each env step; none where nothing was filmed
    """

    seed: int
    observations: np.ndarray
    total_reward: float
    success: bool
    pictures: list[np.ndarray]


def most_successful(rows: Iterable[EpisodeRow]) -> tuple[str, int]:
    """
    :param rows: of one method
    :return: task and seed of the agent that succeeds most in its last ten episodes; among equals, by its returns, and
        then the first one
    """
    agents: dict[tuple[str, int], list[EpisodeRow]] = {}
    for row in rows:
        agents.setdefault((row.task, row.seed), []).append(row)

    def merit(agent: tuple[str, int]) -> tuple[float, float]:
        last = sorted(agents[agent], key=lambda row: row.episode)[-LAST:]
        return float(np.mean([row.success for row in last])), float(np.mean([row.episode_return for row in last]))

    return max(agents, key=merit)


def check_tasks(tasks: Iterable[Any]) -> None:
    """
    :raises SettingsError: for tasks without subtasks; asked before the work, not after it
    """
    if without := [task.name for task in tasks if not hasattr(task, "completion_steps")]:
        raise SettingsError(f"Task {without[0]} has no subtasks to film: expected tasks of the kitchen.")


def check_camera(env_id: str) -> None:
    """
    :raises SettingsError: where an environment cannot draw itself on this machine; asked before the work, not after it
    """
    try:
        with gym.make(env_id, render_mode="rgb_array") as env:
            env.reset()
            env.render()
    except DrawingError as error:  # says itself what to install
        raise SettingsError(f"{env_id}: {error}") from error
    except Exception as error:
        raise SettingsError(f"{env_id} cannot be drawn here ({type(error).__name__}: {error}).") from error


def has_camera(env_id: str) -> bool:
    """Whether an environment can draw itself here; if not, one line says that there is no film, and why."""
    try:
        check_camera(env_id)
    except SettingsError as error:
        tqdm.write(f"No film: {error}")
        return False
    return True


def film_best(
    agents: Sequence[Adapted], rows: Sequence[EpisodeRow], env_id: str, remark: str = "", seed: int = 0
) -> Film:
    """
    Film the most successful agent as it acts in its rows, with noise: of up to ten episodes the first that succeeds, or
    else the one that is paid most. The caption says which.

    :param agents: of one method, on tasks that tell ``completion_steps``
    :param rows: theirs
    :param env_id: registered environment that renders "rgb_array"
    :param remark: on the task, for the caption
    :param seed: of the first episode
    :raises SettingsError: for tasks without subtasks
    """
    check_tasks(one.task for one in agents)
    name, agent_seed = most_successful(rows)
    task, _, agent = next(one for one in agents if (one.task.name, one.seed) == (name, agent_seed))
    takes: list[Take] = []
    while len(takes) < TAKES and not (takes and takes[-1].success):
        takes.append(take_episode(agent, env_id, task, seed + len(takes)))
    best = max(takes, key=lambda take: (take.success, take.total_reward))
    take = take_episode(agent, env_id, task, best.seed, filmed=True)  # the same once more: drawing costs most of it
    completed, paid = task.completion_steps(take.observations)
    done = Completions(rows[0].method, name, agent_seed, len(takes), task.subtasks, paid, completed)
    with gym.make(env_id) as env:
        fps = float(env.metadata["render_fps"])
    asked = ", ".join(task.subtask_names[subtask] for subtask in task.subtasks)
    n_episodes = max(row.episode for row in rows)
    shown = f"An agent after {n_episodes} episodes on task {name}{remark}"
    caption = f"{shown}: {asked}. {_luck(take, takes, done)}"
    return draw_film(take.pictures, fps, done, task.subtask_names, caption)


def film_beside(
    rows: Path, agents: Sequence[Adapted], env_id: str, remark: str = "", seed: int = 0, overwrite: bool = False
) -> Path:
    """
    Film the most successful agent, and write the video (``.mp4``) and stills (``.png``) under the name of its rows.

    :param rows: the CSV that :func:`simpl_sb3.experiments.stages.adapt` wrote as it made the agents
    :param env_id: as in :func:`film_best`, and so are ``remark`` and ``seed``
    :param overwrite: replace an earlier film
    :return: the video's path
    """
    (file,) = read_results(rows)
    film = film_best(agents, file.rows, env_id, remark, seed)
    tqdm.write(film.caption)
    return write_film(rows.with_suffix(".mp4"), film, overwrite=overwrite)


def _luck(take: Take, takes: Sequence[Take], done: Completions) -> str:
    """How the shown episode stands among those that were tried."""
    if take.success:
        tries = "the first try" if len(takes) == 1 else f"try {len(takes)}; the {len(takes) - 1} before failed"
        return f"All {len(done.asked)} in order, on {tries}."
    return (
        f"{int((done.paid > 0).sum())} of {len(done.asked)} in order: the best of {len(takes)} tries, "
        "none of which did all."
    )


def take_episode(agent: SkillPriorSAC, env_id: str, task: Any, seed: int, filmed: bool = False) -> Take:
    """
    Live through one episode, acting with noise as in the rows; equal seeds give equal episodes, filmed or not.

    :param seed: of the environment, and of the agent's noise
    :param filmed: keep a picture of every env step
    """
    raw = gym.wrappers.RenderCollection(gym.make(env_id, render_mode="rgb_array")) if filmed else gym.make(env_id)
    env = SkillActionWrapper(raw, agent.skills)
    observations, total_reward, ended, info = [], 0.0, False, dict[str, Any]()
    with th.random.fork_rng(devices=[]):
        th.manual_seed(seed)
        observation, _ = env.reset(seed=seed, options={"task": task})
        while not ended:
            z, _ = agent.predict(observation, deterministic=False)
            observation, reward, terminated, truncated, info = env.step(z)
            observations.append(info["skill_observations"])
            total_reward += reward
            ended = terminated or truncated
    pictures: Any = env.render() if filmed else []
    env.close()
    return Take(seed, np.concatenate(observations), total_reward, bool(info["is_success"]), list(pictures))
