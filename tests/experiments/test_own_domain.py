"""A user's own domain, method and preset, each one Python file, from demonstrations to a report on the command line."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from simpl_sb3.experiments.cli import main
from simpl_sb3.results.rows import read_results

DOMAIN = Path(__file__).parents[1] / "own_domain_for_tests.py"
METHOD = '''
from dataclasses import dataclass

from simpl_sb3.methods import Method
from simpl_sb3.settings import Settings, setting
from simpl_sb3.skills import PrimitiveActions
from simpl_sb3.experience.collector import EpisodeCollector, Job


@dataclass(frozen=True, kw_only=True)
class DummySettings(Settings):
    """
    Of the dummy.

    :param n_episodes: episodes in all
    :param width: of nothing
    """

    n_episodes: int = setting(3, at_least=1)
    width: int = setting(8, at_least=1)


class Dummy:
    """Acts at random, over primitive actions."""

    training_tasks = None

    def __init__(self, settings, make_env):
        self.settings = DummySettings.of(settings)
        probe = __import__("gymnasium").make("TestLine-v0")
        self.skills = PrimitiveActions(probe.observation_space, probe.action_space)
        probe.close()

    def run(self, env, tasks, seed, on_episode):
        env.seed(seed)
        env.reset()
        rng = __import__("numpy").random.default_rng(seed)
        torch = __import__("torch")
        left = {agent: list(range(self.settings.n_episodes)) for agent in range(len(tasks))}
        count = dict.fromkeys(left, 0)

        def next_job(agent):
            return Job(tasks[agent], agent, "random") if left[agent] and left[agent].pop() >= 0 else None

        def act(observations, latents):
            return rng.uniform(-1, 1, (len(observations), self.skills.skill_dim)).astype("float32")

        collector = EpisodeCollector(env, act, next_job, lambda job: torch.zeros(1), 1)
        while collector.active.any():
            for finished in collector.step().finished:
                agent = finished.job.task_index
                count[agent] += 1
                on_episode(agent, count[agent], finished)
        return [None] * len(tasks)


def adapt(source, settings, make_env, device):
    assert source is None
    return Dummy(settings, make_env)


METHOD = Method(name="dummy", label="Dummy", colour="#336699", adapt=adapt, needs="nothing", settings=DummySettings)
'''
PRESET = """
from simpl_sb3.experiments.presets import Preset

TINY = Preset(
    name="tiny",
    domain="line",
    n_trajectories=12,
    skill_updates=4,
    meta_timesteps=30,
    extract={"horizon": 4, "skill_dim": 2, "batch_size": 8}
    | {f"{net}_hidden": (8,) for net in ("encoder", "decoder", "prior")},
    meta_train={"gradient_steps": 1, "batch_size": 8, "net_arch": (8,), "encoder_width": 8, "tasks_per_update": (1, 2)},
    adapt={"n_episodes": 4, "n_exploration_episodes": 2, "initial_updates": 1, "batch_size": 8},
    spirl={"n_exploration_episodes": 0, "n_episodes": 4, "batch_size": 8, "net_arch": (8,)},
    sections={"dummy": {"n_episodes": 5}},
)
"""

Run = Callable[..., int | str | None]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs ``simpl-sb3`` in a folder with the user's files; gives its exit code."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "data"))
    (tmp_path / "line.py").write_text(DOMAIN.read_text())
    (tmp_path / "dummy.py").write_text(METHOD)
    (tmp_path / "tiny.py").write_text(PRESET)

    def call(verb: str, *flags: object) -> int | str | None:
        given = ("--domain", "line.py", "--preset", "tiny.py") if verb != "report" else ()
        device = ("--device", "cpu") if verb not in ("collect", "report") else ()
        try:
            main([verb, *given, *device, *map(str, flags)])
        except SystemExit as ending:
            return ending.code
        return 0

    return call


def test_from_demonstrations_to_a_report(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("collect", "--noise", 0.2) == 0
    assert run("extract", "--output", "skills") == 0
    skills = "skills/skills.safetensors"
    assert run("meta-train", "--skills", skills, "--output", "model", "--env", "speed=0.4") == 0
    used = json.loads((tmp_path / "model" / "run.json").read_text())["settings"]
    assert (used["env"], used["train_tasks"], used["total_timesteps"]) == ({"speed": 0.4}, "train", 30)
    assert run("adapt", "--from", "model/model.zip", "--output", "rows/simpl.csv", "--tasks", "at+2,at-3") == 0
    assert run("adapt", "--from", skills, "--method", "spirl", "--output", "rows/spirl.csv") == 0
    assert run("adapt", "--method", "dummy.py", "--output", "rows/dummy.csv", "--width", 3) == 0
    text = capsys.readouterr().out
    assert "Last 5 episodes: success" in text
    files = {path.stem: read_results(path)[0] for path in (tmp_path / "rows").glob("*.csv")}
    assert {name: (len(file.rows), {row.task for row in file.rows}) for name, file in files.items()} == {
        "simpl": (8, {"at+2", "at-3"}),
        "spirl": (4, {"at+2"}),
        "dummy": (5, {"at+2"}),
    }
    assert files["simpl"].metadata["training_task_set"] == "train"
    assert files["dummy"].metadata["settings"]["width"] == 3
    assert run("report", "rows") == 0
    table = capsys.readouterr().out
    assert all(label in table for label in ("SiMPL", "SPiRL", "Dummy"))


def test_what_does_not_fit_is_one_line_and_nothing_written(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.py").write_text("DOMAIN = 3")
    before = sorted(path.name for path in tmp_path.iterdir())
    for verb, flags, message in (
        ("collect", ("--domain", "broken.py"), "broken.py"),
        ("collect", ("--noise", -1), "--noise is -1"),
        ("collect", ("--env", "wind=3"), "wind"),
        ("collect", ("--preset", "maze-fast"), "maze-fast is for the domain maze, not for line"),
        ("adapt", ("--method", "dummy.py", "--output", "rows.csv", "--tau", 1), "'--tau'"),
        ("adapt", ("--method", "dummy.py", "--output", "rows.csv", "--from", "x"), "starts from nothing"),
        ("adapt", ("--method", "missing.py", "--output", "rows.csv"), "no such file"),
        ("adapt", ("--method", "dummy.py", "--output", "rows.csv", "--tasks", "at+9"), "'at+9'"),
        ("meta-train", ("--method", "dummy.py", "--output", "model"), "Method dummy has no meta-training"),
    ):
        assert run(verb, *flags) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "__pycache__") == before
