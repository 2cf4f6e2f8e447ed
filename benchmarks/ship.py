"""
Copy the trained artefacts of a run into the package, with their provenance: command, seed, metrics, machine, hashes.

    python benchmarks/ship.py RUNS/skills RUNS/meta-0 maze-fast
"""

import hashlib
import json
import shutil
import sys
from pathlib import Path

from simpl_sb3 import PRETRAINED


def ship(skills: Path, model: Path, preset: str) -> None:
    """
    :param skills: folder that ``simpl-sb3 extract`` wrote
    :param model: folder that ``simpl-sb3 meta-train`` wrote
    :param preset: folder name below ``simpl_sb3/pretrained``
    """
    target = PRETRAINED / preset
    target.mkdir(parents=True, exist_ok=True)
    files = [skills / "skills.safetensors", model / "model.zip", model / "progress.csv"]
    for file in files:
        shutil.copyfile(file, target / file.name)
    provenance = {
        "files": {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files},
        "runs": [json.loads((folder / "run.json").read_text()) for folder in (skills, model)],
    }
    (target / "provenance.json").write_text(json.dumps(provenance, indent=1) + "\n")


if __name__ == "__main__":
    ship(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
