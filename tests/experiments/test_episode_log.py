"""Adaptation in TensorBoard: each episode once, when all agents have ended it."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from stable_baselines3.common.logger import configure

from simpl_sb3.experiments.episode_log import EpisodeLog


def finished(success: bool, reward: float, env_steps: int) -> Any:
    return SimpleNamespace(success=success, episode=SimpleNamespace(total_reward=reward, env_steps=env_steps))


def read(folder: Path) -> dict[str, dict[int, float]]:
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = event_accumulator.EventAccumulator(str(folder))
    found.Reload()
    return {tag: {event.step: event.value for event in found.Scalars(tag)} for tag in found.Tags()["scalars"]}


@pytest.mark.filterwarnings("ignore")  # of TensorBoard's import
def test_means_over_agents_by_episode(tmp_path: Path) -> None:
    for _ in range(2):  # a run that goes on is told its earlier episodes again
        log = EpisodeLog(tmp_path / "rows.csv", ["a", "a", "b"])
        assert not (tmp_path / "rows.tensorboard").exists() or _ == 1
        log(0, 1, finished(True, 1.0, 10))
        log(0, 2, finished(True, 3.0, 10))  # the first agent is ahead
        log(1, 1, finished(False, 0.0, 20))
        log(2, 1, finished(True, 2.0, 30))
        log.close()
    logged = read(tmp_path / "rows.tensorboard")
    assert logged["rollout/return"] == {1: 1.0}
    assert logged["rollout/success"][1] == pytest.approx(2 / 3)
    assert logged["rollout/env_steps"] == {1: 20.0}
    assert (logged["task/a/success"], logged["task/b/success"]) == ({1: 0.5}, {1: 1.0})
    assert (logged["agent/a-1/success"], logged["agent/a-2/success"]) == ({1: 1.0}, {1: 0.0})
    assert "agent/b-1/success" not in logged
    assert len(list((tmp_path / "rows.tensorboard").iterdir())) == 1


@pytest.mark.filterwarnings("ignore")
def test_it_takes_a_logger_and_leaves_it_open(tmp_path: Path) -> None:
    logger = configure(str(tmp_path), ["csv", "tensorboard"])
    log = EpisodeLog(logger, [SimpleNamespace(name="a")])
    log(0, 1, finished(True, 1.0, 10))
    log.close()
    logger.record("mine", 1.0)
    logger.dump(2)
    logger.close()
    assert read(tmp_path)["task/a/success"] == {1: 1.0}
    assert "rollout/env_steps" in (tmp_path / "progress.csv").read_text().splitlines()[0].split(",")
