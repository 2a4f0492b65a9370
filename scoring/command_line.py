"""What the commands share."""

import argparse
from typing import NoReturn

from scoring.errors import ScoringError


class Parser(argparse.ArgumentParser):
    """An argument parser that raises a one-line `ScoringError` instead of printing the usage and exiting."""

    def error(self, message: str) -> NoReturn:
        """Raises `message` as an error."""
        raise ScoringError(f"{message}; {self.prog} --help lists the options")
