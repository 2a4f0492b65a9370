#!/usr/bin/env bash
# np.save and h5py write bfloat16 and float8 arrays as raw bytes, and do not say so.
#
# Expected: an array of bfloat16 is saved with its type, or refused.
#
# What happens: both write it without a complaint. It comes back with the type V2, two bytes without a meaning,
# and can neither be added nor compared; float8_e4m3fn and int4 come back as V1 both, so that which of them it was
# is lost. float8_e5m2 is the only exception: h5py refuses it, and np.save writes a file that np.load refuses.
#
# Why it matters here: checkpoints, features and parameters of JAX are bfloat16 often. The file is fine when it is
# written and useless without knowledge from elsewhere when it is read.
#
# Seen with: numpy==2.4.6, ml_dtypes==0.6.0, h5py==3.16.0; CPython 3.11, x86-64 Linux, CPU; 2026-11-28.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet numpy==2.4.6 ml_dtypes==0.6.0 h5py==3.16.0
venv/bin/python - <<'EOF'
from importlib.metadata import version

import h5py
import ml_dtypes
import numpy as np

print(*(f"{name} {version(name)}" for name in ["numpy", "ml_dtypes", "h5py"]), sep=", ")


def stored(name):
    """The types that np.load and h5py find in the files, or the errors that they raise."""
    array = np.ones(3, getattr(ml_dtypes, name))
    found = []
    np.save("array.npy", array)
    try:
        found.append(np.load("array.npy").dtype.str)
    except ValueError as error:
        found.append(type(error).__name__)
    try:
        with h5py.File("array.h5", "w") as file:
            file["array"] = array
        with h5py.File("array.h5") as file:
            found.append(file["array"].dtype.str)
    except TypeError as error:
        found.append(type(error).__name__)
    print(f"{name}: np.save and np.load {found[0]}, h5py {found[1]}")
    return found


assert stored("bfloat16") == ["|V2", "|V2"], "bfloat16 survives now"
assert stored("float8_e4m3fn") == stored("int4") == ["|V1", "|V1"]
assert stored("float8_e5m2") == ["ValueError", "TypeError"]
np.save("array.npy", np.ones(3, ml_dtypes.bfloat16))
try:
    np.load("array.npy") + 1
except TypeError as error:
    print("adding to it:", type(error).__name__)
else:
    raise AssertionError("arithmetic works now")
EOF
