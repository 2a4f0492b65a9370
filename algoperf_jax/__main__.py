"""The commands under one name: `algoperf COMMAND ...` is short for `python -m MODULE ...`."""

import runpy
import sys
from collections.abc import Mapping

from algoperf_jax.errors import did_you_mean

COMMANDS: Mapping[str, tuple[str, str]] = {
    "train": ("algoperf_jax.main", "run a trial, or the trials of studies"),
    "new": ("algoperf_jax.new", "start a training algorithm from a copy of a ready-made one"),
    "prepare": ("algoperf_jax.prepare", "download and convert real data"),
    "bench": ("algoperf_jax.bench", "measure where the time of a trial goes"),
    "dry-run": ("algoperf_jax.dry_run", "run a few steps of a submission on every workload"),
    "check": ("algoperf_jax.check_submission", "check a submission against the rules"),
    "score": ("scoring", "print the leaderboard of a folder of logs"),
}
"""Command -> its module and a description."""


def main() -> int:
    """Runs the command named in `sys.argv` as `python -m` would; returns the exit code of help or of an error."""
    name, *rest = sys.argv[1:] or ["--help"]
    if name in ("-h", "--help"):
        print("usage: algoperf COMMAND ...; algoperf COMMAND --help shows the options of a command\n")
        for command, (module, text) in COMMANDS.items():
            print(f"  {command:<8}  {text} (python -m {module})")
        return 0
    if name not in COMMANDS:
        print(f"error: unknown command: found {name!r}. {did_you_mean(name, COMMANDS)}", file=sys.stderr)
        return 2
    module, _ = COMMANDS[name]
    sys.argv = [f"algoperf {name}", *rest]
    # Run as `python -m` does it, so that processes started by the command find its main module.
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
