"""Maps of scores as an HTML page that needs no network, or as a picture."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hf_ext.analysis.score_maps import ScoreMap
from hf_ext.atomic_file import atomic_write
from hf_ext.extras import extra
from hf_ext.page_frame import page_frame

DRAWING = "drawing maps"
"""What needs the extra of plots."""
SUFFIXES = (".html", ".png")

_STYLE = """\
body { max-width: none; padding: 0 2rem; }
p { max-width: 60rem; overflow-wrap: anywhere; white-space: pre-wrap; }
select { font: inherit; }
output { display: block; min-height: 1.5em; white-space: pre; }
"""

_BODY = """\
<p>{{ text }}</p>
<p><select aria-label="map">{% for map in maps %}<option value="{{ loop.index0 }}">{{ map.name }}</option>
{% endfor %}</select></p>
<output></output>
<canvas></canvas>
<noscript>The maps are drawn by JavaScript.</noscript>
<script type="application/json">{{ maps | tojson }}</script>
<script>
const maps = JSON.parse(document.querySelector("script[type='application/json']").textContent);
const [choice, canvas, told] = ["select", "canvas", "output"].map((name) => document.querySelector(name));
const pen = canvas.getContext("2d");
let map, side, margin;

function draw() {
  map = maps[Number(choice.value)];
  const count = map.tokens.length;
  side = Math.max(6, Math.min(32, Math.floor(1000 / count)));
  const size = Math.max(8, Math.min(16, side - 2));
  const font = `${size}px sans-serif`;
  pen.font = font;
  margin = Math.ceil(Math.max(...map.tokens.map((one) => pen.measureText(one).width))) + 8;
  const ratio = window.devicePixelRatio || 1;
  const whole = margin + count * side + 1;
  canvas.width = canvas.height = whole * ratio;
  canvas.style.width = canvas.style.height = `${whole}px`;
  pen.scale(ratio, ratio);
  pen.font = font;
  pen.fillStyle = pen.strokeStyle = getComputedStyle(document.body).color;
  pen.textBaseline = "middle";
  map.tokens.forEach((token, place) => {
    const middle = margin + (place + 0.5) * side;
    pen.textAlign = "right";
    pen.fillText(token, margin - 4, middle);
    pen.save();
    pen.translate(middle, margin - 4);
    pen.rotate(-Math.PI / 2);
    pen.textAlign = "left";
    pen.fillText(token, 0, 0);
    pen.restore();
  });
  map.values.forEach((row, i) => row.forEach((value, j) => {
    pen.fillStyle = value === null ? "rgba(128, 128, 128, .12)" : `rgba(214, 90, 20, ${value / map.largest})`;
    pen.fillRect(margin + j * side, margin + i * side, side - 1, side - 1);
  }));
  map.marked.forEach(([i, j]) => pen.strokeRect(margin + j * side - 0.5, margin + i * side - 0.5, side, side));
  told.textContent = "";
}

canvas.addEventListener("mousemove", (event) => {
  const [j, i] = [event.offsetX, event.offsetY].map((one) => Math.floor((one - margin) / side));
  const value = map.values[i]?.[j];
  if (value === undefined) { told.textContent = ""; return; }
  const shown = value === null ? "none" : value.toFixed(4);
  told.textContent = `${shown}   ${map.rows} ${i}: ${map.tokens[i]}   ${map.columns} ${j}: ${map.tokens[j]}`;
});
choice.addEventListener("change", draw);
draw();
</script>
"""

# Of fonts with Chinese, those of the usual systems.
_FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Noto Sans SC",
    "Source Han Sans SC",
    "Source Han Sans CN",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "PingFang SC",
    "Hiragino Sans GB",
    "Microsoft YaHei",
    "SimHei",
    "Droid Sans Fallback",
)


def write_score_maps(
    path: str | os.PathLike[str], maps: Sequence[ScoreMap], text: str = "", title: str = "Scores"
) -> None:
    """Write maps as a page, whose cells tell their numbers, or as a picture, by the end of the file's name.

    In a picture tokens have their numbers where no font is there that has all of their characters.

    Args:
        path: the file to write, ``.html`` or ``.png``.
        maps: of one text, at least one.
        text: what they are of, above them on the page.
        title: heading.

    Raises:
        ValueError: if the name ends otherwise, or there are no maps.
        MissingExtraError: if it is a picture, and matplotlib is not installed.
    """
    check_map_file(path)
    if not maps:
        raise ValueError("maps must be at least one, got none")
    if Path(path).suffix.lower() == ".png":
        _draw(path, maps, title)
        return
    from jinja2 import Environment

    template = Environment(autoescape=True).from_string(_BODY)
    body = template.render(text=text, maps=[_as_json(one) for one in maps])
    with atomic_write(path) as file:
        file.write(page_frame(title, _STYLE, body))


def check_map_file(path: str | os.PathLike[str]) -> None:
    """Refuse a file that `write_score_maps` does not write, before anything is loaded.

    Raises:
        ValueError: if its name ends otherwise, or its folder is not there.
        MissingExtraError: if it is a picture, and matplotlib is not installed.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"a file of maps must end in {' or '.join(SUFFIXES)}, got {path}")
    if not Path(path).parent.is_dir():
        raise ValueError(f"{path} must be in a folder that exists")
    if suffix == ".png":
        with extra("plots", DRAWING):
            import matplotlib  # noqa: F401


def _as_json(one: ScoreMap) -> dict[str, Any]:
    # NaN is no JSON.
    values = [[None if value != value else round(value, 4) for value in row] for row in one.values.tolist()]
    said = {"name": one.name, "tokens": list(one.tokens), "rows": one.rows, "columns": one.columns}
    return {**said, "values": values, "largest": one.darkest, "marked": [list(cell) for cell in one.marked]}


def _draw(path: str | os.PathLike[str], maps: Sequence[ScoreMap], title: str) -> None:
    with extra("plots", DRAWING):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.patches import Rectangle

    columns = min(len(maps), 3)
    rows = -(-len(maps) // columns)
    count = len(maps[0].tokens)
    # Inches, of which no side of a picture is to have hundreds.
    side = max(3.0, min(0.22 * count, 14.0)) + 1
    figure = Figure(figsize=(columns * side, rows * side + 0.5), layout="constrained")
    FigureCanvasAgg(figure)
    every = max(1, -(-count // 64))
    places = range(0, count, every)
    font = _font("".join([title, *maps[0].tokens, *(one.name for one in maps)]))
    shown = [str(place) if font is None else maps[0].tokens[place] for place in places]
    # Two dollars would begin and end a formula.
    named: dict[str, Any] = {"parse_math": False} | ({} if font is None else {"fontfamily": font})
    grid = figure.subplots(rows, columns, squeeze=False).flat
    for number, axes in enumerate(grid):
        if number >= len(maps):
            axes.set_axis_off()
            continue
        one = maps[number]
        axes.imshow(one.values.numpy(), cmap="Oranges", vmin=0, vmax=one.darkest)
        axes.set_title(_drawable(one.name, font), fontsize=10, **named)
        axes.set_xticks(places, shown, rotation=90, fontsize=7, **named)
        axes.set_yticks(places, shown, fontsize=7, **named)
        axes.set_xlabel(one.columns)
        axes.set_ylabel(one.rows)
        for row, column in one.marked:
            axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, linewidth=1.2))
    figure.suptitle(_drawable(title, font), **named)
    with atomic_write(path, "wb") as file:
        figure.savefig(file, format="png", dpi=110)


def _font(text: str) -> str | None:
    """A font that has all characters of a text; None if there is none."""
    with extra("plots", DRAWING):
        from matplotlib import font_manager

    wanted = {ord(character) for character in text if not character.isspace()}
    there = {entry.name: entry.fname for entry in font_manager.fontManager.ttflist}
    for name in ("DejaVu Sans", *_FONTS):
        if name in there and wanted <= font_manager.get_font(there[name]).get_charmap().keys():
            return name
    return None


def _drawable(text: str, font: str | None) -> str:
    """The text, and without a font that has all of it what is ASCII."""
    return text if font is not None else text.encode("ascii", "replace").decode()
