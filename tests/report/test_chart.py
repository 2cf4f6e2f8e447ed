"""A chart stands without scripts; a browser switches its lines and reads them."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from reports_for_tests import MAZE, make_rows

from simpl_sb3.experiments.reporting import known_facts
from simpl_sb3.report import make_report
from simpl_sb3.report.chart import Series, svg_chart
from simpl_sb3.results.rows import write_results

BROWSER = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), "")
needs_browser = pytest.mark.skipif(not BROWSER, reason="no Chromium to open the page with")
ACT = """
<script>
  const figure = document.querySelector("figure.chart"), svg = figure.querySelector("svg");
  const box = svg.getBoundingClientRect();
  const at = (x) => svg.dispatchEvent(new PointerEvent("pointermove", { clientX: box.left + box.width * x }));
  at(0.999);
  document.title = figure.querySelector(".readout").textContent;
  figure.querySelector("button").click();
  at(0.999);
  document.body.dataset.after = figure.querySelector(".readout").textContent;
  document.body.dataset.wide = document.documentElement.scrollWidth > window.innerWidth;
</script>
"""


def line(label: str, *y: float) -> Series:
    return Series(label, "#0072B2", np.arange(len(y), dtype=float), np.array(y))


def test_a_chart_stands_without_scripts() -> None:
    chart = svg_chart([line("<b>", 0.0, 0.5, 1.0), line("none")], "x", "y", "What & where", top=1.0)
    assert chart.count("<g class=series") == 1
    assert chart.count("<polyline") == 1
    assert "&lt;b&gt;" in chart
    assert "<b>" not in chart
    assert "What &amp; where" in chart
    points = chart.partition('<polyline points="')[2].partition('"')[0].split()
    heights = [float(point.partition(",")[2]) for point in points]
    assert heights[0] - heights[1] == pytest.approx(heights[1] - heights[2])


def test_bands_and_breaks() -> None:
    x = np.arange(4.0)
    banded = Series("a", "#0072B2", x, x, x - 1, x + 1, breaks=(2,))
    chart = svg_chart([banded], "x", "y", "", top=None, shaded=1.0)
    assert (chart.count("<polygon"), chart.count("<polyline"), chart.count("class=shade")) == (2, 2, 1)
    unknown = Series("a", "#0072B2", x, x, np.full(4, np.nan), np.full(4, np.nan))
    assert "<polygon" not in svg_chart([unknown], "x", "y", "", top=4.0)


def open_page(page: Path, *flags: str) -> str:
    profile = f"--user-data-dir={page.parent / 'profile'}"
    always = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", profile]
    words = [BROWSER, *always, *flags, page.as_uri()]
    return subprocess.run(words, capture_output=True, text=True, timeout=200, check=True).stdout


@pytest.fixture
def page(tmp_path: Path) -> Path:
    for method in ("simpl", "spirl"):
        write_results(tmp_path / f"{method}.csv", make_rows(method, MAZE, 0.5), {}, training_task_set="train-40")
    return make_report([tmp_path], tmp_path / "report", facts=known_facts())


@needs_browser
def test_a_browser_reads_and_switches_lines(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    acting = page.with_name("acting.html")
    acting.write_text(text.replace("</body>", f"{ACT}</body>"), encoding="utf-8")
    found = open_page(acting, "--window-size=1000,800", "--dump-dom")
    title = found.partition("<title>")[2].partition("</title>")[0]
    assert title.startswith("episode on the target task: 4")
    assert "SiMPL ." in title
    after = found.partition('data-after="')[2].partition('"')[0]
    assert "SPiRL ." in after
    assert "SiMPL ." not in after.replace("paper: SiMPL", "")
    assert 'aria-pressed="false"' in found
    assert 'data-wide="false"' in found


@needs_browser
def test_a_phone_and_a_dark_screen(page: Path, tmp_path: Path) -> None:
    shots = []
    for name, flags in (("light", ()), ("dark", ("--blink-settings=preferredColorScheme=0",))):
        shot = tmp_path / f"{name}.png"
        open_page(page, "--window-size=500,900", f"--screenshot={shot}", *flags)  # Chromium's narrowest window
        with Image.open(shot) as image:
            shots.append(np.asarray(image.convert("L")))
    assert shots[0][-1, -1] > 240
    assert shots[1][-1, -1] < 60
    assert min(len(np.unique(shot)) for shot in shots) > 20
