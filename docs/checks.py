"""
What the build of the site checks beyond Sphinx: every public name is in the reference, and which links leave the site.

Links inside are checked by Sphinx and MyST; those outside are listed in ``external_links.txt``, not fetched.
"""

from pathlib import Path
from typing import Any

from docutils import nodes
from generated import modules_of, public_names
from sphinx.application import Sphinx
from sphinx.util import logging

PACKAGES = ("simpl_sb3", "simpl_envs")
LOGGER = logging.getLogger(__name__)


def check_reference(app: Sphinx, env: Any) -> None:
    """Warn of each public name that the reference lacks."""
    documented = set(env.get_domain("py").objects)
    wanted = {
        f"{module}.{name}" for package in PACKAGES for module in modules_of(package) for name in public_names(module)
    }
    for name in sorted(wanted - documented):
        LOGGER.warning("public name without reference: %s", name, type="reference", subtype="missing")
    LOGGER.info("reference: %d of %d public names", len(wanted & documented), len(wanted))


def note_links(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Remember the links of a page that leave the site."""
    kept = app.env.__dict__.setdefault("external_links", {})
    links = {node["refuri"] for node in doctree.findall(nodes.reference) if "://" in node.get("refuri", "")}
    kept[docname] = sorted(links)


def write_links(app: Sphinx, exception: Exception | None) -> None:
    """Write ``external_links.txt`` beside the pages: a link and the page it is on, per line."""
    kept = app.env.__dict__.get("external_links", {})
    lines = [f"{link}\t{page}" for page, links in sorted(kept.items()) for link in links]
    Path(app.outdir, "external_links.txt").write_text("\n".join([*lines, ""]), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect the checks."""
    app.connect("env-check-consistency", check_reference)
    app.connect("doctree-resolved", note_links)
    app.connect("build-finished", write_links)
    return {"parallel_read_safe": False}
