"""The files that fuzz.py damages: how each kind is made, small, and what reads and then uses it."""

import os
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch as th

TESTS = Path(__file__).parents[1] / "tests"
sys.path.insert(0, str(TESTS))

from adaptation_for_tests import QUICK, TASKS, settings  # noqa: E402 - the tests' small models and environments
from algorithms_for_tests import KINDS as MODELS  # noqa: E402
from algorithms_for_tests import make, wrapped  # noqa: E402
from envs_for_tests import ACTIONS, OBSERVATIONS, LineEnv, line_envs, tiny_skills  # noqa: E402
from kitchen_data_for_tests import d4rl_arrays, write_hdf5  # noqa: E402

from simpl_sb3.algorithms.adaptation import Adaptation  # noqa: E402
from simpl_sb3.algorithms.adaptation_checkpoints import AdaptationCheckpoints  # noqa: E402
from simpl_sb3.algorithms.checkpoints import TrainingCheckpointCallback, load_checkpoint  # noqa: E402
from simpl_sb3.algorithms.session import AdaptationSession  # noqa: E402
from simpl_sb3.algorithms.skill_prior_pearl import SkillPriorPEARL  # noqa: E402
from simpl_sb3.algorithms.skill_prior_sac import SkillPriorSAC  # noqa: E402
from simpl_sb3.demonstrations.kept import KeptEpisodes  # noqa: E402
from simpl_sb3.demonstrations.minari import load_minari, read_settings, write_minari  # noqa: E402
from simpl_sb3.demonstrations.windows import DemonstrationDataset, Episode  # noqa: E402
from simpl_sb3.domains.kitchen_human import read_d4rl_kitchen  # noqa: E402
from simpl_sb3.domains.record import read_task_file  # noqa: E402
from simpl_sb3.errors import SimplError  # noqa: E402
from simpl_sb3.experiments.grid_file import read_grid  # noqa: E402
from simpl_sb3.experiments.run_folder import RunFolder, state_of  # noqa: E402
from simpl_sb3.experiments.stage import Stage  # noqa: E402
from simpl_sb3.methods import rl2  # noqa: E402
from simpl_sb3.results.estimates import episodes_at, estimate, learning_curve  # noqa: E402
from simpl_sb3.results.facts import SUCCESS, Walls  # noqa: E402
from simpl_sb3.results.rows import EpisodeRow, agent_episodes, read_results, write_results  # noqa: E402
from simpl_sb3.results.traces import (  # noqa: E402
    Completions,
    Trajectory,
    read_completions,
    read_trajectories,
    write_completions,
    write_trajectories,
)
from simpl_sb3.skills.base import Skills  # noqa: E402
from simpl_sb3.skills.extractor import SkillExtractor  # noqa: E402
from simpl_sb3.skills.vec_env import SkillVecEnv  # noqa: E402

SMALL: dict[str, Any] = {**MODELS[SkillPriorPEARL], "buffer_size": 30, "context_buffer_size": 25}
SHORT: dict[str, Any] = {**QUICK, "n_exploration_episodes": 0, "n_episodes": 3}
FEW: dict[str, Any] = {"gradient_steps": 2, "batch_size": 8}  # else a file may ask for any amount of work
STAGE = Stage("extract", {"seed": 0, "model": {"horizon": 4}}, {"dataset": "a/b-v0"}, "here")
GRID = """domain = "maze"
preset = "fast"
seeds = [0, 1]
[[methods]]
name = "SiMPL"
method = "simpl"
train = { hindsight = false, gradient_steps = 10 }
[[methods]]
method = "spirl"
[[tasks]]
tasks = "12-7,5-12"
agents_per_task = 2
settings = { n_episodes = 25 }
"""


@dataclass(frozen=True)
class Kind:
    """
    :param make: writes the files into a folder
    :param read: reads them and uses what was read; raises what a user would see
    :param sealed: whether any other byte must be refused
    """

    make: Callable[[Path], Any]
    read: Callable[[Path], Any]
    sealed: bool = True


class NotFiniteError(Exception):
    """What was read computes NaN or infinite numbers."""


def check_finite(*arrays: Any) -> None:
    """
    :raises NotFiniteError: for NaN and infinite numbers
    """
    if not all(np.isfinite(np.asarray(array)).all() for array in arrays):
        raise NotFiniteError


# ------------------------------------------------------------ skills and models


def use_skills(folder: Path) -> None:
    """Load, act, ask the prior."""
    skills = Skills.load(folder / "skills.safetensors")
    observations = np.zeros((2, 2), np.float32)
    actions = skills.act(observations, np.zeros((2, skills.skill_dim), np.float32))
    check_finite(actions, *(part.numpy() for part in skills.prior(th.from_numpy(observations))))


def use_model(kind: Any, path: Path, training_goes_on: bool) -> None:
    """Load, predict, learn on."""
    model = kind.load(path, env=wrapped(), device="cpu", **FEW)
    check_finite(model.predict(np.zeros((2, 2), np.float32))[0])
    model.learn(6, reset_num_timesteps=not training_goes_on)
    check_finite(*(value.numpy() for value in model.policy.state_dict().values()))


def write_meta_model(folder: Path) -> None:
    """With all that an exact resume needs."""
    make(SkillPriorPEARL).learn(20).save(folder / "model.zip", with_training_state=True)


def line_env() -> SkillVecEnv:
    """Four environments at once."""
    return SkillVecEnv(line_envs(4), tiny_skills())


def write_checkpoint(folder: Path) -> None:
    """One state, and its chunk of rows."""
    model = SkillPriorPEARL("MlpPolicy", line_env(), **SMALL)
    callback = TrainingCheckpointCallback(folder, seconds=1e9)
    model.learn(20, callback)
    callback.write()


def use_checkpoint(folder: Path) -> None:
    """Go on."""
    model = load_checkpoint(SkillPriorPEARL, folder, line_env(), device="cpu", **FEW)
    model.learn(4, reset_num_timesteps=False)
    check_finite(*(value.numpy() for value in model.policy.state_dict().values()))


def adapt(folder: Path) -> None:
    """Three agents, from the beginning or from the newest checkpoint."""
    rounds = AdaptationCheckpoints(folder, seconds=0.0)
    agents = Adaptation(
        SkillVecEnv(line_envs(3), tiny_skills()),
        TASKS,
        tiny_skills(),
        None,
        settings(net_arch=(8,), **SHORT),
        0,
        lambda *_: None,
        rounds,
    ).run()
    check_finite(*(value.numpy() for agent in agents for value in agent.policy.state_dict().values()))


def write_adaptation(folder: Path) -> None:
    """All that an adaptation keeps, but for its earlier checkpoints."""
    adapt(folder)
    for old in sorted(folder.glob("state_*"))[:-1]:
        old.unlink()


def write_session(folder: Path) -> None:
    """In the middle of an episode."""
    session = AdaptationSession(tiny_skills(), seed=0, net_arch=(8,), **SHORT)
    live(session, 20)
    session.save(folder / "session.zip")


def live(session: AdaptationSession, env_steps: int) -> None:
    """So many env steps in an environment."""
    env = LineEnv()
    observation, _ = env.reset(seed=0, options={"task": TASKS[0]})
    for _ in range(env_steps):
        if session.phase == "adapted":
            break
        observation, reward, terminated, truncated, info = env.step(session.act(observation))
        session.observe(observation, reward, terminated, truncated, info["is_success"])
        if terminated or truncated:
            observation, _ = env.reset()


def use_session(folder: Path) -> None:
    """Go on for some env steps."""
    session = AdaptationSession.load(folder / "session.zip", tiny_skills())
    live(session, 10)
    check_finite(*(value.numpy() for value in session.agent.policy.state_dict().values()))


def write_stock(folder: Path) -> None:
    """A model of sb3-contrib over skills, that has learned nothing."""
    tiny_skills().save(folder / "skills.safetensors")
    sizes = {"lstm_hidden_size": 8, "net_arch": (8,)}
    model = rl2.train(
        folder / "skills.safetensors",
        sizes,
        lambda skills, n_envs: SkillVecEnv(line_envs(n_envs), skills),
        n_envs=2,
        device="cpu",
        seed=0,
    )
    model.save(folder / "model.zip")
    (folder / "skills.safetensors").unlink()


def use_stock(folder: Path) -> None:
    """A trial of two episodes."""
    adapter = rl2.TrialAdapter(folder / "model.zip", {"n_episodes": 2}, "cpu")
    adapter.run(SkillVecEnv(line_envs(2), adapter.skills), TASKS[:2], 0, lambda *_: None)


def write_buffer(folder: Path) -> None:
    """Of an agent."""
    make(SkillPriorSAC).learn(20).save_replay_buffer(folder / "buffer.npz")


def use_buffer(folder: Path) -> None:
    """Learn from it."""
    model = make(SkillPriorSAC)
    model.load_replay_buffer(folder / "buffer.npz")
    model.learn(6)
    check_finite(*(value.numpy() for value in model.policy.state_dict().values()))


def extractor(folder: Path | None) -> SkillExtractor:
    """Of demonstrations that are numbers of no meaning."""
    rng = np.random.default_rng(0)
    episodes = [Episode(rng.normal(size=(13, 2)), rng.uniform(-1.0, 1.0, (12, 1))) for _ in range(4)]
    data = DemonstrationDataset.from_episodes(episodes, OBSERVATIONS, ACTIONS)
    sizes: dict[str, Any] = {"horizon": 4, "skill_dim": 2, "decoder_hidden": (8,), "prior_hidden": (8,)}
    return SkillExtractor(data, **sizes, encoder_hidden=(8,), seed=1, batch_size=8, folder=folder, device="cpu")


def write_extraction(folder: Path) -> None:
    """A checkpoint after two updates."""
    one = extractor(folder)
    one.n_updates = 0
    for _ in range(2):
        one._update(10)
    one.save_checkpoint()


def use_extraction(folder: Path) -> None:
    """Go on for two updates."""
    one = extractor(None)
    one.restore(folder / "checkpoint_00000002.pt")
    one.learn(min(one.n_updates, 10**6) + 2, log_interval=1)
    check_finite(*(value.numpy() for value in one.model.state_dict().values()))


# ------------------------------------------------------------ results


def write_rows(folder: Path) -> None:
    """Two agents of 30 episodes."""
    rows = [
        EpisodeRow("simpl", "fast", "Line-v0", "test", task, 0, episode, 14 * episode, float(episode % 3 == 0), 0)
        for task in ("2", "-2")
        for episode in range(1, 31)
    ]
    write_results(folder / "rows.csv", rows, {"gamma": 0.95, "net_arch": [8]}, measure=SUCCESS, command=["simpl-sb3"])


def use_rows(folder: Path) -> None:
    """What a report computes of them."""
    for file in read_results(folder):
        kinds = {row.agent[:4] for row in file.rows}
        for kind in kinds:
            episodes = agent_episodes([row for row in file.rows if row.agent[:4] == kind], "return")
            learning_curve(episodes)
            if episodes.has(20):
                check_finite(*estimate(episodes.at(20), episodes.tasks)[:1])
        check_finite(len(episodes_at(20)), file.measure is None or file.measure.maximum or 0.0)


def write_paths(folder: Path) -> None:
    """Two paths and walls."""
    paths = [
        Trajectory("simpl", "12-7", 0, episode, True, (1.0, 2.0), np.arange(8.0).reshape(4, 2)) for episode in (1, 2)
    ]
    write_trajectories(folder / "paths.npz", paths, Walls(("###", "#.#", "###")))


def write_subtasks(folder: Path) -> None:
    """Two episodes."""
    done = [
        Completions("simpl", "51", 0, episode, (1, 0), np.array([30, 0]), np.array([0, 20, 0])) for episode in (1, 2)
    ]
    write_completions(folder / "subtasks.npz", done, ["a", "b", "c"])


# ------------------------------------------------------------ data, runs, plans


def write_dataset(folder: Path) -> None:
    """Three demonstrations."""
    rng = np.random.default_rng(0)
    episodes = [Episode(rng.normal(size=(9, 2)), rng.uniform(-1.0, 1.0, (8, 1))) for _ in range(3)]
    write_minari("fuzz/line-v0", episodes, OBSERVATIONS, ACTIONS, root=folder, settings={"env": "Line-v0", "seed": 0})


def write_collection(folder: Path) -> None:
    """Three demonstrations of a dataset that is not whole yet."""
    rng, kept = np.random.default_rng(0), KeptEpisodes(folder, seconds=1e9)
    episodes = (Episode(rng.normal(size=(9, 2)), rng.uniform(-1.0, 1.0, (8, 1)), k) for k in range(3))
    list(kept.passing(episodes))
    kept.write()


def use_collection(folder: Path) -> None:
    """What cannot be read is passed over and made again: that counts as refused."""
    episodes = KeptEpisodes(folder).read()
    if not episodes:
        raise SimplError("it is passed over")
    DemonstrationDataset.from_episodes(episodes, OBSERVATIONS, ACTIONS)


def use_dataset(folder: Path) -> None:
    """Windows of it."""
    read_settings("fuzz/line-v0", folder)
    data = load_minari("fuzz/line-v0", 4, root=folder)
    check_finite(*data.sample_windows(4, 4, np.random.default_rng(0)))


def write_run(folder: Path) -> None:
    """A run that was stopped."""
    run = RunFolder(folder / "run", "skills.safetensors", False, STAGE)
    run.start()
    (run.work / "skills.safetensors").write_bytes(b"-")
    run.interrupt({"a": 1}, {"b": 2.0})
    (folder / "run" / "stage.json").write_text(STAGE.as_json())


def use_run(folder: Path) -> None:
    """What the next command asks."""
    state_of(folder / "run")
    Stage.from_json((folder / "run" / "stage.json").read_bytes().decode("utf-8", "replace"))
    RunFolder(folder / "run", "skills.safetensors", False, STAGE).start()


def use_tasks(folder: Path) -> None:
    """Both forms of a task file."""
    read_task_file(folder / "tasks.txt")
    read_task_file(folder / "tasks.json")


def write_tasks(folder: Path) -> None:
    """Two tasks."""
    (folder / "tasks.txt").write_text("12-7  # a comment\n5-12\n")
    (folder / "tasks.json").write_text('["12-7", "5-12"]')


FILES: dict[str, Kind] = {
    "skills": Kind(
        lambda folder: tiny_skills(norm="batch", decoder_hidden=(8, 8)).save(folder / "skills.safetensors"), use_skills
    ),
    "agent": Kind(
        lambda folder: make(SkillPriorSAC).learn(20).save(folder / "model.zip"),
        lambda folder: use_model(SkillPriorSAC, folder / "model.zip", False),
    ),
    "meta-model": Kind(write_meta_model, lambda folder: use_model(SkillPriorPEARL, folder / "model.zip", True)),
    "checkpoint": Kind(write_checkpoint, use_checkpoint),
    "buffer": Kind(write_buffer, use_buffer),
    "extraction": Kind(write_extraction, use_extraction),
    "adaptation": Kind(write_adaptation, adapt),
    "session": Kind(write_session, use_session),
    "stock": Kind(write_stock, use_stock),
    "collection": Kind(write_collection, use_collection),
    "rows": Kind(write_rows, use_rows),
    "paths": Kind(write_paths, lambda folder: read_trajectories(folder / "paths.npz")),
    "subtasks": Kind(write_subtasks, lambda folder: read_completions(folder / "subtasks.npz")),
    "dataset": Kind(write_dataset, use_dataset, sealed=False),
    "d4rl": Kind(
        lambda folder: write_hdf5(folder / "kitchen_mixed-v0.hdf5", d4rl_arrays(12, [11])),
        lambda folder: read_d4rl_kitchen(folder / "kitchen_mixed-v0.hdf5"),
        sealed=False,
    ),
    "run": Kind(write_run, use_run, sealed=False),
    "grid": Kind(
        lambda folder: (folder / "grid.toml").write_text(GRID), lambda folder: read_grid(folder / "grid.toml"), False
    ),
    "tasks": Kind(write_tasks, use_tasks, sealed=False),
}


def prepare() -> None:
    """One thread, no warnings, and the datasets of nobody."""
    th.set_num_threads(1)
    warnings.simplefilter("ignore")
    os.environ.setdefault("MINARI_DATASETS_PATH", os.environ["FUZZ_SCRATCH"])
