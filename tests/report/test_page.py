import base64
import html
import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from simpl_envs.tasks import KITCHEN_TASK_SETS, MAZE_TASK_SETS, SUBTASKS
from simpl_sb3.domains import built_in_domains, find_domain
from simpl_sb3.errors import SettingsError
from simpl_sb3.experiments.reporting import known_facts, table_of
from simpl_sb3.methods import METHODS
from simpl_sb3.report import make_report
from simpl_sb3.report.figures import draw_curves
from simpl_sb3.report.groups import group_results, read_all
from simpl_sb3.report.methods import line_colours
from simpl_sb3.report.paths import draw_trajectories
from simpl_sb3.report.tables import number
from simpl_sb3.results.facts import Measure, Walls
from simpl_sb3.results.rows import EpisodeRow, ResultsError, write_results
from simpl_sb3.results.traces import Completions, Trajectory, write_completions, write_trajectories

MAZE, KITCHEN = "SimplMaze-v0", "SimplKitchen-v0"
FACTS = known_facts()


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
    markdown = table_of([tmp_path / "a.csv"])
    assert "### SimplMaze-v0, target tasks: success rate" in markdown
    assert "| at episode | agents | 20 | 40 |\n" in markdown
    assert "| SiMPL | 1 × 2 | **.75** [.50, 1.00] | **1.00** [1.00, 1.00]† |" in markdown
    assert "| *paper: SiMPL* | 10 × 3 | .43 | .74 |" in markdown
    assert "| *paper: SAC* | 10 × 3 | ≤ .17 | ≤ .17 |" in markdown
    assert "| SiMPL, seed 1 | 1 | .50 | 1.00 |" in markdown
    assert "train-20" not in markdown
    text = table_of([tmp_path / "a.csv"], "text")
    assert re.search(r"^SiMPL +1 × 2 +\.75 \[\.50, 1\.00\] +1\.00 \[1\.00, 1\.00\]†$", text, re.MULTILINE)
    with pytest.raises(SettingsError, match="expected one of markdown, text"):
        table_of([tmp_path], "latex")


def test_kitchen_counts_subtasks(results: Path):
    (group,) = group_results(read_all([results / f"{KITCHEN}-simpl.csv"]), FACTS)
    assert group.measure == Measure("return", "subtasks completed (of 4)", 4.0)
    found = group.lines[0].at(20)
    assert found is not None
    assert 3 < found.mean <= 4
    assert "1.72" in table_of([results / f"{KITCHEN}-simpl.csv"])


def test_lines_are_told_apart(tmp_path: Path):
    for training in ("train-10", "train-40"):
        rows = make_rows("simpl", MAZE, 0.5)
        write_results(tmp_path / f"{training}.csv", rows, {}, training_task_set=training)
    write_results(
        tmp_path / "own.csv", make_rows("simpl", MAZE, 0.5), {}, training_task_set="train-40", variant="deep set"
    )
    write_results(tmp_path / "spirl.csv", make_rows("spirl", MAZE, 0.5), {}, training_task_set="train-40")
    (group,) = group_results(read_all([tmp_path]), FACTS)
    expected = ["SiMPL, train-40, deep set", "SiMPL, train-40", "SiMPL, train-10", "SPiRL"]
    assert [line.label for line in group.lines] == expected
    assert group.lines[3].training_task_set is None
    published = group.lines[2].published
    assert published is not None
    assert (published.training_task_set, published.values) == ("train-10", {60: 0.64, 100: 0.71, 200: 0.88})
    curves = draw_curves(group)
    assert curves is not None
    legend = [text.get_text() for text in curves.legends[0].get_texts()]
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
        for row in make_rows("rl2", "Own-v0", 0.5, n_episodes=n_episodes)
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
            text[-1]
            == f"rl2: success rate in the last {min(5, n_episodes)} episodes: {'1.00' if n_episodes == 3 else '.80'}"
        )
    assert "rl2 " in re.sub("<[^>]+>", "", page.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("n_episodes", "columns"),
    [
        (7, "last 5"),
        (22, "last 5"),
        (29, "last 5"),
        (35, "20 last 10"),
        (49, "20 40"),
        (65, "20 40 60"),
        (104, "20 40 60"),
    ],
)
def test_columns_of_a_run(tmp_path: Path, n_episodes: int, columns: str):
    write_results(tmp_path / "a.csv", make_rows("simpl", "Own-v0", 0.5, n_episodes, seeds=(0,)), {})
    (group,) = group_results(read_all([tmp_path]))
    assert " ".join(map(str, group.columns())) == columns


def test_agents_of_unequal_lengths_have_a_last_value(tmp_path: Path):
    rows = [row for row in make_rows("simpl", MAZE, 1.0, n_episodes=40) if row.seed == 0 or row.episode <= 12]
    write_results(tmp_path / "a.csv", rows, {})
    make_report([tmp_path], tmp_path / "report", facts=FACTS)
    assert "SiMPL: success rate in the last 5 episodes: 1.00" in (tmp_path / "report" / "table.txt").read_text()


def test_an_unknown_method_has_its_own_name_and_a_colour(tmp_path: Path):
    write_results(tmp_path / "a.csv", make_rows("mine", "Own-v0", 0.5), {})
    write_results(tmp_path / "b.csv", make_rows("other-one", "Own-v0", 0.5), {}, method_label="The other")
    write_results(tmp_path / "c.csv", make_rows("spirl", "Own-v0", 0.5), {})
    (group,) = group_results(read_all([tmp_path]))
    assert [line.label for line in group.lines] == ["SPiRL", "mine", "The other"]
    colours = line_colours(line.method for line in group.lines)
    assert colours[0] == METHODS["spirl"].colour
    assert len(set(colours)) == 3


def test_rows_say_what_is_shown(tmp_path: Path):
    measure = Measure("return", "parts assembled", 7.0)
    rows = [replace(row, episode_return=5.0) for row in make_rows("simpl", "Own-v0", 0.5)]
    write_results(tmp_path / "a.csv", rows, {}, measure=measure)
    (group,) = group_results(read_all([tmp_path]))
    assert (group.measure, group.lines[0].at(20)[0]) == (measure, 5.0)
    rows = make_rows("spirl", "Own-v0", 0.5)
    write_results(tmp_path / "b.csv", rows, {}, measure=Measure("success", "success rate", 1.0))
    with pytest.raises(ResultsError, match="measure parts assembled and success rate; expected one measure"):
        group_results(read_all([tmp_path]))


@pytest.mark.parametrize("name", ["$\\frac$ a_b^{ x | y <b>", "${{" + " très long" * 19])
def test_any_printable_name_can_be_shown(tmp_path: Path, name: str):
    rows = [replace(row, task_set=name.strip(), task=f"{row.task}{name[:9]}") for row in make_rows("simpl", MAZE, 0.5)]
    write_results(tmp_path / "a.csv", rows, {}, variant=name.strip(), training_task_set=name.strip())
    path = np.stack([np.linspace(10, 12, 30), np.linspace(10, 7, 30)], axis=1)
    write_trajectories(tmp_path / "a.npz", [Trajectory("simpl", rows[0].task, 0, 1, True, (12.0, 7.0), path)])
    page = make_report([tmp_path / "a.csv"], tmp_path / "report", tmp_path / "a.npz", facts=FACTS)
    assert name.strip() in html.unescape(page.read_text(encoding="utf-8"))


def test_committed_results_give_the_tables_that_they_gave():
    results = Path(__file__).parents[2] / "benchmarks" / "results"
    folders = [results / name for name in ("main", "kitchen", "prior", "random-goals", "spirl-published")]
    expected = Path(__file__).with_name("committed_tables.md").read_text(encoding="utf-8")
    assert table_of(folders) == expected


def test_maze_is_drawn_as_in_the_paper():
    rows = ("####", "#..#", "#.##", "####")  # three cells, the enclosed corner at (2, 2)
    trajectory = Trajectory("simpl", "2-1", 0, 1, True, (2.0, 1.0), np.array([[0.8, 0.8], [1.8, 0.8]]))
    axes = draw_trajectories([trajectory], Walls(rows, (-0.7, -0.7))).axes[0]
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


def test_paths_are_drawn_without_walls_and_only_where_some_were_recorded():
    paths = [
        Trajectory("mine", "door", seed, episode, False, (2.0, 1.0), np.array([[0.8, 0.8], [1.8, 0.8]]))
        for seed in (0, 1)
        for episode in (1, 2, 3, 58, 59, 60)
    ]
    figure = draw_trajectories(paths)
    assert [axes.get_title() for axes in figure.axes] == ["episodes 1 to 3", "episodes 58 to 60"]
    assert [axes.get_xlabel() for axes in figure.axes] == ["0 of 6 reach it"] * 2
    assert figure.axes[0].get_ylabel() == "mine"


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
    assert sorted(path.name for path in report.parent.iterdir()) == [
        "figures",
        "index.html",
        "table.md",
        "table.txt",
        "thesis.tex",
    ]
    figures = [path.name for path in (report.parent / "figures").iterdir()]
    assert sorted(figures) == ["curves-simplkitchen-v0-target.png", "mine.png", "tasks-simplkitchen-v0-target.png"]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["mine", "r"]


def test_completions_of_another_run_are_refused(tmp_path: Path):
    path = write_results(tmp_path / "a.csv", make_rows("simpl", KITCHEN, 0.5), {})
    stranger = Completions("simpl", "5021", 7, 1, (5, 0, 2, 1), np.zeros(4), np.zeros(7))
    write_completions(path.with_suffix(".npz"), [stranger], SUBTASKS)
    with pytest.raises(ResultsError, match=r"a\.npz holds task 5021 seed 7, which a\.csv does not"):
        make_report([path], tmp_path / "r", path.with_suffix(".npz"))


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
    for domain in built_in_domains().values():
        curves = domain.published
        assert len({(curve.training_task_set, curve.task_set, curve.method) for curve in curves}) == len(curves)
        for curve in curves:
            assert {curve.task_set, curve.training_task_set} - {None} <= set(domain.sets)
    (simpl,) = [
        curve.values
        for curve in find_domain("maze").published
        if (curve.training_task_set, curve.task_set, curve.method) == ("train-40", "target", "simpl")
    ]
    assert simpl == {20: 0.43, 40: 0.74, 60: 0.83, 100: 0.93, 200: 0.92, 300: 0.96, 500: 1.0}


def test_numbers_are_written_as_in_the_paper():
    assert [number(x) for x in (0.43, 1.0, 0.999, 0.0, 2.714, -0.1)] == [".43", "1.00", "1.00", ".00", "2.71", "-.10"]
