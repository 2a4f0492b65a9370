"""Writes into the documents what is made from the code: `python -m docs.generate --write`.

Two markers in a document say what goes between them: a file of `examples/`, or a table of configuration keys, of
the arguments of submissions, or of the rooms of the engine. The drawings in `docs/pictures/` are written as a whole.
Pictures that `python -m docs.generate.pictures` makes from real runs are not touched. `--check` writes nothing, and
fails if a file differs from what would be written.
"""

import argparse
import pathlib
import re
import sys
from collections.abc import Callable, Mapping, Sequence

from docs.generate import arguments, keys, rooms, timing

ROOT = pathlib.Path(__file__).parents[2]
DRAWINGS: Mapping[str, Callable[[], str]] = {
    "docs/pictures/rooms.svg": rooms.drawing,
    "docs/pictures/timing.svg": timing.drawing,
}
TABLES: Mapping[str, Callable[[], str]] = {
    "arguments": arguments.table,
    "configuration keys": keys.table,
    "rooms": rooms.table,
}
_BLOCK = re.compile(
    r"(<!-- ([\w /.]+), by `python -m docs\.generate --write`: begin -->\n)(?:(?!<!--).)*(<!-- end -->)", re.DOTALL
)
_LANGUAGES = {".py": "python", ".json": "json"}


def documents() -> list[pathlib.Path]:
    """The Markdown files that may have generated parts."""
    return sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def content(name: str) -> str:
    """What belongs between the markers of this name: the path of a file that is quoted, or one of `TABLES`."""
    if name in TABLES:
        return TABLES[name]()
    file = ROOT / name
    return f"```{_LANGUAGES[file.suffix]}\n{file.read_text().rstrip()}\n```\n"


def filled(text: str) -> str:
    """A document with all its generated parts."""
    return _BLOCK.sub(lambda match: f"{match[1]}\n{content(match[2])}\n{match[3]}", text)


def generated() -> dict[pathlib.Path, str]:
    """What each file should hold."""
    found = {ROOT / name: draw() for name, draw in DRAWINGS.items()}
    return found | {path: filled(path.read_text()) for path in documents()}


def stale() -> list[str]:
    """The files that differ from what would be written."""
    texts = generated().items()
    return [str(path.relative_to(ROOT)) for path, text in texts if not path.exists() or path.read_text() != text]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m docs.generate", description=__doc__)
    choice = parser.add_mutually_exclusive_group(required=True)
    choice.add_argument("--write", action="store_true", help="write what differs")
    choice.add_argument("--check", action="store_true", help="exit with code 1 if something is not up to date")
    options = parser.parse_args(arguments)
    texts = generated()
    for name in stale():
        if options.write:
            (ROOT / name).write_text(texts[ROOT / name])
            print(f"wrote {name}")
        else:
            print(f"{name} is not up to date; write it with: python -m docs.generate --write", file=sys.stderr)
    return 1 if options.check and stale() else 0


if __name__ == "__main__":
    sys.exit(main())
