"""Walks a page: every command and every piece of Python runs in this process, in the order of the page."""

import pathlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from tests import document_commands
from tests.document_commands import FENCE, Command
from tests.document_coverage import SHORTENED, is_walked
from tests.test_document_commands import SUBMISSIONS
from tests.test_documents import ROOT
from tests.test_examples import QUOTED

Arguments = Mapping[str, tuple[str, ...]]
"""Module -> arguments."""


def steps(document: str) -> Iterator[tuple[str, str]]:
    """What a page shows to be run: (`sh`, a command line) or (`python`, a piece of Python), from top to bottom."""
    for language, body in FENCE.findall((ROOT / document).read_text()):
        if language == "python" and body not in QUOTED:
            yield "python", body
        for line in document_commands.block_lines(language, body):
            yield from (("sh", command) for command in _commands(line))


def _commands(line: str) -> Sequence[str]:
    return [command for command in document_commands.expanded(line) if is_walked(command)]


def walk(document: str, *, replaced: Mapping[str, str] = {}, more: Arguments = {}) -> list[str]:
    """Runs the steps of a page but for commands that another test runs, or none; returns the modules that ran.

    Args:
      document: path of the page.
      replaced: words of the page -> what stands for them here.
      more: what is added to the arguments of a module, as in `SHORTENED`.
    """
    ran = []
    for language, text in steps(document):
        for one, other in replaced.items():
            text = text.replace(one, other)
        command = document_commands.command(text) if language == "sh" else None
        if command is not None:
            assert run(command, more.get(command.module, ())) in (0, None), text
            ran.append(command.module)
        else:
            source = text if language == "python" else document_commands.words(text)[2]
            exec(compile(_quick(source), document, "exec"), {"__name__": "shown"})
    return ran


def run(command: Command, more: Sequence[str] = ()) -> int | None:
    """Runs a command in this process, with what makes it quick; returns its exit code."""
    changed = {one.partition("=")[0]: one for one in (*SHORTENED.get(command.module, ()), *more)}
    informs = {"--help", "--list"} & {*command.arguments}
    kept = [one for one in command.arguments if one.partition("=")[0] not in changed]
    main: Callable[[Sequence[str]], Any] = document_commands.module(command.module).main
    return main(kept if informs else [*kept, *changed.values()])


def _quick(python: str) -> str:
    """A piece of Python with trials of two steps."""
    return python.replace("max_steps=200", "max_steps=2").replace("max_steps=100", "max_steps=2").replace("=50", "=2")


def copy(folder: pathlib.Path, *names: str) -> None:
    """Writes what the reader has written before."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "examples" / SUBMISSIONS[name], folder / name)
