"""What the command lines have in common."""

import argparse
from typing import NoReturn

from scoring.errors import ScoringError


class Parser(argparse.ArgumentParser):
    """Raises a `ScoringError` of one line, where its parent prints the usage and exits."""

    def error(self, message: str) -> NoReturn:
        """Refuses the arguments."""
        raise ScoringError(f"{message}; {self.prog} --help shows what there is")
