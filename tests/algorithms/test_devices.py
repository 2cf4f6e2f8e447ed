"""All that learns keeps to its device: one that is pretended, and a GPU where there is one; see device_for_tests.py."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch as th

PROGRAM = Path(__file__).parents[1] / "device_for_tests.py"


@pytest.mark.parametrize("device", ["pretended", "cuda"])
def test_nothing_mixes_host_and_device(device: str) -> None:
    if device == "cuda" and not th.cuda.is_available():
        pytest.skip("torch finds no CUDA device here")
    command = [sys.executable, "-W", "error", str(PROGRAM), device]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == ["extraction", "meta_learning", "other_methods"]
