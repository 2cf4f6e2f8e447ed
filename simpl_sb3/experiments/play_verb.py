"""The verb ``play``: the playground in a browser."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simpl_sb3.domains import Domain, built_in_domains
from simpl_sb3.errors import SettingsError
from simpl_sb3.experiments.flags import Chosen, WithDomain, say
from simpl_sb3.experiments.presets import PRETRAINED, Preset, find_preset
from simpl_sb3.methods import ARTEFACTS
from simpl_sb3.settings import setting

if TYPE_CHECKING:
    from simpl_sb3.play.choices import Choice

__all__ = ["Play"]

PARTS = ("starlette", "uvicorn", "websockets")


@dataclass(frozen=True, kw_only=True)
class Play(WithDomain):
    """
    Watch agents explore, infer and solve tasks that you choose, on a page in your browser; needs the extra [play].

    :param model: a meta-trained model for the domain, which the page offers first; those that come along stay
    :param host: where to listen; another than this machine itself asks for a token in the page's address
    :param port: where to listen; 0 takes any that is free
    :param n_episodes: episodes that an agent adapts for, those that explore included
    """

    model: Path | None = None
    host: str = "127.0.0.1"
    port: int = setting(8765, at_least=0, at_most=65_535)
    n_episodes: int = setting(40, at_least=1, at_most=100_000)

    def run(self, chosen: Chosen, given: Mapping[str, Any]) -> None:
        check_extra()
        from simpl_sb3.play.server import serve

        experiment = chosen.experiment
        choices = offered(experiment.domain, experiment.preset, self.model)

        def announce(address: str) -> None:
            say(f"Playground: {address} (Ctrl-C ends it)")

        try:
            serve(choices, self.host, self.port, self.n_episodes, announce)
        except KeyboardInterrupt:
            say("The playground is closed.")


def check_extra() -> None:
    """
    :raises SettingsError: where a package of the extra is missing
    """
    for part in PARTS:
        try:
            import_module(part)
        except ImportError as error:
            raise SettingsError(f"The playground needs {part} ({error}): pip install 'simpl-sb3[play]'") from error


def offered(domain: Domain, preset: Preset, model: Path | None) -> "Sequence[Choice]":
    """
    What a visitor may choose, first what the command line names.

    :raises SettingsError: for a domain without a model, or a file that is not there
    """
    from simpl_sb3.play.choices import Choice

    shipped = [
        Choice(each.name, built_in, path, each.adapt, each.spirl)
        for built_in in built_in_domains().values()
        for each in [find_preset(None, built_in)]
        if (path := PRETRAINED / each.name / ARTEFACTS["meta-model"]).is_file()
    ]
    if model is not None:
        if not model.is_file():
            raise SettingsError(f"No model {model}: expected a file that simpl-sb3 meta-train wrote, model.zip.")
        own = Choice(f"{model.parent.name or model.stem}/{model.name}", domain, model, preset.adapt, preset.spirl)
        return [own, *shipped]
    fitting = [choice for choice in shipped if choice.domain is domain]
    if not fitting:
        raise SettingsError(
            f"No model comes along for the domain {domain.name}: expected --model with a file that simpl-sb3 "
            "meta-train wrote for it."
        )
    return fitting + [choice for choice in shipped if choice.domain is not domain]
