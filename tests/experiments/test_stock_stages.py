"""Stages of stock methods that are killed (SIGKILL) end by the same command as if left alone, to the bit."""

from pathlib import Path
from typing import Any

import pytest
import torch as th
from kills_for_tests import run_and_kill

from simpl_sb3 import PRETRAINED
from simpl_sb3.algorithms.stock import GoalSAC, StockModel, TrialPPO, read_stock
from simpl_sb3.experiments.stage import RunOptions, Stage
from simpl_sb3.experiments.stages import Experiment, adapt_stage, meta_train_stage, run_stage
from simpl_sb3.results.rows import read_results

MAZE = Experiment.find("maze")
SKILLS = PRETRAINED / "maze-fast" / "skills.safetensors"
QUICK = RunOptions(device="cpu")
KINDS: dict[str, type[StockModel]] = {"sac-her": GoalSAC, "rl2": TrialPPO}
TRAINING: dict[str, dict[str, Any]] = {
    "sac-her": {"net_arch": (8,), "batch_size": 8, "learning_starts": 8, "gradient_steps": 1, "buffer_size": 400},
    "rl2": {"net_arch": (8,), "lstm_hidden_size": 4, "n_steps": 8, "batch_size": 16, "n_epochs": 1},
}


@pytest.mark.parametrize("method", ["sac-her", "rl2"])
def test_a_meta_training_goes_on(method: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def stage(name: str) -> Stage:
        how: dict[str, Any] = {"method": method, "train_tasks": "easy", "n_envs": 4, "total_timesteps": 1_200}
        return meta_train_stage(MAZE, SKILLS, tmp_path / name, settings=TRAINING[method], **how)

    run_and_kill(stage("killed"), "state_*", 4)
    once, killed = (run_stage(stage(name), QUICK) for name in ("once", "killed"))
    assert "Going on after" in capsys.readouterr().err
    first, second = (read_stock(path, KINDS[method]).tensors for path in (once, killed))
    assert all(th.equal(tensor, second[name]) for name, tensor in first.items())
    assert not list(tmp_path.glob("**/state_*"))
    assert not list(tmp_path.glob("**/rows_*"))


def test_agents_of_sac_go_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def stage(name: str) -> Stage:
        small = {"n_episodes": 1, "net_arch": (8,), "batch_size": 8, "buffer_size": 1_500, "train_freq": 40}
        return adapt_stage(MAZE, None, tmp_path / f"{name}.csv", method="sac", tasks="random:2:0", settings=small)

    run_and_kill(stage("killed"), "state_*", 4)
    for name in ("once", "killed"):
        run_stage(stage(name), QUICK)
    assert "Going on after" in capsys.readouterr().err
    once, killed = ((tmp_path / f"{name}.npz").read_bytes() for name in ("once", "killed"))
    assert once == killed
    parts = ("task", "episode", "env_steps", "episode_return", "success")
    rows = [read_results(tmp_path / f"{name}.csv")[0].rows for name in ("once", "killed")]
    first, second = ([[getattr(row, part) for part in parts] for row in file] for file in rows)
    assert first == second
    assert not list(tmp_path.glob("*unfinished*"))
