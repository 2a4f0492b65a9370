"""Names in lines that fit, where no browser wraps them."""

import re
import unicodedata


def _letter_width(letter: str) -> float:
    if letter in "mwMWOQ@%&" or unicodedata.east_asian_width(letter) in "WF":
        return 1.0
    if letter in "ijlI|!.,:;' frt-()[]/":
        return 0.42
    return 0.78 if letter.isupper() else 0.64


def text_width(content: str, size: float) -> float:
    """Width of a line in the widest of the usual fonts without serifs, whose letters reach 0.64 of the size on average.

    A page takes the reader's own font, so that no width is known exactly. matplotlib's is among the widest.
    """
    return size * sum(map(_letter_width, content))


def wrapped(content: str, width: float, size: float, most: int = 3) -> list[str]:
    """Content in lines of a width at most, broken behind spaces, underscores, hyphens and dots where possible.

    What `most` lines cannot hold is left out in favour of an ellipsis.
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
