"""Links between files; those of the site's pages, with their anchors, are checked by the build of the site as well."""

import re
from pathlib import Path

import pytest
from blocks_for_tests import PAGES, ROOT

LINK = re.compile(r"\]\(([^)\s]+)\)")
BESIDE = sorted([*ROOT.glob("*.md"), *(ROOT / "benchmarks").glob("*.md")])


def slugs(page: Path) -> set[str]:
    """Names of a page's headings, as links write them."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", sorted({*PAGES, *BESIDE}), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_files_lead_somewhere(page: Path) -> None:
    wrong = []
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if not target.exists() or (anchor and anchor not in slugs(target)):
            wrong.append(link)
    assert wrong == []
