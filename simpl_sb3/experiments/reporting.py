"""What a report cannot know of an environment, from the domains: the measure, published numbers, walls."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from simpl_sb3.domains import Domain, built_in_domains
from simpl_sb3.report.tables import results_table
from simpl_sb3.results.facts import Facts

__all__ = ["known_facts", "table_of"]


def known_facts(domains: Iterable[Domain] = ()) -> dict[str, Facts]:
    """
    For ``make_report(..., facts=...)`` and ``results_table(..., facts=...)``.

    :param domains: a user's own, besides those that come along
    :return: by environment id
    """
    return {domain.env_id: domain.facts for domain in (*built_in_domains().values(), *domains)}


def table_of(results: Sequence[Path], style: str = "markdown", domains: Iterable[Domain] = ()) -> str:
    """
    Tables of results beside the published numbers.

    :param results: CSV files, or folders of them
    :param style: ``markdown`` or ``text``
    :param domains: a user's own, besides those that come along
    """
    return results_table(results, style, known_facts(domains))
