"""
The demo's short form on plain machines: without EGL, then beside a busy process. Fails where it does.

    .venv/bin/python .ci/plain_machine.py
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import without_egl_for_tests as without_egl  # noqa: E402 - found by the line above

PRESET = """
from dataclasses import replace
from simpl_sb3 import preset

given = preset("{name}")
SHORT = replace(given, test_tasks="{task}", adapt={{**given.adapt, "n_exploration_episodes": 1}})
"""
"""One task, one exploring episode; by its name it finds the trained artefacts that come along."""
SLOWER = 6.0
"""By what factor the demo may be slower beside a busy process. Spinning threads made it 18."""
CHOSEN = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def short_form(folder: Path, domain: str, task: str) -> tuple[str, ...]:
    """The demo's arguments."""
    folder.mkdir()
    (folder / "short.py").write_text(PRESET.format(name=f"{domain}-fast", task=task))
    chosen = ("--domain", domain, "--preset", f"{folder / 'short.py'}:SHORT")
    return ("-m", "simpl_sb3", "demo", *chosen, "--no-spirl", "--n-episodes", "3", "--output", str(folder / "demo"))


def check(done: subprocess.CompletedProcess[str]) -> str:
    """What a command printed; ends the script where it failed."""
    if done.returncode != 0:
        sys.exit(f"{done.stdout}{done.stderr}\nexit code {done.returncode}")
    return done.stdout + done.stderr


def without_opengl(folder: Path) -> None:
    """The kitchen's demo goes on without its film, and says so in one line."""
    text = check(without_egl.run(*short_form(folder, "kitchen", "5021"), mounts=without_egl.may_mount()))
    lines = [line for line in text.splitlines() if line.startswith("No film: ")]
    if len(lines) != 1 or "libegl1" not in lines[0] or list(folder.rglob("*.mp4")):
        sys.exit(f"{text}\nExpected one line that says why there is no film, and no film.")
    say(f"without EGL: {lines[0]}")


def seconds(folder: Path) -> float:
    """How long the maze's demo takes with the threads that numpy and torch take by themselves."""
    environment = {name: value for name, value in os.environ.items() if name not in CHOSEN}
    command = [sys.executable, *short_form(folder, "maze", "12-7")]
    started = time.perf_counter()
    check(subprocess.run(command, env=environment, capture_output=True, text=True, check=False))
    return time.perf_counter() - started


def beside_a_busy_process(folder: Path) -> None:
    """The maze's demo slows down by its share of the cores, not by an order of magnitude."""
    alone = seconds(folder / "alone")
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        beside = seconds(folder / "beside")
    finally:
        busy.kill()
        busy.wait()
    say(f"beside a busy process: {beside:.1f} s, alone {alone:.1f} s")
    if beside > SLOWER * alone:
        sys.exit(f"Expected at most {SLOWER:g} times as long.")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        without_opengl(Path(name) / "kitchen")
        beside_a_busy_process(Path(name))
