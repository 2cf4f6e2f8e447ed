"""Small products have one thread; outside, and for who has chosen, everything stays as it was. Each in a process."""

import os
import subprocess
import sys

import pytest

SHOW = """
import os
import numpy as np, torch as th
from threadpoolctl import threadpool_info

def pools():
    blas = {pool["internal_api"]: pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}
    return {"torch": th.get_num_threads(), **blas}

before = dict(os.environ), pools()
from simpl_sb3 import threads
assert (dict(os.environ), pools()) == before, "an import changed something"
"""


def run(code: str, **environment: str) -> None:
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    variables = {name: value for name, value in os.environ.items() if name not in names} | environment
    done = subprocess.run(
        [sys.executable, "-c", SHOW + code], env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_one_thread_inside_and_as_before_outside() -> None:
    run("""
with threads.small_products():
    assert set(pools().values()) == {1}, pools()
    with threads.small_products():
        assert set(pools().values()) == {1}, pools()
    assert set(pools().values()) == {1}, "the inner scope ended the outer one"
assert pools() == before[1]
try:
    with threads.small_products():
        raise KeyError
except KeyError:
    pass
assert pools() == before[1]
with threads.small_products(threads.LARGE_PRODUCT):
    assert pools() == before[1]

@threads.small_products()
def decorated():
    return set(pools().values())

assert decorated() == decorated() == {1}
assert pools() == before[1]
""")


@pytest.mark.parametrize(
    ("variable", "kept"),
    [
        ("OMP_NUM_THREADS", {"torch", "openblas"}),
        ("OPENBLAS_NUM_THREADS", {"openblas"}),
        ("MKL_NUM_THREADS", {"torch"}),
    ],
)
def test_the_environment_is_respected(variable: str, kept: set[str]) -> None:
    code = f"""
with threads.small_products():
    for name, number in pools().items():
        assert number == (before[1][name] if name in {kept} else 1), (name, pools(), before[1])
assert pools() == before[1]
"""
    run(code, **{variable: "2"})


def test_the_number_that_a_user_gave_torch_is_respected() -> None:
    run("""
th.set_num_threads(7)
with threads.small_products():
    assert th.get_num_threads() == 7
assert th.get_num_threads() == 7
""")


def test_a_number_given_before_the_import_is_respected() -> None:
    code = "import torch; torch.set_num_threads(7)\n" + SHOW
    code += "with threads.small_products():\n    assert th.get_num_threads() == 7\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_collection_acting_and_updates_have_one_thread() -> None:
    run("""
import gymnasium as gym
import simpl_envs, simpl_envs.maze.env
from simpl_sb3 import PRETRAINED, SkillActionWrapper, SkillPriorSAC, make_skill_vec_env
from simpl_sb3.skills.model import SkillModel
seen = []

def watched(owner, name):
    original = getattr(owner, name)
    def call(*args, **kwargs):
        seen.append((name, tuple(sorted(pools().items()))))
        return original(*args, **kwargs)
    setattr(owner, name, call)

watched(simpl_envs.maze.env.SimplMazeVectorEnv, "step")
watched(simpl_envs.maze.env.SimplMazeEnv, "step")
from simpl_sb3.algorithms.policies import SkillActorCritic
watched(SkillActorCritic, "actor_loss")
watched(th.optim.Adam, "step")
skills = PRETRAINED / "maze-fast" / "skills.safetensors"
env = make_skill_vec_env("SimplMaze-v0", skills, 2, seed=0, max_episode_steps=20)
model = SkillPriorSAC("MlpPolicy", env, batch_size=8, seed=0)
model.learn(12)
wrapped = SkillActionWrapper(gym.make("SimplMaze-v0"), skills)
wrapped.reset(seed=0)
wrapped.step(wrapped.action_space.sample())
assert {name for name, _ in seen} >= {"step", "actor_loss"}
wrong = [entry for entry in seen if {number for _, number in entry[1]} != {1}]
assert not wrong, wrong[:3]
assert pools() == before[1]
""")
