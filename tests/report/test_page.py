import base64
import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from simpl_envs.tasks import KITCHEN_TASK_SETS, MAZE_TASK_SETS
from simpl_sb3.errors import SettingsError
from simpl_sb3.report import make_report, results_table
from simpl_sb3.report.figures import draw_curves, draw_tasks, draw_trajectories
from simpl_sb3.report.groups import group_results, read_all
from simpl_sb3.report.paper import PAPER, paper_curve, paper_curves
from simpl_sb3.report.tables import number
from simpl_sb3.results.rows import METHODS, EpisodeRow, ResultsError, write_results
from simpl_sb3.results.traces import Trajectory, write_trajectories

MAZE, KITCHEN = "SimplMaze-v0", "SimplKitchen-v0"


def make_rows(method: str, env: str, chance: float, n_episodes: int = 46, seeds=(0, 1)) -> list[EpisodeRow]:
    rng = np.random.default_rng(len(method))
    tasks = (MAZE_TASK_SETS if env == MAZE else KITCHEN_TASK_SETS)["target"][:2]
    rows = []
    for task in tasks:
        for seed in seeds:
            for episode in range(1, n_episodes + 1):
                reward = rng.binomial(1 if env == MAZE else 4, chance)
                success = reward == (1 if env == MAZE else 4)
                rows.append(
                    EpisodeRow(method, "fast", env, "target", task.name, seed, episode, episode, reward, success)
                )
    return rows


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
    return make_report([results], tmp_path_factory.mktemp("report") / "new" / "r", trajectories, progress=[progress])


def is_drawn(image: Image.Image) -> bool:
    """Whether a picture shows lines on a ground rather than nothing."""
    pixels = np.asarray(image.convert("RGB")).astype(np.int32) @ np.array([1 << 16, 1 << 8, 1])
    return len(np.unique(pixels)) > 20 and (pixels != pixels[0, 0]).mean() > 0.01


def test_report_folder_is_whole(page: Path):
    folder = page.parent
    assert page == folder / "index.html"
    assert sorted(entry.name for entry in folder.parent.iterdir()) == ["r"]  # nothing temporary stays
    assert sorted(entry.name for entry in folder.iterdir()) == ["figures", "index.html", "table.md", "table.txt"]
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
    assert not re.search(r"https?:|//\w|<script|<link|@import|url\(", re.sub(r"base64,[\w+/=]+", "", text))
    sources = re.findall(r'<img alt="[^"]+" src="data:image/png;base64,([\w+/=]+)"', text)
    assert len(sources) == text.count("<img") == 6
    with Image.open(io.BytesIO(base64.b64decode(sources[0]))) as image:
        assert is_drawn(image)
    assert '<meta name="viewport"' in text
    assert "simpl-sb3 adapt --note &#x27;&lt;b&gt;&amp;&#x27;" in text
    assert "adapt 90 s" in text
    assert "meta.rate = 0.001" in text
    assert "paper: MTRL" in text


def test_table_beside_the_paper(tmp_path: Path):
    rows = [row for row in make_rows("simpl", MAZE, 0.0) if row.task == "12-7"]
    rows = [
        replace(row, success=int(row.episode > 20 + 5 * row.seed)) for row in rows
    ]  # seed 1 misses five of 21 to 30
    write_results(tmp_path / "a.csv", rows, {}, training_task_set="train-40")
    markdown = results_table([tmp_path / "a.csv"])
    assert "### SimplMaze-v0, target tasks: success rate" in markdown
    assert "| at episode | agents | 20 | 40 |\n" in markdown
    assert "| SiMPL | 1 × 2 | **.75** [.50, 1.00] | **1.00** [1.00, 1.00]† |" in markdown
    assert "| *paper: SiMPL* | 10 × 3 | .43 | .74 |" in markdown
    assert "| *paper: SAC* | 10 × 3 | ≤ .17 | ≤ .17 |" in markdown
    assert "| SiMPL, seed 1 | 1 | .50 | 1.00 |" in markdown
    assert "train-20" not in markdown
    text = results_table([tmp_path / "a.csv"], "text")
    assert re.search(r"^SiMPL +1 × 2 +\.75 \[\.50, 1\.00\] +1\.00 \[1\.00, 1\.00\]†$", text, re.MULTILINE)
    with pytest.raises(SettingsError, match="expected one of markdown, text"):
        results_table([tmp_path], "latex")


def test_kitchen_counts_subtasks(results: Path):
    (group,) = group_results(read_all([results / f"{KITCHEN}-simpl.csv"]))
    assert (group.column, group.measure, group.top) == ("return", "subtasks completed (of 4)", 4.0)
    found = group.lines[0].at(20)
    assert found is not None
    assert 3 < found.mean <= 4
    assert "1.72" in results_table([results / f"{KITCHEN}-simpl.csv"])


def test_lines_are_told_apart(tmp_path: Path):
    for training in ("train-10", "train-40"):
        rows = make_rows("simpl", MAZE, 0.5)
        write_results(tmp_path / f"{training}.csv", rows, {}, training_task_set=training)
    write_results(
        tmp_path / "own.csv", make_rows("simpl", MAZE, 0.5), {}, training_task_set="train-40", variant="deep set"
    )
    write_results(tmp_path / "spirl.csv", make_rows("spirl", MAZE, 0.5), {}, training_task_set="train-40")
    (group,) = group_results(read_all([tmp_path]))
    expected = ["SiMPL, train-40, deep set", "SiMPL, train-40", "SiMPL, train-10", "SPiRL"]
    assert [line.label for line in group.lines] == expected
    assert group.lines[3].training_task_set is None
    assert group.lines[2].paper == paper_curve(MAZE, "target", "simpl", "train-10")
    legend = [text.get_text() for text in draw_curves(group).legends[0].get_texts()]
    # for train-10 the paper gives nothing before episode 60
    assert legend == [*expected, "the paper's", "the paper's", " ", "the paper's"]


def test_agents_of_two_files_join_and_must_differ(tmp_path: Path):
    write_results(tmp_path / "0.csv", make_rows("simpl", MAZE, 0.5, seeds=(0,)), {})
    write_results(tmp_path / "1.csv", make_rows("simpl", MAZE, 0.5, seeds=(1,)), {})
    (group,) = group_results(read_all([tmp_path, tmp_path / "0.csv"]))  # named twice, read once
    assert group.lines[0].episodes.seeds == (0, 1, 0, 1)
    write_results(tmp_path / "2.csv", make_rows("simpl", MAZE, 0.5, seeds=(1,)), {})
    with pytest.raises(ResultsError, match="is there twice"):
        group_results(read_all([tmp_path]))


def test_a_line_is_of_one_algorithm(tmp_path: Path):
    for seed, gamma in enumerate((0.99, 0.99, 0.95)):
        settings = {"gamma": gamma, "seed": seed, "n_episodes": 46 + seed, "source": f"meta-{seed}/model.zip"}
        write_results(tmp_path / f"{seed}.csv", make_rows("simpl", MAZE, 0.5, seeds=(seed,)), settings)
    files = read_all([tmp_path])
    assert len(group_results(files[:2])[0].lines) == 1
    with pytest.raises(ResultsError, match=r"2\.csv has gamma 0\.95, .*0\.csv has 0\.99; expected equal settings"):
        group_results(files)
    settings["gamma"] = 0.95
    write_results(
        tmp_path / "2.csv", make_rows("simpl", MAZE, 0.5, seeds=(2,)), settings, variant="short-sighted", overwrite=True
    )
    assert len(group_results(read_all([tmp_path]))[0].lines) == 2


def test_short_runs_are_drawn_as_far_as_they_go(tmp_path: Path):
    write_results(tmp_path / "a.csv", make_rows("rl2", "Own-v0", 0.5, n_episodes=7), {})
    (group,) = group_results(read_all([tmp_path]))
    assert group.episodes() == []
    assert draw_tasks(group) is None
    page = make_report([tmp_path / "a.csv"], tmp_path / "report")
    assert (page.parent / "figures" / "curves-own-v0-target.png").is_file()


def test_maze_is_drawn_as_in_the_paper():
    rows = ("####", "#..#", "#.##", "####")  # three cells, the enclosed corner at (2, 2)
    trajectory = Trajectory("simpl", "2-1", 0, 1, True, (2.0, 1.0), np.array([[0.8, 0.8], [1.8, 0.8]]))
    axes = draw_trajectories([trajectory], rows).axes[0]
    (image,) = axes.images
    left, right, bottom, top = image.get_extent()
    assert (left, right, bottom, top) == pytest.approx(
        (-0.7, 3.3, -0.7, 3.3)
    )  # cell (i, j) is observed at i - 0.2, j - 0.2
    walls = np.asarray(image.get_array())  # (j, i): i to the right, j up
    assert image.origin == "lower"
    assert not walls[1, 1]
    assert not walls[1, 2]
    assert not walls[2, 1]
    assert walls[2, 2]
    assert axes.get_xlabel() == "1 of 1 reach it"


def test_nothing_but_a_report_is_replaced(page: Path, results: Path, tmp_path: Path):
    with pytest.raises(SettingsError, match="overwrite=True"):
        make_report([results], page.parent)
    (tmp_path / "mine").write_text("keep")
    with pytest.raises(SettingsError, match="holds no report"):
        make_report([results], tmp_path, overwrite=True)
    small = results / f"{MAZE}-spirl.csv"
    report = make_report([small], tmp_path / "r")
    (report.parent / "left over").touch()
    make_report([small], tmp_path / "r", overwrite=True)
    assert not (report.parent / "left over").exists()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["mine", "r"]


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


def test_published_numbers():
    assert len({(p.env, p.training_task_set, p.task_set, p.method) for p in PAPER}) == len(PAPER)
    assert all(p.method in METHODS for p in PAPER)
    for curve in PAPER:
        sets = MAZE_TASK_SETS if curve.env == MAZE else KITCHEN_TASK_SETS
        assert {curve.task_set, curve.training_task_set} - {None} <= set(sets)
    simpl = paper_curve(MAZE, "target", "simpl", "train-40")
    assert simpl is not None
    assert simpl.values == {20: 0.43, 40: 0.74, 60: 0.83, 100: 0.93, 200: 0.92, 300: 0.96, 500: 1.0}
    assert [c.method for c in paper_curves(MAZE, "target-bottom", {"train-top"})] == ["simpl", "spirl"]
    assert {c.training_task_set for c in paper_curves(MAZE, "target", {"train-10", None})} == {"train-10", None}


def test_numbers_are_written_as_in_the_paper():
    assert [number(x) for x in (0.43, 1.0, 0.999, 0.0, 2.714, -0.1)] == [".43", "1.00", "1.00", ".00", "2.71", "-.10"]
