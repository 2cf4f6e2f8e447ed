"""
The same seed twice, with one thread and with two: what is equal to the bit, and how large the difference is elsewhere.

::

    python benchmarks/determinism.py --output benchmarks/results/reliability/determinism.json

Each of the four runs is a process of its own: demonstrations of the maze, 100 updates of skill extraction, a
meta-iteration with 10 updates over 10 mazes, two agents that adapt over 3 episodes; networks have the default sizes.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

STAGES = ("collect", "extract", "meta-train", "adapt")


def run(path: Path) -> None:
    """All stages, and what came of them as arrays."""
    import gymnasium as gym

    import simpl_envs
    from simpl_envs.maze.planner import plan_trajectories
    from simpl_sb3 import PRETRAINED, SkillExtractor, SkillPriorPEARL, make_skill_vec_env
    from simpl_sb3.demonstrations.windows import DemonstrationDataset, Episode

    found: dict[str, np.ndarray] = {}
    episodes = [Episode(*shown) for shown in plan_trajectories(30, seed=0)]
    for name in ("observations", "actions"):
        found[f"collect/{name}"] = np.concatenate([getattr(episode, name) for episode in episodes])
    env: Any = gym.make("SimplMaze-v0")
    data = DemonstrationDataset.from_episodes(episodes, env.observation_space, env.action_space)
    skills = SkillExtractor(data, seed=0, device="cpu").learn(100)
    found |= {f"extract/{name}": value.numpy() for name, value in skills.state_dict().items()}
    shipped = PRETRAINED / "maze-fast" / "skills.safetensors"
    mazes = make_skill_vec_env("SimplMaze-v0", shipped, n_envs=10, train_tasks=simpl_envs.MAZE_TASK_SETS["easy"])
    meta = SkillPriorPEARL("MlpPolicy", mazes, seed=0, device="cpu", gradient_steps=10, batch_size=64).learn(10)
    found |= {f"meta-train/{name}": value.numpy() for name, value in meta.policy.state_dict().items()}
    two = make_skill_vec_env("SimplMaze-v0", shipped, n_envs=2)
    agents = meta.adapt_tasks(
        two, simpl_envs.MAZE_TASK_SETS["target"][:2], n_episodes=3, n_exploration_episodes=1, seed=0
    )
    for i, agent in enumerate(agents):
        found |= {f"adapt/{i}.{name}": value.numpy() for name, value in agent.policy.state_dict().items()}
    np.savez(path, **found)  # type: ignore[arg-type]


def difference(one: dict[str, np.ndarray], other: dict[str, np.ndarray], stage: str) -> dict[str, Any]:
    """Whether all arrays of a stage are equal to the bit; else the largest difference, also against the spread."""
    names = [name for name in one if name.startswith(f"{stage}/")]
    if all(one[name].shape == other[name].shape and (one[name] == other[name]).all() for name in names):
        return {"equal to the bit": True}
    pairs = [(one[name].astype(float), other[name].astype(float)) for name in names]
    largest = max(float(np.abs(a - b).max()) for a, b in pairs if a.size)
    relative = max(float(np.sqrt(((a - b) ** 2).mean()) / (a.std() or 1.0)) for a, b in pairs if a.size)
    return {
        "equal to the bit": False,
        "largest difference": float(f"{largest:.3g}"),
        "largest relative difference of a tensor": float(f"{relative:.3g}"),
    }


def main() -> None:
    """Four runs, three comparisons."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        run(arguments.run)
        return
    runs: dict[str, dict[str, np.ndarray]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for threads in (1, 2):
            for again in (0, 1):
                path = Path(folder) / f"{threads}-{again}.npz"
                environment = os.environ | {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
                subprocess.run([sys.executable, __file__, "--run", str(path)], check=True, env=environment)
                with np.load(path) as arrays:
                    runs[path.stem] = dict(arrays)
    from simpl_sb3.results.provenance import command_line, git_revision, machine, package_versions

    pairs = {"1 thread, twice": ("1-0", "1-1"), "2 threads, twice": ("2-0", "2-1"), "1 against 2": ("1-0", "2-0")}
    report = {
        "command": command_line(),
        "comparisons": {
            name: {stage: difference(runs[a], runs[b], stage) for stage in STAGES} for name, (a, b) in pairs.items()
        },
        "machine": machine(),
        "git": dict(git_revision()),
        "versions": package_versions(),
    }
    print(json.dumps(report["comparisons"], indent=1))
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
