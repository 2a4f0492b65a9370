"""The commands under one name: `algoperf COMMAND ...` is short for `python -m MODULE ...`."""

import runpy
import sys
from collections.abc import Mapping

from algoperf_jax.errors import did_you_mean

COMMANDS: Mapping[str, tuple[str, str]] = {
    "train": ("algoperf_jax.main", "run a trial, or the trials of studies"),
    "new": ("algoperf_jax.new", "begin a training algorithm with a copy of a ready-made one"),
    "prepare": ("algoperf_jax.prepare", "download and convert real data"),
    "bench": ("algoperf_jax.bench", "measure where the time of a trial goes"),
    "dry-run": ("algoperf_jax.dry_run", "try a submission on every workload for a few steps"),
    "check": ("algoperf_jax.check_submission", "check a submission against the rules"),
    "score": ("scoring", "print the leaderboard of a folder of logs"),
}
"""Command -> module, and what it does."""


def main() -> int:
    """Runs the command that `sys.argv` names, as `python -m` would; returns the exit code of a mistake or of help."""
    name, *rest = sys.argv[1:] or ["--help"]
    if name in ("-h", "--help"):
        print("usage: algoperf COMMAND ...; algoperf COMMAND --help shows the options of one\n")
        for command, (module, text) in COMMANDS.items():
            print(f"  {command:<8}  {text} (python -m {module})")
        return 0
    if name not in COMMANDS:
        print(f"error: unknown command: found {name!r}. {did_you_mean(name, COMMANDS)}", file=sys.stderr)
        return 2
    module, _ = COMMANDS[name]
    sys.argv = [f"algoperf {name}", *rest]
    # By the same way as `python -m`, so that processes which the command starts find its main module.
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
