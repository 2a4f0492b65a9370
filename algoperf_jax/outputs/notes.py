"""Remarks for the user about what a resumed run finds in a trial's directory."""

from rich.console import Console

from algoperf_jax.outputs.summary import say


class Notes:
    """Shows lines at once and keeps them for the log."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lines: list[str] = []

    @property
    def lines(self) -> tuple[str, ...]:
        """All lines so far."""
        return tuple(self._lines)

    def __call__(self, line: str) -> None:
        """Shows and keeps a line."""
        say(self._console, line)
        self._lines.append(line)
