"""The figure of the clock: the first part of a trial, moment by moment, and what of it counts."""

from algoperf_jax.trial.clock import Bucket

_COLOURS = {
    Bucket.SETUP: "#c3ccd6",
    Bucket.SUBMISSION: "#3d9a5f",
    Bucket.EVALUATION: "#3d8bc4",
    Bucket.LOGGING: "#d29022",
}
_EXAMPLE = (
    (Bucket.SETUP, 110, "set up"),
    (Bucket.SUBMISSION, 190, "compile, then train"),
    (Bucket.EVALUATION, 90, "evaluate"),
    (Bucket.LOGGING, 46, ""),
    (Bucket.SUBMISSION, 170, "train"),
    (Bucket.EVALUATION, 90, "evaluate"),
    (Bucket.LOGGING, 46, ""),
    (Bucket.SUBMISSION, 138, "train"),
)
"""Bucket, width, what happens."""
_LEFT, _TOP, _BAR = 24, 44, 46


def drawing() -> str:
    """The buckets of a trial as SVG: above as they follow each other, below the time on the clock."""
    style = "font-family: -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif; font-size: 13px"
    width, height = _LEFT * 2 + sum(size for _, size, _ in _EXAMPLE), 246
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" style="{style}" role="img">',
        "<title>Only the submission's own work is on the clock</title>",
        f'<rect width="{width}" height="{height}" rx="8" fill="#ffffff"/>',
        _text(_LEFT, 28, "wall time", anchor="start", bold=True),
    ]
    x, on_clock, counted = _LEFT, _LEFT, []
    for bucket, size, words in _EXAMPLE:
        parts.append(_bar(x, _TOP, size, bucket))
        parts.append(
            _text(x + size / 2, _TOP + _BAR / 2 + 5, words, colour="#ffffff" if bucket != "setup" else "#1c2530")
        )
        if bucket is Bucket.SUBMISSION:
            counted.append(_bar(on_clock, 150, size, bucket))
            parts.append(
                f'<path d="M{x},{_TOP + _BAR} L{on_clock},150 L{on_clock + size},150 L{x + size},{_TOP + _BAR} Z" '
                'fill="#3d9a5f" fill-opacity="0.13"/>'
            )
            on_clock += size
        x += size
    parts += [*counted, _text(_LEFT, 138, "time on the clock", anchor="start", bold=True), *_legend(220)]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _bar(x: float, y: float, width: float, bucket: Bucket) -> str:
    return (
        f'<rect x="{x}" y="{y}" width="{width}" height="{_BAR}" fill="{_COLOURS[bucket]}" '
        'stroke="#ffffff" stroke-width="1.5"/>'
    )


def _text(
    x: float, y: float, words: str, *, anchor: str = "middle", colour: str = "#1c2530", bold: bool = False
) -> str:
    weight = ' font-weight="600"' if bold else ""
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" fill="{colour}"{weight}>{words}</text>'


def _legend(y: float) -> list[str]:
    parts, x = [], _LEFT
    for bucket, colour in _COLOURS.items():
        parts.append(f'<rect x="{x}" y="{y}" width="14" height="14" rx="3" fill="{colour}"/>')
        parts.append(_text(x + 21, y + 12, bucket.value, anchor="start", colour="#4a5663"))
        x += 130
    return parts
