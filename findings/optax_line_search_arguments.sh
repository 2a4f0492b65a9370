#!/usr/bin/env bash
# optax: line searches refuse keyword arguments that every other optimizer ignores.
#
# Expected: extra arguments of `update` are ignored by the transformations that do not know them; that is what
# lets a training loop offer `value`, `loss` or anything to whatever optimizer it was given.
#
# What happens: `scale_by_backtracking_linesearch` and `scale_by_zoom_linesearch`, and so `optax.lbfgs`, hand all
# that is left to `value_fn` and raise TypeError if that has no parameter of the name. `adam`, and chains of such
# optimizers, ignore it.
#
# Why it matters here: a benchmark calls optimizers that it does not know. Offering one more argument, which is
# harmless for all others, breaks exactly the line searches; a value function has to accept whatever is offered.
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

import jax
import jax.numpy as jnp
import optax

print(*(f"{name} {version(name)}" for name in ["jax", "jaxlib", "numpy", "optax"]), sep=", ")
params = jnp.ones(2)
value_fn = lambda params: (params**2).sum()
value, grad = jax.value_and_grad(value_fn)(params)
known = {"value": value, "grad": grad, "value_fn": value_fn}
optimizers = {
    "adam": optax.adam(0.1),
    "chain": optax.chain(optax.clip(1.0), optax.sgd(0.1)),
    "backtracking": optax.chain(optax.sgd(0.1), optax.scale_by_backtracking_linesearch(5)),
    "lbfgs": optax.lbfgs(),
}
refused = []
for name, optimizer in optimizers.items():
    state = optimizer.init(params)
    optimizer.update(grad, state, params, **known)
    try:
        optimizer.update(grad, state, params, **known, loss=value)
        print(f"{name}: accepts loss=")
    except TypeError as error:
        refused.append(name)
        print(f"{name}: {error}")
assert refused == ["backtracking", "lbfgs"], refused
EOF
