"""
Presets by name, those for every domain and those of each: ``SkillPriorPEARL("MlpPolicy", env,
**preset("paper").meta_train)``. ``default`` and ``paper`` are for every domain; ``fast`` and ``paper`` mean a domain's
own preset where it has one.
"""

from pathlib import Path

from simpl_sb3.domains import DEFAULT_DOMAIN, Domain, built_in_domains
from simpl_sb3.domains.preset import DEFAULT, PAPER, Preset, split_settings
from simpl_sb3.errors import SettingsError
from simpl_sb3.references import find_record

__all__ = ["DEFAULT_DOMAIN", "PRESETS", "PRETRAINED", "Preset", "find_preset", "preset", "split_settings"]

PRETRAINED = Path(__file__).parents[1] / "pretrained"
"""Folder of the trained models that come along: ``PRETRAINED / "maze-fast" / "model.zip"``."""
PRESETS: dict[str, Preset] = {
    each.name: each
    for each in (DEFAULT, PAPER, *(each for domain in built_in_domains().values() for each in domain.presets))
}
"""All presets by name: those for every domain, then those of each."""


def preset(name: str) -> Preset:
    """
    :param name: one of ``PRESETS``
    :raises SettingsError: for any other
    """
    if name not in PRESETS:
        raise SettingsError(f"No preset {name!r}: expected one of {', '.join(PRESETS)}.")
    return PRESETS[name]


def find_preset(text: str | None, domain: Domain) -> Preset:
    """
    :param text: one of ``PRESETS`` or of the domain's own, with or without the domain's name (``fast``), or
        ``module:NAME`` or a Python file with a preset of your own; None takes the domain's ``fast``, or ``default``
    :param domain: the domain that it is used for
    :raises SettingsError: where there is none, or it is for another domain
    """
    known = PRESETS | {each.name: each for each in domain.presets if each.name not in PRESETS}
    if text is None:
        return known.get(f"{domain.name}-fast", DEFAULT)
    found = known.get(f"{domain.name}-{text}") or find_record(text, Preset, known, "preset")
    if found.domain not in (None, domain.name):
        fitting = ", ".join(name for name, each in known.items() if each.domain in (None, domain.name))
        raise SettingsError(
            f"Preset {found.name} is for the domain {found.domain}, not for {domain.name}: expected one of {fitting}."
        )
    return found


def presets_domain(text: str | None) -> str | None:
    """The domain that a preset is for, by the preset's name; None where it says none or there is no such preset."""
    if text is None:
        return None
    if text in PRESETS:
        return PRESETS[text].domain
    return find_record(text, Preset, PRESETS, "preset").domain if ".py" in text or ":" in text else None
