"""The log of a run that goes on: nothing is lost when it is killed, and nothing stands there twice."""

from pathlib import Path

from simpl_sb3.experiments.kept_log import KeptLog


def write(path: Path, *steps: int, more: str = "") -> None:
    """What SB3's logger writes: a new file."""
    path.write_text(f"skills,success{more}\n" + "".join(f"{n},0.{n}{more and ',7'}\n" for n in steps))


def steps(path: Path) -> list[int]:
    return [int(line.split(",")[0]) for line in path.read_text().splitlines()[1:]]


def test_what_was_logged_before_a_kill_is_put_back(tmp_path: Path) -> None:
    path = tmp_path / "progress.csv"
    write(path, 1, 2, 3)  # killed; the checkpoint is after 2
    KeptLog(path, "skills", 2)
    write(path, 3, 4)  # killed again, after the checkpoint of 4
    log = KeptLog(path, "skills", 4)
    write(path, 5, more=",loss")
    log.put_before()
    assert steps(path) == [1, 2, 3, 4, 5]
    assert path.read_text().splitlines()[0] == "skills,success,loss"
    assert path.read_text().splitlines()[1] == "1,0.1,"
    assert [file.name for file in tmp_path.iterdir()] == ["progress.csv"]
    log.put_before()  # once is enough
    assert steps(path) == [1, 2, 3, 4, 5]


def test_a_run_that_begins_anew_keeps_nothing(tmp_path: Path) -> None:
    path = tmp_path / "progress.csv"
    write(path, 1, 2, 3)
    KeptLog(path, "skills", 2)
    log = KeptLog(path, "skills", 0)
    write(path, 1)
    log.put_before()
    assert steps(path) == [1]
    assert [file.name for file in tmp_path.iterdir()] == ["progress.csv"]
