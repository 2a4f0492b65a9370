#!/usr/bin/env bash
# tensorboardX: a second writer of the same second erases what the first one wrote.
#
# Expected: each SummaryWriter writes an event file of its own into its folder; TensorBoard reads all of them.
#
# What happens: files are named by the second and the host. A writer that is made in the second of another one, in
# this or another process, opens the same file for writing and empties it: the events of the first are gone.
#
# Why it matters here: the processes that a launcher starts begin in the same second, and so do a short trial and
# its repetition in a test. Then curves are missing at random.
#
# Seen with: tensorboardX==2.6.5, numpy==2.4.6; CPython 3.11, x86-64 Linux, CPU; 2026-11-28.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet tensorboardX==2.6.5 numpy==2.4.6
venv/bin/python - <<'EOF'
import pathlib
import time
from importlib.metadata import version

from tensorboardX import SummaryWriter

print(*(f"{name} {version(name)}" for name in ["tensorboardX", "numpy"]), sep=", ")


def write_twice(folder):
    """Two writers, one after the other, within one second; False if the second passed meanwhile."""
    time.sleep(1 - time.time() % 1)
    second = int(time.time())
    for tag in ("first", "second"):
        writer = SummaryWriter(folder)
        writer.add_scalar(tag, 1.0, 1)
        writer.close()
    return int(time.time()) == second


folder = next(folder for attempt in range(50) if write_twice(folder := f"logs{attempt}"))
files = list(pathlib.Path(folder).iterdir())
content = b"".join(path.read_bytes() for path in files)
print(
    "files:", len(files), "with the events of:", [tag for tag in ("first", "second") if tag.encode() in content]
)
assert len(files) == 1, "each writer has a file now"
assert b"second" in content
assert b"first" not in content
EOF
