"""The rooms of the engine, drawn and listed from the plan in tests/rooms.py, which a test holds the imports to."""

import functools
import html
import itertools
import pathlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from tests.rooms import ROOMS

HOLDS: Mapping[str, str] = {
    "errors": "the errors that users see, each in one line",
    "workload": "what a workload is: the type `Workload` and its parts",
    "parameters": "shapes and roles of parameter arrays",
    "schedules": "learning-rate schedules for submissions",
    "quantities": "numbers with units that the reports of commands share",
    "algorithms": "the ready-made JAX algorithms, a file each",
    "data": "input pipelines: sources, order, readers, feeds, preparation",
    "submission": "the interface of submissions; how one is located, imported, loaded and called",
    "rule_check": "what reading a submission's source says about the rules",
    "trial": "the timed loop, clock, run state, events and timing rules; no framework, no file",
    "checkpoints": "what checkpoints keep of a submission: values of any kind, random states, checksums of arrays",
    "devices": "device mesh, processes, precision, evaluation, counters",
    "framework": "what a framework is to the engine, and JAX as one of them",
    "outputs": "run directory, event log, checkpoints, progress, result, summary",
    "configuration": "reads, checks and describes configurations",
    "assembly": "makes the parts of a trial from its configuration",
    "run": "runs one trial, from its configuration to its result",
    "tuning": "search spaces and studies",
    "command_line": "what the commands share: options, exit codes, errors",
    "listing": "what `--list` shows",
    "new": "the command that copies a ready-made algorithm",
    "prepare": "the command that downloads and converts real data",
    "bench": "the command that measures where the time of a trial goes",
    "dry_run": "the command that tries a submission on every workload",
    "check_submission": "the command that checks a submission against the rules",
    "main": "the command that trains",
    "__main__": "all commands under one name, `algoperf`",
}
"""Room -> what it holds."""

_ENGINE = pathlib.Path(__file__).parents[2] / "algoperf_jax"
_COLOURS = {
    "types": ("#eef1f5", "#8a97a8"),
    "algorithms": ("#f3ecfb", "#8e6bbf"),
    "trial": ("#e3f1fb", "#3d8bc4"),
    "assembly": ("#e6f5ea", "#3d9a5f"),
    "commands": ("#fdf1dd", "#d29022"),
}
_KINDS = {
    **dict.fromkeys(("errors", "workload", "parameters", "quantities"), "types"),
    **dict.fromkeys(("schedules", "algorithms", "submission", "rule_check"), "algorithms"),
    **dict.fromkeys(("data", "trial", "checkpoints", "devices", "framework", "outputs"), "trial"),
    **dict.fromkeys(("configuration", "assembly", "run", "tuning", "command_line", "listing"), "assembly"),
    **dict.fromkeys(("new", "prepare", "bench", "dry_run", "check_submission", "main", "__main__"), "commands"),
}
_LEGEND = {
    "commands": "commands",
    "assembly": "putting a trial together",
    "trial": "running a trial",
    "algorithms": "training algorithms",
    "types": "types that all parts share",
}
_WIDTH, _ROW, _TOP = 960, 76, 16
_BOX, _LETTER, _PADDING = 34, 7.4, 14
_ROUNDS = 12


def table() -> str:
    """The rooms as a Markdown table, from the ground up."""
    lines = ["| room | holds |", "|---|---|", *(f"| `{_place(room)}` | {HOLDS[room]} |" for room in ROOMS)]
    return "\n".join(lines) + "\n"


def drawing() -> str:
    """The rooms as SVG, the commands on top; a line leads down from each room to those that it imports.

    A line is left out where others lead to the same room, and so are all lines to `errors`, which nearly every room
    imports.
    """
    rows, lines = _rows_and_lines()
    places = {stop: place for number, row in enumerate(rows) for stop, place in _placed(row, number)}
    height = _TOP + _ROW * len(rows) + 26
    parts = [_line([places[stop] for stop in line]) for line in lines]
    parts += [_box(room, *places[(room,)]) for room in ROOMS]
    parts += _legend(height - 22)
    style = "font-family: -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif; font-size: 13px"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" style="{style}" role="img">'
    title = "<title>The rooms of the engine and which of them each imports</title>"
    background = f'<rect width="{_WIDTH}" height="{height}" rx="8" fill="#ffffff"/>'
    return "\n".join([head, title, background, *parts, "</svg>"]) + "\n"


Stop = tuple[str, ...]
"""What has a place in a row: `(room,)`, or `(from, to, row)` where the line between two rooms passes it."""


@functools.cache
def _reached(room: str) -> frozenset[str]:
    """All that a room imports, directly or through others."""
    return frozenset(ROOMS[room]).union(*(_reached(other) for other in ROOMS[room]))


def _direct(room: str) -> list[str]:
    """The rooms that it imports and does not reach through another, without `errors`."""
    others = [one for one in ROOMS[room] if not any(one in _reached(other) for other in ROOMS[room])]
    return [other for other in others if other != "errors"]


@functools.cache
def _depth(room: str) -> int:
    """The row, from the commands down: as high as those that import the room allow."""
    if _KINDS[room] == "commands":
        return 0
    users = [user for user in ROOMS if room in ROOMS[user]]
    # Nothing in the engine imports the ready-made algorithms: they are beside the submissions.
    return 1 + max(map(_depth, users)) if users else _depth("submission")


def _rows_and_lines() -> tuple[list[list[Stop]], list[list[Stop]]]:
    """The stops of each row, ordered to keep the lines short, and the stops of each line."""
    rows: list[list[Stop]] = [[] for _ in range(1 + max(map(_depth, ROOMS)))]
    lines: list[list[Stop]] = []
    for room in ROOMS:
        rows[_depth(room)].append((room,))
        for other in _direct(room):
            between: list[Stop] = [(room, other, str(row)) for row in range(_depth(room) + 1, _depth(other))]
            lines.append([(room,), *between, (other,)])
            for stop in between:
                rows[int(stop[2])].append(stop)
    neighbours: dict[Stop, list[Stop]] = defaultdict(list)
    for line in lines:
        for one, other in itertools.pairwise(line):
            neighbours[one].append(other)
            neighbours[other].append(one)
    for _ in range(_ROUNDS):
        for row in rows:
            across = {stop: place[0] for number, one in enumerate(rows) for stop, place in _placed(one, number)}
            row.sort(key=lambda stop: _mean(across[other] for other in neighbours[stop]))
    return rows, lines


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found) if found else _WIDTH


def _placed(row: Sequence[Stop], number: int) -> list[tuple[Stop, tuple[float, float, float]]]:
    """Stop -> middle, top and width of its box; a line that passes needs little room."""
    widths = [_LETTER * len(stop[0]) + 2 * _PADDING if len(stop) == 1 else 0.0 for stop in row]
    gap = (_WIDTH - sum(widths)) / (len(row) + 1)
    placed, x = [], gap
    for stop, width in zip(row, widths, strict=True):
        placed.append((stop, (x + width / 2, float(_TOP + _ROW * number), width)))
        x += width + gap
    return placed


def _line(places: Sequence[tuple[float, float, float]]) -> str:
    path = f"M{places[0][0]:.0f},{places[0][1] + _BOX:.0f}"
    for (x, top, _), (to_x, to_y, _) in itertools.pairwise(places):
        y, bend = top + _BOX, (to_y - top - _BOX) / 2
        path += f" C{x:.0f},{y + bend:.0f} {to_x:.0f},{to_y - bend:.0f} {to_x:.0f},{to_y:.0f}"
        path += f" V{to_y + _BOX:.0f}"
    return f'<path d="{path.rpartition(" V")[0]}" fill="none" stroke="#9aa5b1" stroke-width="1.2"/>'


def _box(room: str, x: float, y: float, width: float) -> str:
    fill, edge = _COLOURS[_KINDS[room]]
    return (
        f"<g><title>{html.escape(HOLDS[room].replace('`', ''))}</title>"
        f'<rect x="{x - width / 2:.0f}" y="{y:.0f}" width="{width:.0f}" height="{_BOX}" rx="6" '
        f'fill="{fill}" stroke="{edge}" stroke-width="1.3"/>'
        f'<text x="{x:.0f}" y="{y + _BOX / 2 + 4.5:.0f}" text-anchor="middle" fill="#1c2530">{room}</text></g>'
    )


def _legend(y: float) -> list[str]:
    parts, x = [], 24.0
    for kind, words in _LEGEND.items():
        fill, edge = _COLOURS[kind]
        parts.append(
            f'<rect x="{x:.0f}" y="{y:.0f}" width="14" height="14" rx="3" fill="{fill}" stroke="{edge}"/>'
            f'<text x="{x + 20:.0f}" y="{y + 11.5:.0f}" fill="#4a5663" font-size="12">{words}</text>'
        )
        x += 52 + 6.6 * len(words)
    return parts


def _place(room: str) -> str:
    return f"{room}/" if (_ENGINE / room).is_dir() else f"{room}.py"
