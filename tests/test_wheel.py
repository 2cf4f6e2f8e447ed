"""The wheel holds every file of the tree, and its metadata is what an index accepts."""

import email
import subprocess
import sys
import tomllib
import zipfile
from email.message import Message
from pathlib import Path

import pytest

pytest.importorskip("hatchling", reason="the extra dev is not installed")
from packaging.metadata import Metadata
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {"simpl_sb3": ROOT / "simpl_sb3", "simpl_envs": ROOT / "envs" / "simpl_envs"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> bytes:
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    return wheel.read(name)


def tree() -> dict[str, Path]:
    """Every file of both packages by its name in the wheel."""
    return {
        f"{package}/{path.relative_to(folder).as_posix()}": path
        for package, folder in PACKAGES.items()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_is_the_tree(wheel: zipfile.ZipFile) -> None:
    inside = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert inside == set(tree())
    assert all(wheel.read(name) == path.read_bytes() for name, path in tree().items())


def test_nothing_that_is_needed_is_missing(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    for needed in (
        "simpl_sb3/py.typed",
        "simpl_envs/py.typed",
        "simpl_sb3/pretrained/maze-fast/model.zip",
        "simpl_sb3/pretrained/kitchen-fast/skills.safetensors",
        "simpl_sb3/experiments/grids/fig4-maze.toml",
        "simpl_sb3/play/page/index.html",
        "simpl_sb3/report/page.css",
        "simpl_sb3/results/published.toml",
    ):
        assert needed in names
    assert [name for name in names if name.endswith("licenses/LICENSE")]


def test_the_command_is_an_entry_point(wheel: zipfile.ZipFile) -> None:
    (name,) = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
    assert "simpl-sb3 = simpl_sb3.experiments.cli:main" in wheel.read(name).decode()


def test_metadata_is_valid_and_complete(metadata: bytes) -> None:
    """hatchling has compared the classifiers with the index's list; packaging checks the rest."""
    found = Metadata.from_email(metadata, validate=True)
    assert (found.name, str(found.version)) == ("simpl-sb3", PROJECT["version"])
    assert found.summary == PROJECT["description"]
    assert found.license_expression == "MIT"
    assert found.description_content_type == "text/markdown"
    assert found.description == (ROOT / "README.md").read_text(encoding="utf-8")
    classifiers = set(found.classifiers or ())
    assert {"Typing :: Typed", "Intended Audience :: Science/Research"} <= classifiers
    assert {f"Programming Language :: Python :: 3.{minor}" for minor in (11, 12, 13)} <= classifiers
    assert set(found.provides_extra or ()) == set(PROJECT["optional-dependencies"])


def test_every_requirement_has_an_exact_version(metadata: bytes) -> None:
    """What the package and its extras ask for stands in constraints.txt, inside the range."""
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line and line[0] != "#"]
    exact = {name.lower().replace("-", "_"): version for name, version in (line.split("==") for line in lines)}
    message: Message = email.message_from_bytes(metadata)
    for text in message.get_all("Requires-Dist", []):
        requirement = Requirement(text)
        version = exact.get(requirement.name.lower().replace("-", "_"))
        assert version is not None, text
        assert requirement.specifier.contains(version), text
