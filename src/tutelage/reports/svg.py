"""Charts as inline SVG that takes its colours from the page, the same bytes for the same data."""

import io
import math
import re
import xml.etree.ElementTree as ET
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

NUM_COLOURS = 7
DASHES = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))
WIDTH, HEIGHT = 4.6, 2.4

# Matplotlib is given these stand-ins, and the page's style sheet says what colour each one is.
INK, GRID = "#000001", "#000002"
_SERIES = [f"#0000{0x10 + index:02x}" for index in range(NUM_COLOURS)]
SHADES = [f"#0000{0x30 + index:02x}" for index in range(4)]
"""Stand-ins for areas that are no runs, from the lightest to the darkest."""
_VARIABLES = {
    INK: "var(--muted)",
    GRID: "var(--grid)",
    **{colour: f"var(--series-{index})" for index, colour in enumerate(_SERIES)},
    **{colour: f"var(--shade-{index})" for index, colour in enumerate(SHADES)},
}
_RC: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "tutelage",
    "path.simplify": False,
    "font.size": 10,
    "axes.unicode_minus": True,
}
_SVG = "{http://www.w3.org/2000/svg}"
_HREF = "{http://www.w3.org/1999/xlink}href"


class Stylist:
    """Turns the styles inside SVGs into classes, so that one style sheet serves the whole page."""

    def __init__(self) -> None:
        self._classes: dict[str, str] = {}
        self._num_charts = 0
        # Used for all line charts in turn: making ticks takes Matplotlib longer than drawing them.
        self.line_axes = empty_chart(HEIGHT)

    def css(self) -> str:
        """The rules of all classes given out so far."""
        return "\n".join(f".{name}{{{rule}}}" for rule, name in self._classes.items())

    def svg(self, figure: Figure, *, description: str, texts: dict[str, str]) -> str:
        """The figure as SVG text; `texts` are put where the figure holds their keys."""
        self._num_charts += 1
        buffer = io.StringIO()
        with matplotlib.rc_context(_RC):
            metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
            FigureCanvasSVG(figure).print_svg(buffer, metadata=metadata)
        root = ET.fromstring(buffer.getvalue())
        for parent in root.iter():
            for child in list(parent):
                if child.tag in (f"{_SVG}style", f"{_SVG}metadata") or not child.tag.startswith(
                    _SVG
                ):
                    parent.remove(child)
        self._clean(root, texts)
        root.attrib = {
            "viewBox": root.attrib["viewBox"],
            "role": "img",
            "aria-label": description,
        }
        return re.sub(r"\n\s*", "", ET.tostring(root, encoding="unicode"))

    def _clean(self, root: ET.Element, texts: dict[str, str]) -> None:
        linked = set(re.findall(r"#(\w+)", " ".join(_references(root))))
        prefix = f"c{self._num_charts}-"
        for element in root.iter():
            element.tag = element.tag.removeprefix(_SVG)
            if element.text in texts:
                element.text = texts[element.text]
            identity = element.attrib.pop("id", "")
            if identity in linked:
                element.set("id", prefix + identity)
            if _HREF in element.attrib:
                element.set("href", f"#{prefix}{element.attrib.pop(_HREF)[1:]}")
            if "clip-path" in element.attrib:
                element.set("clip-path", element.attrib["clip-path"].replace("#", f"#{prefix}"))
            if "d" in element.attrib:  # a tenth of a point is finer than a screen
                element.set("d", re.sub(r"\d+\.\d+", _tenths, element.attrib["d"]))
            if "style" in element.attrib:
                element.set("class", self._class(element.attrib.pop("style")))

    def _class(self, style: str) -> str:
        rule = style.replace("'DejaVu Sans', 'Bitstream Vera Sans', ", "")
        rule = re.sub(r"font: ([\d.]+px)[^;]*", r"font-size: \1", rule)
        for stand_in, variable in _VARIABLES.items():
            rule = rule.replace(stand_in, variable)
        return self._classes.setdefault(rule, f"m{len(self._classes)}")


def colour_of(run: int) -> str:
    """The stand-in for a run's colour."""
    return _SERIES[run % NUM_COLOURS]


def dash_of(run: int) -> Any:
    """A run's line: dashed from the eighth run on."""
    return DASHES[run // NUM_COLOURS % len(DASHES)]


def empty_chart(height: float, width: float = WIDTH) -> tuple[Figure, Axes]:
    """A figure without frames and marks at ticks, with a grid behind what will be drawn."""
    with matplotlib.rc_context(_RC):
        figure = Figure(figsize=(width, height))
        figure.patch.set_visible(False)
        axes = figure.add_axes((0.115, 0.185, 0.875, 0.795))
        axes.patch.set_visible(False)
        for side in ("top", "right", "left", "bottom"):
            axes.spines[side].set_visible(False)
        axes.grid(True, color=GRID, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.tick_params(which="both", length=0, labelcolor=INK, pad=4)
    return figure, axes


def log_ticks(least: float, greatest: float) -> LogLocator:
    """Ticks at 1, 10, 100; over few decades at 2 and 5 too."""
    return LogLocator(subs=(1.0,) if greatest > 300 * least else (1.0, 2.0, 5.0), numticks=8)


def tick(value: float, _: int | None = None) -> str:
    """A tick's number: 2k, 1.5M, 0.25, 3e-4."""
    size = abs(value)
    if size and (size < 1e-3 or size >= 1e15):
        digits, _e, exponent = f"{value:.3g}".partition("e")
        return f"{digits}e{int(exponent)}" if exponent else digits
    for scale, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if size >= scale:
            return f"{value / scale:.4g}{letter}"
    return "0" if math.isclose(value, 0, abs_tol=1e-12) else f"{value:.4g}"


def _tenths(match: re.Match[str]) -> str:
    return f"{float(match[0]):.1f}".removesuffix(".0")


def _references(root: ET.Element) -> list[str]:
    return [
        value
        for element in root.iter()
        for name, value in element.attrib.items()
        if name in (_HREF, "clip-path")
    ]
