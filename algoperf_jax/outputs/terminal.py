"""Standard output whose end does not stop a run."""

import os
from typing import TextIO

from rich.console import Console


def console(file: TextIO) -> Console:
    """The console of a run, which continues silently when the terminal hangs up or the reader of a pipe exits.

    Args:
      file: standard output.
    """
    return Console(file=_Outlived(file))  # pyright: ignore[reportArgumentType] -- has all that rich uses


class _Outlived:
    """A text file whose end is not an error."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self.encoding = file.encoding

    def isatty(self) -> bool:
        return self._file.isatty()

    def fileno(self) -> int:
        return self._file.fileno()

    def write(self, text: str) -> int:
        try:
            return self._file.write(text)
        except OSError:
            self._silence()
            return len(text)

    def flush(self) -> None:
        try:
            self._file.flush()
        except OSError:
            self._silence()

    def _silence(self) -> None:
        # Redirects the descriptor itself, because Python flushes the buffer at exit.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._file.fileno())
        os.close(nowhere)
