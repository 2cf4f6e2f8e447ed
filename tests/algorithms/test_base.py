"""What both algorithms share: skills found through the wrapper, and files that hold no code, whole or not at all."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from algorithms_for_tests import Kind, both, make, save_each, wrapped
from envs_for_tests import SKILL_DIM, LineEnv, line_envs, same_parameters, tiny_skills
from gymnasium.spaces import Box
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from simpl_sb3.algorithms.checks import same_skills
from simpl_sb3.algorithms.skill_prior_sac import SkillPriorSAC
from simpl_sb3.errors import EnvironmentSpecError, SettingsError, SkillMismatchError
from simpl_sb3.skills.vec_env import SkillVecEnv
from simpl_sb3.skills.wrapper import SkillActionWrapper


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[Kind, Path]:
    return save_each(tmp_path_factory.mktemp("models"))


@both
def test_skills_are_found_through_wrappers(kind: Kind) -> None:
    env = gym.wrappers.TimeLimit(wrapped(), 5)
    model = make(kind, env)
    assert model.skills is env.get_wrapper_attr("skills")
    assert same_skills(model.policy.skills, model.skills)  # type: ignore[arg-type]
    assert make(kind, SkillVecEnv(line_envs(2), env.get_wrapper_attr("skills"))).n_envs == 2


@both
@pytest.mark.parametrize("env", [LineEnv(), DummyVecEnv([LineEnv])], ids=["single", "many"])  # type: ignore[list-item]
def test_an_environment_without_skills_is_refused(kind: Kind, env: Any) -> None:
    with pytest.raises(EnvironmentSpecError, match=r"SkillActionWrapper\(env, skills\)"):
        make(kind, env)


@both
def test_vec_normalize_is_refused(kind: Kind) -> None:
    with pytest.raises(SettingsError, match="VecNormalize"):
        make(kind, VecNormalize(SkillVecEnv(line_envs(2), tiny_skills())))


@both
def test_learning_without_an_environment_is_refused(kind: Kind, saved: dict[Kind, Path]) -> None:
    with pytest.raises(SettingsError, match="set_env"):
        kind.load(saved[kind], device="cpu").learn(1)


@both
def test_set_env(kind: Kind, saved: dict[Kind, Path]) -> None:
    """As the message says that one should: after loading without an environment."""
    model = kind.load(saved[kind], device="cpu")
    assert model.env is None
    model.set_env(SkillActionWrapper(LineEnv(), model.skills))
    before = model.num_timesteps
    model.learn(10, reset_num_timesteps=False)
    assert model.num_timesteps > before


class WiderBox(gym.ObservationWrapper[Any, Any, Any]):
    """The same observations in a larger space than the demonstrations had."""

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        self.observation_space = Box(-99.0, 99.0, (2,), np.float32)

    def observation(self, observation: Any) -> Any:
        return observation


@both
def test_the_bounds_of_observations_may_differ_from_the_demonstrations(kind: Kind, saved: dict[Kind, Path]) -> None:
    model = kind.load(saved[kind], device="cpu")
    env = SkillActionWrapper(WiderBox(LineEnv()), model.skills, check_env=False)
    model.set_env(env)
    model.learn(3)
    kind.load(saved[kind], env, device="cpu").learn(3)


MISFITS: dict[str, Callable[[], gym.Env[Any, Any]]] = {
    "other weights": lambda: wrapped(seed=1),
    "other sizes": lambda: wrapped(decoder_hidden=(9,)),
    "another horizon": lambda: wrapped(horizon=5),
    "another skill dimension": lambda: wrapped(skill_dim=SKILL_DIM + 1),
    "another bound": lambda: SkillActionWrapper(LineEnv(), tiny_skills(), bound=2.0),
}


@both
@pytest.mark.parametrize("misfit", MISFITS)
@pytest.mark.parametrize("how", ["load", "set_env"])
def test_an_environment_of_other_skills_is_refused(kind: Kind, misfit: str, how: str, saved: dict[Kind, Path]) -> None:
    """The policy speaks to the decoder that it was trained with, and to no other."""
    env = MISFITS[misfit]()
    with pytest.raises(SkillMismatchError):
        kind.load(saved[kind], env, device="cpu") if how == "load" else kind.load(saved[kind], device="cpu").set_env(
            env
        )


@both
@pytest.mark.parametrize("how", ["load", "set_env"])
def test_a_loaded_model_refuses_an_environment_without_skills(kind: Kind, how: str, saved: dict[Kind, Path]) -> None:
    with pytest.raises(EnvironmentSpecError):
        kind.load(saved[kind], LineEnv(), device="cpu") if how == "load" else kind.load(
            saved[kind], device="cpu"
        ).set_env(LineEnv())


# ---------------------------------------------------------------- save and load


@both
def test_save_load_same_action(kind: Kind, saved: dict[Kind, Path]) -> None:
    model = make(kind).learn(20)
    again = kind.load(saved[kind], device="cpu")
    assert same_parameters(model.policy, again.policy)
    theirs = again.learner.all_optimizers()
    for name, optimizer in model.learner.all_optimizers().items():
        states = optimizer.state_dict()["state"], theirs[name].state_dict()["state"]
        assert states[0].keys() == states[1].keys()
        assert all(th.equal(states[0][i][key], states[1][i][key]) for i in states[0] for key in states[0][i])
    observations = np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32)
    for deterministic in (True, False):
        acted = []
        for one in (model, again):
            th.manual_seed(0)
            acted.append(one.predict(observations, deterministic=deterministic)[0])
        assert np.array_equal(*acted)
    assert (again.num_timesteps, again._n_updates) == (model.num_timesteps, model._n_updates)
    assert again.settings() == model.settings()


@both
def test_a_loaded_model_goes_on(kind: Kind, saved: dict[Kind, Path]) -> None:
    model = kind.load(saved[kind], SkillVecEnv(line_envs(3), tiny_skills()), device="cpu")
    assert model.n_envs == 3
    before, updates = model.num_timesteps, model._n_updates
    model.learn(30, reset_num_timesteps=False)
    assert model.num_timesteps >= before + 30
    assert model._n_updates > updates


@both
def test_settings_can_be_replaced_when_loading(kind: Kind, saved: dict[Kind, Path]) -> None:
    model = kind.load(saved[kind], device="cpu", gamma=0.5, batch_size=3, verbose=0)
    assert (model.gamma, model.batch_size) == (0.5, 3)
    with pytest.raises(SettingsError, match="gama"):
        kind.load(saved[kind], device="cpu", gama=0.5)


@both
def test_load_gives_the_skills_too(kind: Kind, saved: dict[Kind, Path]) -> None:
    """So that an environment can be made from the file alone."""
    model = kind.load(saved[kind], device="cpu")
    assert same_skills(model.skills, tiny_skills())
    assert not model.skills.training
    kind.load(saved[kind], SkillActionWrapper(LineEnv(), model.skills), device="cpu")


@both
def test_paths_as_sb3_takes_them(kind: Kind, tmp_path: Path) -> None:
    model = make(kind)
    model.save(str(tmp_path / "deep" / "folder" / "model"))
    assert (tmp_path / "deep" / "folder" / "model.zip").is_file()
    for path in (tmp_path / "deep" / "folder" / "model", str(tmp_path / "deep" / "folder" / "model.zip")):
        assert same_parameters(kind.load(path, device="cpu").policy, model.policy)
    with (tmp_path / "open.zip").open("wb") as file:
        model.save(file)
    with (tmp_path / "open.zip").open("rb") as file:
        assert same_parameters(kind.load(file, device="cpu").policy, model.policy)
    memory = io.BytesIO()
    model.save(memory)
    memory.seek(0)
    assert same_parameters(kind.load(memory, device="cpu").policy, model.policy)


@both
def test_settings_survive(kind: Kind, tmp_path: Path) -> None:
    """Lists come back as what they were."""
    changed = {"n_steps": 3, "gamma_per_env_step": True, "net_arch": (5, 6), "multipliers_only_grow": True, "tau": 0.5}
    changed |= {"train_freq": 4} if kind is SkillPriorSAC else {"task_encoder": "set-transformer", "hindsight": False}
    model = make(kind, **changed)
    model.save(tmp_path / "model.zip")
    again = kind.load(tmp_path / "model.zip", device="cpu")
    assert again.settings() == model.settings()
    assert again.settings() | changed == again.settings()
    assert again.net_arch == (5, 6)  # type: ignore[attr-defined]


def test_a_training_frequency_in_episodes_survives(tmp_path: Path) -> None:
    model = make(SkillPriorSAC, train_freq=(1, "episode"))
    model.save(tmp_path / "model.zip")
    assert SkillPriorSAC.load(tmp_path / "model.zip", device="cpu").train_freq == model.train_freq
