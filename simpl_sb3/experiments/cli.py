"""The command ``simpl-sb3``: ``--help`` explains each verb; an error is one line and exit code 2."""

import sys
from collections.abc import Sequence
from importlib.metadata import version

from simpl_sb3.errors import SettingsError, SimplError
from simpl_sb3.experiments.stopping import exit_code, kept_text, stop_signals, told_by_threads

__all__ = ["main"]

PROGRAM = "simpl-sb3"


def overview() -> str:
    """What the command can do, one line per verb."""
    from simpl_sb3.experiments.verbs import VERBS

    sentences = {name: " ".join((verb.__doc__ or "").split()).partition(". ")[0] for name, verb in VERBS.items()}
    lines = [f"  {name:<14}{text.partition(';')[0].rstrip('.')}" for name, text in sentences.items()]
    return "\n".join(
        (
            f"usage: {PROGRAM} [-h] [--version] VERB [FLAGS]",
            "",
            "Skill-based meta-reinforcement learning (SiMPL).",
            "",
            *lines,
            "",
            f"Every setting is a flag: {PROGRAM} VERB --help lists them for the --domain, --preset and --method given.",
            f"{PROGRAM} completion SHELL prints what bash or zsh needs to complete them.",
        )
    )


def run(arguments: Sequence[str]) -> None:
    """
    Run one verb.

    :param arguments: the verb and its flags
    :raises SettingsError: for no verb, or an unknown one
    """
    from simpl_sb3.experiments.flags import parse
    from simpl_sb3.experiments.verbs import VERBS

    name, *rest = arguments or ("",)
    if name in ("-h", "--help"):
        sys.stdout.write(f"{overview()}\n")
    elif name == "--version":
        sys.stdout.write(f"{PROGRAM} {version(PROGRAM)}\n")
    elif name == "completion":
        from simpl_sb3.experiments.completion import completion

        sys.stdout.write(completion(VERBS, rest))
    elif name in VERBS:
        verb, chosen, given = parse(VERBS[name], name, rest)
        verb.run(chosen, given)
    else:
        raise SettingsError(
            f"{f'No verb {name!r}' if name else 'A verb is missing'}: expected one of {', '.join(VERBS)}."
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point: errors of the library, of the file system and of memory become one line and exit code 2."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        with stop_signals(), told_by_threads():
            for word in given:
                word.encode()  # a byte that is no UTF-8 would fail where the result is written
            run(given)
    except UnicodeEncodeError as error:
        _fail(f"{error.object!a} is no UTF-8: expected text")
    except BrokenPipeError:  # whoever read the output has left
        sys.stdout = None
        raise SystemExit(0) from None
    except (SimplError, OSError, MemoryError) as error:
        text, notes = str(error) or "there is too little memory", " ".join(getattr(error, "__notes__", []))
        _fail(f"{text.rstrip('.')}. {notes}" if notes else text)
    except KeyboardInterrupt as stop:
        sys.stderr.write(f"{PROGRAM}: interrupted; {kept_text(stop)}\n")
        raise SystemExit(exit_code(stop)) from None


def _fail(text: str) -> None:
    sys.stderr.write(f"{PROGRAM}: {' '.join(text.split())}\n")
    raise SystemExit(2) from None


if __name__ == "__main__":
    main()
