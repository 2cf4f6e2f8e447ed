"""ClonedActions: the likelihood by hand, and the extractor clones what demonstrators do."""

import math
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch as th

from simpl_sb3.demonstrations.windows import DemonstrationDataset, Episode, WindowBatch
from simpl_sb3.errors import SettingsError
from simpl_sb3.skills import ClonedActions, Skills
from simpl_sb3.skills.extractor import SkillExtractor
from simpl_sb3.skills.settings import ClonedActionsSettings

OBSERVATIONS, ACTIONS = gym.spaces.Box(-5.0, 5.0, (2,)), gym.spaces.Box(-2.0, 2.0, (1,))
NOISE = 0.2


def dataset(n: int = 20) -> DemonstrationDataset:
    """Actions are 0.8 of the first observation, in units of [-1, 1], with a deviation of 0.3 where it is positive."""
    rng = np.random.default_rng(0)
    episodes = []
    for _ in range(n):
        observations = rng.uniform(-1.0, 1.0, (201, 2))
        spread = 0.3 * (observations[:-1, :1] > 0) * rng.choice([-1.0, 1.0], (200, 1))
        episodes.append(Episode(observations, 2.0 * np.clip(0.5 * observations[:-1, :1] + spread, -1, 1)))
    return DemonstrationDataset.from_episodes(episodes, OBSERVATIONS, ACTIONS)


def test_the_fit_is_the_likelihood_by_hand() -> None:
    model = ClonedActions(OBSERVATIONS, ACTIONS, prior_hidden=(4,), action_noise=NOISE)
    with th.no_grad():
        for parameter in model.prior_net.parameters():
            parameter.zero_()
        model.prior_net.output.bias[:] = th.tensor([0.5, math.log(0.4)])  # mean and log standard deviation
    extractor = SkillExtractor(dataset(2), model, device="cpu", seed=0, normalize_observations=False)
    windows = WindowBatch(np.zeros((1, 2, 2), np.float32), np.full((1, 1, 1), 1.8, np.float32))  # 0.9 of [-1, 1]
    losses = extractor.losses(windows, th.Generator().manual_seed(0))
    by_hand = math.log(0.4 / NOISE) + (NOISE**2 + (0.9 - 0.5) ** 2) / (2 * 0.4**2) - 0.5
    assert losses.prior_kl.item() == pytest.approx(by_hand, rel=1e-5)
    assert losses.action_mse.item() == 0.0
    losses.loss.backward()
    gradient = model.prior_net.output.bias.grad
    assert gradient is not None
    mean_slope, log_std_slope = (0.5 - 0.9) / 0.4**2, 1.0 - (NOISE**2 + 0.4**2) / 0.4**2
    assert gradient.tolist() == pytest.approx([mean_slope, log_std_slope], rel=1e-5)


def test_it_learns_mean_and_spread_and_its_file_gives_it_back(tmp_path: Path) -> None:
    sizes = ClonedActionsSettings(prior_hidden=(32, 32), action_noise=0.1)
    models = [SkillExtractor(dataset(), sizes, seed=3, device="cpu", learning_rate=3e-3).learn(250) for _ in range(2)]
    seen = th.tensor([[0.6, 0.0], [-0.6, 0.0]])
    mean, std = models[0].prior(seen)
    assert mean[:, 0].tolist() == pytest.approx([0.3, -0.3], abs=0.08)
    assert std[:, 0].tolist() == pytest.approx([math.hypot(0.3, 0.1), 0.1], rel=0.25)
    assert all(th.equal(*pair) for pair in zip(models[0].prior(seen), models[1].prior(seen), strict=True))
    models[0].save(tmp_path / "cloned.safetensors")
    loaded = Skills.load(tmp_path / "cloned.safetensors")
    assert isinstance(loaded, ClonedActions)
    assert th.equal(loaded.prior(seen)[0], mean)
    assert loaded.act(seen.numpy(), np.array([[0.5], [3.0]], np.float32))[:, 0].tolist() == [1.0, 2.0]


def test_temperature_and_unknown_settings() -> None:
    model = ClonedActions(OBSERVATIONS, ACTIONS, prior_hidden=(4,), prior_temperature=0.5)
    seen = th.zeros(1, 2)
    _, std = model.prior_head(model.prior_net(model.features(seen)))
    assert th.equal(model.prior(seen)[1], 0.5 * std)
    with pytest.raises(SettingsError, match="no setting 'hidden'"):
        ClonedActions(OBSERVATIONS, ACTIONS, hidden=(4,))
    with pytest.raises(SettingsError, match="action_noise is 0"):
        ClonedActions(OBSERVATIONS, ACTIONS, action_noise=0.0)
