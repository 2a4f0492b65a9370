#!/usr/bin/env bash
# numpy on Linux: after one array of 31 MiB was freed, later small ones need no new pages; one of 33 MiB changes nothing.
#
# Expected: the cost of a loop that makes arrays of 1 MiB does not depend on whether another array was made and deleted
# before, and if it does, then a larger one does not do less.
#
# What happens: glibc gives the freed arrays of each round back to the system, and the next round faults in every page
# anew: about 2,000 page faults for 8 arrays. `del numpy.empty(31 * 2**20, "u1")`, never written to, makes glibc raise
# its limits to that size for the rest of the process: the rounds after it reuse memory, without faults. The limit
# follows freed blocks up to 32 MiB only, so that an array of 33 MiB has no effect.
#
# Why it matters here: how fast the arithmetic of a process is depends on what it once freed, which nothing in the
# loop tells. Two programs that are compared differ in it by chance. The preparation of the click logs frees such an
# array first, on purpose.
#
# Seen with: numpy==2.4.6; glibc 2.36, CPython 3.11, x86-64 Linux; 2026-11-29.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet numpy==2.4.6
unset GLIBC_TUNABLES MALLOC_MMAP_THRESHOLD_ MALLOC_TRIM_THRESHOLD_ MALLOC_TOP_PAD_ LD_PRELOAD
cat >faults.py <<'EOF'
"""Page faults of each of 50 rounds with 8 arrays of 1 MiB, after an array of argv[1] MiB was made and deleted."""

import resource
import sys

import numpy as np

mebibytes, rounds = int(sys.argv[1]), 50
if mebibytes:
    large = np.empty(mebibytes * 2**20, np.uint8)
    del large


def work():
    arrays = [np.ones(2**18, np.float32) for _ in range(8)]
    del arrays


def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


work()
before = faults()
for _ in range(rounds):
    work()
print((faults() - before) // rounds)
EOF
venv/bin/python - <<'EOF'
import platform
import subprocess
import sys
from importlib.metadata import version

print("numpy", version("numpy"), *platform.libc_ver())
seen = {}
for mebibytes in (0, 31, 33):
    command = [sys.executable, "faults.py", str(mebibytes)]
    seen[mebibytes] = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    print(f"after an array of {mebibytes} MiB was freed: {seen[mebibytes]} page faults in each round")
assert seen[0] > 1000, "freed memory is kept now"
assert seen[31] < 100, "freed memory is given back now"
assert seen[33] > 1000, "larger arrays count now"
EOF
