"""SVG as text: escaped elements, and axes."""

import html
from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.ticker import MaxNLocator


def element(tag: str, /, *children: str, **attributes: str | float) -> str:
    """An element. Children are markup.

    In attribute names, a trailing underscore is dropped and others become hyphens. Floats have at most two decimals.
    """
    written = ""
    for name, value in attributes.items():
        shown = number(value) if isinstance(value, float) else html.escape(str(value))
        written += f' {name.rstrip("_").replace("_", "-")}="{shown}"'
    return f"<{tag}{written}>{''.join(children)}</{tag}>" if children else f"<{tag}{written}/>"


def number(value: float) -> str:
    """A coordinate with at most two decimals."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def text(content: str, x: float, y: float, **attributes: str | float) -> str:
    """A line of text."""
    return element("text", html.escape(content), x=x, y=y, **attributes)


def text_lines(lines: Sequence[str], x: float, middle: float, line_height: float, **attributes: str | float) -> str:
    """Lines of text, vertically centred at `middle`."""
    first = middle - line_height * (len(lines) - 1) / 2
    return "".join(text(line, x, first + line_height * at, **attributes) for at, line in enumerate(lines))


def path_data(x: Iterable[float], y: Iterable[float]) -> str:
    """A line through points."""
    return "M" + "L".join(f"{number(float(a))} {number(float(b))}" for a, b in zip(x, y, strict=True))


class Axis:
    """A linear scale from values to pixels."""

    def __init__(self, values: tuple[float, float], pixels: tuple[float, float]) -> None:
        """Maps the first value to the first pixel, and the second to the second."""
        self.values = values
        self.pixels = pixels

    def place(self, value: np.ndarray | float) -> np.ndarray:
        """Pixels of values."""
        (low, high), (start, end) = self.values, self.pixels
        return start + (np.asarray(value, dtype=float) - low) / (high - low) * (end - start)

    def ticks(self, count: int) -> list[float]:
        """About `count` round values within the axis."""
        low, high = self.values
        return [float(tick) for tick in MaxNLocator(count).tick_values(low, high) if low <= tick <= high]


def tick_labels(ticks: Sequence[float]) -> list[str]:
    """Labels of ticks, with as many decimals as they need."""
    tolerance = 1e-6 * min(np.diff(ticks), default=1.0)
    enough = (digits for digits in range(12) if np.allclose(np.round(ticks, digits), ticks, rtol=0.0, atol=tolerance))
    decimals = next(enough, 12)
    return [f"{tick:.{decimals}f}" for tick in ticks]


def axes(horizontal: Axis, vertical: Axis, labels: tuple[str, str], counts: tuple[int, int]) -> str:
    """Grid lines, tick labels and the names of both axes; the name of the vertical axis is above it."""
    (left, right), (bottom, top) = horizontal.pixels, vertical.pixels
    parts = []
    ticks = horizontal.ticks(counts[0])
    for tick, label in zip(ticks, tick_labels(ticks), strict=True):
        x = float(horizontal.place(tick))
        parts.append(element("line", class_="grid", x1=x, x2=x, y1=top, y2=bottom))
        parts.append(text(label, x, bottom + 18.0, text_anchor="middle", class_="tick"))
    ticks = vertical.ticks(counts[1])
    for tick, label in zip(ticks, tick_labels(ticks), strict=True):
        y = float(vertical.place(tick))
        parts.append(element("line", class_="grid", x1=left, x2=right, y1=y, y2=y))
        parts.append(text(label, left - 8.0, y + 4.0, text_anchor="end", class_="tick"))
    parts.append(element("line", class_="axis", x1=left, x2=right, y1=bottom, y2=bottom))
    parts.append(text(labels[0], (left + right) / 2, bottom + 38.0, text_anchor="middle", class_="axis-name"))
    parts.append(text(labels[1], left, top - 10.0, text_anchor="start", class_="axis-name"))
    return "".join(parts)
