"""
What environments in processes of their own are asked for: that they have it, and that it can be sent.

A ``SubprocVecEnv`` sends its environments to workers by cloudpickle, classes of ``__main__`` included, and what
workers answer by pickle, which knows such a class by name alone, and finds no or another one. Here such an object, as
a task of the script that runs, travels with its class, both ways: a class that went out comes back as what it was.
"""

import sys
from multiprocessing.reduction import ForkingPickler
from typing import Any, TypeVar

import cloudpickle
from stable_baselines3.common.vec_env import VecEnv

__all__ = ["attributes_of", "in_processes", "sendable"]

Value = TypeVar("Value")


def in_processes(env: VecEnv) -> list[Any]:
    """The processes of a ``SubprocVecEnv``; none of another."""
    return list(getattr(env.unwrapped, "processes", None) or [])


def attributes_of(env: VecEnv, name: str) -> list[Any]:
    """
    Each environment's attribute.

    :raises AttributeError: where there is none; a process that is asked for what there is not would end
    """
    if in_processes(env) and not env.has_attr(name):
        raise AttributeError(name)
    return env.get_attr(name)


def sendable(value: Value) -> Value:
    """
    :param value: what a process is about to send: an object, or a tuple or list of some
    :return: the same; where pickle would not find an object's class, it is sent with it from now on
    """
    for each in value if isinstance(value, tuple | list) else [value]:
        if not _has_name(type(each)):
            ForkingPickler.register(type(each), _packed)
    return value


def _has_name(kind: type) -> bool:
    """Whether a class is what its module and name lead to."""
    found: Any = sys.modules.get(kind.__module__)
    for name in kind.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is kind


def _packed(value: Any) -> tuple[Any, tuple[bytes]]:
    return _unpacked, (cloudpickle.dumps(value),)


def _unpacked(content: bytes) -> Any:
    """What came with its class goes back with it."""
    value = cloudpickle.loads(content)
    ForkingPickler.register(type(value), _packed)
    return value
