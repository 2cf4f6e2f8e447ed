"""What ``simpl-sb3 completion`` prints makes a shell complete verbs and flags."""

import shutil
import subprocess
from pathlib import Path

import pytest

from simpl_sb3.errors import SettingsError
from simpl_sb3.experiments.completion import SHELLS, completion
from simpl_sb3.experiments.verbs import VERBS

ASK = """source {script}
COMP_WORDS=({words}); COMP_CWORD={at}; COMPREPLY=()
"$(complete -p simpl-sb3 | sed 's/.*-F \\([^ ]*\\).*/\\1/')"
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("simpl-sb3 che", ["check-skills"]),
        ("simpl-sb3 adapt --n-ep", ["--n-episodes"]),
        ("simpl-sb3 extract --skill-d", ["--skill-dim"]),
    ],
)
def test_bash_completes(words: str, expected: list[str], tmp_path: Path) -> None:
    script = tmp_path / "completion"
    script.write_text(completion(VERBS, ["bash"]))
    asked = ASK.format(script=script, words=words, at=len(words.split()) - 1)
    told = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=True)
    assert told.stdout.split() == expected


def test_every_shell_is_served() -> None:
    for shell in SHELLS:
        assert all(verb in completion(VERBS, [shell]) for verb in VERBS)


@pytest.mark.parametrize("arguments", [[], ["fish"], ["bash", "zsh"]])
def test_other_shells_are_refused(arguments: list[str]) -> None:
    with pytest.raises(SettingsError, match="expected one of bash, zsh"):
        completion(VERBS, arguments)
