"""
The demo's short form on two plain machines: one without EGL, and one whose cores another process keeps busy.

    python .ci/plain_machine.py
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))

import without_egl_for_tests as without_egl  # noqa: E402

TIME_LIMIT_S = 600  # against a machine that stands still, not a measure


def demo(domain: str, output: Path) -> list[str]:
    """Arguments of the interpreter for the short demo of a domain."""
    preset = f"{HERE / 'short_presets.py'}:{domain.upper()}"
    return ["-m", "simpl_sb3", "demo", "--domain", domain, "--preset", preset, "--no-spirl", "--output", str(output)]


def check(done: subprocess.CompletedProcess[str], output: Path) -> None:
    """Stop with what was said unless the demo ended with its page."""
    if done.returncode != 0 or not (output / "report" / "index.html").is_file():
        sys.exit(f"The demo failed ({done.returncode}):\n{done.stdout}\n{done.stderr}")


def no_egl(folder: Path) -> str:
    """Maze and kitchen without EGL: all but the film is there, and a line says what to install."""
    for domain in ("maze", "kitchen"):
        output = folder / f"no-egl-{domain}"
        done = without_egl.run(*demo(domain, output), mounts=without_egl.may_mount())
        check(done, output)
        if domain == "kitchen" and ("libegl1" not in done.stdout + done.stderr or list(output.glob("*.mp4"))):
            sys.exit(
                f"Without EGL the kitchen's demo should name libegl1 and make no film:\n{done.stdout}\n{done.stderr}"
            )
    return "maze and kitchen, no film"


def busy(folder: Path) -> str:
    """The maze beside one process that computes all the time, with each library's own number of threads."""
    chosen = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    variables = {name: value for name, value in os.environ.items() if name not in chosen}
    output = folder / "busy"
    neighbour = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        command = [sys.executable, *demo("maze", output)]
        done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False, timeout=TIME_LIMIT_S)
    finally:
        neighbour.kill()
    check(done, output)
    return "maze"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        for step in (no_egl, busy):
            started = time.perf_counter()
            ran = step(Path(place))
            print(f"{step.__name__}: {ran} ({time.perf_counter() - started:.0f} s)", flush=True)
