"""``simpl-sb3 play``: what it offers, and its one-line refusals."""

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from simpl_sb3.domains import find_domain
from simpl_sb3.errors import SettingsError
from simpl_sb3.experiments.cli import main
from simpl_sb3.experiments.play_verb import check_extra, offered
from simpl_sb3.experiments.presets import DEFAULT, find_preset


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ending:
        main(["play", *arguments])
    assert ending.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


def test_the_domains_that_come_along_are_offered_first_the_one_that_is_named() -> None:
    for name, other in (("maze", "kitchen"), ("kitchen", "maze")):
        domain = find_domain(name)
        choices = offered(domain, find_preset(None, domain), None)
        assert [choice.name for choice in choices] == [f"{name}-fast", f"{other}-fast"]
        assert all(choice.model.is_file() for choice in choices)


def test_a_model_of_ones_own_comes_first(tmp_path: Path) -> None:
    model = tmp_path / "model.zip"
    model.touch()
    domain = find_domain("maze")
    assert [choice.name for choice in offered(domain, DEFAULT, model)][1:] == ["kitchen-fast", "maze-fast"]
    assert offered(domain, DEFAULT, model)[0].model == model


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "starlette", None)
    with pytest.raises(SettingsError, match=r"needs starlette .*pip install 'simpl-sb3\[play\]'"):
        check_extra()


def test_the_command_line_works_without_the_extra() -> None:
    code = (
        "import sys\n"
        "for name in ('starlette', 'uvicorn', 'websockets'): sys.modules[name] = None\n"
        "from simpl_sb3.experiments.cli import main\n"
        "main(['--help'])\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert re.search(r"^  play +Watch agents explore", result.stdout, re.MULTILINE)


def test_a_domain_without_a_model_asks_for_one(capsys: pytest.CaptureFixture[str]) -> None:
    own = str(Path(__file__).parents[1] / "own_domain_for_tests.py")
    assert "No model comes along for the domain line: expected --model" in refused(capsys, "--domain", own)


def test_a_model_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert "No model nothing.zip: expected a file" in refused(capsys, "--model", "nothing.zip")


def test_a_model_of_another_domain_is_refused_before_anything_listens(capsys: pytest.CaptureFixture[str]) -> None:
    model = str(offered(find_domain("maze"), DEFAULT, None)[0].model)
    assert "not one for the domain kitchen" in refused(capsys, "--domain", "kitchen", "--model", model, "--port", "0")


def test_a_port_in_use_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert f"cannot listen on 127.0.0.1, port {port}" in refused(capsys, "--port", port)
