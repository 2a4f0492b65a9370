#!/usr/bin/env bash
# optax: some optimizers' init returns the parameters' own arrays, so that a step cannot donate both.
#
# Expected: `init` returns a state of its own; donating parameters and state to a jitted step is the standard way
# to save memory.
#
# What happens: the state of prodigy, dog, dowg, mechanize, cocob and sam holds the very arrays of the parameters,
# and the first step fails, since one buffer is donated twice; where only the parameters are donated, the state's
# arrays are deleted with them. adam, dadapt_adamw and schedule_free_sgd are free of it.
#
# Why it matters here: the benchmark's train step donates parameters and optimizer state. Whether a factory of
# optax works there depends on a detail of its `init` that no documentation mentions; the state has to be copied
# once.
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
from optax import contrib

print(*(f"{name} {version(name)}" for name in ["jax", "jaxlib", "numpy", "optax"]), sep=", ")
sgd = optax.sgd(0.1)
optimizers = {
    "adam": optax.adam(0.1),
    "dadapt_adamw": contrib.dadapt_adamw(),
    "schedule_free_sgd": contrib.schedule_free_sgd(0.1),
    "prodigy": contrib.prodigy(),
    "dog": contrib.dog(0.1),
    "dowg": contrib.dowg(),
    "mechanize": contrib.mechanize(sgd),
    "cocob": contrib.cocob(),
    "sam": contrib.sam(sgd, sgd),
}
step = jax.jit(lambda params, state: (jax.tree.map(lambda x: x - 0.1, params), state), donate_argnums=(0, 1))
failed = []
for name, optimizer in optimizers.items():
    params = {"w": jnp.ones(1000)}
    state = optimizer.init(params)
    shares = any(
        leaf is params["w"] or leaf.unsafe_buffer_pointer() == params["w"].unsafe_buffer_pointer()
        for leaf in jax.tree.leaves(state)
    )
    try:
        jax.block_until_ready(step(params, state))
        outcome = "runs"
    except jax.errors.JaxRuntimeError as error:
        outcome = str(error).partition("(")[0]
        failed.append(name)
    print(f"{name}: shares arrays: {shares}; a step that donates both: {outcome}")
    assert shares == (name in failed)
assert failed == ["prodigy", "dog", "dowg", "mechanize", "cocob", "sam"], failed

params = {"w": jnp.ones(1000)}
state = contrib.prodigy().init(params)
jax.jit(lambda params: jax.tree.map(lambda x: x - 0.1, params), donate_argnums=0)(params)
deleted = [leaf.is_deleted() for leaf in jax.tree.leaves(state)]
print("prodigy, only the parameters donated: arrays of the state that are deleted:", sum(deleted))
assert sum(deleted) == 1
EOF
