"""The state of a vec env, from which it goes on: the episodes that run where it gives them, else random generators."""

from collections.abc import Mapping

import numpy as np
from stable_baselines3.common.vec_env import VecEnv

from simpl_sb3.skills.held_envs import generator_states, generators_of

__all__ = ["env_state", "holds_episodes", "take_env_state"]


def env_state(env: VecEnv) -> dict[str, np.ndarray]:
    """A vec env's own state where it gives one, else the random generators of its environments."""
    get_state = getattr(env, "get_state", None)
    return get_state() if get_state is not None else {"rngs": generator_states(env.get_attr("np_random"))}


def take_env_state(env: VecEnv, state: Mapping[str, np.ndarray]) -> None:
    """
    Set what :func:`env_state` gave.

    :raises ValueError: for a state of other environments, or of another number of them
    """
    set_state = getattr(env, "set_state", None)
    if set_state is not None:
        set_state(state)
        return
    if len(state["rngs"]) != env.num_envs:
        raise ValueError(f"Expected a state of {env.num_envs} environments, got one of {len(state['rngs'])}")
    for i, rng in enumerate(generators_of(state["rngs"])):
        env.set_attr("np_random", rng, indices=i)


def holds_episodes(env: VecEnv) -> bool:
    """Whether an environment's state holds the episodes that run."""
    return bool(getattr(env, "holds_episodes", False))
