#!/usr/bin/env bash
# jax.lax.top_k of a batch that is divided over devices sends the whole batch to each of them.
#
# Expected: the largest values of each row are found where the row is, as with sort or argmax along the same axis: nothing
# crosses between devices.
#
# What happens: the compiled program of `top_k` begins with an all-gather of its input, also under `vmap`. Those of
# `sort`, `argmax` and `approx_max_k` have no communication. The result has the sharding that one expects, so nothing
# shows but the time and the memory.
#
# Why it matters here: beam search takes the best of beams times vocabulary in every step. With 128 sentences, 4 beams and
# 32,000 tokens, every device would receive 65 MB per token. `workloads/wmt/beam_search.py` takes the largest value
# repeatedly instead, from chunks.
#
# Seen with: jax==0.10.2, jaxlib==0.10.2, numpy==2.4.6; CPython 3.11, x86-64 Linux, CPU with 8 virtual devices;
# 2026-11-28.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6
JAX_PLATFORMS=cpu XLA_FLAGS=--xla_force_host_platform_device_count=8 venv/bin/python - <<'EOF'
import re
from importlib.metadata import version

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

print(*(f"{name} {version(name)}" for name in ["jax", "jaxlib", "numpy"]), sep=", ")
by_row = NamedSharding(Mesh(np.array(jax.devices()), ("data",)), PartitionSpec("data"))
rows = jax.device_put(jnp.arange(16_000.0).reshape(16, 1000), by_row)
functions = {
    "top_k": lambda rows: jax.lax.top_k(rows, 4),
    "top_k of each row, by vmap": jax.vmap(lambda row: jax.lax.top_k(row, 4)),
    "sort": lambda rows: jnp.sort(rows, axis=1)[:, -4:],
    "argmax": lambda rows: jnp.argmax(rows, axis=1),
    "approx_max_k": lambda rows: jax.lax.approx_max_k(rows, 4),
}
seen = {}
for name, function in functions.items():
    program = jax.jit(function, in_shardings=by_row).lower(rows).compile().as_text()
    seen[name] = set(re.findall(r"(all-gather|all-reduce|all-to-all|collective-permute)\(", program))
    print(f"{name}: {sorted(seen[name]) or 'no communication'}")
assert [name for name, found in seen.items() if found] == ["top_k", "top_k of each row, by vmap"]
assert seen["top_k"] == {"all-gather"}
EOF
