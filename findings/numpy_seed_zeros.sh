#!/usr/bin/env bash
# numpy: a seed that ends in zeros is the seed without them.
#
# Expected: `default_rng([seed, index])` gives every pair a stream of its own.
#
# What happens: [5], [5, 0], [5, 0, 0] and [5, 0, 0, 0] and the plain number 5 give one and the same stream, since
# a seed of up to four 32-bit words is filled up with zeros. 5 + 2**32 is [5, 1], too. From the fifth word on a
# zero counts.
#
# Why it matters here: the natural seed of the first epoch, the first worker or the first split, [seed, 0], is
# that of the program that takes seed as it is: initialization and the first shuffle draw the same numbers.
# `SeedSequence(seed).spawn(n)` is free of it, and so are lists of a fixed length, among themselves.
#
# Seen with: numpy==2.4.6; CPython 3.11, x86-64 Linux, CPU; 2026-11-28.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet numpy==2.4.6
venv/bin/python - <<'EOF'
from importlib.metadata import version

import numpy as np

print(*(f"{name} {version(name)}" for name in ["numpy"]), sep=", ")


def draws(seed):
    return np.random.default_rng(seed).integers(1000, size=4).tolist()


for seed in (5, [5], [5, 0], [5, 0, 0, 0], [5, 0, 0, 0, 0], [5, 1], 5 + 2**32, [0, 5]):
    print(f"{seed!s:>17}: {draws(seed)}")
assert draws(5) == draws([5]) == draws([5, 0]) == draws([5, 0, 0, 0]), "trailing zeros count now"
assert draws(5) != draws([5, 0, 0, 0, 0])
assert draws(5 + 2**32) == draws([5, 1])
assert draws(5) != draws([0, 5])
children = np.random.SeedSequence(5).spawn(2)
assert draws(5) != draws(children[0]) != draws(children[1])
EOF
