"""The error that a user can fix: one line that names the file, the row and the remedy."""


class ScoringError(Exception):
    """The logs, the targets or the arguments cannot be used; the command line prints the line and exits with code 2."""

    def __init__(self, message: str) -> None:
        """Joins `message` into one line."""
        super().__init__(" ".join(message.split()))
