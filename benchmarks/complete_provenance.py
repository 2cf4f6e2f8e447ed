"""
Complete the provenance of shipped artefacts with the defaults of the code at the commit that it names.

    python benchmarks/complete_provenance.py simpl_sb3/pretrained/maze-fast simpl_sb3/pretrained/kitchen-fast

What was recorded stays as it is; what is added stands apart, under "completed", with where it comes from.
"""

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from simpl_sb3.domains import find_domain

NOT_SETTINGS = {"self", "dataset", "policy", "env", "folder", "seed", "verbose", "tensorboard_log"}
CLASSES = {
    "extract": ("skill_extractor.py", "SkillExtractor"),
    "meta-train": ("skill_prior_pearl.py", "SkillPriorPEARL"),
}


def defaults_at(commit: str, file: str, name: str) -> dict[str, Any]:
    """
    :param commit: of this repository
    :param file: of the library, as it was called then
    :param name: of the class
    :return: the defaults of its constructor's arguments that are settings
    """
    shown = ["git", "show", f"{commit}:simpl_sb3/{file}"]
    source = subprocess.run(shown, capture_output=True, text=True, check=True).stdout
    (found,) = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef) and node.name == name]
    (init,) = [node for node in found.body if isinstance(node, ast.FunctionDef) and node.name == "__init__"]
    positional = init.args.args[len(init.args.args) - len(init.args.defaults) :]
    pairs = [*zip(positional, init.args.defaults, strict=True)]
    pairs += [
        (argument, value) for argument, value in zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True) if value
    ]
    named = {argument.arg: ast.literal_eval(value) for argument, value in pairs}
    return {key: value for key, value in named.items() if key not in NOT_SETTINGS and not key.startswith("_")}


def complete(path: Path) -> None:
    """
    :param path: a ``provenance.json``
    """
    provenance = json.loads(path.read_text())
    for run in provenance["runs"]:
        commit = run["git"]["commit"]
        file, name = CLASSES[run["stage"]]
        defaults = defaults_at(commit, file, name)
        missing = {key: value for key, value in defaults.items() if key not in run["settings"]}
        source = f"defaults of {name} in simpl_sb3/{file} at commit {commit}"
        if run["git"]["dirty"]:
            source += "; the run's files differed from that commit, it is not known where"
        if run["stage"] == "meta-train" and "--n-envs" not in run["command"] and "n_envs" not in run["settings"]:
            tasks = find_domain(run["settings"]["preset"].partition("-")[0]).tasks(run["settings"]["train_tasks"])
            missing["n_envs"] = 2 * len(tasks)
            source += "; n_envs is two per training task, as simpl_sb3/pipeline.py at that commit has it"
        run["completed"] = {"settings": missing, "source": source}
    path.write_text(json.dumps(provenance, indent=1) + "\n")


if __name__ == "__main__":
    for folder in sys.argv[1:]:
        complete(Path(folder) / "provenance.json")
