"""Files and folders are whole or not there; what a killed process left is cleared by the next one."""

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from kills_for_tests import write_half

from simpl_sb3.files import _host, read_regular, remove_files, replace_folder, write_atomically
from simpl_sb3.seals import open_zip


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def make_folder(path: Path, text: str) -> Path:
    path.mkdir(parents=True)
    (path / "content").write_text(text)
    return path


def dead_process() -> int:
    code = "import os; print(os.getpid())"
    return int(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)


def killed_while_writing(folder: Path, code: str) -> None:
    """Run code in a process that kills itself where it says ``die()``."""
    preamble = (
        "import os, signal, pathlib\nfrom simpl_sb3 import files\ndie = lambda *_, **__: os.kill(os.getpid(), 9)\n"
    )
    result = subprocess.run([sys.executable, "-c", preamble + code], cwd=folder, check=False)
    assert result.returncode == -signal.SIGKILL


def test_a_file_is_written_with_its_folder_and_as_the_umask_says(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_atomically(tmp_path / "a" / "mine", b"1")
        os.umask(0o022)
        write_atomically(tmp_path / "a" / "ours", b"2")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a" / "mine").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "a" / "ours").stat().st_mode) == 0o644
    write_atomically(tmp_path / "a" / "ours", b"3")
    assert (tmp_path / "a" / "ours").read_bytes() == b"3"
    assert names(tmp_path / "a") == ["mine", "ours"]


def test_names_as_long_as_a_disk_takes(tmp_path: Path) -> None:
    write_atomically(tmp_path / ("n" * 250), b"1")
    assert names(tmp_path) == ["n" * 250]


def test_what_a_killed_process_left_of_a_file_goes_with_the_next_one(tmp_path: Path) -> None:
    write_half(tmp_path / "model[1].zip")
    (left,) = names(tmp_path)
    assert left.startswith(".simpl-writing-")
    write_atomically(tmp_path / "other.zip", b"whole")
    assert names(tmp_path) == ["other.zip"]


def test_files_are_removed_with_what_a_killed_process_left_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    write_atomically(folder / "part_1", b"1")
    write_half(folder / "part_2")
    (folder / "mine").write_text("1")
    assert len(names(folder)) == 3
    remove_files(folder, "part_?")
    assert names(folder) == ["mine"]
    (folder / "mine").unlink()
    remove_files(folder)
    assert not folder.exists()
    remove_files(folder)


def test_a_running_process_keeps_what_it_writes(tmp_path: Path) -> None:
    with replace_folder(tmp_path / "one") as one:
        (one / "content").write_text("1")
        with replace_folder(tmp_path / "two") as two:
            (two / "content").write_text("2")
    assert names(tmp_path) == ["one", "two"]


@pytest.mark.parametrize(("age", "stays"), [(0.0, True), (2 * 24 * 3600.0, False)])
def test_what_another_machine_left_goes_after_a_day(age: float, stays: bool, tmp_path: Path) -> None:
    left = make_folder(tmp_path / f".simpl-writing-elsewhere-{dead_process()}-00", "half")
    os.utime(left, (time.time() - age,) * 2)
    with replace_folder(tmp_path / "new"):
        pass
    assert left.exists() == stays


def test_a_folder_takes_its_place_when_it_is_whole(tmp_path: Path) -> None:
    with replace_folder(tmp_path / "a" / "b") as new:
        (new / "content").write_text("1")
        assert not (tmp_path / "a" / "b").exists()
    assert (tmp_path / "a" / "b" / "content").read_text() == "1"
    assert names(tmp_path / "a") == ["b"]


def test_an_existing_folder_stays_unless_asked(tmp_path: Path) -> None:
    place = make_folder(tmp_path / "place", "old")
    with pytest.raises(FileExistsError, match="exists"), replace_folder(place):
        raise AssertionError("began although the folder is there")
    with replace_folder(place, overwrite=True) as new:
        (new / "content").write_text("new")
    assert (place / "content").read_text() == "new"
    assert names(tmp_path) == ["place"]


def test_a_folder_that_appears_in_the_meantime_is_left_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(FileExistsError, match="appeared in the meantime"), replace_folder(tmp_path / "place"):
        make_folder(tmp_path / "place", "theirs")
    assert (tmp_path / "place" / "content").read_text() == "theirs"
    assert names(tmp_path) == ["place"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_swap_that_fails_puts_the_old_folder_back(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, rename = make_folder(tmp_path / "place", "old"), Path.rename

    def fail(self: Path, target: Path) -> Path:
        if self.name == "new":
            raise error
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(type(error)), replace_folder(place, overwrite=True):
        pass
    assert (place / "content").read_text() == "old"
    assert names(tmp_path) == ["place"]


def test_a_swap_that_can_neither_go_on_nor_back_keeps_the_old_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, rename = make_folder(tmp_path / "place", "old"), Path.rename

    def fail(self: Path, target: Path) -> Path:
        if self.name in ("new", "old"):
            raise OSError("the disk is gone")
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", fail)
        with pytest.raises(OSError, match="the disk is gone"), replace_folder(place, overwrite=True):
            pass
    ((hidden,), kept) = (list(tmp_path.glob(".simpl-writing-*")), "old/content")
    assert (hidden / kept).read_text() == "old"


@pytest.mark.parametrize("moment", ["before", "between", "after"])
def test_a_process_killed_at_the_swap_loses_nothing(moment: str, tmp_path: Path) -> None:
    make_folder(tmp_path / "ns" / "place", "old")
    dying = {
        "before": "pathlib.Path.rename = die",
        "between": "r = pathlib.Path.rename\npathlib.Path.rename = lambda a, b: die() if a.name == 'new' else r(a, b)",
        "after": "files.shutil.rmtree = die",
    }
    write = "with files.replace_folder('ns/place', overwrite=True, root='.') as f: (f / 'content').write_text('new')"
    killed_while_writing(tmp_path, f"{dying[moment]}\n{write}")
    with replace_folder(tmp_path / "another", root=tmp_path):
        pass
    assert (tmp_path / "ns" / "place" / "content").read_text() == ("new" if moment == "after" else "old")
    assert names(tmp_path) == ["another", "ns"]


def test_a_leftover_cannot_send_a_folder_elsewhere(tmp_path: Path) -> None:
    root = tmp_path / "root"
    left = root / f".simpl-writing-{_host()}-{dead_process()}-00"
    make_folder(left / "old", "theirs")
    (left / "place").write_text("../outside")
    with replace_folder(root / "new"):
        pass
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("kind", ["missing", "folder", "device", "pipe", "large"])
def test_what_is_no_regular_file_is_not_read(kind: str, tmp_path: Path) -> None:
    """A device has no end, and a pipe that nobody writes to no beginning: neither is opened."""
    path = tmp_path / "file"
    if kind == "folder":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "large":
        path.write_bytes(bytes(11))
    with pytest.raises(OSError, match="No such file" if kind == "missing" else "no regular file|has 11 bytes"):
        read_regular(path, 10)
    if kind != "large":
        with pytest.raises(OSError, match="file"), open_zip(path):
            pass


def test_a_regular_file_is_read_by_a_link_too(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert read_regular(tmp_path / "link", 7) == b"content"
