"""
``SkillPriorSAC``: soft actor-critic with the KL to a skill prior in place of entropy (Equations 1 and 5).

From scratch it is SPiRL; initialised from a meta-policy and conditioned on its task latent, SiMPL's adaptation phase.
"""

import warnings
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import MaybeCallback
from stable_baselines3.common.vec_env import VecEnv

from simpl_sb3.algorithms.base import SkillAlgorithm
from simpl_sb3.algorithms.callbacks import evaluated_env, evaluations
from simpl_sb3.algorithms.policies import SkillPriorPolicy
from simpl_sb3.algorithms.settings import INITIAL_MULTIPLIER, PolicySettings, SkillPriorSACSettings
from simpl_sb3.algorithms.updates import AgentLearner
from simpl_sb3.experience.buffer import TaskReplayBuffer
from simpl_sb3.experience.workers import answering
from simpl_sb3.skills.asking import attributes_of
from simpl_sb3.skills.fit import find_skills


class SkillPriorSAC(SkillAlgorithm):
    """
    SPiRL (Pertsch et al., 2020): SAC over skills, its entropy replaced by the KL to the skill prior.

    ``total_timesteps`` counts skills. Settings are those of ``SkillPriorSACSettings``; other parameters as in
    ``SkillAlgorithm``.

    An adapted agent knows its task, but sees observations only: ``load(path, env)`` and ``set_env(env)`` set the task
    in that environment. ``agent.set_env(env)`` and ``evaluate_policy(agent, agent.get_env())`` measure it there;
    ``evaluate_policy`` on an environment with another task warns.
    """

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {"MlpPolicy": SkillPriorPolicy}
    settings_class = SkillPriorSACSettings
    policy_settings_class = PolicySettings
    base_policy_class = SkillPriorPolicy
    policy: SkillPriorPolicy
    learner: AgentLearner
    config: SkillPriorSACSettings

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.task: Any = None  # the task of an adapted agent, where it is known as an object
        self.task_name: str | None = None  # its name, which a file keeps
        super().__init__(*args, **kwargs)

    def _setup_model(self) -> None:
        self.set_random_seed(self.seed)
        if self.env is not None:
            self.skills = find_skills(self.env, type(self).__name__)
        self.build()

    def build(self) -> None:
        """Buffer, policy and learner, from spaces and skills that are known."""
        self._setup_lr_schedule()
        config = self.config
        self.replay_buffer = TaskReplayBuffer(
            self.n_envs,
            config.buffer_size,
            self.skills.observation_space.shape[0],
            self.skills.skill_dim,
            self.seed,
            self.device,
            config.handle_timeout_termination,
        )
        self.policy = self._make_policy().to(self.device)
        multiplier = INITIAL_MULTIPLIER if config.skill_kl_multiplier is None else config.skill_kl_multiplier
        self.learner = AgentLearner(self.policy, config, config.skill_kl_target, multiplier)

    def _make_policy(self) -> SkillPriorPolicy:
        return self.policy_class(  # type: ignore[return-value]
            self.observation_space,
            self.action_space,
            skills=self.skills,
            task_latent_dim=self.config.task_latent_dim,
            **self.policy_kwargs,
        )

    # ------------------------------------------------------------ learning

    def learn(
        self,
        total_timesteps: int = 20_000,
        callback: MaybeCallback = None,
        log_interval: int | None = 4,
        tb_log_name: str = "SkillPriorSAC",
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> Self:
        """
        As in SB3, but for the clock.

        :param total_timesteps: skills (not env steps) to collect
        :param log_interval: episodes between two prints of the metrics
        """
        for evaluation in evaluations(callback):
            self._prepare_env(evaluation.eval_env)
        if reset_num_timesteps or self._last_obs is None:  # SB3 then resets the environments
            self.replay_buffer.end_episodes()
        return self._learn(total_timesteps, callback, log_interval, tb_log_name, reset_num_timesteps, progress_bar)

    def _collect(self, callback: BaseCallback, log_interval: int | None, total_timesteps: int) -> bool:
        """``train_freq`` vec-env steps, or episodes, with skills of the policy."""
        assert self.env is not None
        env, frequency = self.env, self.config.train_freq
        wanted, unit = frequency if isinstance(frequency, tuple) else (frequency, "step")
        callback.on_rollout_start()
        done = self._round_skills = 0
        while done < wanted and (unit == "episode" or self.num_timesteps < total_timesteps):
            z, _ = self.predict(self._last_obs, deterministic=False)
            with answering(env):
                new_obs, rewards, dones, infos = env.step(z)
            self.num_timesteps += env.num_envs
            self._round_skills += env.num_envs
            callback.update_locals(locals())
            if not callback.on_step():
                return False
            self._update_info_buffer(infos, dones)
            self._store(z, new_obs, rewards, dones, infos)  # type: ignore[arg-type]
            self._update_current_progress_remaining(self.num_timesteps, self._total_timesteps)
            done += 1 if unit == "step" else int(dones.sum())
            for _ in range(int(dones.sum())):
                self._episode_num += 1
                if log_interval is not None and self._episode_num % log_interval == 0:
                    self.dump_logs()
        callback.on_rollout_end()
        return True

    def _store(
        self, z: np.ndarray, new_obs: np.ndarray, rewards: np.ndarray, dones: np.ndarray, infos: list[dict[str, Any]]
    ) -> None:
        after = np.array(new_obs, np.float32)
        for i in np.flatnonzero(dones):
            after[i] = infos[i]["terminal_observation"]
        truncated = np.array([info.get("TimeLimit.truncated", False) for info in infos])
        steps = np.array([info["skill_steps"] for info in infos])
        rows = {
            "observations": self._last_obs,
            "actions": z,
            "rewards": rewards,
            "terminated": dones & ~truncated,
            "next_observations": after,
            "skill_steps": steps,
            "truncated": dones & truncated,
        }
        self.replay_buffer.add(np.arange(self.n_envs), rows, dones)
        self._last_obs = new_obs

    def _n_due(self) -> int:
        """``gradient_steps``, or with -1 as many as skills lived in the round."""
        return self.config.gradient_steps if self.config.gradient_steps >= 0 else self._round_skills

    def train(self, gradient_steps: int, batch_size: int) -> None:
        """``gradient_steps`` updates on transitions drawn evenly from all environments; metrics are their means."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(list(self.learner.optimizers.values()))
        everyone, per_env = np.arange(self.n_envs), max(1, batch_size // self.n_envs)
        for _ in self._count_updates(gradient_steps):
            batch = self.replay_buffer.sample(
                everyone, per_env, self.config.gamma, self.config.n_steps, self.config.gamma_per_env_step
            )
            for name, value in self.learner.update_agents(batch.as_one()).items():
                self._losses[name].append(value)
        for name, values in self._losses.items():
            self.logger.record(f"train/{name}", float(np.mean(values)))
        self._losses.clear()
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")

    # ------------------------------------------------------------ the task of an adapted agent

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, Any]:
        """As in SB3; where its ``evaluate_policy`` asks, warns if the environment has another task than the agent."""
        if self.task_name is not None and episode_start is not None and np.all(episode_start):
            self._warn_of_other_task(evaluated_env())
        return super().predict(observation, state, episode_start, deterministic)

    def _warn_of_other_task(self, env: VecEnv | None) -> None:
        try:
            tasks = [] if env is None else attributes_of(env, "task")
        except (AttributeError, TypeError):
            return  # an environment without tasks
        names = {str(getattr(task, "name", task)) for task in tasks}
        if others := sorted(names - {self.task_name}):
            warnings.warn(
                f"This agent adapted to the task {self.task_name}, and is evaluated on {', '.join(others)}: "
                "agent.set_env(env), or env.env_method('set_task', task), gives the environment its task.",
                stacklevel=4,
            )

    def _extra_state(self) -> dict[str, Any]:
        return {"task": self.task_name}

    def _load_extra_state(self, data: dict[str, Any]) -> None:
        self.task_name = None if data.get("task") is None else str(data["task"])

    def _prepare_env(self, env: VecEnv) -> None:
        """An adapted agent gives the environment its task, or warns where the environment does not know it."""
        if self.task_name is None:
            return
        task = self.task
        if task is None:
            known = [task for name in ("test_tasks", "train_tasks") for task in _attribute(env, name)]
            task = next((task for task in known if getattr(task, "name", None) == self.task_name), None)
        if task is None:
            warnings.warn(
                f"This agent adapted to the task {self.task_name}, which the environment does not list: "
                "call env.env_method('set_task', task) before it acts.",
                stacklevel=3,
            )
            return
        env.env_method("set_task", task)


def _attribute(env: VecEnv, name: str) -> Sequence[Any]:
    """The first environment's attribute, or nothing where there is none."""
    try:
        return attributes_of(env, name)[0] or ()
    except AttributeError:
        return ()
