"""Wraps names into lines that fit, where no browser does it."""

import re
import unicodedata


def _letter_width(letter: str) -> float:
    if letter in "mwMWOQ@%&" or unicodedata.east_asian_width(letter) in "WF":
        return 1.0
    if letter in "ijlI|!.,:;' frt-()[]/":
        return 0.42
    return 0.78 if letter.isupper() else 0.64


def text_width(content: str, size: float) -> float:
    """Width of a line in a wide sans-serif font, whose letters average up to 0.64 of the font size.

    A page uses the reader's own font, so no width is known exactly. matplotlib's font is among the widest.
    """
    return size * sum(map(_letter_width, content))


def wrapped(content: str, width: float, size: float, most: int = 3) -> list[str]:
    """Splits text into lines of at most `width`, after spaces, underscores, hyphens and dots where possible.

    What does not fit into `most` lines is replaced by an ellipsis.
    """
    lines = [""]
    for part in re.findall(r"[^ _.-]*[ _.-]+|[^ _.-]+", content):
        if lines[-1] and text_width(lines[-1] + part.rstrip(), size) > width:
            lines.append("")
        for letter in part:
            if lines[-1] and text_width(lines[-1] + letter.rstrip(), size) > width:
                lines.append("")
            lines[-1] += letter
    lines = [line.strip() for line in lines]
    if len(lines) > most:
        last = lines[most - 1]
        while last and text_width(last + "\N{HORIZONTAL ELLIPSIS}", size) > width:
            last = last[:-1]
        lines = [*lines[: most - 1], last + "\N{HORIZONTAL ELLIPSIS}"]
    return lines
