"""How a grid goes, as text: what runs, what is left, how long, and the success so far."""

import io
import json
import time
from pathlib import Path

import pytest
from reports_for_tests import MAZE, make_rows

from simpl_sb3.experiments.engine import Engine, Running
from simpl_sb3.experiments.grid import Cell
from simpl_sb3.experiments.grid_view import GridView, state_text
from simpl_sb3.experiments.places import Processes
from simpl_sb3.experiments.ray_place import told_progress
from simpl_sb3.experiments.stage import Stage
from simpl_sb3.results.rows import write_results

TRAIN = Cell("meta-train SiMPL s0 t0", Stage("meta-train", {}, {}, "stages/train"))
WAITS = Cell("adapt SPiRL to target s0 t0", Stage("adapt", {"k": 1}, {}, "results/b.csv"), (TRAIN.key,))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    done = Cell("adapt SiMPL to target s0 t0", Stage("adapt", {}, {}, "results/a.csv"))
    write_results(tmp_path / "results" / "a.csv", make_rows("simpl", MAZE, 1.0), {})
    made = Engine([done, TRAIN, WAITS], tmp_path, Processes(tmp_path), {"meta-train": 10, "adapt": 6})
    place = Processes(tmp_path)
    made.running.append(Running(TRAIN, place, time.monotonic() - 240))  # type: ignore[arg-type]
    return made


def test_all_in_one_line(engine: Engine) -> None:
    assert state_text(engine) == (
        "1 of 3 | runs: meta-train SiMPL s0 t0 (4 of 10 min) | 1 wait | about 12 min left | "
        "success so far: SiMPL to target 1.00"
    )
    engine.minutes.pop("adapt")
    assert "min left" not in state_text(engine)


@pytest.mark.parametrize("far", [False, True])
def test_the_success_of_a_training_is_its_newest(engine: Engine, far: bool) -> None:
    log = told_progress(engine.folder, TRAIN) if far else engine.folder / "stages" / "train" / "progress.csv"
    log.parent.mkdir(parents=True)
    log.write_text("rollout/success_exploration,rollout/success_posterior\n0.1,0.3\n0.2,0.45\n0.2,\n")
    assert "success 0.45)" in state_text(engine)
    log.write_text("rollout/success_exploration\n0.1\n")
    assert "success 0.10)" in state_text(engine)


def test_rows_that_cannot_be_read_are_left_out(engine: Engine) -> None:
    path = engine.folder / "results" / "a.json"
    path.write_text(json.dumps({}))
    assert "success so far" not in state_text(engine)


def test_a_live_line_gives_way_to_lines_that_stay(engine: Engine, tmp_path: Path) -> None:
    terminal = Terminal()
    with GridView(tmp_path, terminal) as view:
        view._shown -= 2
        view.watch(engine)
        live = terminal.getvalue()
        assert live.startswith("1 of 3 | runs")
        assert "\n" not in live
        view.say("done")
    assert terminal.getvalue().endswith("\rdone\n")
    assert (tmp_path / "progress.txt").read_text().endswith(" done\n")


def test_a_file_gets_a_line_a_minute(engine: Engine, tmp_path: Path) -> None:
    stream = io.StringIO()
    view = GridView(tmp_path, stream)
    view.watch(engine)
    assert stream.getvalue() == ""
    view._written -= 61
    view.watch(engine)
    assert stream.getvalue().count("\n") == 1
    assert "success so far: SiMPL" in (tmp_path / "progress.txt").read_text()
