"""The folder of a report: whole, self-contained, and nobody else's."""

import base64
import html
import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from reports_for_tests import KITCHEN, MAZE, make_rows

from simpl_envs.kitchen.tasks import SUBTASKS
from simpl_sb3.errors import SettingsError
from simpl_sb3.experiments.reporting import known_facts, table_of
from simpl_sb3.report import make_report
from simpl_sb3.report.groups import group_results, read_all
from simpl_sb3.results.facts import Measure
from simpl_sb3.results.rows import ResultsError, write_results
from simpl_sb3.results.traces import Completions, Trajectory, write_completions, write_trajectories

FACTS = known_facts()
FILES = ["figures", "index.html", "statistics.md", "table.md", "table.txt", "values.csv"]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    for env, training in ((MAZE, "train-40"), (KITCHEN, "train")):
        for method, chance in (("simpl", 0.9), ("spirl", 0.2)):
            path = folder / f"{env}-{method}.csv"
            write_results(
                path,
                make_rows(method, env, chance),
                {"meta": {"rate": 0.001}},
                training_task_set=training,
                command=["simpl-sb3", "adapt", "--note", "<b>&"],
                wall_time_s={"adapt": 90.0},
            )
    return folder


@pytest.fixture(scope="module")
def trajectories(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = np.stack([np.linspace(10, 12, 30), np.linspace(10, 7, 30)], axis=1)
    kept = [
        Trajectory(method, "12-7", seed, episode, True, (12.0, 7.0), path)
        for method in ("simpl", "spirl")
        for seed in (0, 1)
        for episode in (1, 21)
    ]
    return write_trajectories(tmp_path_factory.mktemp("trajectories") / "t.npz", kept)


@pytest.fixture(scope="module")
def progress(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("log") / "progress.csv"
    lines = [
        "rollout/success_posterior,time/env_steps,rollout/success_exploration",
        ",1000,0.1",
        "0.5,2000,0.2",
        "0.9,3000,",
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def page(results: Path, trajectories: Path, progress: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_report(
        [results], tmp_path_factory.mktemp("report") / "new" / "r", trajectories, progress=[progress], facts=FACTS
    )


def is_drawn(image: Image.Image) -> bool:
    """Whether a picture shows lines on a ground rather than nothing."""
    pixels = np.asarray(image.convert("RGB")).astype(np.int32) @ np.array([1 << 16, 1 << 8, 1])
    return len(np.unique(pixels)) > 20 and (pixels != pixels[0, 0]).mean() > 0.01


def test_report_folder_is_whole(page: Path):
    folder = page.parent
    assert page == folder / "index.html"
    assert sorted(entry.name for entry in folder.parent.iterdir()) == ["r"]  # nothing temporary stays
    assert sorted(entry.name for entry in folder.iterdir()) == FILES
    assert sorted(entry.stem for entry in (folder / "figures").iterdir()) == [
        "curves-simplkitchen-v0-target",
        "curves-simplmaze-v0-target",
        "meta-training",
        "tasks-simplkitchen-v0-target",
        "tasks-simplmaze-v0-target",
        "trajectories-12-7",
    ]


def test_pictures_are_not_blank(page: Path):
    for path in (page.parent / "figures").iterdir():
        with Image.open(path) as image:
            assert min(image.size) > 300, path
            assert is_drawn(image), path


def test_page_needs_nothing_else(page: Path):
    text = page.read_text(encoding="utf-8")
    plain = re.sub(r"base64,[\w+/=]+", "", text)
    assert not re.search(r"https?:|//\w|<script [^>]*src|<link|@import|url\(|fetch\(|XMLHttp|import\(", plain)
    sources = re.findall(r'<img alt="[^"]+" src="data:image/png;base64,([\w+/=]+)"', text)
    assert len(sources) == text.count("<img") == 4  # curves are charts
    with Image.open(io.BytesIO(base64.b64decode(sources[0]))) as image:
        assert is_drawn(image)
    assert '<meta name="viewport"' in text
    assert "simpl-sb3 adapt --note &#x27;&lt;b&gt;&amp;&#x27;" in text
    assert "adapt 90 s" in text
    assert "meta.rate = 0.001" in text
    assert "paper: MTRL" in text


def test_kitchen_counts_subtasks(results: Path):
    (group,) = group_results(read_all([results / f"{KITCHEN}-simpl.csv"]), FACTS)
    assert group.measure == Measure("return", "subtasks completed (of 4)", 4.0)
    found = group.lines[0].at(20)
    assert found is not None
    assert 3 < found.mean <= 4
    assert "1.72" in table_of([results / f"{KITCHEN}-simpl.csv"])


@pytest.mark.parametrize(
    ("n_episodes", "columns", "pictures"),
    [
        (3, ["last 3"], ["tasks"]),
        (25, ["last 5"], ["curves", "tasks"]),
        (30, ["20"], ["curves", "tasks"]),
        (60, ["20", "40", "last 10"], ["curves", "tasks"]),
    ],
)
def test_short_runs_end_with_a_number(tmp_path: Path, n_episodes: int, columns: list[str], pictures: list[str]):
    rows = [
        replace(row, success=int(row.episode > n_episodes - 4))
        for row in make_rows("my-method", "Own-v0", 0.5, n_episodes=n_episodes)
    ]
    write_results(tmp_path / "a.csv", rows, {})
    (group,) = group_results(read_all([tmp_path]))
    assert [str(column) for column in group.columns()] == columns
    page = make_report([tmp_path / "a.csv"], tmp_path / "report")
    assert sorted(path.name for path in (page.parent / "figures").iterdir()) == [
        f"{name}-own-v0-target.png" for name in pictures
    ]
    table = (page.parent / "table.md").read_text(encoding="utf-8").splitlines()
    heads = [line for line in table if line.startswith("|")]
    assert len({line.count("|") for line in heads}) == 1  # every line of a table has as many cells
    text = (page.parent / "table.txt").read_text(encoding="utf-8").splitlines()
    if columns[-1].startswith("last"):
        assert (
            text[-1] == f"my-method: success rate in the last {min(5, n_episodes)} episodes: "
            f"{'1.00' if n_episodes == 3 else '.80'}"
        )
    assert "my-method " in re.sub("<[^>]+>", "", page.read_text(encoding="utf-8"))


def test_agents_of_unequal_lengths_have_a_last_value(tmp_path: Path):
    rows = [row for row in make_rows("simpl", MAZE, 1.0, n_episodes=40) if row.seed == 0 or row.episode <= 12]
    write_results(tmp_path / "a.csv", rows, {})
    make_report([tmp_path], tmp_path / "report", facts=FACTS)
    assert "SiMPL: success rate in the last 5 episodes: 1.00" in (tmp_path / "report" / "table.txt").read_text()


@pytest.mark.parametrize("name", ["$\\frac$ a_b^{ x | y <b>", "${{" + " très long" * 19])
def test_any_printable_name_can_be_shown(tmp_path: Path, name: str):
    rows = [replace(row, task_set=name.strip(), task=f"{row.task}{name[:9]}") for row in make_rows("simpl", MAZE, 0.5)]
    write_results(tmp_path / "a.csv", rows, {}, variant=name.strip(), training_task_set=name.strip())
    path = np.stack([np.linspace(10, 12, 30), np.linspace(10, 7, 30)], axis=1)
    write_trajectories(tmp_path / "a.npz", [Trajectory("simpl", rows[0].task, 0, 1, True, (12.0, 7.0), path)])
    page = make_report([tmp_path / "a.csv"], tmp_path / "report", tmp_path / "a.npz", facts=FACTS)
    assert name.strip() in html.unescape(page.read_text(encoding="utf-8"))


def test_old_paths_are_drawn_over_the_walls_of_their_environment(results: Path, tmp_path: Path):
    path = np.stack([np.linspace(10, 12, 30), np.linspace(10, 7, 30)], axis=1)
    kept = write_trajectories(tmp_path / "t.npz", [Trajectory("simpl", "12-7", 0, 1, True, (12.0, 7.0), path)])
    rows = [results / f"{MAZE}-simpl.csv"]
    sizes = []
    for facts in ({}, FACTS):
        page = make_report(rows, tmp_path / f"r{len(sizes)}", kept, facts=facts)
        with Image.open(page.parent / "figures" / "trajectories-12-7.png") as image:
            sizes.append(np.mean(np.asarray(image.convert("L")) < 100))
    assert sizes[1] > 3 * sizes[0]  # walls are dark


def test_nothing_but_a_report_is_replaced(page: Path, results: Path, tmp_path: Path):
    with pytest.raises(SettingsError, match="overwrite=True"):
        make_report([results], page.parent)
    (tmp_path / "mine").write_text("keep")
    with pytest.raises(SettingsError, match="holds no report"):
        make_report([results], tmp_path, overwrite=True)
    small = results / f"{MAZE}-spirl.csv"
    report = make_report([small], tmp_path / "r")
    (report.parent / "thesis.tex").write_text("keep")
    (report.parent / "figures" / "mine.png").write_text("keep")
    make_report([results / f"{KITCHEN}-simpl.csv"], tmp_path / "r", overwrite=True)
    assert sorted(path.name for path in report.parent.iterdir()) == sorted([*FILES, "thesis.tex"])
    figures = [path.name for path in (report.parent / "figures").iterdir()]
    assert sorted(figures) == ["curves-simplkitchen-v0-target.png", "mine.png", "tasks-simplkitchen-v0-target.png"]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["mine", "r"]


def test_tasks_whose_names_differ_in_signs_have_a_figure_each(tmp_path: Path):
    rows = make_rows("simpl", "Own-v0", 0.5, n_episodes=3, seeds=(0,))
    names = dict(zip(dict.fromkeys(row.task for row in rows), ("0.7", "-0.7"), strict=True))
    path = write_results(tmp_path / "a.csv", [replace(row, task=names[row.task]) for row in rows], {})
    line = np.array([[0.0, 0.0], [1.0, 0.0]])
    kept = [Trajectory("simpl", name, 0, 1, True, (float(name), 0.0), line) for name in names.values()]
    page = make_report([path], tmp_path / "r", write_trajectories(tmp_path / "a.npz", kept))
    figures = sorted(file.name for file in (page.parent / "figures").glob("trajectories*"))
    assert figures == ["trajectories-0.7-2.png", "trajectories-0.7.png"]


def test_traces_of_another_run_are_refused(tmp_path: Path):
    path = write_results(tmp_path / "a.csv", make_rows("simpl", KITCHEN, 0.5), {})
    stranger = Completions("simpl", "5021", 7, 1, (5, 0, 2, 1), np.zeros(4), np.zeros(7))
    write_completions(path.with_suffix(".npz"), [stranger], SUBTASKS)
    with pytest.raises(ResultsError, match=r"a\.npz holds task 5021 seed 7, which a\.csv does not"):
        make_report([path], tmp_path / "r", path.with_suffix(".npz"))
    path = np.stack([np.linspace(10, 12, 30), np.linspace(10, 7, 30)], axis=1)
    rows = write_results(tmp_path / "b.csv", make_rows("simpl", MAZE, 0.5), {})
    kept = write_trajectories(tmp_path / "b.npz", [Trajectory("spirl", "12-7", 0, 1, True, (12.0, 7.0), path)])
    with pytest.raises(ResultsError, match=r"b\.npz holds task 12-7 seed 0, which b\.csv does not"):
        make_report([rows], tmp_path / "r", kept)
    assert not (tmp_path / "r").exists()


def test_logs_of_meta_trainings_in_the_folders_are_found(results: Path, progress: Path, tmp_path: Path):
    runs = tmp_path / "runs"
    for name, content in (
        ("meta-0", progress.read_text()),
        ("skills", "validation/kl,updates\n1.0,2\n"),  # the log of another training
        (".hidden", progress.read_text()),
        ("rows", ""),
    ):
        (runs / name).mkdir(parents=True)
        (runs / name / "progress.csv").write_text(content)
    for path in results.iterdir():
        (runs / "rows" / path.name).write_bytes(path.read_bytes())
    make_report([runs], tmp_path / "r", facts=FACTS)
    assert (tmp_path / "r" / "figures" / "meta-training.png").is_file()
    make_report([runs], tmp_path / "none", facts=FACTS, progress=[])
    assert not (tmp_path / "none" / "figures" / "meta-training.png").exists()
    (runs / "meta-0" / "progress.csv").unlink()
    make_report([runs], tmp_path / "without", facts=FACTS)
    assert not (tmp_path / "without" / "figures" / "meta-training.png").exists()


def test_bad_input_leaves_nothing(results: Path, tmp_path: Path):
    log = tmp_path / "progress.csv"
    log.write_text("time/env_steps\n1\n")
    empty = tmp_path / "empty.csv"
    empty.write_text("")
    output = tmp_path / "r"
    for arguments, options in (
        (([], output), {}),
        (([tmp_path / "no.csv"], output), {}),
        (([results], output, log), {}),
        (([results / f"{MAZE}-simpl.csv"], output), {"progress": [log]}),
        (([results / f"{MAZE}-simpl.csv"], output), {"progress": [empty]}),
        (([results / f"{MAZE}-simpl.csv"], output), {"progress": [tmp_path / "none.csv"]}),
    ):
        with pytest.raises(ResultsError, match="expected"):
            make_report(*arguments, **options)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["empty.csv", "progress.csv"]
