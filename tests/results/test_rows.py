import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from simpl_sb3.errors import SettingsError, SimplError
from simpl_sb3.results.estimates import AgentEpisodes, bootstrap_interval, episodes_at, estimate, learning_curve
from simpl_sb3.results.facts import Measure
from simpl_sb3.results.rows import (
    COLUMNS,
    EpisodeRow,
    ResultsError,
    agent_episodes,
    read_results,
    return_at,
    success_at,
    write_results,
)


def make_row(episode=1, task="12-7", seed=0, success=0, **changes) -> EpisodeRow:
    row = EpisodeRow(
        "simpl", "maze-fast", "SimplMaze-v0", "target", task, seed, episode, 100 * episode, success, success
    )
    return replace(row, **changes)


def make_agent(successes: list[int], task="12-7", seed=0, **changes) -> list[EpisodeRow]:
    return [make_row(k, task, seed, success, **changes) for k, success in enumerate(successes, start=1)]


@pytest.fixture
def written(tmp_path: Path) -> Path:
    return write_results(tmp_path / "a.csv", make_agent([0, 1]), {"seed": 3}, command=["simpl-sb3", "adapt"])


# ------------------------------------------------------------ at episode N


@pytest.mark.parametrize(
    ("episode", "first", "last"),
    [(5, 1, 10), (20, 21, 30), (21, 17, 26), (40, 36, 45), (195, 191, 200), (200, 196, 205)],
)
def test_window_of_an_episode(episode: int, first: int, last: int):
    assert list(episodes_at(episode)) == list(range(first, last + 1))


def test_success_by_hand():
    early = [0] * 20
    first = make_agent(
        [*early, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, *[0] * 5, *[1, 0] * 5], seed=0
    )  # 21 to 30: .3; 36 to 45: .5
    second = make_agent([*early, *[1] * 9, 0, *[0] * 5, *[1] * 10], seed=1)  # .9 and 1
    rows = [*second, *first]
    assert success_at(rows, 20).mean == pytest.approx(0.6)
    assert success_at(rows, 40).mean == pytest.approx(0.75)
    assert success_at(rows, 20).n_agents == 2
    # one of two agents is drawn: the resampled mean is either value
    assert success_at(rows, 20)[1:3] == pytest.approx((0.3, 0.9))


def test_return_by_hand():
    rows = [replace(row, episode_return=float(row.episode % 4)) for row in make_agent([0] * 10)]
    assert return_at(rows, 5).mean == pytest.approx((1 + 2 + 3 + 0 + 1 + 2 + 3 + 0 + 1 + 2) / 10)
    assert np.isnan(return_at(rows, 5)[1:3]).all()  # one agent tells nothing about others


def test_missing_episodes_are_named():
    rows = [*make_agent([1] * 45), *make_agent([1] * 44, task="1-19", seed=2)]
    assert success_at(rows, 20).mean == 1
    with pytest.raises(ResultsError, match=r"task 1-19 seed 2 lacks episodes; expected 36 to 45"):
        success_at(rows, 40)
    with pytest.raises(ResultsError, match="expected 5 or more"):
        success_at(rows, 4)


def test_rows_of_two_methods_do_not_mix():
    with pytest.raises(ResultsError, match="rows of 2 kinds"):
        agent_episodes([*make_agent([1] * 10), *make_agent([1] * 10, method="spirl")])
    with pytest.raises(ResultsError, match="expected 'success' or 'return'"):
        agent_episodes(make_agent([1]), "reward")


def test_learning_curve_never_mixes_exploration_with_what_follows():
    values = np.zeros((2, 45))
    values[:, 20:] = 1.0
    curve = learning_curve(AgentEpisodes(("a", "a"), (0, 1), values))
    assert curve.episodes.tolist() == [*range(5, 16), 20, *range(25, 41)]
    assert curve.mean.tolist() == [0.0] * 11 + [1.0] * 17
    assert len(learning_curve(AgentEpisodes(("a", "a"), (0, 1), values[:, :8])).mean) == 0


# ------------------------------------------------------------ intervals


def test_interval_has_no_width_where_agents_agree():
    tasks = [f"{k}" for k in range(10) for _ in range(3)]
    assert estimate(np.full(30, 0.9), tasks) == (pytest.approx(0.9), 0.9, 0.9, 30)
    # tasks differ, agents of a task do not: the tasks are fixed
    assert np.ptp(bootstrap_interval(np.repeat(np.arange(10.0), 3), tasks)) == 0


def test_interval_is_that_of_the_unbiased_variance():
    values = np.random.default_rng(0).normal(size=(8, 4))
    low, high = bootstrap_interval(values.ravel(), [f"{k}" for k in range(8) for _ in range(4)])
    error = np.sqrt((values.var(axis=1, ddof=1) / 4).sum()) / 8
    assert high - low == pytest.approx(2 * 1.96 * error, rel=0.05)


def test_interval_covers_the_truth_with_three_seeds():
    rng = np.random.default_rng(1)
    values = rng.normal(size=(10, 3, 400)) + np.arange(10.0)[:, None, None]
    low, high = bootstrap_interval(values.reshape(30, 400), [f"{k}" for k in range(10) for _ in range(3)])
    assert 0.90 <= np.mean((low <= 4.5) & (high >= 4.5)) <= 0.97  # 0.88 if n were drawn of n


def test_one_agent_per_task_counts_the_tasks_differences():
    low, high = bootstrap_interval(np.array([0.0, 1.0]), ["a", "b"])
    assert (low, high) == (0, 1)


def test_interval_does_not_depend_on_the_order_of_rows():
    rng = np.random.default_rng(2)
    rows = [row for s in range(3) for t in "abc" for row in make_agent(list(rng.integers(0, 2, 10)), task=t, seed=s)]
    shuffled = [rows[k] for k in rng.permutation(len(rows))]
    assert success_at(rows, 5) == success_at(shuffled, 5) == success_at(rows, 5)


# ------------------------------------------------------------ rows and files


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "my method"},
        {"method": ""},
        {"method": "../a"},
        {"episode": 10**9},
        {"seed": 2**63},
        {"task": "a\x00"},
        {"task": "x" * 201},
        {"episode_return": 1e300},
        {"task": "12,7"},
        {"preset": ""},
        {"env": 'a"b'},
        {"seed": -1},
        {"seed": True},
        {"episode": 0},
        {"episode": 1.5},
        {"env_steps": 0},
        {"episode_return": float("nan")},
        {"success": 2},
        {"success": "1"},
    ],
)
def test_row_refuses(changes: dict):
    with pytest.raises(ResultsError, match=r"is .*; expected"):
        make_row(**changes)


def test_written_results_are_read_back(tmp_path: Path):
    rows = [*make_agent([0, 1, 1]), *make_agent([1], task="1-19", seed=np.int64(2), episode_return=np.float32(0.1))]
    path = write_results(
        tmp_path / "new" / "rows.csv",
        rows,
        {"seed": 3, "meta": {"net_arch": (128, 128), "rate": np.float32(0.5)}},
        training_task_set="train-40",
        variant="no relabelling",
        command=["simpl-sb3", "adapt", "--seed", "3"],
        wall_time_s={"adapt": 12.5},
    )
    assert path.read_text().splitlines()[:2] == [
        ",".join(COLUMNS),
        "simpl,maze-fast,SimplMaze-v0,target,12-7,0,1,100,0.0,0",
    ]
    (file,) = read_results(path)
    assert list(file.rows) == rows
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["rows.csv", "rows.json"]
    data = file.metadata
    assert (data["schema_version"], data["training_task_set"], data["evaluation_task_sets"]) == (
        1,
        "train-40",
        ["target"],
    )
    assert (data["seeds"], data["variant"], data["wall_time_s"]) == ([0, 2], "no relabelling", {"adapt": 12.5})
    assert data["settings"] == {"seed": 3, "meta": {"net_arch": [128, 128], "rate": 0.5}}
    assert data["command"] == "simpl-sb3 adapt --seed 3"
    assert {"python", "torch", "numpy"} <= set(data["versions"])
    assert set(data["machine"]) == {"cpu", "cores", "memory_gib", "platform"}
    assert set(data["revision"]) == {"commit", "dirty"}


def test_json_holds_no_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    settings = {"output": tmp_path / "runs" / "a", "skills": "/elsewhere/deep/skills.safetensors", "note": "see /x/y z"}
    command = ["/usr/bin/simpl-sb3", "adapt", f"--output={tmp_path}/runs", "/elsewhere/deep/model.zip"]
    path = write_results(Path("a.csv"), make_agent([1]), settings, command=command)
    text = path.with_suffix(".json").read_text()
    data = json.loads(text)
    assert data["settings"] == {"output": "runs/a", "skills": ".../skills.safetensors", "note": "see .../y z"}
    assert data["command"] == "simpl-sb3 adapt --output=runs .../model.zip"
    assert str(tmp_path) not in text
    assert not re.search(r'["\s=]/\w', text)


def test_nothing_is_overwritten_unless_asked(written: Path):
    before = written.read_bytes()
    with pytest.raises(SettingsError, match="overwrite=True"):
        write_results(written, make_agent([1]), {})
    assert written.read_bytes() == before
    written.unlink()
    with pytest.raises(SettingsError, match=r"a\.json exists"):
        write_results(written, make_agent([1]), {})
    write_results(written, make_agent([1]), {}, overwrite=True)
    assert len(read_results(written)[0].rows) == 1


@pytest.mark.parametrize(
    ("name", "rows", "settings"),
    [
        ("a.txt", make_agent([1]), {}),
        ("progress.csv", make_agent([1]), {}),
        ("a.csv", [], {}),
        ("a.csv", make_agent([1]) * 2, {}),
        ("a.csv", make_agent([1, 1], env_steps=7), {}),
        ("a.csv", make_agent([1]), {"model": object()}),
        ("a.csv", make_agent([1]), {"rate": float("inf")}),
    ],
)
def test_refused_results_leave_nothing(tmp_path: Path, name: str, rows: list, settings: dict):
    with pytest.raises(SimplError, match=r"expected|grow"):
        write_results(tmp_path / name, rows, settings)
    assert list(tmp_path.iterdir()) == []


def test_folder_is_read_without_logs_and_hidden_files(written: Path):
    write_results(written.parent / "deep" / "b.csv", make_agent([1]), {})
    (written.parent / "progress.csv").write_text("time/env_steps\n1\n")
    (written.parent / ".hidden.csv").write_text("")
    assert [file.path.name for file in read_results(written.parent)] == ["a.csv", "b.csv"]


HEADER = ",".join(COLUMNS)
GOOD = "simpl,maze-fast,SimplMaze-v0,target,12-7,0,1,100,0.0,0"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"a\.csv, line 1: columns none; expected method, preset"),
        (b"method,task\n", r"line 1: columns method, task; expected"),
        (f"{HEADER}\n".encode(), "no rows"),
        (f"{HEADER}\n{GOOD},1\n".encode(), r"line 2: 11 values; expected 10"),
        (f"{HEADER}\n{GOOD}\n{GOOD.replace('0.0', 'x')}\n".encode(), r"line 3: return is 'x'; expected a number"),
        (f"{HEADER}\n{GOOD.replace('simpl', 'o n', 1)}\n".encode(), r"line 2: method is 'o n'; expected letters"),
        (f"{HEADER}\n{GOOD.replace(',1,', ',1.0,')}\n".encode(), r"line 2: episode is '1.0'; expected a whole number"),
        (f"{HEADER}\n{GOOD}\n{GOOD}\n".encode(), "is there twice"),
        (f"{HEADER}\n{GOOD}\n".encode(), "holds 1 rows; expected 2 as its JSON says"),
        (
            f"{HEADER}\n{GOOD}\n{GOOD.replace(',1,100,', ',2,200,')}\n".encode(),
            r"is not the CSV that a\.json describes",
        ),
        (b"\xff\xfe\x00", r"a\.csv, line 1"),
    ],
)
def test_malformed_csv(written: Path, content: bytes, message: str):
    written.write_bytes(content)
    with pytest.raises(ResultsError, match=message):
        read_results(written)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"cannot read .*a\.json"),
        ("{", r"a\.json is no JSON"),
        ("[" * 200_000, r"a\.json is no JSON"),
        (
            '{"kind": "simpl-sb3/results", "schema_version": 1, "training_task_set": ["x"]}',
            r"training_task_set is \['x'\]",
        ),
        ('{"kind": "simpl-sb3/results", "schema_version": 1, "variant": "\\ud800"}', "no JSON"),
        ('{"kind": "simpl-sb3/results", "schema_version": 1, "n_rows": "2"}', "n_rows is '2'; expected a whole number"),
        ('{"kind": "simpl-sb3/results", "schema_version": 1, "seeds": 3}', "seeds is 3; expected a list"),
        ('{"kind": "simpl-sb3/results", "schema_version": 1, "wall_time_s": {"all": NaN}}', "it holds NaN"),
        (
            '{"kind": "simpl-sb3/results", "schema_version": 1, "measure": "success"}',
            "measure is 'success'; expected an object",
        ),
        (
            '{"kind": "simpl-sb3/results", "schema_version": 1, "measure": {"column": "steps", "label": "x"}}',
            "measure.column is 'steps'",
        ),
        (
            f'{{"kind": "simpl-sb3/results", "schema_version": 1, "settings": {"[" * 60 + "]" * 60}}}',
            "nested deeper than 50",
        ),
        ("[]", "does not describe results"),
        ('{"kind": "simpl-sb3/results", "schema_version": 9}', "schema version 9; this library reads 1"),
        ('{"kind": "simpl-sb3/results", "schema_version": 1, "machine": "mine"}', "machine is 'mine'; expected"),
        ('{"kind": "simpl-sb3/results", "schema_version": 1, "wall_time_s": {"all": "long"}}', "expected seconds"),
    ],
)
def test_malformed_json(written: Path, content: str | None, message: str):
    if content is None:
        written.with_suffix(".json").unlink()
    else:
        written.with_suffix(".json").write_text(content)
    with pytest.raises(ResultsError, match=message):
        read_results(written)


@pytest.mark.parametrize("name", ["pearl-ft", "rl2", "my_method", "MyMethod"])
def test_any_method_with_a_plain_name_is_taken(name: str):
    assert make_row(method=name).method == name


def test_rows_say_what_they_measure(tmp_path: Path):
    measure = Measure("return", "objects moved", 3)
    path = write_results(tmp_path / "a.csv", make_agent([1]), {}, measure=measure, method_label="My method")
    (file,) = read_results(path)
    assert file.measure == Measure("return", "objects moved", 3.0)
    assert file.metadata["method_label"] == "My method"
    assert json.loads(path.with_suffix(".json").read_text())["measure"] == {
        "column": "return",
        "label": "objects moved",
        "maximum": 3.0,
    }


def test_files_of_older_versions_are_read(written: Path):
    data = json.loads(written.with_suffix(".json").read_text())
    for name in ("csv_sha256", "measure", "method_label", "seal"):
        del data[name]
    written.with_suffix(".json").write_text(json.dumps(data))
    (file,) = read_results(written)
    assert (len(file.rows), file.measure) == (2, None)


def test_sizes_are_bounded_before_memory_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("a.csv", "a.json"):
        (tmp_path / name).symlink_to("/dev/zero")
    with pytest.raises(ResultsError, match="no regular file"):
        read_results(tmp_path / "a.csv")
    agents = [make_row(1, task=str(k)) for k in range(6)]
    write_results(tmp_path / "b.csv", agents, {})
    monkeypatch.setattr("simpl_sb3.results.rows.MAX_ROWS", 5)
    with pytest.raises(ResultsError, match="more than 5 rows"):
        read_results(tmp_path / "b.csv")
    monkeypatch.setattr("simpl_sb3.results.rows.MAX_AGENTS", 5)
    with pytest.raises(ResultsError, match="6 agents and 1 episodes; expected at most 5 agents"):
        agent_episodes(agents)
    monkeypatch.setattr("simpl_sb3.results.rows.MAX_VALUES", 100)
    with pytest.raises(ResultsError, match="agents times episodes"):
        agent_episodes([make_row(1), make_row(1_000)])


def test_missing_results(tmp_path: Path):
    with pytest.raises(ResultsError, match="cannot read"):
        read_results(tmp_path / "no.csv")
    with pytest.raises(ResultsError, match="holds no results"):
        read_results(tmp_path)
