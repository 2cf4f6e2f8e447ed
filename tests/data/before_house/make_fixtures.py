"""
Files as revision df73012 wrote them, and what it read from them: fixtures for "old files still load and act alike".

Run in this folder, with that revision on the path (README.md). Random goals, tiny networks, nothing that is any good.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import torch as th
from simpl_envs.kitchen_demonstrator import demonstrate
from simpl_envs.maze_planner import plan_trajectories

import simpl_envs  # noqa: F401  (registers the environments)
from simpl_envs import KITCHEN_TASK_SETS, MAZE_TASK_SETS, GoalTask
from simpl_sb3 import (
    DemonstrationDataset,
    Episode,
    SkillActionWrapper,
    SkillExtractor,
    SkillModel,
    SkillPriorPEARL,
    SkillPriorSAC,
    make_skill_vec_env,
)

SKILLS = {"horizon": 10, "skill_dim": 4, "decoder_hidden": (12, 8), "prior_hidden": (8, 12), "batch_size": 64}
LEARNER = {"net_arch": (10, 8), "batch_size": 16}
META = {**LEARNER, "encoder_width": 8, "gradient_steps": 3, "tasks_per_update": (1, 2), "context_sizes": (2, 16)}
ADAPT = {"n_episodes": 3, "n_exploration_episodes": 2, "initial_updates": 4, "batch_size": 16}
DOMAINS = {
    "maze": {
        "env_id": "SimplMaze-v0",
        "episodes": lambda: [Episode(*one) for one in plan_trajectories(20, seed=0, nthread=1)],
        "skills": {"encoder_hidden": (12, 8), "norm": "layer", "prior_temperature": 0.5},
        "updates": 200,
        "env": {"max_episode_steps": 300, "nthread": 1},
        "meta": {"task_latent_dim": 5},
        "train_tasks": MAZE_TASK_SETS["easy"][-3:],
        "task": GoalTask((8.0, 10.0)),
        "wrapped": {"max_episode_steps": 300},
    },
    "kitchen": {
        "env_id": "SimplKitchen-v0",
        "episodes": lambda: [
            Episode(one.observations, one.actions) for one in demonstrate(3, 0, physics="fast", batch_size=3, nthread=1)
        ],
        "skills": {"encoder": "lstm", "encoder_hidden": (4,), "norm": "batch", "min_observation_std": 0.01},
        "updates": 200,
        "env": {"max_episode_steps": 60, "physics": "fast", "nthread": 1},
        "meta": {"task_latent_dim": 6, "gamma": 0.95, "handle_timeout_termination": False},
        "train_tasks": KITCHEN_TASK_SETS["train"][:3],
        "task": KITCHEN_TASK_SETS["target"][0],
        "wrapped": {"max_episode_steps": 60, "physics": "fast"},
    },
}


def make_models(name, domain):
    """Skills, with checkpoints in the maze; an agent, a meta-policy, an adapted agent."""
    folder = Path(name)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    env = gym.make(domain["env_id"])
    data = DemonstrationDataset.from_episodes(domain["episodes"](), env.observation_space, env.action_space)
    extractor = SkillExtractor(
        data, seed=0, device="cpu", folder=folder if name == "maze" else None, **SKILLS, **domain["skills"]
    )
    half = domain["updates"] // 2 if name == "maze" else None
    skills = extractor.learn(domain["updates"], checkpoint_interval=half)
    for log in (
        *folder.glob("events*"),
        *folder.glob("progress.csv"),
        *folder.glob(f"checkpoint_*{domain['updates']}.pt"),
    ):
        log.unlink()
    skills.save(folder / "skills.safetensors")
    path = folder / "skills.safetensors"

    envs = make_skill_vec_env(domain["env_id"], path, 2, seed=0, **domain["env"])
    envs.env_method("set_task", domain["task"])
    sac = SkillPriorSAC("MlpPolicy", envs, seed=0, device="cpu", n_steps=4, **LEARNER)
    sac.learn(80).save(folder / "skill_prior_sac.zip")
    envs.close()

    tasks = domain["train_tasks"]
    envs = make_skill_vec_env(domain["env_id"], path, len(tasks), seed=0, train_tasks=tasks, **domain["env"])
    meta = SkillPriorPEARL("MlpPolicy", envs, seed=0, device="cpu", **META, **domain["meta"])
    meta.learn(1).save(folder / "skill_prior_pearl.zip")
    envs.close()

    env = SkillActionWrapper(gym.make(domain["env_id"], **domain["wrapped"]), path)
    agent = meta.adapt(env, domain["task"], seed=0, **ADAPT)
    agent.save(folder / "adapted_agent.zip")
    env.close()


def make_rows(name, output, source, *more):
    """What ``simpl-sb3 adapt`` writes."""
    command = [sys.executable, "-m", "simpl_sb3", "adapt", "--from", f"{name}/{source}", "--output", f"{name}/{output}"]
    command += ["--preset", f"{name}-fast", "--device", "cpu", "--no-progress-bar", *more]
    for setting in ("n_episodes=3", "initial_updates=4", "batch_size=16"):
        command += ["--set", setting]
    subprocess.run(command, check=True)


def expect(name, domain):
    """What the old revision makes of its own files."""
    folder = Path(name)
    skills = SkillModel.load(folder / "skills.safetensors", device="cpu")
    sac = SkillPriorSAC.load(folder / "skill_prior_sac.zip", device="cpu")
    agent = SkillPriorSAC.load(folder / "adapted_agent.zip", device="cpu")
    meta = SkillPriorPEARL.load(folder / "skill_prior_pearl.zip", device="cpu")
    rng = np.random.default_rng(0)
    mean, std = skills.observation_mean.numpy(), skills.observation_std.numpy()

    def observations(*shape):
        return (mean + std * rng.standard_normal((*shape, len(mean)))).astype(np.float32)

    envs = make_skill_vec_env(domain["env_id"], skills, 4, seed=7)
    real = envs.reset().astype(np.float32)
    envs.close()
    seen = np.concatenate([observations(8), real])
    z = rng.standard_normal((len(seen), skills.skill_dim)).astype(np.float32)
    e = rng.standard_normal((len(seen), meta.task_latent_dim)).astype(np.float32)
    n, low, high = 6, skills.action_space.low, skills.action_space.high
    paid = (rng.uniform(size=(2, n, 2)) < 0.2).astype(np.float32)  # reward, done
    parts = (observations(2, n), rng.standard_normal((2, n, skills.skill_dim)), paid, observations(2, n))
    context = np.concatenate(parts, axis=-1).astype(np.float32)
    window = observations(2, skills.horizon + 1)
    actions = rng.uniform(low, high, (2, skills.horizon, len(low))).astype(np.float32)
    with th.no_grad():
        prior = [one.numpy() for one in skills.prior(th.from_numpy(seen))]
        encoded = [one.numpy() for one in skills.encode(th.from_numpy(window), th.from_numpy(actions))]
        decoded = skills.decode(th.from_numpy(seen), th.from_numpy(z)).numpy()
    latent = [one.numpy() for one in meta.infer_task_latent(th.from_numpy(context))]
    meta.policy.set_training_mode(False)
    unclipped = meta.policy.act(seen, th.from_numpy(e), deterministic=True)
    th.manual_seed(0)
    sampled = sac.predict(seen, deterministic=False)[0]
    arrays = {
        # inputs
        "observations": seen,
        "z": z,
        "e": e,
        "context": context,
        "window_observations": window,
        "window_actions": actions,
        # outputs
        "skills_act": skills.act(seen, z),
        "skills_decode": decoded,
        "skills_prior_mean": prior[0],
        "skills_prior_std": prior[1],
        "skills_encode_mean": encoded[0],
        "skills_encode_std": encoded[1],
        "sac_predict": sac.predict(seen, deterministic=True)[0],
        "sac_predict_sampled_seed_0": sampled,
        "adapted_predict": agent.predict(seen, deterministic=True)[0],
        "pearl_act": unclipped,
        "pearl_latent_mean": latent[0],
        "pearl_latent_std": latent[1],
    }
    assert all(np.isfinite(array).all() for array in arrays.values())
    np.savez_compressed(folder / "expected.npz", **arrays)


def main():
    th.set_num_threads(1)
    th.set_float32_matmul_precision("highest")
    for name, domain in DOMAINS.items():
        make_models(name, domain)
    exploring = ("--set", "n_exploration_episodes=2")
    make_rows("maze", "rows.csv", "skill_prior_pearl.zip", "--tasks", "random:1:0", *exploring)
    make_rows("kitchen", "rows.csv", "skill_prior_pearl.zip", *exploring)
    make_rows("kitchen", "rows_spirl.csv", "skills.safetensors", "--method", "spirl", "--set", "net_arch=[10,8]")
    for name, domain in DOMAINS.items():
        expect(name, domain)


if __name__ == "__main__":
    main()
