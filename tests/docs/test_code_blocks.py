"""Every code block of README and site runs, in a short form: Python is executed, commands are parsed."""

import re
import shlex
import sys
import tomllib
import types
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

import gymnasium as gym
import pytest
from blocks_for_tests import BLOCKS, CODE, PAGES, ROOT, SHOWN, Block, blocks_of, shortened
from hub_for_tests import only_hub

from simpl_sb3.domains import find_domain
from simpl_sb3.experiments.completion import SHELLS
from simpl_sb3.experiments.flags import parse
from simpl_sb3.experiments.grid_file import read_grid
from simpl_sb3.experiments.verbs import VERBS
from simpl_sb3.zoo import ENVIRONMENTS

pytestmark = [
    pytest.mark.filterwarnings("ignore::tqdm.TqdmExperimentalWarning"),  # SB3's progress bar
    pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning"),  # how huggingface_hub sends a file
]
PYTHON_PAGES = [page for page in PAGES if any(block.language == "python" for block in blocks_of(page))]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
TARGETS = set(re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))


# ------------------------------------------------------------ classification


def test_every_block_has_a_known_language() -> None:
    strange = [block.place for block in BLOCKS if block.language not in SHOWN | CODE]
    assert not strange, f"expected one of {sorted(SHOWN | CODE)} after the fence"


def test_every_code_block_is_run() -> None:
    run = [block for page in PYTHON_PAGES for block in blocks_of(page) if block.language == "python"]
    run += [block for block in BLOCKS if block.language in ("bash", "toml")]
    code = [block for block in BLOCKS if block.language in CODE]
    assert (len(run), len({block.place for block in run})) == (len(code), len(code))
    assert len(code) > 30


def test_a_shortening_that_replaces_nothing_is_refused() -> None:
    assert shortened("learn(50_000)", "50_000 => 1") == "learn(1)"
    with pytest.raises(ValueError, match="replaces nothing"):
        shortened("learn(50_000)", "60_000 => 1")


# ------------------------------------------------------------ Python


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    before = set(gym.registry)
    yield tmp_path
    for name in set(gym.registry) - before:  # what a page registers is forgotten
        del gym.registry[name]


@pytest.mark.parametrize("page", PYTHON_PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_runs_in_order(page: Path, folder: Path) -> None:
    module = types.ModuleType("page")
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        if page.name == "hub.md":
            stack.enter_context(only_hub(patch, folder))
        patch.setitem(sys.modules, "page", module)  # dataclasses look there
        for block in blocks_of(page):
            if block.language == "python" and not block.file:
                at = "\n" * block.line + block.text  # so that a traceback names the page's line
                exec(compile(at, str(page), "exec"), module.__dict__)
            elif block.language == "python":
                write(block, folder)
                assert find_domain(block.file).sets  # a file runs when it is read


def write(block: Block, folder: Path) -> None:
    (folder / block.file).write_text(block.text, encoding="utf-8")


# ------------------------------------------------------------ commands


def commands(block: Block) -> list[list[str]]:
    """The commands of a block, each as words; comments and redirections are left out."""
    joined = block.text.replace("\\\n", " ")
    lines = [shlex.split(line, comments=True) for line in joined.splitlines()]
    return [line[: line.index(">")] if ">" in line else line for line in lines if line]


def check_simpl_sb3(words: list[str]) -> None:
    name, *flags = words
    if name == "completion":
        assert flags[0] in SHELLS
        return
    assert name in VERBS
    if "--help" not in flags:
        parse(VERBS[name], name, flags)


def check_pip(words: list[str]) -> None:
    verb, *rest = words
    assert verb == "install"
    for word in rest:
        if found := re.search(r"\[(.*)\]", word):
            assert set(found[1].split(",")) <= set(PROJECT["optional-dependencies"])
        assert word.startswith(("-", ".", "simpl-sb3")) or word == "constraints.txt"


def check_python(words: list[str]) -> None:
    if words[0] == "-m":
        check_zoo(*words[1:])
        return
    script = ROOT / words[0]
    assert script.is_file()
    compile(script.read_text(encoding="utf-8"), str(script), "exec")  # it is run by its own test


def check_zoo(module: str, *words: str) -> None:
    """The zoo's command is run by tests/zoo; here what it names has to be there."""
    assert module.split(".")[0] in ("rl_zoo3", "simpl_sb3")
    assert "--algo" in words
    assert words[words.index("--env") + 1] in ENVIRONMENTS
    for flag in ("-conf", "--gym-packages"):
        if flag in words:
            assert find_spec(words[words.index(flag) + 1])


def check_make(words: list[str]) -> None:
    assert words[0] in TARGETS


def check_tensorboard(words: list[str]) -> None:
    assert words[0] == "--logdir"


CHECKS = {
    "simpl-sb3": check_simpl_sb3,
    "pip": check_pip,
    "python": check_python,
    "make": check_make,
    "tensorboard": check_tensorboard,
}


@pytest.mark.parametrize(
    "block", [block for block in BLOCKS if block.language == "bash"], ids=lambda block: block.place
)
def test_commands_are_understood(block: Block, folder: Path) -> None:
    for other in blocks_of(block.page):
        if other.file:
            write(other, folder)
    for path in ("docs", "benchmarks"):
        (folder / path).symlink_to(ROOT / path)
    assert commands(block)
    for program, *words in commands(block):
        assert program in CHECKS, f"{block.place}: {program} is no command that this test understands"
        CHECKS[program](words)


@pytest.mark.parametrize(
    "block", [block for block in BLOCKS if block.language == "toml"], ids=lambda block: block.place
)
def test_grids_are_read(block: Block, folder: Path) -> None:
    grid = folder / (block.file or "grid.toml")
    grid.write_text(block.text, encoding="utf-8")
    assert read_grid(grid).cells()
