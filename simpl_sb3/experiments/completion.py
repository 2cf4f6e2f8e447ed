"""``simpl-sb3 completion SHELL``: what a shell needs to complete verbs, flags and values."""

import io
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout, suppress
from typing import Any

import tyro

from simpl_sb3.errors import SettingsError
from simpl_sb3.experiments.flags import Verb, form_of

__all__ = ["SHELLS", "completion"]

SHELLS = ("bash", "zsh")
"""The shells that can complete."""


def completion(verbs: Mapping[str, type[Verb]], arguments: Sequence[str]) -> str:
    """
    :param verbs: by name
    :param arguments: the shell's name
    :return: a script for that shell; settings are those of the default domain and method
    :raises SettingsError: for another shell, or none
    """
    if len(arguments) != 1 or arguments[0] not in SHELLS:
        raise SettingsError(f"completion {' '.join(arguments)}: expected one of {', '.join(SHELLS)}.")
    forms: dict[str, Any] = {name: form_of(verb) for name, verb in verbs.items()}
    said = io.StringIO()
    with redirect_stdout(said), suppress(SystemExit):
        tyro.extras.subcommand_cli_from_dict(
            forms,
            prog="simpl-sb3",
            args=["--tyro-print-completion", arguments[0]],
            config=(tyro.conf.OmitArgPrefixes,),
        )
    return said.getvalue()
