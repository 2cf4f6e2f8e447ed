"""``SkillPriorSAC``: what it stores, what it updates, and that it behaves as SB3's algorithms do."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th
from envs_for_tests import (
    HORIZON,
    SKILL_DIM,
    CountingEnv,
    LineEnv,
    line_envs,
    recorded,
    same_parameters,
    tiny_skills,
)
from stable_baselines3.common.callbacks import BaseCallback, CheckpointCallback, EvalCallback, StopTrainingOnMaxEpisodes
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv

from simpl_sb3.algorithms.policies import SkillPriorPolicy
from simpl_sb3.algorithms.skill_prior_sac import SkillPriorSAC
from simpl_sb3.skills.vec_env import SkillVecEnv
from simpl_sb3.skills.wrapper import SkillActionWrapper

SMALL: dict[str, Any] = {"net_arch": (8,), "batch_size": 8, "buffer_size": 100, "seed": 0, "device": "cpu"}


def make(env: Any = None, **settings: Any) -> SkillPriorSAC:
    env = SkillActionWrapper(LineEnv(), tiny_skills()) if env is None else env
    return SkillPriorSAC("MlpPolicy", env, **(SMALL | settings))


def test_it_runs_as_it_stands() -> None:
    """With every default."""
    model = SkillPriorSAC("MlpPolicy", SkillActionWrapper(LineEnv(), tiny_skills())).learn(5)
    assert model.num_timesteps == 5
    assert model._n_updates == -(-5 // model.train_freq)


def test_an_untrained_agent_acts_as_the_prior() -> None:
    model = make()
    observations = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    mean, std = model.skills.prior(th.as_tensor(observations))
    z, _ = model.predict(observations, deterministic=True)
    assert np.allclose(z, mean.clamp(-3.0, 3.0), atol=1e-6)
    drawn = np.stack([model.predict(observations)[0] for _ in range(400)])
    inside = (mean.abs() + 2 * std < 3).numpy()
    assert np.allclose(drawn.std(axis=0)[inside], std.numpy()[inside], rtol=0.2)


@pytest.mark.parametrize("single", [True, False], ids=["wrapper", "vec env"])
@pytest.mark.parametrize(("terminate_at", "truncate_at"), [(6, 99), (99, 6), (6, 6), (99, 8)])
def test_what_is_stored(single: bool, terminate_at: int, truncate_at: int) -> None:
    """By the counting environment: state, what follows it (also at an end), the reward's sum, the ends, env steps."""

    def count() -> CountingEnv:
        return CountingEnv(terminate_at, truncate_at)

    env: Any = SkillActionWrapper(count(), tiny_skills()) if single else SkillVecEnv([count] * 2, tiny_skills())
    model = make(env, gradient_steps=0).learn(8)
    end = min(terminate_at, truncate_at)
    rows = 8 if single else 4
    buffer = model.replay_buffer
    assert buffer.sizes.tolist() == [rows] * model.n_envs  # type: ignore[union-attr]
    for i in range(model.n_envs):
        for row in range(rows):
            at = i * 100 + row
            observation, _, reward, terminated, after = np.split(
                buffer.rows[at], [2, 2 + SKILL_DIM, 3 + SKILL_DIM, 4 + SKILL_DIM]
            )  # type: ignore[union-attr]
            first = row % 2 == 0
            assert observation.tolist() == [0 if first else HORIZON, row // 2 + 1]
            assert after.tolist() == [HORIZON if first else end, row // 2 + 1]
            assert reward == (10 if first else sum(range(HORIZON + 1, end + 1)))
            assert terminated == (not first and terminate_at <= truncate_at)
            assert buffer.truncated[at] == (not first and truncate_at < terminate_at)  # type: ignore[union-attr]
            assert buffer.ends[at] == (not first)  # type: ignore[union-attr]
            assert buffer.skill_steps[at] == (HORIZON if first else end - HORIZON)  # type: ignore[union-attr]


def test_skills_are_stored_as_they_were_executed() -> None:
    """Never rescaled."""
    executed: list[np.ndarray] = []
    env = SkillActionWrapper(LineEnv(), tiny_skills())
    step = env.step
    env.step = lambda z: (executed.append(z), step(z))[1]  # type: ignore[method-assign, assignment]
    model = make(env, gradient_steps=0).learn(12)
    stored = model.replay_buffer.rows[:12, 2 : 2 + SKILL_DIM]  # type: ignore[union-attr]
    assert np.array_equal(stored, np.stack(executed))
    assert np.abs(stored).max() > 1.0


@pytest.mark.parametrize("n_envs", [1, 3])
def test_counts(n_envs: int) -> None:
    """``total_timesteps`` counts skills, in all environments together."""
    model = make(SkillVecEnv(line_envs(n_envs), tiny_skills()), gradient_steps=2, train_freq=1).learn(12)
    assert model.num_timesteps == 12
    assert model._n_updates == 2 * 12 // n_envs


def test_what_was_cut_short_is_not_joined_to_what_comes_next() -> None:
    model = make(SkillVecEnv([lambda: CountingEnv(terminate_at=100)] * 2, tiny_skills()), gradient_steps=0, n_steps=3)
    for _ in range(2):
        model.learn(4)  # two skills in each environment, reset in between
    batch = model.replay_buffer.sample([0, 1], 50, 1.0, 3)
    first = batch.observations[..., 0] == 0
    assert 0 < first.float().mean() < 1
    assert (batch.next_observations[..., 0] == 2 * HORIZON).all()
    assert (batch.terminated == 0).all()
    model.learn(4, reset_num_timesteps=False)  # goes on where it was
    assert (model.replay_buffer.sample([0, 1], 200, 1.0, 4).next_observations[..., 0] == 4 * HORIZON).any()


def test_updates_can_be_as_many_as_skills() -> None:
    model = make(SkillVecEnv(line_envs(3), tiny_skills()), gradient_steps=-1, train_freq=2).learn(12)
    assert model._n_updates == 12


def test_a_round_of_updates_after_each_episode() -> None:
    model = make(SkillActionWrapper(CountingEnv(terminate_at=8), tiny_skills()), train_freq=(1, "episode")).learn(6)
    assert model._n_updates == 3


def test_learning_changes_actor_and_critics_and_not_the_skills() -> None:
    model = make(skill_kl_target=0.0)
    before = {name: value.clone() for name, value in model.policy.state_dict().items()}
    model.learn(20)
    after = model.policy.state_dict()
    for name, value in before.items():
        assert th.equal(value, after[name]) == (name.startswith("skills.") or name == "task_latent"), name


@pytest.mark.parametrize(
    "settings",
    [{"n_steps": 3}, {"gamma_per_env_step": True}, {"handle_timeout_termination": True}]
    + [{"multipliers_only_grow": True}, {"tau": 1.0}],
)
def test_options(settings: dict[str, Any]) -> None:
    """Each has an effect."""
    assert not same_parameters(make().learn(30).policy, make(**settings).learn(30).policy)


def test_seeded_runs_are_equal_to_the_bit() -> None:
    first, again = (make(SkillVecEnv(line_envs(2), tiny_skills())).learn(30) for _ in range(2))
    assert same_parameters(first.policy, again.policy)
    assert np.array_equal(first.replay_buffer.rows, again.replay_buffer.rows)  # type: ignore[union-attr]
    other = make(SkillVecEnv(line_envs(2), tiny_skills()), seed=1).learn(30)
    assert not np.array_equal(first.replay_buffer.rows, other.replay_buffer.rows)  # type: ignore[union-attr]


def test_a_seeded_run_is_the_same_on_the_wrapper_and_on_the_vec_env() -> None:
    plain = make(DummyVecEnv([lambda: SkillActionWrapper(LineEnv(), tiny_skills())])).learn(30)  # type: ignore[list-item]
    ours = make(SkillVecEnv(line_envs(1), tiny_skills())).learn(30)
    assert np.allclose(plain.replay_buffer.rows, ours.replay_buffer.rows, atol=1e-4)  # type: ignore[union-attr]


def test_a_policy_class_of_ones_own() -> None:
    class Own(SkillPriorPolicy):
        pass

    model = SkillPriorSAC(Own, SkillActionWrapper(LineEnv(), tiny_skills()), **SMALL)
    assert isinstance(model.learn(3).policy, Own)


# ---------------------------------------------------------------- as SB3's users expect


def test_metrics() -> None:
    model = make()
    rows = recorded(model)
    model.learn(40, log_interval=1)
    expected = {"critic_loss", "actor_loss", "skill_kl", "skill_multiplier", "n_updates", "learning_rate"}
    assert {f"train/{name}" for name in expected} <= rows[-1].keys()
    assert {"rollout/ep_rew_mean", "rollout/ep_len_mean", "rollout/success_rate", "time/total_timesteps"} <= rows[
        -1
    ].keys()
    assert all(np.isfinite(value) for row in rows for value in row.values())


class EarlySuccess(CountingEnv):
    """A success in the first skill of two, and none in the last."""

    def step(self, action: np.ndarray) -> Any:
        *rest, info = super().step(action)
        return *rest, {**info, "is_success": self.state[0] == 2}


@pytest.mark.parametrize("vector", [False, True])
def test_an_episode_succeeds_if_any_of_its_skills_did(vector: bool) -> None:
    def make_env() -> EarlySuccess:
        return EarlySuccess(truncate_at=8)

    env = SkillVecEnv([make_env] * 2, tiny_skills()) if vector else SkillActionWrapper(make_env(), tiny_skills())
    model = make(env).learn(12)
    assert model.ep_success_buffer is not None
    assert list(model.ep_success_buffer) == [True] * len(model.ep_success_buffer)
    assert len(model.ep_success_buffer) >= 4


def test_callbacks_of_sb3(tmp_path: Path) -> None:
    env = SkillVecEnv(line_envs(2), tiny_skills())
    callbacks = [
        EvalCallback(
            SkillVecEnv(line_envs(2), tiny_skills()),
            n_eval_episodes=2,
            eval_freq=5,
            best_model_save_path=str(tmp_path),
            verbose=0,
        ),
        CheckpointCallback(10, str(tmp_path), verbose=0),
    ]
    make(env).learn(30, callbacks)
    assert {path.name for path in tmp_path.iterdir()} == {"best_model.zip", "rl_model_20_steps.zip"}
    for path in tmp_path.iterdir():
        assert SkillPriorSAC.load(path, env, device="cpu").num_timesteps > 0


class StopAfter(BaseCallback):
    def __init__(self, calls: int) -> None:
        super().__init__()
        self.calls = calls

    def _on_step(self) -> bool:
        assert "infos" in self.locals
        return self.n_calls < self.calls


def test_callbacks_stop() -> None:
    assert make().learn(1000, StopAfter(7)).num_timesteps == 7
    model = make(SkillActionWrapper(CountingEnv(terminate_at=8), tiny_skills()))
    assert model.learn(1000, StopTrainingOnMaxEpisodes(3)).num_timesteps == 6


@pytest.mark.filterwarnings("ignore::tqdm.TqdmExperimentalWarning")
def test_progress_bar(capsys: pytest.CaptureFixture[str]) -> None:
    assert make().learn(10, progress_bar=True).num_timesteps == 10


def test_tensorboard(tmp_path: Path) -> None:
    make(tensorboard_log=str(tmp_path)).learn(30)
    assert list(tmp_path.glob("SkillPriorSAC_1/events*"))


def test_evaluation_of_sb3() -> None:
    model = make(SkillVecEnv(line_envs(2), tiny_skills())).learn(10)
    returns, lengths = evaluate_policy(model, model.get_env(), n_eval_episodes=4, return_episode_rewards=True)  # type: ignore[arg-type]
    assert len(returns) == 4
    assert all(1 <= length <= 14 for length in lengths)
