#!/usr/bin/env bash
# optax: a linear schedule over 0 steps stays at its first value; so a warmup of 0 steps never ends.
#
# Expected: a transition over 0 steps is over at once: the documentation of `linear_schedule` gives the end value
# for all t >= begin + 0. `warmup_constant_schedule(0, peak, 0)` is the constant peak.
#
# What happens: both stay at the initial value, 0, forever, with a line in the log at level INFO.
# `warmup_cosine_decay_schedule` with 0 warmup steps begins at the peak, as one expects, and
# `cosine_decay_schedule` refuses 0 steps.
#
# Why it matters here: search spaces hold warmup fractions, and a fraction of a small step budget rounds down to
# 0. The trial trains with learning rate 0, is not refused, and spends its whole budget.
#
# Seen with: jax==0.10.2, jaxlib==0.10.2, numpy==2.4.6, optax==0.2.8; CPython 3.11, x86-64 Linux, CPU; 2026-11-28.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6 optax==0.2.8
JAX_PLATFORMS=cpu venv/bin/python - <<'EOF'
from importlib.metadata import version

import jax.numpy as jnp
import optax

print(*(f"{name} {version(name)}" for name in ["jax", "jaxlib", "numpy", "optax"]), sep=", ")
PEAK = 0.5
schedules = {
    "linear_schedule(0, peak, 0)": optax.linear_schedule(0.0, PEAK, 0),
    "warmup_constant_schedule(0, peak, 0)": optax.warmup_constant_schedule(0.0, PEAK, 0),
    "warmup_cosine_decay_schedule(0, peak, 0, 100)": optax.warmup_cosine_decay_schedule(0.0, PEAK, 0, 100),
}
found = {name: [float(schedule(step)) for step in (0, 1, 1000)] for name, schedule in schedules.items()}
for name, rates in found.items():
    print(f"{name} at steps 0, 1 and 1000:", rates)
linear, constant, cosine = found.values()
assert linear == constant == [0, 0, 0], "a transition over 0 steps ends at once now"
assert cosine[0] == PEAK
try:
    optax.cosine_decay_schedule(PEAK, 0)
except ValueError as error:
    print("cosine_decay_schedule(peak, 0):", error)
else:
    raise AssertionError("cosine_decay_schedule takes 0 steps now")
optimizer = optax.adam(schedules["warmup_constant_schedule(0, peak, 0)"])
params = jnp.ones(1)
state = optimizer.init(params)
for _ in range(3):
    updates, state = optimizer.update(params, state)
    params = optax.apply_updates(params, updates)
print("a parameter of 1 after three steps of Adam:", params[0])
assert params[0] == 1
EOF
