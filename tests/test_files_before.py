"""
Files that the revision before the house wrote load, and compute what that revision computed from them.

What it wrote and computed lies in ``data/before_house``, whose README says how.
"""

from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch as th

from simpl_envs.maze.planner import plan_trajectories
from simpl_sb3 import PRETRAINED
from simpl_sb3.algorithms.skill_prior_pearl import SkillPriorPEARL
from simpl_sb3.algorithms.skill_prior_sac import SkillPriorSAC
from simpl_sb3.demonstrations.windows import DemonstrationDataset, Episode
from simpl_sb3.skills import SkillModel, Skills
from simpl_sb3.skills.extractor import SkillExtractor

BEFORE = Path(__file__).parent / "data" / "before_house"
DOMAINS = ("maze", "kitchen")


@pytest.fixture(params=DOMAINS)
def domain(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def expected_of(domain: str) -> dict[str, np.ndarray]:
    with np.load(BEFORE / domain / "expected.npz") as file:
        return dict(file)


# ---------------------------------------------------------------- skills


def test_skills(domain: str) -> None:
    expected = expected_of(domain)
    skills = Skills.load(BEFORE / domain / "skills.safetensors", device="cpu")
    assert isinstance(skills, SkillModel)
    assert (skills.dataset_id, skills.env_id) == (None, None)  # what these files do not say
    observations, z = th.from_numpy(expected["observations"]), th.from_numpy(expected["z"])
    window = th.from_numpy(expected["window_observations"]), th.from_numpy(expected["window_actions"])
    computed = {
        "act": skills.act(expected["observations"], expected["z"]),
        "decode": skills.decode(observations, z).numpy(),
        "prior_mean": skills.prior(observations)[0].numpy(),
        "prior_std": skills.prior(observations)[1].numpy(),
        "encode_mean": skills.encode(*window)[0].numpy(),
        "encode_std": skills.encode(*window)[1].numpy(),
    }
    for name, value in computed.items():
        np.testing.assert_allclose(value, expected[f"skills_{name}"], rtol=0.0, atol=1e-6, err_msg=name)


def test_extraction_goes_on_from_its_checkpoint_to_the_same_skills() -> None:
    env = gym.make("SimplMaze-v0")
    episodes = [Episode(*shown) for shown in plan_trajectories(20, seed=0, nthread=1)]
    data = DemonstrationDataset.from_episodes(episodes, env.observation_space, env.action_space)  # type: ignore[arg-type]
    env.close()
    extractor = SkillExtractor(
        data,
        seed=0,
        device="cpu",
        horizon=10,
        skill_dim=4,
        encoder_hidden=(12, 8),
        decoder_hidden=(12, 8),
        prior_hidden=(8, 12),
        norm="layer",
        prior_temperature=0.5,
        batch_size=64,
        min_observation_std=1e-6,  # these three were that revision's defaults
        kl_weight=1e-2,
        learning_rate=2e-3,
    )
    assert extractor.restore(BEFORE / "maze" / "checkpoint_00000100.pt") == 100
    learned = extractor.learn(200).state_dict()
    for name, value in SkillModel.load(BEFORE / "maze" / "skills.safetensors").state_dict().items():
        th.testing.assert_close(learned[name], value, rtol=0.0, atol=1e-5, msg=name)


# ---------------------------------------------------------------- algorithms


def test_skill_prior_sac(domain: str) -> None:
    expected = expected_of(domain)
    agent = SkillPriorSAC.load(BEFORE / domain / "skill_prior_sac.zip", device="cpu")
    assert (agent.num_timesteps, agent.net_arch, agent.batch_size) == (80, (10, 8), 16)
    z, _ = agent.predict(expected["observations"], deterministic=True)
    np.testing.assert_allclose(z, expected["sac_predict"], rtol=0.0, atol=1e-6)
    th.manual_seed(0)
    z, _ = agent.predict(expected["observations"], deterministic=False)
    np.testing.assert_allclose(z, expected["sac_predict_sampled_seed_0"], rtol=0.0, atol=1e-6)


def test_adapted_agents(domain: str) -> None:
    expected = expected_of(domain)
    agent = SkillPriorSAC.load(BEFORE / domain / "adapted_agent.zip", device="cpu")
    assert agent.task_latent_dim == expected["e"].shape[1]
    z, _ = agent.predict(expected["observations"], deterministic=True)
    np.testing.assert_allclose(z, expected["adapted_predict"], rtol=0.0, atol=1e-6)


def test_skill_prior_pearl(domain: str) -> None:
    """Its ``act`` did not clip then."""
    expected = expected_of(domain)
    meta = SkillPriorPEARL.load(BEFORE / domain / "skill_prior_pearl.zip", device="cpu")
    z = meta.policy.act(expected["observations"], th.from_numpy(expected["e"]), deterministic=True)
    np.testing.assert_allclose(z, np.clip(expected["pearl_act"], -3.0, 3.0), rtol=0.0, atol=1e-6)
    mean, std = meta.infer_task_latent(th.from_numpy(expected["context"]))
    np.testing.assert_allclose(mean.numpy(), expected["pearl_latent_mean"], rtol=0.0, atol=1e-6)
    np.testing.assert_allclose(std.numpy(), expected["pearl_latent_std"], rtol=0.0, atol=1e-6)
    assert all((budget.multiplier() > 0).all() for budget in meta.learner.budgets.values())


@pytest.mark.parametrize("name", ["skill_prior_sac", "adapted_agent", "skill_prior_pearl"])
def test_what_was_loaded_is_saved_in_todays_form(domain: str, name: str, tmp_path: Path) -> None:
    """With its optimisers' moments and multipliers."""
    kind = SkillPriorPEARL if name == "skill_prior_pearl" else SkillPriorSAC
    model = kind.load(BEFORE / domain / f"{name}.zip", device="cpu")
    model.save(tmp_path / "model")
    again = kind.load(tmp_path / "model", device="cpu")
    for own, other in zip(model.policy.parameters(), again.policy.parameters(), strict=True):
        assert th.equal(own, other)
    states = [each.learner.state_dict()["optimizers"] for each in (model, again)]
    for optimizer, given in states[0].items():
        assert given["state"] or name == "adapted_agent", optimizer  # these began afresh then
        for index, values in given["state"].items():
            assert all(th.equal(values[key], states[1][optimizer]["state"][index][key]) for key in values)


@pytest.mark.parametrize("name", ["maze-fast", "kitchen-fast"])
def test_models_that_come_along(name: str) -> None:
    meta = SkillPriorPEARL.load(PRETRAINED / name / "model.zip", device="cpu")
    observations = np.zeros((2, meta.policy.observation_dim), np.float32)
    z, _ = meta.predict(observations)
    assert z.shape == (2, meta.skills.skill_dim)
    assert np.isfinite(z).all()
