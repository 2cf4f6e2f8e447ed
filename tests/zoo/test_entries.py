"""The zoo's environments and hyperparameters, without the zoo."""

import importlib
import subprocess
import sys
from typing import Any

import gymnasium as gym
import pytest
import yaml
from sb3_contrib import TQC
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.env_checker import check_env
from stable_baselines3.common.env_util import make_vec_env

from simpl_sb3.algorithms.skill_prior_pearl import SkillPriorPEARL
from simpl_sb3.algorithms.skill_prior_sac import SkillPriorSAC
from simpl_sb3.errors import SettingsError
from simpl_sb3.zoo import ENVIRONMENTS, make_skill_env

MAZE = "SimplMazeSkills-v0"
ALGORITHMS: dict[str, Any] = {
    "sac": SAC,
    "tqc": TQC,
    "ppo": PPO,
    "spirl": SkillPriorSAC,
    "simpl": SkillPriorPEARL,
}
OF_THE_ZOO = ("n_timesteps", "n_envs")
"""What the zoo takes out before it makes an algorithm."""


def hyperparams(name: str) -> dict[str, dict[str, Any]]:
    return importlib.import_module(f"simpl_sb3.zoo.{name}").hyperparams


def test_importing_the_package_registers_the_environments() -> None:
    code = "import gymnasium, simpl_sb3.zoo; print(*[name for name in gymnasium.registry if 'Skills' in name])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == set(ENVIRONMENTS)


@pytest.mark.filterwarnings("ignore:We recommend you to use a symmetric:UserWarning")
def test_an_environment_is_one_for_sb3() -> None:
    env = gym.make(MAZE, task="12-7")
    check_env(env, skip_render_check=True)
    _, info = env.reset(seed=0)
    assert (info["task"], env.action_space.shape) == ("12-7", (10,))
    assert env.step(env.action_space.sample())[4]["skill_steps"] == 10
    env.close()


def test_settings_reach_the_environment() -> None:
    env = make_skill_env("maze", train_tasks="train-20", render_mode="rgb_array_top_down")
    assert len(env.get_wrapper_attr("train_tasks")) == 20
    assert env.render_mode == "rgb_array_top_down"
    env.close()


@pytest.mark.parametrize("task", ["12-7,5-12", "target", "nowhere"])
def test_a_task_is_one_task(task: str) -> None:
    with pytest.raises(SettingsError, match="expected"):
        make_skill_env("maze", task=task)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_hyperparameters_are_written_as_yaml(name: str) -> None:
    """The zoo dumps them, and reads them again for ``enjoy``."""
    given = hyperparams(name)
    assert set(given) == set(ENVIRONMENTS)
    assert yaml.safe_load(yaml.safe_dump(given)) == given
    assert all(entry["n_timesteps"] > 0 for entry in given.values())


@pytest.mark.parametrize("name", ALGORITHMS)
def test_algorithms_take_their_hyperparameters(name: str) -> None:
    given = {key: value for key, value in hyperparams(name)[MAZE].items() if key not in OF_THE_ZOO}
    env = make_vec_env(MAZE, n_envs=2)
    model = ALGORITHMS[name](env=env, seed=0, device="cpu", verbose=0, tensorboard_log=None, **given)
    assert model.action_space == env.action_space
    env.close()
