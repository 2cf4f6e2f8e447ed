"""What the tests of methods over stock learners share: a line with goals, made as the stages make environments."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from envs_for_tests import ACTIONS, OBSERVATIONS, LineTask, line_envs, straight_skills
from gymnasium.spaces import Box

from simpl_sb3.experience.collector import FinishedEpisode
from simpl_sb3.experience.goals import Goals
from simpl_sb3.experiments.cli import main
from simpl_sb3.methods import METHODS
from simpl_sb3.results.rows import read_results
from simpl_sb3.skills.model import SkillModel
from simpl_sb3.skills.vec_env import SkillVecEnv

HORIZON = 2
LINE_GOALS = Goals(
    goal=lambda task: np.array([task.goal]),
    achieved=lambda observations: observations[:, :1],
    reached=lambda places, goals: np.abs(places[:, 0] - goals[:, 0]) <= 1.0,
)
TASKS = (LineTask(1.5), LineTask(-1.5))
TEST_TASKS = (LineTask(2.0), LineTask(-2.0))
SMALL: dict[str, dict[str, Any]] = {
    "sac-her": {"net_arch": (8,), "batch_size": 8, "learning_starts": 8, "gradient_steps": 1, "buffer_size": 500},
    "rl2": {"net_arch": (8,), "lstm_hidden_size": 4, "n_steps": 8, "batch_size": 16, "n_epochs": 1},
}


class LineEnvs:
    """Makes vec envs on a line, as ``MakeEnv`` says."""

    observation_space, action_space = OBSERVATIONS, ACTIONS

    def __init__(self, goals: Goals | None = LINE_GOALS, **arguments: Any) -> None:
        self.goals, self.arguments = goals, {"train_tasks": TASKS, **arguments}

    def __call__(self, skills: Any, n_envs: int, /) -> SkillVecEnv:
        return SkillVecEnv(line_envs(n_envs, **self.arguments), skills)


def line_skills(horizon: int = HORIZON) -> SkillModel:
    """Each skill is a constant action, z / 2."""
    return straight_skills(OBSERVATIONS, ACTIONS, horizon)


def made(method: str, folder: Path, make_env: LineEnvs, n_envs: int = 4, seed: int = 0, **settings: Any) -> Any:
    """A model of a method, over skills that are saved in a folder."""
    skills = folder / "skills.safetensors"
    if not skills.exists():
        line_skills().save(skills)
    chosen = {**SMALL[method], **settings}
    return METHODS[method].make_model(skills, chosen, make_env, n_envs=n_envs, seed=seed, device="cpu", verbose=0)


def trained(method: str, folder: Path, total: int = 60, **settings: Any) -> Path:
    """A meta-trained model's file."""
    model: Any = made(method, folder, LineEnvs(), **settings)
    model.learn(total)
    model.save(folder / "model.zip")
    return folder / "model.zip"


def adapted(
    method: str, source: Path | None, seed: int = 0, tasks: tuple[LineTask, ...] = TEST_TASKS, **settings: Any
) -> tuple[list[tuple[int, int, FinishedEpisode]], Any]:
    """What ``on_episode`` got, and the agents."""
    make_env = LineEnvs()
    adapter: Any = METHODS[method].make_adapter(source, settings, make_env, "cpu")
    env = make_env(adapter.skills, len(tasks))
    told: list[tuple[int, int, FinishedEpisode]] = []
    agents = adapter.run(env, tasks, seed, lambda *each: told.append(each))
    assert len(agents) == len(tasks)
    return told, agents


def success(told: list[tuple[int, int, FinishedEpisode]]) -> float:
    """Share of the episodes that succeeded."""
    return float(np.mean([finished.success for _agent, _episode, finished in told]))


def same_episodes(one: list[Any], other: list[Any]) -> bool:
    """To the bit."""
    return len(one) == len(other) and all(
        (agent, episode) == (agent_too, episode_too)
        and np.array_equal(mine.episode.actions, theirs.episode.actions)
        and np.array_equal(mine.episode.next_observations, theirs.episode.next_observations)
        for (agent, episode, mine), (agent_too, episode_too, theirs) in zip(one, other, strict=True)
    )


def by_commands(
    method: str, folder: Path, train: Sequence[str], adapt: Sequence[str]
) -> tuple[list[Any], dict[str, Any]]:
    """Meta-train and adapt by the command line, in the domain of ``own_domain_for_tests``: its rows and settings."""
    text = Path(__file__).with_name("own_domain_for_tests.py").read_text()
    (folder / "line.py").write_text(text)  # registers its environment anew: other tests register copies of their own
    space = np.float32(20.0) * np.ones(1, np.float32)
    straight_skills(Box(-space, space), Box(-1.0, 1.0, (1,), np.float32), 2).save(folder / "skills.safetensors")
    words = ["--method", method, "--domain", str(folder / "line.py"), "--device", "cpu", "--no-progress-bar"]
    source, rows = str(folder / "meta" / "model.zip"), folder / "rows.csv"
    main(
        ["meta-train", *words, "--skills", str(folder / "skills.safetensors"), "--output", str(folder / "meta"), *train]
    )
    main(["adapt", *words, "--from", source, "--output", str(rows), *adapt])
    (file,) = read_results(rows)
    return list(file.rows), json.loads(rows.with_suffix(".json").read_text())
