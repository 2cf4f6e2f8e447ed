"""PEARL over the environment's own actions, from meta-training to rows, by the same command line."""

import json
from pathlib import Path

import pytest
import torch as th
from methods_for_tests import SMALL, own_words

from simpl_sb3 import SkillPriorPEARL
from simpl_sb3.experiments.cli import main
from simpl_sb3.methods import METHODS
from simpl_sb3.results.rows import read_results
from simpl_sb3.skills import PrimitiveActions

WORDS: list[str] = []


@pytest.fixture(scope="module", autouse=True)
def own_copy(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A copy of the domain, which registers its environment anew: other tests register copies of their own."""
    WORDS[:] = own_words("pearl", tmp_path_factory.mktemp("domain"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pearl") / "meta"
    main(["meta-train", *WORDS, "--output", str(folder), "--total-timesteps", "150", *SMALL])
    return folder


def test_it_is_the_same_algorithm_over_actions(trained: Path) -> None:
    model = SkillPriorPEARL.load(trained / "model.zip", device="cpu")
    assert isinstance(model.skills, PrimitiveActions)
    assert (model.skills.horizon, model.skills.skill_dim) == (1, 1)
    config = model.config
    assert config.skill_kl_targets == (0.5, 2.0)  # two nats for its one action
    assert (config.n_steps, config.exploration, config.exploration_skill_prior) == (20, "prior", 0.0)
    assert not model.hindsight_used


def test_agents_infer_and_learn_nothing_more_unless_asked(trained: Path, tmp_path: Path) -> None:
    meta = SkillPriorPEARL.load(trained / "model.zip", device="cpu")
    adapter = METHODS["pearl"].make_adapter(trained / "model.zip", {}, lambda *_: None, "cpu")  # type: ignore[arg-type]
    assert adapter.training_tasks == ("at-3", "at+3")
    for steps in (0, 1):
        rows = tmp_path / f"{steps}.csv"
        more = ["--n-episodes", "4", "--n-exploration-episodes", "2", "--batch-size", "8"]
        main(
            ["adapt", *WORDS, "--from", str(trained / "model.zip"), "--output", str(rows), *more]
            + (["--gradient-steps", "1"] if steps else [])
        )
        (file,) = read_results(rows)
        assert {row.method for row in file.rows} == {"pearl"}
        assert [row.episode for row in file.rows] == [1, 2, 3, 4]
        settings = json.loads(rows.with_suffix(".json").read_text())["settings"]
        assert settings["gradient_steps"] == steps
        assert not settings["explore_until_reward"]
    agents = [
        meta.adapt(env, env.get_wrapper_attr("test_tasks")[0], seed=0, n_episodes=3, n_exploration_episodes=1, **more)
        for more in ({"gradient_steps": 0, "initial_updates": 0}, {"gradient_steps": 1, "batch_size": 8})
        for env in [_env(meta)]
    ]
    same = [th.equal(agent.policy.actor.weights[0], meta.policy.actor.weights[0]) for agent in agents]
    assert same == [True, False]


def _env(meta: SkillPriorPEARL):
    import gymnasium as gym

    from simpl_sb3 import SkillActionWrapper

    return SkillActionWrapper(gym.make("TestLine-v0"), meta.skills)


def test_it_takes_no_skills(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["meta-train", *WORDS, "--output", str(tmp_path / "x"), "--skills", "skills.safetensors"])
    assert "starts from nothing" in capsys.readouterr().err
