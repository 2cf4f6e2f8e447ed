"""What a Ray task does, without Ray: in the grid's folder where it is there, and with bytes elsewhere."""

from importlib.metadata import version
from pathlib import Path

import pytest
from ray_for_tests import ENVIRONMENT, cell

from simpl_sb3.experiments.grid import Cell
from simpl_sb3.experiments.ray_stage import Desk, Task, pack, run_task, unpack


@pytest.fixture(autouse=True)
def own_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", ENVIRONMENT["PYTHONPATH"])


def task(one: Cell, folder: Path, token: str = "none", number: str = "") -> Task:
    return Task(
        key=one.key,
        text=one.stage.as_json(),
        folder=str(folder),
        token=("token", token),
        output=one.stage.output,
        device="cpu",
        cores=1,
        module="ray_for_tests",
        asked=("simpl-sb3", "experiment", "grid.toml"),
        version=number or version("simpl-sb3"),
    )


def never(progress: bytes) -> bool:
    return False


def test_far_away_inputs_and_results_are_bytes(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "words").write_text("seven")
    one = cell(1, does="print(open('in/words').read()); Path('out/more').write_text('more')")
    result = run_task(task(one, tmp_path), lambda: pack(tmp_path, [tmp_path / "in" / "words"]), never)
    assert (result.code, result.log) == (0, b"seven\n")
    assert result.made is not None
    unpack(result.made, tmp_path / "back")
    back = [file.relative_to(tmp_path / "back").as_posix() for file in (tmp_path / "back").rglob("*") if file.is_file()]
    assert sorted(back) == ["out/1", "out/more"]  # neither inputs nor logs
    assert not (tmp_path / "out").exists()


def test_where_the_folder_is_there_nothing_travels(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("this one")

    def inputs() -> bytes:
        raise AssertionError("they are there")

    one = cell(1)
    result = run_task(task(one, tmp_path, "this one"), inputs, never)
    assert (result.code, result.made, (tmp_path / "out" / "1").read_text()) == (0, None, "done")
    assert (tmp_path / "logs" / f"{one.key}.log").exists()


def test_a_stage_is_asked_to_stop_and_what_it_kept_comes_back(tmp_path: Path) -> None:
    keeps = (
        "import signal, time\n"
        "def kept(*_): Path('out/kept').write_text(''); sys.exit(143)\n"
        "signal.signal(signal.SIGTERM, kept)\n"
        "Path('out/1').mkdir(); Path('out/1/progress.csv').write_text('far')\n"
        "time.sleep(60)"
    )
    desk, seen = Desk(), []

    def tell(progress: bytes) -> bool:
        seen.append(progress)
        stop = desk.tell("key", progress)
        if progress:
            desk.stop()
        return stop

    result = run_task(task(cell(1, does=keeps), tmp_path), lambda: pack(tmp_path, []), tell)
    assert (result.code, b"far" in seen) == (143, True)
    assert result.made is not None
    unpack(result.made, tmp_path)
    assert (tmp_path / "out" / "kept").exists()
    assert desk.take() == {"key": b"far"}
    assert desk.take() == {}


def test_another_version_is_refused(tmp_path: Path) -> None:
    result = run_task(task(cell(1), tmp_path, number="0.0.0"), lambda: b"", never)
    assert result.code == 2
    assert b"0.0.0 where the grid was started" in result.log


def test_what_tells_that_a_folder_is_whole_comes_last(tmp_path: Path) -> None:
    for name in ("run.json", "a.json", "z.txt"):
        (tmp_path / name).write_text(name)
    content = pack(tmp_path, tmp_path.iterdir())
    places = [content.index(name.encode()) for name in ("z.txt", "a.json", "run.json")]
    assert places == sorted(places)
