#!/usr/bin/env bash
# torch: reading a DataLoader that does not shuffle moves the global random stream.
#
# Expected: without shuffling and without workers, passing over a DataLoader is deterministic and draws nothing.
#
# What happens: each `iter(loader)` draws one number from the global generator, the seed for workers that there
# are none of; the dropout masks after an evaluation are others than without it. A loader with a generator of its
# own draws from that.
#
# Why it matters here: how often is evaluated, which depends on the clock in a time-to-result benchmark, changes
# the random numbers of the training: two runs with one seed differ after the first evaluation.
#
# Seen with: torch==2.13.0, numpy==2.4.6; CPython 3.11, x86-64 Linux, CPU; 2026-11-28.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0
venv/bin/pip install --quiet numpy==2.4.6
venv/bin/python - <<'EOF'
from importlib.metadata import version

import torch
from torch.utils.data import DataLoader

print(*(f"{name} {version(name)}" for name in ["torch", "numpy"]), sep=", ")


def next_numbers(**options):
    torch.manual_seed(0)
    for _ in DataLoader([1, 2, 3], batch_size=1, shuffle=False, num_workers=0, **options):
        pass
    return torch.rand(2).tolist()


torch.manual_seed(0)
untouched = torch.rand(2).tolist()
print("numbers after the seed:", untouched)
print("after the seed and a pass:", next_numbers())
print("after a pass with a generator of its own:", next_numbers(generator=torch.Generator()))
assert next_numbers() != untouched, "a pass draws nothing now"
assert next_numbers(generator=torch.Generator()) == untouched
torch.manual_seed(0)
torch.empty((), dtype=torch.int64).random_()
assert torch.rand(2).tolist() == next_numbers()
EOF
