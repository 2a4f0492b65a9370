"""The command line: prints the leaderboard of a folder of logs, and writes the tables.

python -m scoring --logs=DIR [--targets=v0.5|v0.6|FILE] [--ruleset=external|self] [--rule=documented|official]
  [--ties=fastest|name] [--builtin] [--out=DIR]
"""

import argparse
import pathlib
import sys
from collections.abc import Sequence
from typing import NoReturn

from scoring.errors import ScoringError
from scoring.logs import RULESETS, load
from scoring.reports import leaderboard_text, write_tables
from scoring.scores import score
from scoring.times import RULES, TIES


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ScoringError(f"{message}; python -m scoring --help shows what there is")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m scoring", description="Prints the leaderboard of a folder of logs.")
    parser.add_argument("--logs", required=True, type=pathlib.Path, help="folder with one directory per submission")
    parser.add_argument("--targets", default="v0.6", help="version of the benchmark, or a JSON file (default: v0.6)")
    parser.add_argument("--ruleset", default="external", choices=RULESETS)
    parser.add_argument("--rule", default="documented", choices=RULES, help="how a study's trial is chosen")
    parser.add_argument("--ties", default="fastest", choices=TIES, help="which of equals the official rule takes")
    parser.add_argument("--builtin", action="store_true", help="score the runs on built-in data, and only them")
    parser.add_argument("--out", type=pathlib.Path, help="folder for scores.csv and the other tables")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code, 2 for what the user can mend."""
    try:
        options = _parser().parse_args(arguments)
        logs = load(options.logs, options.targets, ruleset=options.ruleset, builtin=options.builtin)
        scores = score(logs, rule=options.rule, ties=options.ties)
        print(leaderboard_text(logs, scores))
        if options.out is not None:
            write_tables(logs, scores, options.out)
    except ScoringError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
