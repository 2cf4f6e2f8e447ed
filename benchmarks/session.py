"""
Latency of a session's ``act`` and ``observe`` in the maze, with the shipped meta-model::

    python benchmarks/session.py --episodes 30

``act`` either decodes the skill that runs, or chooses one first; ``observe`` learns where a skill ends. The episode in
which fine-tuning begins ends with 200 updates at once.
"""

import argparse
import time

import gymnasium as gym
import numpy as np

import simpl_envs
from simpl_sb3 import PRETRAINED, SkillPriorPEARL, preset


def main() -> None:
    """Prints mean, 99th percentile and maximum in ms, wall and CPU time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    model = SkillPriorPEARL.load(PRETRAINED / "maze-fast" / "model.zip", device="cpu")
    settings = preset("maze-fast").adapt | {"n_episodes": arguments.episodes}
    session = model.start_adaptation(seed=arguments.seed, **settings)
    env = gym.make("SimplMaze-v0")
    env.reset(seed=arguments.seed)
    times: dict[str, list[tuple[float, float]]] = {}

    def timed(name: str, begun: tuple[float, float]) -> None:
        times.setdefault(name, []).append((time.perf_counter() - begun[0], time.process_time() - begun[1]))

    while session.phase != "adapted":
        observation, _ = env.reset(options={"task": simpl_envs.MAZE_TASK_SETS["target"][0]})
        ended, age = False, 0
        while not ended:
            begun, phase = (time.perf_counter(), time.process_time()), session.phase
            action = session.act(observation)
            timed("act, a new skill" if age % model.skills.horizon == 0 else "act, the skill that runs", begun)
            timed("act, all", begun)
            observation, reward, terminated, truncated, _ = env.step(action)
            begun, ended, age = (time.perf_counter(), time.process_time()), terminated or truncated, age + 1
            session.observe(observation, float(reward), terminated, truncated)
            last = ended or age % model.skills.horizon == 0
            begins = session.phase == "fine-tuning" != phase
            name = "begins to fine-tune" if begins else f"{phase}, a skill's end"
            timed(f"observe, {name}" if last else "observe, within a skill", begun)
    for name, pairs in times.items():
        wall, cpu = (1e3 * np.array(column) for column in zip(*pairs, strict=True))
        print(
            f"{name}: {len(pairs)} calls; wall mean {wall.mean():.3f}, 99 % {np.percentile(wall, 99):.3f}, "
            f"max {wall.max():.1f} ms; CPU mean {cpu.mean():.3f}, 99 % {np.percentile(cpu, 99):.3f} ms"
        )


if __name__ == "__main__":
    main()
