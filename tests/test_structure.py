"""The house itself: who imports whom, what is shipped, how large files are, what must not be in them."""

import ast
import importlib
import re
import socket
import subprocess
import sys
import tomllib
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import pytest

import simpl_envs
import simpl_sb3

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {"simpl_sb3": ROOT / "simpl_sb3", "simpl_envs": ROOT / "envs" / "simpl_envs"}
MODULES = sorted(
    ".".join((package, *path.relative_to(folder).with_suffix("").parts)).removesuffix(".__init__")
    for package, folder in PACKAGES.items()
    for path in folder.rglob("*.py")
    if path.name != "__main__.py"
)
MAX_LINES, MAX_EXAMPLE_LINES = 400, 100


def project_files() -> list[Path]:
    """The files that git tracks; where there is no git or nothing is tracked yet, those of the project's folders."""
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        listed = ""
    tracked = [ROOT / name for name in listed.split("\0") if name]
    folders = ("simpl_sb3", "envs", "tests", "examples", "benchmarks", "docs", ".ci")
    walked = [*ROOT.iterdir(), *(path for folder in folders for path in (ROOT / folder).rglob("*"))]
    ours = [path for path in tracked or walked if path.is_file() and "__pycache__" not in path.parts]
    assert len(ours) > 10
    return ours


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_import_rules_hold():
    linter = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("package", PACKAGES)
def test_package_is_typed(package: str):
    assert files(package).joinpath("py.typed").is_file()


def test_packages_are_those_of_this_folder():
    assert Path(simpl_sb3.__file__).parent == PACKAGES["simpl_sb3"]
    assert Path(simpl_envs.__file__).parent == PACKAGES["simpl_envs"]


def test_environments_register_without_torch_or_simulator():
    heavy = ("torch", "stable_baselines3", "mujoco", "gymnasium_robotics", "simpl_sb3")
    code = f"import sys, simpl_envs; print([name for name in {heavy} if name in sys.modules])"
    result = run_python(code)
    assert (result.returncode, result.stdout.strip()) == (0, "[]"), result.stderr


def test_version_has_one_source():
    stated = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert simpl_sb3.__version__ == version("simpl-sb3") == stated


@pytest.mark.parametrize("package", PACKAGES)
def test_package_lists_its_public_names(package: str):
    tree = ast.parse((PACKAGES[package] / "__init__.py").read_text())
    targets = [
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    ]
    assert targets.count("__all__") == 1
    imported = [
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in PACKAGES
        for alias in node.names
    ]
    assert "*" not in imported
    listed = importlib.import_module(package).__all__
    missing = {name for name in imported if not name.startswith("_")} - set(listed)
    assert not missing, f"{package} imports names that its __all__ does not list"


@pytest.mark.parametrize("module", MODULES)
def test_listed_names_exist_once(module: str):
    loaded = importlib.import_module(module)
    listed = getattr(loaded, "__all__", [])
    assert len(listed) == len(set(listed))
    assert [name for name in listed if not hasattr(loaded, name)] == []


def test_files_are_of_readable_size():
    lines = {
        path.relative_to(ROOT): len(path.read_text().splitlines()) for path in project_files() if path.suffix == ".py"
    }
    limits = {path: MAX_EXAMPLE_LINES if path.parts[0] == "examples" else MAX_LINES for path in lines}
    assert {path: count for path, count in lines.items() if count > limits[path]} == {}


def test_no_file_names_a_folder_of_someones_machine():
    homes = "|".join(("home", "root", "Users", "work", "workspace", "workspaces", "mnt"))
    pattern = re.compile(rf"(?<![\w.~\-])/(?:{homes})/[\w.\-]".encode())
    found = {path.relative_to(ROOT): pattern.findall(path.read_bytes()) for path in project_files()}
    assert {path: hits for path, hits in found.items() if hits} == {}


def test_constraints_are_exact_and_name_no_host():
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._\-]+==[0-9][0-9A-Za-z.]*", line)] == []
    assert "torch==2.13.0" in lines


def test_tests_cannot_reach_the_network():
    with pytest.raises(RuntimeError, match="may not use the network"):
        socket.create_connection(("nowhere.invalid", 80), timeout=1)
