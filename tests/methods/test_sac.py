"""SAC over primitive actions: from the command line to rows, the same again by the same seed, and that it learns."""

import json
from pathlib import Path

import numpy as np
import pytest
from envs_for_tests import LineTask
from stable_baselines3 import SAC
from stock_for_tests import LineEnvs, adapted, same_episodes, success

from simpl_sb3.errors import SettingsError
from simpl_sb3.experiments.cli import main
from simpl_sb3.methods import METHODS
from simpl_sb3.methods.sac import SacSettings
from simpl_sb3.results.rows import read_results
from simpl_sb3.skills import PrimitiveActions

DOMAIN = Path(__file__).parents[1] / "own_domain_for_tests.py"
SMALL = {"net_arch": (8,), "batch_size": 8, "buffer_size": 500, "learning_starts": 8, "gradient_steps": 1}


def test_its_defaults_are_those_of_stable_baselines3() -> None:
    chosen, stock = SacSettings(), SAC("MlpPolicy", "Pendulum-v1", device="cpu")
    for name in ("learning_rate", "buffer_size", "batch_size", "tau", "gamma", "learning_starts", "gradient_steps"):
        assert getattr(chosen, name) == getattr(stock, name), name
    assert stock.train_freq.frequency == chosen.train_freq
    made = SAC("MlpPolicy", "Pendulum-v1", device="cpu", **chosen.arguments())
    assert made.log_ent_coef.item() == stock.log_ent_coef.item()
    assert str(made.actor) == str(stock.actor)
    fixed = SAC("MlpPolicy", "Pendulum-v1", device="cpu", **SacSettings(learn_ent_coef=False, ent_coef=0.1).arguments())
    assert fixed.ent_coef_tensor.item() == pytest.approx(0.1)


def test_the_same_seed_gives_the_same_episodes_to_the_bit() -> None:
    one, agents = adapted("sac", None, seed=3, n_episodes=3, **SMALL)
    again, _ = adapted("sac", None, seed=3, n_episodes=3, **SMALL)
    other, _ = adapted("sac", None, seed=4, n_episodes=3, **SMALL)
    assert same_episodes(one, again)
    assert not same_episodes(one, other)
    assert [(agent, episode) for agent, episode, _ in one] == [(0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 3)]
    assert [finished.job.task for *_, finished in one[::3]] == [LineTask(2.0), LineTask(-2.0)]
    assert all((finished.episode.skill_steps == 1).all() for *_, finished in one)
    assert isinstance(agents[0], SAC)
    assert isinstance(agents[0].skills, PrimitiveActions)
    z, _ = agents[0].predict(np.zeros(2, np.float32), deterministic=False)
    assert z.shape == (1,)
    assert agents[0]._n_updates > 0


def test_it_learns() -> None:
    better = {"net_arch": (32,), "ent_coef": 0.01, "batch_size": 64, "learning_rate": 3e-3, "learning_starts": 100}
    told, _ = adapted("sac", None, tasks=(LineTask(1.5),), n_episodes=60, **SMALL | better)
    lengths = [finished.episode.env_steps for *_, finished in told]
    assert np.mean(lengths[:8]) > 7.0
    assert np.mean(lengths[-20:]) < 5.0  # the shortest way takes two or three
    assert success(told[-20:]) >= 0.9


def test_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy, rows = tmp_path / "line.py", tmp_path / "rows.csv"
    copy.write_text(DOMAIN.read_text())
    words = ["adapt", "--method", "sac", "--domain", str(copy), "--device", "cpu", "--output", str(rows)]
    main([*words, "--n-episodes", "2", "--net-arch", "8", "--batch-size", "8", "--learning-starts", "4"])
    (file,) = read_results(rows)
    assert [(row.method, row.task, row.episode) for row in file.rows] == [("sac", "at+2", 1), ("sac", "at+2", 2)]
    settings = json.loads(rows.with_suffix(".json").read_text())["settings"]
    assert (settings["learning_starts"], settings["gamma"]) == (4, 0.99)
    with pytest.raises(SystemExit):
        main([*words, "--overwrite", "--from", "model.zip"])
    assert "starts from nothing" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*words, "--overwrite", "--batch-size", "0"])
    assert "batch-size" in capsys.readouterr().err


def test_it_has_no_meta_training_and_no_source() -> None:
    with pytest.raises(SettingsError, match="no meta-training"):
        METHODS["sac"].check_trains()
    with pytest.raises(SettingsError, match="starts from nothing"):
        METHODS["sac"].make_adapter("model.zip", {}, LineEnvs(), "cpu")  # type: ignore[arg-type]


def test_what_stops_it_passes_at_once() -> None:
    calls = []

    def stop(*told: object) -> None:
        calls.append(told)
        raise KeyboardInterrupt

    make_env = LineEnvs()
    adapter = METHODS["sac"].make_adapter(None, {"n_episodes": 3, **SMALL}, make_env, "cpu")  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        adapter.run(make_env(adapter.skills, 1), [LineTask(2.0)], 0, stop)
    assert len(calls) == 1
