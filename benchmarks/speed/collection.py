"""Collecting experience, layer by layer, and bare MuJoCo making the very same simulation steps."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import numpy as np

import simpl_envs
from simpl_envs.kitchen.physics import KitchenSimulation
from simpl_envs.simulator import Rollout, mujoco
from simpl_sb3 import PRETRAINED, SkillPriorPEARL, make_skill_vec_env
from simpl_sb3.algorithms.exploration import Explorer
from simpl_sb3.experience.buffer import TaskReplayBuffer
from simpl_sb3.experience.collector import EpisodeCollector, Job
from simpl_sb3.skills.vec_env import SkillVecEnv
from speed.pairs import Half, timed

__all__ = ["LAYERS", "Collection", "bare"]

ENVIRONMENTS = {"maze": "SimplMaze-v0", "kitchen": "SimplKitchen-v0"}
assert set(ENVIRONMENTS.values()) <= set(simpl_envs.ENVIRONMENTS)
RING = 2_000
"""Skills kept per environment."""


class Collection:
    """
    Environments of a domain under the policy that comes along, as deep as a layer goes.

    :param domain: name
    :param n_envs: N
    """

    def __init__(self, domain: str, n_envs: int) -> None:
        self.domain, self.n_envs = domain, n_envs
        folder = PRETRAINED / f"{domain}-fast"
        self.env: SkillVecEnv = make_skill_vec_env(ENVIRONMENTS[domain], folder / "skills.safetensors", n_envs, seed=0)
        self.env.reset()
        model = SkillPriorPEARL.load(folder / "model.zip", device="cpu")
        explorer = Explorer(model.policy, model.config, "aggregate")
        tasks: Any = self.env.get_attr("train_tasks")[0]
        skills = model.skills
        self.buffer = TaskReplayBuffer(n_envs, RING, skills.observation_space.shape[0], skills.skill_dim, 0)
        self.collector = EpisodeCollector(
            self.env,
            explorer.act,
            lambda index: Job(tasks[index % len(tasks)], index, "exploration"),
            lambda job: explorer.guess(),
            explorer.size,
            explorer.is_over,
            on_step=lambda step: self.buffer.add(step.indices, step.rows, step.ends),
        )
        self.rng = np.random.default_rng(0)

    def collect(self) -> float:
        """One skill in each environment, chosen by the policy, decoded, and its transition stored; env steps."""
        return float(self.collector.step().rows["skill_steps"].sum())

    def skills(self) -> float:
        """One skill in each environment, drawn at random and decoded; env steps."""
        z = self.rng.standard_normal((self.n_envs, self.env.skills.skill_dim)).astype(np.float32)
        infos = self.env.step(z)[3]
        return float(sum(info["skill_steps"] for info in infos))

    def bare_env(self) -> Half:
        """:return: env steps of the vector environment alone, ten at a call, with actions that were drawn before"""
        envs: Any = self.env.envs
        actions = self.rng.uniform(-1, 1, (10, *envs.action_space.shape))

        def half() -> float:
            n_steps = 0
            for action in actions:
                _, _, terminated, truncated, _ = envs.step(action)
                n_steps += self.n_envs
                if (ended := terminated | truncated).any():
                    envs.reset(options={"reset_mask": ended})
            return n_steps

        return half

    def half(self, layer: str) -> Half:
        """:param layer: one of ``LAYERS``"""
        return self.bare_env() if layer == "env" else getattr(self, layer)

    def close(self) -> None:
        """Close the environments."""
        self.env.close()


LAYERS = {
    "env": "vector environment alone",
    "skills": "with skills decoded",
    "collect": "with policy, skills and storage",
}


def bare(collection: Collection, run: Half, n_calls: int) -> Half:
    """
    MuJoCo alone, making the steps that a half makes: it is run once while their states and controls are noted. One call
    of ``mujoco.rollout`` per env step, states written, with as many threads as cores or with none, whichever is faster.

    :param collection: what the half runs
    :param run: the half
    :param n_calls: env steps to note, at most
    :return: env steps
    """
    noted = _noted(collection, run, n_calls)
    candidates = [_rollout(noted, nthread) for nthread in (0, len(os.sched_getaffinity(0)))]
    return max(candidates, key=_speed)


def _speed(half: Half) -> float:
    timed(half)
    return sorted(timed(half).rate for _ in range(3))[1]


class _Noted:
    """Simulation steps: the model, and for each call states, controls (B, S, A) and the solver's warm starts."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.calls: list[tuple[np.ndarray, np.ndarray, np.ndarray | None]] = []


def _noted(collection: Collection, run: Half, n_calls: int) -> _Noted:
    note = _note_mazes if collection.domain == "maze" else _note_kitchens
    with note(collection) as noted:
        while len(noted.calls) < n_calls:
            run()
    noted.calls = noted.calls[:n_calls]
    return noted


@contextmanager
def _note_mazes(collection: Collection) -> Iterator[_Noted]:
    simulator: Any = collection.env.envs._simulator  # type: ignore[attr-defined]
    noted, step = _Noted(simulator.model), simulator.step

    def stepped(states: np.ndarray, actions: np.ndarray) -> np.ndarray:
        after: np.ndarray = step(states, actions)
        if len(states) == collection.n_envs:
            noted.calls.append((simulator._before.copy(), simulator._control.copy(), None))
        return after

    with mock.patch.object(simulator, "step", stepped):
        yield noted


@contextmanager
def _note_kitchens(collection: Collection) -> Iterator[_Noted]:
    """Kitchens run in threads, so that each notes its own steps."""
    envs: Any = collection.env.envs
    model = envs.kitchens[0].simulation.model
    noted = _Noted(model)
    kind = mujoco.mjtState.mjSTATE_FULLPHYSICS
    size, substeps = mujoco.mj_stateSize(model, kind), envs.kitchens[0].simulation._n_substeps
    latest: dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
    simulate: Callable[..., Any] = KitchenSimulation.step
    pool_step = envs._pool.step

    def stepped(simulation: Any, action: np.ndarray) -> np.ndarray:
        state = np.empty(size)
        mujoco.mj_getState(model, simulation.data, state, kind)
        warm = simulation.data.qacc_warmstart.copy()
        observed: np.ndarray = simulate(simulation, action)
        latest[id(simulation)] = (state, simulation.data.ctrl.copy(), warm)
        return observed

    def all_stepped(indices: Any, actions: np.ndarray) -> Any:
        positions = pool_step(indices, actions)
        if len(indices) == collection.n_envs:
            parts = [latest[id(kitchen.simulation)] for kitchen in envs.kitchens]
            states, controls, warm = (np.array(part) for part in zip(*parts, strict=True))
            noted.calls.append((states, np.repeat(controls[:, None], substeps, axis=1), warm))
        return positions

    with mock.patch.object(KitchenSimulation, "step", stepped), mock.patch.object(envs._pool, "step", all_stepped):
        yield noted


def _rollout(noted: _Noted, nthread: int) -> Half:
    model, calls = noted.model, noted.calls
    data = [mujoco.MjData(model) for _ in range(max(1, nthread))]
    size, n_substeps = len(calls[0][0]), calls[0][1].shape[1]
    models, after = [model] * size, np.zeros((size, n_substeps, calls[0][0].shape[1]))
    rollout = Rollout(nthread=nthread)

    def half() -> float:
        for states, controls, warm in calls:
            rollout.rollout(
                models,
                data,
                states,
                controls,
                skip_checks=True,
                nstep=n_substeps,
                initial_warmstart=warm,
                state=after,
            )
        return float(size * len(calls))

    return half
