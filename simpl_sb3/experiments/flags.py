"""
Flags of the command line: each is a field of a record, declared once, with its type, default and help.

A verb's own flags are the fields of its class; the settings of what it runs are those of the library's settings
classes, defaulted by the preset. Domain, preset and method are read first: they decide which settings there are.
"""

import io
import json
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import MISSING, dataclass, field, fields, make_dataclass
from typing import Annotated, Any, ClassVar, Self, get_type_hints

import tyro

from simpl_sb3.errors import SettingsError
from simpl_sb3.experiments.stages import Experiment
from simpl_sb3.methods import Method, find_method
from simpl_sb3.settings import Settings, setting, unknown_names

__all__ = [
    "Chosen",
    "Verb",
    "WithBar",
    "WithDevice",
    "WithDomain",
    "WithEnv",
    "WithMethod",
    "WithOverwrite",
    "WithPictures",
    "WithSeed",
    "form_of",
    "parse",
    "parse_pairs",
    "say",
]

FRAME = str.maketrans("│╭╰╮╯─|", " " * 7)
"""What tyro draws its boxes with, with and without Unicode."""
Pairs = Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE"), tyro.conf.UseAppendAction]


@dataclass(frozen=True, kw_only=True)
class Verb(Settings):
    """Base of the verbs. Fields are flags; ``flag_names`` has other names for them, ``former_names`` earlier ones."""

    flag_names: ClassVar[Mapping[str, str]] = {}
    positional: ClassVar[frozenset[str]] = frozenset()
    former_names: ClassVar[Mapping[str, str]] = {}

    @classmethod
    def records(cls, chosen: "Chosen") -> Sequence[Settings]:
        """Settings that are flags too, with the defaults that hold for what was chosen."""
        return ()

    @classmethod
    def unused(cls, chosen: "Chosen") -> Sequence[str]:
        """Settings of the records that have no effect here, and are refused."""
        return ()

    @classmethod
    def defaults(cls, chosen: "Chosen") -> Mapping[str, Any]:
        """Defaults of own flags that depend on what was chosen."""
        return {}

    def run(self, chosen: "Chosen", given: Mapping[str, Any]) -> None:
        """
        Do it.

        :param chosen: domain, preset and method
        :param given: settings that stand on the command line, by name
        """
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class WithDomain(Verb):
    """
    :param domain: a name (maze, kitchen), an environment id (Own-v0, my_pkg:Own-v0), an import path (my_pkg.my_domain)
        or a file (own.py) that holds a Domain; the preset's by default
    :param preset: settings by name, for the domain (default, fast, paper), or module:NAME or a file that holds a
        Preset; "fast" by default where the domain has it, else "default"
    """

    domain: str | None = None
    preset: str | None = None


@dataclass(frozen=True, kw_only=True)
class WithMethod(Verb):
    """
    :param method: a name (simpl, spirl), or module:NAME or a file that holds a Method
    """

    method: str = "simpl"


@dataclass(frozen=True, kw_only=True)
class WithEnv(Verb):
    """
    :param env: a setting of the environment, such as --env physics=fast
    """

    env: Pairs = ()


@dataclass(frozen=True, kw_only=True)
class WithSettings(Verb):
    """
    :param set: short form of a flag of a setting: --set learning_rate=1e-3 is --learning-rate 1e-3, values in JSON
    """

    set: Pairs = ()


@dataclass(frozen=True, kw_only=True)
class WithOverwrite(Verb):
    """
    :param overwrite: replace what stands there, once the new result is complete
    """

    overwrite: bool = False


@dataclass(frozen=True, kw_only=True)
class WithSeed(Verb):
    """
    :param seed: of everything random
    """

    seed: int = setting(0, at_least=0, below=2**32)


@dataclass(frozen=True, kw_only=True)
class WithDevice(Verb):
    """
    :param device: torch device, such as cpu or cuda; auto takes a GPU if there is one
    """

    device: str = "auto"


@dataclass(frozen=True, kw_only=True)
class WithBar(Verb):
    """
    :param progress_bar: show one; where the output is no terminal it is a line now and then
    """

    progress_bar: bool = True


@dataclass(frozen=True, kw_only=True)
class WithPictures(WithBar):
    """
    :param pictures: log pictures to TensorBoard on the way; they take at most 2 % of the time
    """

    pictures: bool = True


@dataclass(frozen=True)
class Chosen:
    """What decides which settings there are."""

    experiment: Experiment
    method: Method
    method_text: str
    domain_given: bool = False

    @classmethod
    def by(cls, domain: str | None, preset: str | None, method: str) -> Self:
        """
        :raises SettingsError: where there is none of them
        """
        return cls(Experiment.find(domain, preset), find_method(method), method, domain is not None)


@dataclass(frozen=True)
class _Choice:
    domain: str | None = None
    preset: str | None = None
    method: str = "simpl"


def say(text: str) -> None:
    """Tell people what came out, or how far it is, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


# ------------------------------------------------------------ parsing


def parse(verb: type[Verb], name: str, arguments: Sequence[str]) -> tuple[Verb, Chosen, dict[str, Any]]:
    """
    :param verb: the verb's class
    :param name: what the command line calls it
    :param arguments: after the verb
    :return: the verb with its flags, what was chosen, and the settings that were given
    :raises SettingsError: for flags and values that there are not
    """
    arguments = [_by_present_name(verb, word) for word in arguments]
    choice = _choice(verb, arguments)
    chosen = Chosen.by(choice.domain, choice.preset, choice.method)
    records = list(verb.records(chosen))
    unused = verb.unused(chosen)
    known = [setting_name for record in records for setting_name in record.names()]
    words = _translate_set(arguments, {part.name: part for record in records for part in fields(record)})
    _check_flags(verb, name, words, known, unused, chosen.method.name)
    form = form_of(verb, chosen)
    filled = _call_tyro(form, f"simpl-sb3 {name}", words, verb)
    by_record = [(getattr(filled, field_of_record(record)), record.names()) for record in records]
    values = {part: getattr(found, part) for found, names in by_record for part in names}
    flags = {_field_of(word, known) for word in words}
    given = {part: values[part] for part in known if part in flags}
    return verb(**{part: getattr(filled, part) for part in verb.names()}), chosen, given


def _by_present_name(verb: type[Verb], word: str) -> str:
    """A flag by the name that it has now, where the verb had another before."""
    flag, equals, value = word.partition("=")
    return verb.former_names.get(flag, flag) + equals + value


def _choice(verb: type[Verb], arguments: Sequence[str]) -> _Choice:
    """Domain, preset and method, of what the verb takes, before anything else is read."""
    found: dict[str, str] = {}
    for at, word in enumerate(arguments):
        flag, equals, value = word.partition("=")
        name = _field_of(flag)
        if name in verb.names() and name in ("domain", "preset", "method"):
            following = arguments[at + 1] if at + 1 < len(arguments) else ""
            if equals or (following and not following.startswith("--")):
                found[name] = value if equals else following
    return _Choice(**found)


def _field_of(word: str, known: Sequence[str] = ()) -> str:
    """
    The field that a flag is for; "" for what is no flag.

    :param word: such as ``--n-episodes`` or ``--progress-bar``
    :param known: fields of which ``--no-progress-bar`` may be one that is switched off
    """
    if not word.startswith("--"):
        return ""
    name = word.partition("=")[0][2:].replace("-", "_")
    switched = name.removeprefix("no_")
    return switched if name not in known and switched in known else name


def _check_flags(
    verb: type[Verb], name: str, words: Sequence[str], settings: Sequence[str], unused: Sequence[str], method: str
) -> None:
    """
    :raises SettingsError: for a flag that the verb does not have, naming those that it has
    """
    own = [verb.flag_names.get(part, part) for part in verb.names() if part not in verb.positional]
    allowed = [*own, *(part for part in settings if part not in unused)]
    bare = {_field_of(word, allowed) for word in words if word.startswith("--") and len(word) > 2} - {"help"}
    strange = sorted(bare - set(allowed))
    if not strange:
        return
    if others := [part for part in strange if part in unused]:
        raise SettingsError(
            f"--{others[0].replace('_', '-')} is a setting that the method {method} does not use: expected one of "
            f"{', '.join(part for part in allowed if part in settings)}."
        )
    flags = [f"--{part.replace('_', '-')}" for part in allowed]
    error = str(unknown_names(name, [f"--{part.replace('_', '-')}" for part in strange], flags))
    raise SettingsError(error.replace("has no setting", "has no flag"))


def _translate_set(arguments: Sequence[str], known: Mapping[str, Any]) -> list[str]:
    """``--set name=value`` as the flag that it stands for, values from JSON."""
    words: list[str] = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word != "--set" and not word.startswith("--set="):
            words.append(word)
            continue
        text = word.partition("=")[2] if word != "--set" else rest.pop(0) if rest else ""
        name, equals, value = text.partition("=")
        if not equals or name not in known:
            raise SettingsError(f"--set {text}: expected NAME=VALUE with one of the names {', '.join(known)}.")
        words += _as_flag(name, value, known[name].type)
    return words


def _as_flag(name: str, text: str, kind: Any) -> list[str]:
    value = from_json_or_text(text)
    flag = f"--{name.replace('_', '-')}"
    if kind is bool:
        if not isinstance(value, bool):
            raise SettingsError(f"--set {name}={text}: expected true or false.")
        return [flag if value else f"--no-{flag[2:]}"]
    return [flag, *(str(part) for part in (value if isinstance(value, list) else [value]))]


def from_json_or_text(text: str) -> Any:
    """A value in JSON, or else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def parse_pairs(flag: str, pairs: Sequence[str]) -> dict[str, Any]:
    """
    :param flag: such as "--env", for messages
    :param pairs: NAME=VALUE each, the value in JSON or text
    :raises SettingsError: for a text without ``=``
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name.isidentifier():
            raise SettingsError(f"{flag} {pair}: expected NAME=VALUE, such as {flag} physics=fast.")
        found[name] = from_json_or_text(text)
    return found


# ------------------------------------------------------------ tyro

MARKERS: Any = tyro.conf  # a type checker takes its markers for types, and these are made at run time


def form_of(verb: type[Verb], chosen: Chosen | None = None) -> type[Any]:
    """
    The verb's class with defaults as they were chosen, and one field per settings record.

    :param chosen: domain, preset and method; None for the default ones
    """
    chosen = chosen or Chosen.by(None, None, _Choice.method)
    records, unused = verb.records(chosen), verb.unused(chosen)
    defaults = {key: value for key, value in verb.defaults(chosen).items() if key in verb.names()}
    hints = get_type_hints(verb, include_extras=True)
    own = []
    for part in fields(verb):
        default = defaults.get(part.name, part.default)
        kind = hints[part.name]
        if part.name in verb.flag_names:
            kind = Annotated[kind, tyro.conf.arg(name=verb.flag_names[part.name])]
        if part.name in verb.positional:
            kind = MARKERS.Positional[kind]
        if default is MISSING:
            own.append((part.name, kind, field(metadata=dict(part.metadata))))
        else:
            own.append((part.name, kind, field(default=default, metadata=dict(part.metadata))))
    more = []
    for record in records:
        shown = _without(type(record), unused)
        more.append((field_of_record(record), shown, field(default=shown(**record.as_dict()))))
    made = make_dataclass(verb.__name__, [*own, *more], bases=(verb,), frozen=True, kw_only=True)
    made.__doc__ = verb.__doc__
    return made


def field_of_record(record: Settings) -> str:
    """The name under which the help groups its flags: ``AdaptationSettings`` -> ``adaptation_settings``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(record).__name__).lower()


def _without(record: type[Settings], unused: Sequence[str]) -> type[Settings]:
    """The same class, with some settings hidden from the help."""
    hidden = [
        (part.name, MARKERS.Suppress[part.type], field(default=part.default, metadata=dict(part.metadata)))
        for part in fields(record)
        if part.name in unused
    ]
    made = make_dataclass(record.__name__, hidden, bases=(record,), frozen=True, kw_only=True)
    made.__doc__ = record.__doc__
    return made


def _call_tyro(form: type[Any], program: str, words: Sequence[str], verb: type[Verb]) -> Any:
    """
    :raises SettingsError: for what tyro refuses, in one line
    """
    said = io.StringIO()
    try:
        with redirect_stderr(said):
            return tyro.cli(form, prog=program, args=list(words), config=(tyro.conf.OmitArgPrefixes,))
    except SystemExit as ending:
        if ending.code in (0, None):
            raise
        raise SettingsError(_one_line(said.getvalue(), verb)) from None


def _one_line(box: str, verb: type[Verb]) -> str:
    """What a box of tyro's says first, in the flags' names."""
    parts = [" ".join(part.translate(FRAME).split()) for part in re.split(r"[─-]{5,}", box)]
    text = next((part for part in parts[1:] if part), "")  # the first is the box's title
    text = re.sub(r"^Error parsing (?:(--\S+: )|[\w-]+: )", lambda found: found[1] or "", text)
    text = re.sub(r"^(\w+) (is|has) ", lambda found: f"--{found[1].replace('_', '-')} {found[2]} ", text)
    return text or f"these flags are not understood: see simpl-sb3 {verb.__name__.lower()} --help"
