"""
Code blocks of Markdown pages, and what a test does with each kind.

A comment right above a block says what is special about it; it shows nowhere:

``<!-- short: n_envs=80 => n_envs=2 ; learn(50_000 => learn(1 -->``
    texts that are replaced before the block runs, so that it takes seconds; each must stand in the block
``<!-- file: my_domain.py -->``
    the block is a file of that name, for the blocks after it
"""

import importlib
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
PAGES = [page for page in PAGES if "_build" not in page.parts]
SHOWN = {"text", "bibtex"}
"""Languages of blocks that are no code."""
CODE = {"python", "bash", "toml"}
FENCE = re.compile(
    r"^(?:<!-- (?P<word>short|file): (?P<said>.*?) -->\n)?"
    r"^(?P<fence>`{3,})(?P<language>[^\n`]*)\n(?P<text>.*?)^(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)


def docs_module(name: str) -> ModuleType:
    """A module beside the pages, which the site is built with."""
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(ROOT / "docs"))


@dataclass(frozen=True)
class Block:
    """
    One fenced block.

    :param page: the file
    :param line: of its fence, from 1
    :param language: "" where the fence says none
    :param text: what runs, shortened where a comment says so
    :param file: name of the file that it is, or ""
    """

    page: Path
    line: int
    language: str
    text: str
    file: str = ""

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def shortened(text: str, said: str) -> str:
    """
    :param text: of a block
    :param said: replacements, ``old => new ; old => new``
    :raises ValueError: for one that does not stand in the block
    """
    for part in said.split(" ; "):
        old, arrow, new = (piece.strip() for piece in part.partition("=>"))
        if not arrow or old not in text:
            raise ValueError(f"{part!r} replaces nothing")
        text = text.replace(old, new)
    return text


def blocks_of(page: Path) -> list[Block]:
    """Every fenced block of a page, but for Sphinx's directives, which the build of the site runs."""
    content = page.read_text(encoding="utf-8")
    found = []
    for match in FENCE.finditer(content):
        language = match["language"].strip()
        if language.startswith("{"):
            continue
        text, name = match["text"], ""
        if match["word"] == "short":
            text = shortened(text, match["said"])
        elif match["word"] == "file":
            name = match["said"]
        line = content.count("\n", 0, match.start("fence")) + 1
        found.append(Block(page, line, language, text, name))
    return found


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
