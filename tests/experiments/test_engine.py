"""The stages of a grid in processes: order, what is done already, failures, interruptions."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from simpl_sb3.experiments.cli import main
from simpl_sb3.experiments.engine import Engine
from simpl_sb3.experiments.grid import Cell
from simpl_sb3.experiments.places import Ended, Processes, Run
from simpl_sb3.experiments.stage import Stage
from simpl_sb3.results.rows import read_results

OWN_DOMAIN = Path(__file__).parents[1] / "own_domain_for_tests.py"


class Numbered(Cell):
    """A cell whose result is a file of its number."""

    def is_done(self, folder: Path) -> bool:
        return (folder / self.stage.output).exists()


def cell(number: int, *after: Cell, does: str = "") -> Cell:
    stage = Stage("extract", {"does": does}, {"number": str(number)}, f"out/{number}")
    return Numbered(f"number {number}", stage, tuple(one.key for one in after))


class Quick(Processes):
    """Its processes write the result, after a line of Python that the cell brings."""

    def command(self, file: Path) -> list[str]:
        stage = Stage.from_json(file.read_text())
        code = f"import os, sys, time, pathlib\nos.chdir({str(self.folder)!r})\n{stage.settings['does']}\n"
        return [sys.executable, "-c", code + f"pathlib.Path({stage.output!r}).write_text('done')"]


def engine(cells: list[Cell], folder: Path, workers: int = 1, **more: Any) -> Engine:
    return Engine(cells, folder, Quick(folder, workers), **{"say": lambda _: None, **more})


def order(lines: list[str], what: str) -> list[int]:
    return [int(line.split()[-1]) for line in lines if f"| {what}" in line]


def test_each_after_what_it_waits_for(tmp_path: Path) -> None:
    first = cell(0)
    middle = [cell(1, first), cell(2, first)]
    lines: list[str] = []
    outcome = engine([first, *middle, cell(3, *middle)], tmp_path, workers=2, say=lines.append).run()
    assert [one.name for one in outcome.done] == [f"number {i}" for i in (0, *order(lines, "done")[1:3], 3)]
    assert sorted(order(lines, "begins")) == [0, 1, 2, 3]
    assert (outcome.failed, outcome.blocked) == ({}, [])
    assert lines[-1].startswith("4 of 4")


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    cells = [cell(0), cell(1)]
    engine(cells[:1], tmp_path).run()
    lines: list[str] = []
    engine(cells, tmp_path, say=lines.append).run()
    assert order(lines, "begins") == [1]


def test_what_fails_is_tried_once_more_and_the_rest_goes_on(tmp_path: Path) -> None:
    once = "p = pathlib.Path('tried')\nif not p.exists(): p.write_text(''); sys.exit('not yet')"
    flaky, broken, killed = cell(0, does=once), cell(1, does="sys.exit('broken')"), cell(2, does="os.abort()")
    waits, free = cell(3, broken), cell(4)
    lines: list[str] = []
    outcome = engine([flaky, broken, killed, waits, free], tmp_path, workers=2, say=lines.append).run()
    assert {one.name for one in outcome.done} == {"number 0", "number 4"}
    assert outcome.failed[broken.key] == "broken"
    assert outcome.failed[killed.key].startswith("exit code -")
    assert outcome.blocked == [waits]
    assert sorted(order(lines, "begins")) == [0, 0, 1, 1, 2, 2, 4]


def test_what_can_never_run_is_not_tried_again(tmp_path: Path) -> None:
    lines: list[str] = []
    wrong = cell(0, does="sys.stderr.write('no such thing\\n'); sys.exit(2)")
    outcome = engine([wrong], tmp_path, say=lines.append).run()
    assert outcome.failed == {wrong.key: "no such thing"}
    assert order(lines, "begins") == [0]


def test_the_time_left_is_what_was_declared_or_what_was_taken(tmp_path: Path) -> None:
    new = engine([cell(0), cell(1)], tmp_path, workers=2)
    assert new.unknown() == ["extract"]
    assert new.minutes_left() == 0.0
    new = engine([cell(0), cell(1)], tmp_path, workers=2, minutes={"extract": 30})
    assert (new.unknown(), new.minutes_left(), new.core_minutes_left()) == ([], 30.0, 60.0)
    new.run()
    assert new.minutes_left() == 0.0


def test_the_time_left_follows_how_long_others_of_the_kind_took(tmp_path: Path) -> None:
    cells = [cell(0), replace(cell(1), minutes=40.0), replace(cell(2), minutes=20.0)]
    new = engine(cells, tmp_path, minutes={"extract": 10.0})
    assert [new.expected(each) for each in cells] == [10.0, 40.0, 20.0]
    new._taken["extract"] = [(5.0, 10.0)]  # half as long as declared
    assert [new.expected(each) for each in cells] == [5.0, 20.0, 10.0]
    new.minutes.clear()
    assert new.expected(cells[0]) == 5.0
    new._taken["extract"] = [(5.0, None), (7.0, 10.0)]
    assert new.expected(cells[1]) == 6.0


def test_a_stage_that_takes_two_cores_has_them_to_itself(tmp_path: Path) -> None:
    lines: list[str] = []
    cells = [cell(0, does="time.sleep(.3)"), cell(1), cell(2)]
    assert len(engine(cells, tmp_path, 2, cores={"extract": 2}, say=lines.append).run().done) == 3
    assert [line.partition("| ")[2].partition(":")[0] for line in lines] == ["begins", "done"] * 3
    alone = engine(cells, tmp_path / "one", 1, cores={"extract": 2})  # more than there are
    assert len(alone.run().done) == 3


def test_a_stage_that_is_lost_with_its_machine_is_tried_again(tmp_path: Path) -> None:
    class Losing(Quick):
        lost = 3

        def start(self, cell: Cell, cores: int) -> Run:
            run, own = super().start(cell, cores), self
            poll = run.poll

            def losing() -> Ended | None:
                if (ended := poll()) is None or own.lost == 0:
                    return ended
                own.lost -= 1
                return Ended(1, lost=True)

            run.poll = losing  # type: ignore[method-assign]
            return run

    lines: list[str] = []
    outcome = Engine([cell(0)], tmp_path, Losing(tmp_path), say=lines.append).run()
    assert (len(outcome.done), outcome.failed) == (1, {})
    assert order(lines, "lost with its machine") == [0, 0, 0]


def test_an_interruption_lets_processes_keep_what_they_have(tmp_path: Path) -> None:
    keeps = (
        "import signal\n"
        "def kept(*_): pathlib.Path('kept').write_text(''); sys.exit(130)\n"
        "signal.signal(signal.SIGTERM, kept)\n"
        "pathlib.Path('begun').write_text('')\n"
        "time.sleep(60)"
    )

    class Interrupted(Engine):
        @property
        def waiting(self) -> list[Cell]:
            if (self.folder / "begun").exists():
                raise KeyboardInterrupt
            return super().waiting

    stopped = Interrupted([cell(0, does=keeps), cell(1)], tmp_path, Quick(tmp_path), say=lambda _: None)
    stopped._start(stopped.cells[0])
    while not (tmp_path / "begun").exists():
        time.sleep(0.01)
    with pytest.raises(KeyboardInterrupt):
        stopped.run()
    assert (tmp_path / "kept").exists()


# ---------------------------------------------------------------- from the command line


@pytest.fixture
def small(tmp_path: Path) -> Path:
    file = tmp_path / "grid.toml"
    file.write_text(
        f"""
domain = "{OWN_DOMAIN}"
trajectories = 12
skill_updates = 50
[[methods]]
method = "simpl"
total_timesteps = 30
train = {{ gradient_steps = 1, net_arch = [8], batch_size = 8, tasks_per_update = [1, 1], context_sizes = [2, 4] }}
[[methods]]
method = "spirl"
adapt = {{ net_arch = [8], batch_size = 8 }}
[[tasks]]
tasks = "test"
settings = {{ n_episodes = 3, n_exploration_episodes = 1, initial_updates = 1 }}
methods = ["simpl"]
[[tasks]]
tasks = "test"
settings = {{ n_episodes = 3 }}
methods = ["spirl"]
[minutes]
collect = 1
[extract]
horizon = 4
skill_dim = 2
batch_size = 8
encoder_hidden = [8]
decoder_hidden = [8]
prior_hidden = [8]
"""
    )
    return file


def test_a_grid_of_ones_own_domain(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    monkeypatch.setattr(sys, "argv", ["bin/simpl-sb3", "experiment", "grid.toml"])
    main(["experiment", str(small), "--output", str(out), "--dry-run"])
    assert "5 stages (1 x collect, 1 x extract, 1 x meta-train, 2 x adapt), 0 of them done" in capsys.readouterr().out
    assert not out.exists()
    main(["experiment", str(small), "--output", str(out), "--workers", "2", "--device", "cpu"])
    said = capsys.readouterr().out
    assert "5 of 5" in said
    rows = sorted((out / "results").glob("*.csv"))
    assert {read_results(path)[0].rows[0].method for path in rows} == {"simpl", "spirl"}
    page = (out / "report" / "index.html").read_text()
    assert "SPiRL" in page
    assert "Meta-training</h2>" in page
    lineages = {file.rows[0].method: file.metadata["lineage"] for path in rows for file in read_results(path)}
    assert [run["stage"] for run in lineages["simpl"]] == ["extract", "meta-train"]
    assert lineages["spirl"] == lineages["simpl"][:1]
    assert lineages["simpl"][1]["env_steps"] > 0
    records = [*out.glob("stages/*/run.json"), *(out / "results").glob("*.json")]
    assert {json.loads(path.read_text())["command"] for path in records} == {"simpl-sb3 experiment grid.toml"}
    assert len(records) == 4
    assert "5 of 5" in (out / "progress.txt").read_text()
    main(["experiment", str(small), "--output", str(out)])
    assert "begins" not in capsys.readouterr().out


def test_a_stage_that_fails_is_told_in_one_line(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small.write_text(small.read_text().replace("horizon = 4", "horizon = 400"))  # longer than any demonstration
    with pytest.raises(SystemExit) as stop:
        main(["experiment", str(small), "--output", str(tmp_path / "out"), "--device", "cpu"])
    assert stop.value.code == 2
    told = capsys.readouterr()
    assert told.err.count("\n") == 1
    assert "1 of 5 stages failed, 3 wait for them. extract s0: " in told.err
    assert told.out.count("begins: extract") == 1


def test_a_stopped_grid_goes_on(small: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = [sys.executable, "-m", "simpl_sb3", "experiment", str(small), "--output", str(out), "--device", "cpu"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ)
    while not list(out.glob("stages/extract-*/*.json")):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    process.wait()
    process.communicate()
    assert process.returncode in (143, 0)
    main(["experiment", str(small), "--output", str(out), "--device", "cpu"])
    assert len(list((out / "results").glob("*.csv"))) == 2


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="reads the children of a process in /proc")
def test_a_killed_grid_leaves_no_process(small: Path, tmp_path: Path) -> None:
    small.write_text(small.read_text().replace("trajectories = 12", "trajectories = 100000"))  # for minutes
    out = tmp_path / "out"
    words = [sys.executable, "-m", "simpl_sb3", "experiment", str(small), "--output", str(out), "--device", "cpu"]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ)
    children: list[str] = []
    while not children:
        assert process.poll() is None
        time.sleep(0.05)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        children = [pid for pid in children if "worker" in Path(f"/proc/{pid}/cmdline").read_text()]
    time.sleep(1.0)
    process.kill()
    process.wait()
    for _ in range(600):
        if not Path(f"/proc/{children[0]}").exists():
            break
        time.sleep(0.05)
    else:
        os.kill(int(children[0]), signal.SIGKILL)
        pytest.fail("the stage outlived the engine")
