"""Line charts as SVG inside the page: they stand without scripts; ``page.js`` lets a reader switch and read them."""

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import numpy.typing as npt

__all__ = ["Series", "svg_chart"]

WIDTH, HEIGHT = 640, 360
LEFT, RIGHT, TOP, BOTTOM = 50, 20, 12, 50
"""Margins around the plot, of WIDTH x HEIGHT units."""
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Series:
    """
    A line of a chart.

    :param label: in the legend
    :param colour: "#RRGGBB"
    :param x: (N,), rising
    :param y: (N,)
    :param low: lower edge of its band, (N,); None for no band
    :param high: upper edge
    :param dashed: whether it is somebody else's
    :param breaks: indices before which the line is interrupted
    """

    label: str
    colour: str
    x: FloatArray
    y: FloatArray
    low: FloatArray | None = None
    high: FloatArray | None = None
    dashed: bool = False
    breaks: tuple[int, ...] = ()


def svg_chart(
    series: Sequence[Series],
    x_label: str,
    y_label: str,
    caption: str,
    *,
    top: float | None = None,
    shaded: float | None = None,
) -> str:
    """
    A figure of the page: legend, chart and caption.

    :param top: largest y; None takes the data's
    :param shaded: x up to which the ground is shaded
    """
    shown = [line for line in series if len(line.x)]
    right = max(float(line.x.max()) for line in shown)
    every = np.concatenate([part for line in shown for part in (line.y, line.low, line.high) if part is not None])
    known = every[np.isfinite(every)]
    least, most = min(0.0, float(known.min())), float(known.max()) if top is None else top
    scale = _Scale(0.0, right or 1.0, least, most if most > least else least + 1.0)
    parts = [*_ground(scale, x_label, y_label, shaded)]
    for number, line in enumerate(shown):
        parts.append(
            f'<g class=series data-series={number} style="color:{line.colour}">{"".join(_line(line, scale))}</g>'
        )
    data = [
        {
            "label": line.label,
            "colour": line.colour,
            "x": _plain(line.x),
            "y": _plain(line.y),
            "low": None if line.low is None else _plain(line.low),
            "high": None if line.high is None else _plain(line.high),
            "dashed": line.dashed,
        }
        for line in shown
    ]
    frame = {"left": LEFT, "right": WIDTH - RIGHT, "x0": scale.x0, "x1": scale.x1, "axis": x_label}
    content = json.dumps({"frame": frame, "series": data}).replace("<", "\\u003c")
    return (
        f"<figure class=chart><div class=legend>{''.join(_legend(shown))}</div>"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role=img aria-label="{escape(caption)}">{"".join(parts)}'
        f"<line class=cursor y1={TOP} y2={HEIGHT - BOTTOM} visibility=hidden /></svg>"
        f"<div class=readout aria-live=polite></div><script type=application/json>{content}</script>"
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _plain(values: FloatArray) -> list[float | None]:
    return [None if np.isnan(value) else round(float(value), 4) for value in values]


@dataclass(frozen=True)
class _Scale:
    """From data to units of the drawing."""

    x0: float
    x1: float
    y0: float
    y1: float

    def x(self, value: float) -> float:
        return LEFT + (value - self.x0) / (self.x1 - self.x0) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        share = (min(max(value, self.y0), self.y1) - self.y0) / (self.y1 - self.y0)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    def points(self, x: FloatArray, y: FloatArray) -> str:
        return " ".join(f"{self.x(a):.1f},{self.y(b):.1f}" for a, b in zip(x.tolist(), y.tolist(), strict=True))


def _ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers from low to high."""
    rough = (high - low) / most
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    first = np.ceil(low / step - 1e-9)
    return [float(k * step) for k in range(int(first), int(np.floor(high / step + 1e-9)) + 1)]


def _ground(scale: _Scale, x_label: str, y_label: str, shaded: float | None) -> Iterator[str]:
    if shaded is not None:
        width = scale.x(min(shaded, scale.x1)) - LEFT
        yield f"<rect class=shade x={LEFT} y={TOP} width={width:.1f} height={HEIGHT - TOP - BOTTOM} />"
    for value in _ticks(scale.y0, scale.y1, 5):
        y = scale.y(value)
        yield f"<line class=grid x1={LEFT} x2={WIDTH - RIGHT} y1={y:.1f} y2={y:.1f} />"
        yield f"<text x={LEFT - 6} y={y + 4:.1f} text-anchor=end>{value:g}</text>"
    for value in _ticks(scale.x0, scale.x1, 8):
        yield f"<text x={scale.x(value):.1f} y={HEIGHT - BOTTOM + 18} text-anchor=middle>{value:g}</text>"
    yield f"<text class=axis x={(LEFT + WIDTH - RIGHT) / 2} y={HEIGHT - 6} text-anchor=middle>{escape(x_label)}</text>"
    middle = (TOP + HEIGHT - BOTTOM) / 2
    turned = f'transform="rotate(-90 13 {middle})"'
    yield f"<text class=axis x=13 y={middle} text-anchor=middle {turned}>{escape(y_label)}</text>"


def _line(line: Series, scale: _Scale) -> Iterator[str]:
    edges = [0, *line.breaks, len(line.x)]
    for start, end in itertools.pairwise(edges):
        piece = slice(start, end)
        if line.low is not None and line.high is not None and not np.isnan(line.low[piece]).any():
            there, back = scale.points(line.x[piece], line.high[piece]), scale.points(line.x[piece], line.low[piece])
            yield f'<polygon class=band points="{there} {" ".join(reversed(back.split()))}" />'
        dashes = " stroke-dasharray=5,4" if line.dashed else ""
        yield f'<polyline{dashes} points="{scale.points(line.x[piece], line.y[piece])}" />'
    if line.dashed or len(line.x) < 12:
        for x, y in zip(line.x.tolist(), line.y.tolist(), strict=True):
            kind = " class=hollow" if line.dashed else ""
            yield f"<circle{kind} cx={scale.x(x):.1f} cy={scale.y(y):.1f} r=3.5 />"


def _legend(series: Sequence[Series]) -> Iterator[str]:
    for number, line in enumerate(series):
        kind = "dashed" if line.dashed else "solid"
        mark = f'<i class={kind} style="color:{line.colour}"></i>'
        yield f"<button type=button aria-pressed=true data-series={number}>{mark}{escape(line.label)}</button>"
