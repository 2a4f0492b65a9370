#!/usr/bin/env bash
# numpy: two draws of three uint8 are not one draw of six.
#
# Expected: a generator is a stream: how its numbers are divided into calls does not matter, as is so for int64,
# int32 and float32.
#
# What happens: for dtype uint8, uint16 and bool each call takes whole 32-bit words and drops what is left of the
# last, so that the fourth number depends on how many the call before asked for.
#
# Why it matters here: augmentations draw pixels and flips as uint8 and bool. A loop per image and one call for
# the batch give different batches, and so does a last batch of another size, although the seed and the count of
# numbers are the same.
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


def together(dtype):
    return np.random.default_rng(0).integers(0, 2, 8, dtype=dtype).tolist()


def apart(dtype):
    generator = np.random.default_rng(0)
    return [
        *generator.integers(0, 2, 3, dtype=dtype).tolist(),
        *generator.integers(0, 2, 5, dtype=dtype).tolist(),
    ]


kinds = (np.int64, np.int32, np.uint16, np.uint8, np.bool_)
equal = {np.dtype(dtype).name: together(dtype) == apart(dtype) for dtype in kinds}
print("the same numbers in one call and in two:", equal)
assert equal == {"int64": True, "int32": True, "uint16": False, "uint8": False, "bool": False}, equal
EOF
