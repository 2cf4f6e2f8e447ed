"""
The wheel as a user gets it: built, installed into a new environment, and used far from the repository.

    python .ci/installed_wheel.py [PIP ARGUMENTS]

Arguments go to pip, such as another package index. The new environment is made with this interpreter.
"""

import os
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
TIME_LIMIT_S = 3_600  # against a machine or an index that stands still, not a measure
LIGHT = """
import sys
from pathlib import Path
import simpl_envs, simpl_sb3
assert Path(simpl_sb3.__file__).is_relative_to(sys.prefix), simpl_sb3.__file__
assert simpl_sb3.__version__ == "{version}", simpl_sb3.__version__
for folder in simpl_sb3.PRETRAINED.iterdir():
    simpl_sb3.SkillPriorPEARL.load(folder / "model.zip", device="cpu")
print(", ".join(sorted(folder.name for folder in simpl_sb3.PRETRAINED.iterdir())))
"""


def run(command: list[str | Path], folder: Path) -> str:
    """What a command says, without this process's Python settings; stops with all of it where it fails."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env=kept,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIME_LIMIT_S,
    )
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed ({done.returncode}):\n{done.stdout}\n{done.stderr}")
    return done.stdout


def build(folder: Path) -> Path:
    """The wheel, and the source distribution that it is built from."""
    run([sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-t", "wheel", "-d", folder], ROOT)
    (wheel,) = folder.glob("*.whl")
    return wheel


def install(wheel: Path, folder: Path, pip_arguments: list[str]) -> Path:
    """A new environment with the wheel and the exact versions of constraints.txt; the folder of its programs."""
    venv.create(folder, with_pip=True)
    programs = folder / "bin"
    pip = [programs / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *pip_arguments]
    run([*pip, "-c", ROOT / "constraints.txt", wheel], folder)
    run([programs / "python", "-m", "pip", "check"], folder)
    return programs


def use(programs: Path, wheel: Path, folder: Path) -> str:
    """Versions, every shipped model, and the demo's short form with its page."""
    version = run([programs / "simpl-sb3", "--version"], folder).split()[-1]
    if version != wheel.name.split("-")[1]:
        sys.exit(f"simpl-sb3 --version says {version}, the wheel is {wheel.name}")
    models = run([programs / "python", "-c", LIGHT.format(version=version)], folder).strip()
    output = folder / "demo"
    preset = f"{HERE / 'short_presets.py'}:MAZE"
    run([programs / "simpl-sb3", "demo", "--preset", preset, "--no-spirl", "--output", output], folder)
    if not (output / "report" / "index.html").is_file():
        sys.exit("The demo made no page.")
    return f"{version}; models {models}; demo"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        started = time.perf_counter()
        work = Path(place) / "elsewhere"
        work.mkdir()
        built = build(Path(place) / "dist")
        print(f"built {built.name} ({built.stat().st_size / 1e6:.1f} MB)", flush=True)
        installed = install(built, Path(place) / "venv", sys.argv[1:])
        print(f"installed ({time.perf_counter() - started:.0f} s)", flush=True)
        print(f"used: {use(installed, built, work)} ({time.perf_counter() - started:.0f} s)", flush=True)
