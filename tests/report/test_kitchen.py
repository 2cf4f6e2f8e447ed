"""What a report shows of the kitchen: subtasks counted, the order achieved against the order asked, a film."""

import base64
import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex
from PIL import Image
from videos_for_tests import decode

from simpl_envs.kitchen.tasks import SUBTASKS, SubtaskSequence
from simpl_sb3.errors import SettingsError
from simpl_sb3.experiments.reporting import known_facts
from simpl_sb3.report import make_report
from simpl_sb3.report.checklist import Checklist
from simpl_sb3.report.film import Film, draw_film, read_film, write_film
from simpl_sb3.report.html import MAX_VIDEO_BYTES
from simpl_sb3.report.methods import BLUE
from simpl_sb3.report.orders import EARLY, UNASKED, draw_orders
from simpl_sb3.results.rows import EpisodeRow, ResultsError, write_results
from simpl_sb3.results.traces import Completions, write_completions

KITCHEN = "SimplKitchen-v0"
TASKS = tuple(SubtaskSequence.from_name(name) for name in ("5021", "0134"))


def episode(number: int, done: str, task: SubtaskSequence = TASKS[0], method: str = "simpl") -> Completions:
    """An episode that completes subtasks in the order of these digits, one every 10 env steps, and undoes none."""
    completed = np.zeros(7, int)
    for place, digit in enumerate(done, start=1):
        completed[int(digit)] = 10 * place
    rewarded, turn = np.zeros(4, int), 0
    for k, subtask in enumerate(task.subtasks):
        if not completed[subtask]:
            break
        turn = rewarded[k] = max(turn, int(completed[subtask]))
    return Completions(method, task.name, 0, number, task.subtasks, rewarded, completed)


def write_kitchen(folder: Path, method: str, variant: str = "", tasks: tuple[SubtaskSequence, ...] = TASKS) -> Path:
    """Rows and completions of 45 episodes per task: at first a wrong order, then the right one."""
    kept = [episode(n, "0" if n <= 20 else task.name, task, method) for task in tasks for n in range(1, 46)]
    rewarded = [int((one.rewarded > 0).sum()) for one in kept]
    rows = [
        EpisodeRow(method, "p", KITCHEN, "target", one.task, 0, one.episode, 280 * one.episode, n, int(n == 4))
        for one, n in zip(kept, rewarded, strict=True)
    ]
    path = write_results(folder / f"{method}{variant}.csv", rows, {}, training_task_set="train", variant=variant)
    write_completions(path.with_suffix(".npz"), kept, SUBTASKS)
    return path


def write_progress(path: Path) -> Path:
    names = [f"rollout/{column}_{kind}" for column in ("success", "return") for kind in ("exploration", "posterior")]
    path.write_text("\n".join([",".join(["time/env_steps", *names]), "1000,0,0,1,2", "2000,0,0,1,3"]) + "\n")
    return path


# ------------------------------------------------------------ the order


def bars(axes, colour: str) -> dict[tuple[int, int], float]:
    """Lengths of the bars of one colour, as shares, by column and row."""
    colours = {BLUE: BLUE, EARLY: EARLY, UNASKED: UNASKED}
    return {
        (round(bar.get_x()), round(bar.get_y() + bar.get_height() / 2)): round(float(bar.get_width()) / 0.88, 3)
        for bar in axes.patches
        if to_hex(bar.get_facecolor()).upper() == colours[colour].upper()
    }


def test_the_order_by_hand() -> None:
    # task 5021. Exploring: 10 of 20 episodes pay the microwave; in the others 0 is done alone, and 6 unasked
    exploring = [episode(n, "5" if n <= 10 else "06") for n in range(1, 21)]
    after = [episode(n, "05") for n in range(21, 31)]  # 0 is early, and rewarded with 5
    end = [episode(n, "5021" if n > 36 else "502") for n in range(31, 41)]
    figure = draw_orders([*exploring, *after, *end], SUBTASKS, "title")
    (axes,) = figure.axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    asked = ["1  microwave", "2  bottom burner", "3  light switch", "4  top burner"]
    assert labels == [*asked, "slide cabinet", "hinge cabinet", "kettle"]
    heads = [label.get_text() for label in axes.get_xticklabels()]
    assert heads == ["episodes 1–20\n0.5 of 4", "21–30\n2.0 of 4", "31–40\n3.4 of 4"]
    rewarded, done, unasked = bars(axes, BLUE), bars(axes, EARLY), bars(axes, UNASKED)
    assert [rewarded[0, row] for row in range(4)] == [0.5, 0, 0, 0]
    assert [done[0, row] for row in range(4)] == [0.5, 0.5, 0, 0]
    assert [rewarded[1, row] for row in range(4)] == [1, 1, 0, 0]
    assert [rewarded[2, row] for row in range(4)] == [1, 1, 1, 0.4]
    assert (max(unasked.values()), sum(unasked.values())) == (0.5, 0.5)
    assert axes.get_xlabel().replace("\n", " ") == ("31–40 mostly (6 of 10): microwave › bottom burner › light switch")


@pytest.mark.parametrize(("n", "heads"), [(3, ["episodes 1–3"]), (25, ["episodes 1–20", "21–25"])])
def test_few_episodes_have_fewer_columns(n: int, heads: list[str]) -> None:
    (axes,) = draw_orders([episode(k, "") for k in range(1, n + 1)], SUBTASKS, "title").axes
    assert [label.get_text().split("\n")[0] for label in axes.get_xticklabels()] == heads
    assert "nothing" in axes.get_xlabel()


def test_a_report_shows_the_order_of_each_line(tmp_path: Path) -> None:
    paths = [
        write_kitchen(tmp_path, "simpl"),
        write_kitchen(tmp_path, "simpl", "slow"),
        write_kitchen(tmp_path, "spirl"),
    ]
    kept = [path.with_suffix(".npz") for path in paths]
    page = make_report(
        paths, tmp_path / "r", kept, progress=[write_progress(tmp_path / "progress.csv")], facts=known_facts()
    )
    assert sorted(path.name for path in (tmp_path / "r" / "figures").iterdir()) == [
        "curves-simplkitchen-v0-target.png",
        "meta-training.png",
        "order-simplkitchen-v0-target-simpl-slow.png",
        "order-simplkitchen-v0-target-simpl.png",
        "order-simplkitchen-v0-target-spirl.png",
        "tasks-simplkitchen-v0-target.png",
    ]
    text = page.read_text(encoding="utf-8")
    assert "Subtasks completed (of 4) on the training tasks during meta-training" in text
    assert "SiMPL, slow: per task, the subtasks in the order asked" in text
    assert "<video" not in text


def test_meta_training_counts_successes_where_results_are_mixed(tmp_path: Path) -> None:
    kitchen = write_kitchen(tmp_path, "simpl")
    row = EpisodeRow("simpl", "p", "SimplMaze-v0", "target", "12-7", 0, 1, 100, 1.0, 1)
    maze = write_results(tmp_path / "maze.csv", [row], {})
    progress = write_progress(tmp_path / "progress.csv")
    page = make_report(
        [kitchen, maze], tmp_path / "r", kitchen.with_suffix(".npz"), progress=[progress], facts=known_facts()
    )
    assert "Success rate on the training tasks during meta-training" in page.read_text(encoding="utf-8")


# ------------------------------------------------------------ the film


@pytest.fixture(scope="module")
def film() -> Film:
    """41 pictures that get brighter; task 5021, of which 5, 0 and 2 are rewarded at 20, 20 and 30."""
    pictures = [np.full((48, 48, 3), 5 * step, np.uint8) for step in range(41)]
    checklist = Checklist(episode(1, "0526"), SUBTASKS, 12.5)
    assert checklist.summary == "3 of 4 in order"
    return draw_film(pictures, 12.5, "An agent: “caption” <b>", checklist.stills(40), checklist)


def test_the_video_can_be_read(film: Film, tmp_path: Path) -> None:
    path = write_film(tmp_path / "new" / "film.mp4", film)
    frames, header = decode(path, 720, 480)
    assert len(frames) == 41 + 25  # the last one stands for two seconds
    assert re.search(r"Video: h264.* yuv420p.* 720x480.* 12\.50* fps", header)  # browsers play it
    grounds = frames[:, 200:280, 200:280].mean(axis=(1, 2, 3))
    assert np.abs(grounds[:41] - 5 * np.arange(41)).max() < 6
    tick = frames[:, 70:86, 502:518].astype(int)  # in the box of the first subtask
    blue = (tick[..., 2] - tick[..., 0]).mean(axis=(1, 2))
    assert blue[:19].max() < 20 < 60 < blue[21:].min()


def test_the_strip_has_a_still_per_reward(film: Film) -> None:
    with Image.open(io.BytesIO(film.strip)) as image:
        pixels = np.asarray(image.convert("L"))
        assert image.size == (4 * 328 - 8, 376)  # start, 5 and 0 at once, 2, and the end without 1
    assert [int(pixels[100, 328 * k + 100]) for k in range(4)] == [0, 100, 150, 200]


def test_films_are_read_back(film: Film, tmp_path: Path) -> None:
    path = write_film(tmp_path / "film.mp4", film)
    assert read_film(path) == film
    with pytest.raises(SettingsError, match=r"film\.mp4 exists"):
        write_film(path, film)
    write_film(path, replace(film, mp4=film.mp4 + b"\0"), overwrite=True)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["film.mp4", "film.png"]
    with pytest.raises(SettingsError, match=r"ending in \.mp4"):
        write_film(tmp_path / "film.avi", film)
    path.write_text("no")
    with pytest.raises(ResultsError, match="no film of this library"):
        read_film(path)
    path.write_bytes(film.mp4)
    Image.new("RGB", (3, 3)).save(path.with_suffix(".png"))
    with pytest.raises(ResultsError, match=r"\.png with a Description"):
        read_film(path)
    path.with_suffix(".png").unlink()
    with pytest.raises(ResultsError, match="expected a film, and its strip"):
        read_film(path)


def test_a_report_embeds_a_small_film(film: Film, tmp_path: Path) -> None:
    rows = write_kitchen(tmp_path, "simpl")
    small = write_film(tmp_path / "small.mp4", film)
    large = write_film(tmp_path / "large.mp4", replace(film, mp4=film.mp4.ljust(MAX_VIDEO_BYTES + 1, b"\0")))
    text = make_report([rows], tmp_path / "r", films=[small, large]).read_text(encoding="utf-8")
    videos = re.findall(r'src="data:video/mp4;base64,([\w+/=]+)"', text)
    assert [base64.b64decode(video) for video in videos] == [film.mp4]
    assert text.count("<figcaption>An agent: “caption” &lt;b&gt;</figcaption>") == 2
    figures = tmp_path / "r" / "figures"
    assert (figures / "film-1.mp4").read_bytes() == film.mp4
    assert (figures / "film-2.png").read_bytes() == film.strip
    with pytest.raises(ResultsError, match="cannot read"):
        make_report([rows], tmp_path / "s", films=[tmp_path / "none.mp4"])
    assert not (tmp_path / "s").exists()
