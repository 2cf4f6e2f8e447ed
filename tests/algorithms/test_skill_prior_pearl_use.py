"""SkillPriorPEARL in use: which environments fit, acting, and what SB3's users expect."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from envs_for_tests import SKILL_DIM, LineEnv, LineTask, line_envs, recorded, tiny_skills
from pearl_for_tests import ITERATION, LATENT, N_TASKS, TASKS, iterations, make
from stable_baselines3.common.callbacks import BaseCallback, CheckpointCallback, StopTrainingOnMaxEpisodes
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecEnv, VecMonitor

from simpl_sb3.algorithms.skill_prior_pearl import SkillPriorPEARL
from simpl_sb3.errors import EnvironmentSpecError, SettingsError
from simpl_sb3.skills.vec_env import SkillVecEnv
from simpl_sb3.skills.wrapper import SkillActionWrapper

# ---------------------------------------------------------------- the environment


def test_an_environment_without_tasks_is_refused() -> None:
    class NoTasks(LineEnv):
        train_tasks = ()

        def __init__(self) -> None:
            super().__init__()
            self.train_tasks = ()  # type: ignore[assignment]

    for env in (SkillActionWrapper(NoTasks(), tiny_skills()), SkillVecEnv([NoTasks] * 2, tiny_skills())):
        with pytest.raises(EnvironmentSpecError, match="train_tasks"):
            make(env)


WRONG: list[dict[str, Any]] = [
    {"exploration": "posterior"},
    {"tasks_per_update": (0, 3)},
    {"tasks_per_update": (1, 0)},
    {"context_sizes": (0, 8)},
]


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        make(**wrong)


@dataclass(frozen=True)
class NamedTask:
    """The least that the task interface asks for: no ``rewards``."""

    name: str


class NamedTasks(LineEnv):
    def __init__(self) -> None:
        super().__init__()
        self.train_tasks = (NamedTask("left"), NamedTask("right"))  # type: ignore[assignment]

    def set_task(self, task: Any) -> None:
        self.task = LineTask({"left": -1.0, "right": 1.0}[task.name])


def test_tasks_without_rewards_do_without_hindsight(capsys: pytest.CaptureFixture[str]) -> None:
    """``task.rewards`` is optional: hindsight is off by itself, and it is said; asked for, it is refused."""
    with pytest.raises(SettingsError, match="hindsight=False"):
        make(SkillVecEnv([NamedTasks] * 2, tiny_skills()), hindsight=True)
    model = make(SkillVecEnv([NamedTasks] * 2, tiny_skills()), verbose=1)
    assert "no rewards(observations)" in capsys.readouterr().out
    assert not model.hindsight_used
    model.verbose = 0
    assert [len(iteration) for iteration in iterations(model, 2)] == [2, 4]


def test_afterwards_every_environment_of_the_vec_env_can_be_stepped() -> None:
    """Collecting leaves environments without a job out; SB3's evaluation of the same vec env must come to an end."""
    model = make(SkillVecEnv(line_envs(7), tiny_skills())).learn(1)
    returns, _ = evaluate_policy(model, model.get_env(), n_eval_episodes=7, return_episode_rewards=True)  # type: ignore[arg-type]
    assert len(returns) == 7


@pytest.mark.filterwarnings("ignore:The environment is already wrapped")
def test_under_a_wrapper_of_sb3() -> None:
    model = make(VecMonitor(SkillVecEnv(line_envs(7), tiny_skills())))
    first, second = iterations(model, 2)
    assert (len(first), len(second)) == (N_TASKS, 2 * N_TASKS)


# ---------------------------------------------------------------- acting


def test_predict_holds_a_latent_per_environment() -> None:
    """As an LSTM's state: drawn at an episode's start, kept until the next."""
    model = make().learn(1)
    observations = np.zeros((3, 2), np.float32)
    z, state = model.predict(observations)
    assert z.shape == (3, SKILL_DIM)
    assert state[0].shape == (3, LATENT)
    _, kept = model.predict(observations, state, np.zeros(3, bool))
    assert np.array_equal(kept[0], state[0])
    _, some = model.predict(observations, state, np.array([False, True, False]))
    assert np.array_equal(some[0] != state[0], [[False] * LATENT, [True] * LATENT, [False] * LATENT])
    _, unsaid = model.predict(observations, state)
    assert np.array_equal(unsaid[0], state[0])


def test_predict_deterministically() -> None:
    model = make().learn(1)
    observations = np.random.default_rng(0).normal(size=(3, 2))
    one, state = model.predict(observations, deterministic=True)
    two, _ = model.predict(observations, state, np.zeros(3, bool), deterministic=True)
    assert np.array_equal(one, two)
    single, state = model.predict(observations[0], deterministic=True)
    assert single.shape == (SKILL_DIM,)
    assert state[0].shape == (1, LATENT)


# ---------------------------------------------------------------- as SB3's users expect


def test_metrics() -> None:
    model = make()
    rows = recorded(model)
    model.learn(4 * ITERATION)
    sizes = ("prior_sized", "posterior_sized")
    expected = {"train/critic_loss", "train/actor_loss", "train/n_updates", "train/learning_rate"}
    expected |= {
        f"train/{name}_{size}"
        for name in ("skill_kl", "latent_kl", "skill_multiplier", "latent_multiplier")
        for size in sizes
    }
    expected |= {f"rollout/{name}_{kind}" for name in ("success", "return") for kind in ("exploration", "posterior")}
    expected |= {f"task/{task.name}/success" for task in TASKS}
    expected |= {"time/env_steps", "time/skills", "time/total_timesteps", "rollout/ep_rew_mean", "rollout/success_rate"}
    assert expected <= rows[-1].keys()
    assert len(rows) >= 4  # one per meta-iteration
    assert all(np.isfinite(value) for row in rows for value in row.values())
    assert rows[-1]["time/env_steps"] > rows[-1]["time/skills"]


class StopAfter(BaseCallback):
    def __init__(self, calls: int) -> None:
        super().__init__()
        self.calls = calls

    def _on_step(self) -> bool:
        return self.n_calls < self.calls


def test_callbacks_stop() -> None:
    model = make()
    assert model.learn(10_000, StopAfter(3)).num_timesteps <= 12
    assert model._n_updates == 0
    model.learn(1)  # and goes on afterwards
    assert model._n_updates == 2


def test_callbacks_of_sb3(tmp_path: Path) -> None:
    """They read ``dones`` and ``infos`` among the locals, and save the model."""
    env = SkillActionWrapper(LineEnv(), tiny_skills())
    model = make(env).learn(10_000, [StopTrainingOnMaxEpisodes(5), CheckpointCallback(3, str(tmp_path))])
    assert model.num_timesteps <= 5 * 4
    paths = list(tmp_path.iterdir())
    assert paths
    assert SkillPriorPEARL.load(paths[0], device="cpu").task_names == tuple(task.name for task in TASKS)


def test_callbacks_see_the_beginning_and_the_end_of_a_meta_iteration() -> None:
    calls: list[str] = []

    class Note(BaseCallback):
        def _on_training_start(self) -> None:
            calls.append("training starts")

        def _on_rollout_start(self) -> None:
            calls.append("starts")

        def _on_step(self) -> bool:
            if calls[-1] != "steps":
                calls.append("steps")
            return True

        def _on_rollout_end(self) -> None:
            calls.append("ends")

        def _on_training_end(self) -> None:
            calls.append("training ends")

    make().learn(1, Note())
    assert calls == ["training starts", "starts", "steps", "ends", "training ends"]


@pytest.mark.filterwarnings("ignore::tqdm.TqdmExperimentalWarning")
def test_progress_bar(capsys: pytest.CaptureFixture[str]) -> None:
    assert make().learn(30, progress_bar=True).num_timesteps >= 30


def test_a_schedule_never_goes_below_its_end() -> None:
    """A meta-iteration lives through more skills than were asked for."""
    model = make(learning_rate=("linear", 1e-3, 1e-5))
    rows = recorded(model)
    model.learn(3, log_interval=None)
    model.dump_logs()
    assert model.num_timesteps > 3
    assert model._current_progress_remaining == 0.0
    assert rows[-1]["train/learning_rate"] == pytest.approx(1e-5)


def test_tensorboard(tmp_path: Path) -> None:
    make(tensorboard_log=str(tmp_path)).learn(1)
    assert list(tmp_path.glob("SkillPriorPEARL_1/events*"))


def test_learning_goes_on_after_loading(tmp_path: Path) -> None:
    """With both clocks, and a buffer that fills again."""
    model = make().learn(30)
    model.save(tmp_path / "model")
    env: VecEnv = SkillVecEnv(line_envs(2), tiny_skills())
    again = SkillPriorPEARL.load(tmp_path / "model", env, device="cpu")
    assert (again.num_timesteps, again.num_env_steps) == (model.num_timesteps, model.num_env_steps)
    again.learn(1, reset_num_timesteps=False)
    assert again.num_env_steps > model.num_env_steps
    assert again.train_tasks == TASKS


def test_a_task_may_have_any_name(tmp_path: Path) -> None:
    tasks = (LineTask(0.5), LineTask(-7.25))
    model = make(SkillVecEnv(line_envs(2, train_tasks=tasks), tiny_skills())).learn(1)
    model.save(tmp_path / "model")
    assert SkillPriorPEARL.load(tmp_path / "model", device="cpu").task_names == ("0.5", "-7.25")
