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
