"""
Draws the pictures of the site, from the models that come along and from episodes lived here and now::

    python docs/pictures.py              # docs/pictures/*.png; about two minutes on one core

Everything is the maze's: planned demonstrations, the shipped skills, the shipped meta-trained model, ten unseen goals.
"""

import csv
from pathlib import Path
from typing import Any

import gymnasium as gym
import imageio.v3 as iio
import numpy as np
import torch as th
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from simpl_envs import MAZE_TASK_SETS, PUBLISHED_LAYOUT
from simpl_envs.maze.layout import BODY_ORIGIN
from simpl_envs.maze.planner import plan_trajectories
from simpl_sb3 import PRETRAINED, SkillModel, SkillPriorPEARL, SkillPriorSAC, make_skill_vec_env
from simpl_sb3.domains import find_domain
from simpl_sb3.experiments.checking import live_prior
from simpl_sb3.report.figures import styled
from simpl_sb3.report.methods import BLUE, GREEN, GREY, VERMILION
from simpl_sb3.report.skills import draw_skills as draw_skills_check

FOLDER = Path(__file__).parent / "pictures"
TRAINED = PRETRAINED / "maze-fast"
WIDTH, HEIGHT = 7.6, 3.7
N_EPISODES, N_EXPLORING = 40, 20


def maze(axes: Axes, title: str) -> None:
    """Walls in observed coordinates, under a title."""
    corner, (rows, columns) = 0.5 - BODY_ORIGIN, PUBLISHED_LAYOUT.shape
    colours = ListedColormap(["#F6F6F3", "#404754"])
    extent = (corner, corner + rows, corner, corner + columns)
    axes.imshow(PUBLISHED_LAYOUT.walls.T, origin="lower", extent=extent, cmap=colours, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.set_title(title)


def pair(ratios: tuple[float, float] = (1.0, 1.0)) -> tuple[Figure, Axes, Axes]:
    """A figure of two panels."""
    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=ratios)
    return figure, left, right


def save(figure: Figure, name: str) -> None:
    """Write a figure, small."""
    figure.savefig(FOLDER / f"{name}.png", dpi=110, metadata={"Software": None}, pil_kwargs={"optimize": True})


# ------------------------------------------------------------ data, skills


def draw_data() -> None:
    """Demonstrations: all the extractor is shown."""
    shown = list(plan_trajectories(120, 0))
    figure, left, right = pair()
    maze(left, "120 demonstrations")
    maze(right, "one of them")
    for observations, _ in shown:
        left.plot(*observations[:, :2].T, color=BLUE, lw=0.6, alpha=0.4)
    longest = max((observations for observations, _ in shown), key=len)
    right.plot(*longest[:, :2].T, color=BLUE, lw=1.6)
    for start in range(0, len(longest), 40):
        right.plot(*longest[start, :2], ls="", marker="o", ms=3, color=VERMILION)
    save(figure, "data")


def prior_paths(skills: SkillModel, n: int, n_skills: int) -> list[np.ndarray]:
    """Paths (L, 2) of episodes in which the skill prior acts alone, under a goal that it hardly ever meets."""
    limit = n_skills * skills.horizon
    life = live_prior(skills, find_domain("maze"), "1-19", n_episodes=n, max_episode_steps=limit)
    return [path_of(finished) for finished in life.episodes]


def draw_skills() -> None:
    """One skill from many latents, and episodes of the skill prior."""
    skills = SkillModel.load(TRAINED / "skills.safetensors")
    figure, left, right = pair()
    maze(left, "60 skills of the prior, at the start")
    for path in prior_paths(skills, 60, 1):
        left.plot(*path.T, color=BLUE, lw=1.0, alpha=0.6)
    left.set(xlim=(9.2, 10.8), ylim=(9.2, 10.8))
    maze(right, "8 episodes of the prior, 200 skills each")
    for path in prior_paths(skills, 8, 200):
        right.plot(*path.T, lw=1.0, alpha=0.8)
    save(figure, "skills")


# ------------------------------------------------------------ meta-training


def colour_of(goal: tuple[float, float]) -> tuple[float, float, float]:
    """A colour by place, so that near goals have like colours."""
    x, y = goal[0] / 20.0, goal[1] / 20.0
    return (0.1 + 0.8 * x, 0.35 + 0.3 * (1.0 - x), 0.1 + 0.8 * y)


def draw_meta_training(model: SkillPriorPEARL) -> None:
    """Places, the task latent that a reward at each would say, and success while meta-training."""
    rows = model.policy.imagined.rows
    places, latents = rows[:, -4:-2].numpy(), model.policy.imagine(rows)[0].numpy()
    centred = latents - latents.mean(axis=0)
    flat = centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T
    colours = [colour_of((float(x), float(y))) for x, y in places]
    figure = Figure(figsize=(WIDTH * 1.25, HEIGHT), layout="constrained")
    place, latent, curve = figure.subplots(1, 3)
    maze(place, "goals (stars), places visited")
    latent.set_title("a reward there, as task latent")
    place.scatter(*places.T, c=colours, s=9)
    for task in MAZE_TASK_SETS["train-40"]:
        place.plot(*task.goal, ls="", marker="*", ms=9, mfc="white", mec="black")
    latent.scatter(*flat.T, c=colours, s=9)
    latent.set(xticks=[], yticks=[], aspect="equal")
    latent.spines[:].set_visible(False)
    latent.grid(visible=False)
    with (TRAINED / "progress.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for name, colour, label in (("exploration", GREY, "exploring"), ("posterior", BLUE, "task inferred")):
        shown = [
            (float(row["time/env_steps"]) / 1e6, float(row[f"rollout/success_{name}"]))
            for row in rows
            if row[f"rollout/success_{name}"]
        ]
        curve.plot(*np.array(shown).T, color=colour, label=label)
    curve.set(title="success on training goals", xlabel="million env steps", ylim=(0, 1.02))
    curve.legend(loc="center right")
    save(figure, "meta-training")


# ------------------------------------------------------------ a new task


def adapt(model: SkillPriorPEARL) -> list[list[Any]]:
    """The finished episodes of one agent on each of the ten unseen goals."""
    tasks = MAZE_TASK_SETS["target"]
    history: list[list[Any]] = [[] for _ in tasks]
    env = make_skill_vec_env("SimplMaze-v0", model.skills, len(tasks))
    agents: list[SkillPriorSAC] = model.adapt_tasks(
        env,
        tasks,
        seed=0,
        n_episodes=N_EPISODES,
        on_episode=lambda agent, episode, finished: history[agent].append(finished),
    )
    assert len(agents) == len(tasks)
    return history


def path_of(finished: Any) -> np.ndarray:
    """The positions of an episode, (L, 2)."""
    return np.concatenate([finished.episode.observations[:1, :2], finished.episode.env_observations[:, :2]])


def draw_exploration(history: list[list[Any]], agent: int) -> None:
    """The exploring episodes of one agent, and when each agent first found its goal."""
    task = MAZE_TASK_SETS["target"][agent]
    figure, left, right = pair()
    maze(left, f"{N_EXPLORING} exploring episodes, goal {task.name}")
    for finished in history[agent][:N_EXPLORING]:
        colour = GREEN if finished.success else GREY
        left.plot(*path_of(finished).T, color=colour, lw=1.0, alpha=0.9 if finished.success else 0.35)
    left.plot(*task.goal, ls="", marker="*", ms=13, color=VERMILION)
    found = np.array([next((n for n, each in enumerate(one, 1) if each.success), N_EPISODES + 1) for one in history])
    episodes = np.arange(1, N_EXPLORING + 1)
    right.step(episodes, [(found <= n).mean() for n in episodes], where="post", color=GREEN)
    right.set(title="agents that have found their goal", xlabel="episode", ylim=(0, 1.02))
    save(figure, "exploration")


def draw_adaptation(history: list[list[Any]], agent: int) -> None:
    """The last episodes of one agent, and the success of all agents by episode."""
    task = MAZE_TASK_SETS["target"][agent]
    figure, left, right = pair()
    maze(left, f"last five episodes, goal {task.name}")
    for finished in history[agent][-5:]:
        left.plot(*path_of(finished).T, color=BLUE, lw=1.4, alpha=0.8)
    left.plot(*task.goal, ls="", marker="*", ms=13, color=VERMILION)
    success = np.array([[each.success for each in one] for one in history]).mean(axis=0)
    right.plot(np.arange(1, N_EPISODES + 1), success, color=BLUE, marker="o", ms=3)
    right.axvspan(0.5, N_EXPLORING + 0.5, color=GREY, alpha=0.12, lw=0)
    right.text(N_EXPLORING / 2, 0.02, "exploring", ha="center", color=GREY)
    right.set(title="success, mean of ten unseen goals", xlabel="episode", ylim=(0, 1.02))
    save(figure, "adaptation")


def draw_check(seed: int = 0) -> None:
    """The picture of ``simpl-sb3 check-skills``."""
    skills = SkillModel.load(TRAINED / "skills.safetensors")
    domain = find_domain("maze")
    assert domain.traces is not None
    life = live_prior(skills, domain, "train-40", n_episodes=100, seed=seed)
    paths = [path_of(finished) for finished in life.episodes]
    picture = draw_skills_check(paths, None, domain.traces.walls, [task.name for task in life.tasks], life.shares)
    (FOLDER / "check.png").write_bytes(picture)


def draw_environment() -> None:
    """The maze as the environment draws it."""
    env = gym.make("SimplMaze-v0", render_mode="rgb_array_top_down")
    env.reset(seed=0, options={"task": MAZE_TASK_SETS["target"][0]})
    picture: Any = env.render()
    iio.imwrite(FOLDER / "maze.png", picture)
    env.close()


def main() -> None:
    """Draw all of them."""
    th.manual_seed(0)
    FOLDER.mkdir(exist_ok=True)
    model = SkillPriorPEARL.load(TRAINED / "model.zip")
    with styled():
        draw_environment()
        draw_check()
        draw_data()
        draw_skills()
        draw_meta_training(model)
        history = adapt(model)
        draw_exploration(history, agent=1)
        draw_adaptation(history, agent=1)


if __name__ == "__main__":
    main()
