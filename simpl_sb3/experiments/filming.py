"""Film an adapted agent: choose it by its rows, let it act until it succeeds, and hand the pictures to the report."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch as th
from tqdm import tqdm

from simpl_sb3.domains import Domain, find_domain
from simpl_sb3.errors import SettingsError, SimplError
from simpl_sb3.experiments.recorder import Adapted
from simpl_sb3.report.checklist import Checklist
from simpl_sb3.report.film import Film, draw_film, write_film
from simpl_sb3.results.episodes import EpisodeSummary, Whose
from simpl_sb3.results.rows import EpisodeRow, read_results
from simpl_sb3.results.traces import Completions
from simpl_sb3.skills.wrapper import SkillActionWrapper

__all__ = ["check_camera", "film_beside", "film_best", "has_camera", "most_successful", "no_camera", "take_episode"]

LAST = 10  # episodes by which agents are compared
TAKES = 10  # episodes that the chosen agent has to succeed in one
DEFAULT_FPS = 30.0  # of an environment that does not say it


@dataclass(frozen=True)
class Take:
    """
    One episode.

    :param seed: of the environment, and of the agent's noise
    :param observations: at the start and after each env step, (L + 1, O)
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


def check_camera(env_id: str) -> None:
    """
    :raises SettingsError: where an environment cannot draw itself on this machine; asked before the work, not after it
    """
    try:
        with gym.make(env_id, render_mode="rgb_array") as env:
            env.reset()
            env.render()
    except Exception as error:
        raise no_camera(env_id, error) from error


def no_camera(env_id: str, error: Exception) -> SettingsError:
    """What to say where an environment fails to draw itself; one of this package says itself what to install."""
    if isinstance(error, SimplError):
        return SettingsError(f"{env_id}: {error}")
    advice = "" if os.environ.get("MUJOCO_GL") else " If it draws by MuJoCo and there is no display: set MUJOCO_GL=egl."
    return SettingsError(f"{env_id} cannot be drawn here ({type(error).__name__}: {str(error)[:300]}).{advice}")


def has_camera(env_id: str) -> bool:
    """Whether an environment can draw itself here; if not, one line says that there is no film, and why."""
    try:
        check_camera(env_id)
    except SettingsError as error:
        tqdm.write(f"No film: {error}")
        return False
    return True


def film_best(
    agents: Sequence[Adapted],
    rows: Sequence[EpisodeRow],
    env_id: str,
    remark: str = "",
    seed: int = 0,
    domain: Domain | None = None,
) -> Film:
    """
    Film the most successful agent as it acts in its rows, with noise: of up to ten episodes the first that succeeds, or
    else the one with the highest return. The caption says which.

    :param agents: of one method
    :param rows: theirs
    :param env_id: registered environment that renders "rgb_array"
    :param remark: on the task, for the caption
    :param seed: of the first episode
    :param domain: of the environment; None finds it by ``env_id``
    """
    name, agent_seed = most_successful(rows)
    task, _, agent = next(found for found in agents if (found.task.name, found.seed) == (name, agent_seed))
    takes: list[Take] = []
    while len(takes) < TAKES and not (takes and takes[-1].success):
        takes.append(take_episode(agent, env_id, task, seed + len(takes)))
    best = max(takes, key=lambda take: (take.success, take.total_reward))
    take = take_episode(agent, env_id, task, best.seed, filmed=True)  # the same once more: drawing costs most of it
    with gym.make(env_id) as env:
        fps = float(env.metadata.get("render_fps") or DEFAULT_FPS)
    whose = Whose(rows[0].method, name, agent_seed, len(takes))
    checklist = _checklist(domain or find_domain(env_id), whose, task, take, fps)
    n_episodes = max(row.episode for row in rows)
    shown = f"An agent after {n_episodes} episodes on task {name}{remark}"
    last = len(take.pictures) - 1
    if checklist is None:
        return draw_film(take.pictures, fps, f"{shown}. {_luck(take, takes)}", _stills(take, last))
    asked = ", ".join(checklist.subtasks[subtask] for subtask in checklist.done.asked)
    luck = _luck(take, takes, checklist.summary)
    return draw_film(take.pictures, fps, f"{shown}: {asked}. {luck}", checklist.stills(last), checklist)


def _checklist(domain: Domain, whose: Whose, task: Any, take: Take, fps: float) -> Checklist | None:
    """What stands beside the film: the subtasks, where the domain's traces are completions of subtasks."""
    if domain.traces is None:
        return None
    episode = EpisodeSummary(take.total_reward, take.success, len(take.observations) - 1, take.observations)
    trace = domain.traces.trace(whose, task, episode)
    return Checklist(trace, domain.traces.subtasks, fps) if isinstance(trace, Completions) else None


def _stills(take: Take, last: int) -> dict[int, str]:
    """Env step -> text: the start, two in between, and the end."""
    between = {round(part * last): "" for part in (1 / 3, 2 / 3)}
    return {**between, 0: "start", max(last, 0): "success" if take.success else "end"}


def film_beside(
    rows: Path,
    agents: Sequence[Adapted],
    env_id: str,
    remark: str = "",
    seed: int = 0,
    overwrite: bool = False,
    domain: Domain | None = None,
) -> Path:
    """
    Film the most successful agent, and write the video (``.mp4``) and stills (``.png``) under the name of its rows.

    :param rows: the CSV that :func:`simpl_sb3.experiments.adapting.adapt` wrote as it made the agents
    :param env_id: as in :func:`film_best`, and so are ``remark``, ``seed`` and ``domain``
    :param overwrite: replace an earlier film
    :return: the video's path
    """
    (file,) = read_results(rows)
    film = film_best(agents, file.rows, env_id, remark, seed, domain)
    tqdm.write(film.caption)
    return write_film(rows.with_suffix(".mp4"), film, overwrite=overwrite)


def _luck(take: Take, takes: Sequence[Take], achieved: str = "") -> str:
    """
    How the shown episode stands among those that were tried.

    :param achieved: what it achieved; empty where it only succeeds or fails
    """
    if take.success:
        tries = "the first try" if len(takes) == 1 else f"try {len(takes)}; the {len(takes) - 1} before failed"
        return f"{achieved}, on {tries}." if achieved else f"It succeeds on {tries}."
    if achieved:
        return f"{achieved}: the best of {len(takes)} tries, none of which did all."
    return f"It fails: the best of {len(takes)} tries, none of which succeeded."


def take_episode(agent: Any, env_id: str, task: Any, seed: int, filmed: bool = False) -> Take:
    """
    One episode, acting with noise as in the rows; equal seeds give equal episodes, filmed or not.

    :param agent: has ``predict`` and ``skills``
    :param seed: of the environment, and of the agent's noise
    :param filmed: keep a picture of every env step
    """
    raw = gym.wrappers.RenderCollection(gym.make(env_id, render_mode="rgb_array")) if filmed else gym.make(env_id)
    env = SkillActionWrapper(raw, agent.skills)
    total_reward, ended, info = 0.0, False, dict[str, Any]()
    with th.random.fork_rng(devices=[]):
        th.manual_seed(seed)
        observation, _ = env.reset(seed=seed, options={"task": task})
        observations = [np.asarray(observation)[None]]
        state = None  # of agents with a memory, as SB3's recurrent policies have
        while not ended:
            z, state = agent.predict(observation, state, deterministic=False)
            observation, reward, terminated, truncated, info = env.step(z)
            observations.append(info["skill_observations"])
            total_reward += reward
            ended = terminated or truncated
    pictures: Any = env.render() if filmed else []
    env.close()
    return Take(seed, np.concatenate(observations), total_reward, bool(info["is_success"]), list(pictures))
