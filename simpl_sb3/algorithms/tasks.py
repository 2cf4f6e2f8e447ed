"""The training tasks of an environment, checked against the contract of tasks."""

from collections.abc import Sequence
from typing import Any

from stable_baselines3.common.vec_env import VecEnv

from simpl_sb3.errors import EnvironmentSpecError, SettingsError
from simpl_sb3.skills.asking import attributes_of, in_processes

__all__ = ["check_given_tasks", "check_tasks", "default_timesteps", "find_tasks", "task_of"]

DEFAULT_EPISODES = 16


def find_tasks(env: VecEnv, expected: Sequence[str] = ()) -> tuple[Any, ...]:
    """
    The training tasks of an environment.

    :param expected: names of the tasks that a model was trained on; empty for any
    :raises EnvironmentSpecError: for an environment without tasks, with other tasks, or with tasks that do not meet the
        contract
    """
    try:
        tasks = tuple(attributes_of(env, "train_tasks")[0])
    except (AttributeError, TypeError):
        tasks = ()
    except (EOFError, ConnectionError) as error:
        raise EnvironmentSpecError(
            "The environments' process ended when it was asked for train_tasks; its own error stands above. Expected "
            "tasks that can be sent to another process: plain data, without functions, files or locks."
        ) from error
    if not tasks:
        raise EnvironmentSpecError(
            "Meta-training needs an environment with train_tasks (a tuple of tasks) and set_task(task); "
            "this one has no tasks."
        )
    check_tasks(tasks)
    if not _takes_tasks(env):
        raise EnvironmentSpecError(
            "The environment has train_tasks, and no set_task(task) that would give it one of them: expected both."
        )
    if expected and tuple(task.name for task in tasks) != tuple(expected):
        raise EnvironmentSpecError(
            f"The model was trained on the tasks {', '.join(map(str, expected)):.1000}; the environment has others."
        )
    return tasks


def default_timesteps(env: VecEnv, horizon: int) -> int:
    """
    How many skills a meta-training lives where nothing is said: 16 episodes of full length for each training task that
    explore, and as many that know the task.

    :param horizon: env steps of a skill
    :raises EnvironmentSpecError: for environments that do not tell their time limit
    """
    for name in ("spec", "_max_episode_steps"):  # the second is that of gymnasium.wrappers.TimeLimit
        try:
            found = attributes_of(env, name)[0]
        except (AttributeError, TypeError):
            continue
        limit = getattr(found, "max_episode_steps", found)
        if isinstance(limit, int) and limit > 0:
            return 2 * DEFAULT_EPISODES * len(find_tasks(env)) * -(-limit // horizon)
    raise EnvironmentSpecError(
        "learn() without total_timesteps takes 16 episodes of full length for each training task, and the environment "
        "tells no time limit: expected learn(total_timesteps), or an environment that is registered with "
        "max_episode_steps or wrapped in gymnasium.wrappers.TimeLimit."
    )


def check_given_tasks(tasks: Any, env: VecEnv) -> None:
    """
    Check tasks that environments are to be given; those in processes of their own take them after this.

    :param tasks: to adapt to
    :param env: as many environments are expected
    :raises SettingsError: for another number, no sequence, or texts
    """
    sized = not isinstance(tasks, str) and hasattr(tasks, "__len__")
    if not sized or len(tasks) != env.num_envs:
        given = f"{len(tasks)} tasks" if sized else "The text " * isinstance(tasks, str) + repr(tasks)
        raise SettingsError(f"{given} for {env.num_envs} environments: expected a sequence of as many tasks.")
    if texts := [task for task in tasks if isinstance(task, str)]:
        raise SettingsError(f"The task {texts[0]!r} is a text: expected a task, such as env.unwrapped.test_tasks[0].")
    if in_processes(env) and env.has_attr("train_tasks"):
        env.get_attr("train_tasks")  # what comes with its class goes back with it


def task_of(env: VecEnv) -> Any:
    """
    The task that the first environment has.

    :raises SettingsError: for an environment that tells none
    """
    try:
        return attributes_of(env, "task")[0]
    except AttributeError:
        raise SettingsError("task is None, and the environment tells no task of its own: expected a task.") from None


def _takes_tasks(env: VecEnv) -> bool:
    try:
        return env.has_attr("set_task")
    except TypeError:  # a native vector environment calls what it is asked for
        return True


def check_tasks(tasks: Sequence[Any]) -> None:
    """
    :raises EnvironmentSpecError: for tasks without a name, or two of one name
    """
    for task in tasks:
        name = getattr(task, "name", None)
        if not isinstance(name, str) or not name or any(sign in name for sign in ",\n\r"):
            raise EnvironmentSpecError(
                f"The task {task!r} has the name {name!r}: expected a text without commas as task.name, such as a "
                "frozen dataclass with a property name."
            )
    names = [task.name for task in tasks]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise EnvironmentSpecError(f"Several tasks have the name {', '.join(twice)}: expected a name for each.")
