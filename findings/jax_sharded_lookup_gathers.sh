#!/usr/bin/env bash
# jax: a lookup in a divided table gathers the whole table once ids and results are as large as the table.
#
# Expected: how a program communicates follows from how its arrays are divided. A table that is divided by rows because
# it is large stays divided: each device looks up what it has, and the results are added up.
#
# What happens: so it is in small batches. Once the ids and the rows that are looked up have as many bytes together as
# the table, the compiled program begins with an all-gather of the table, and each device holds all of it: for 4096 rows
# of 16 numbers from 3856 ids on, for 4096 rows of one number from 2048. Repeated ids count again. If the ids are not
# divided, the table stays where it is, with any number of ids.
#
# Why it matters here: the table of click logs has 4 million rows, and a batch of 262,144 examples with 26 ids each
# exceeds that. A test with a smaller batch shows another program, and memory that seemed to be shared out is needed in
# full on each device.
#
# Seen with: jax==0.10.2, jaxlib==0.10.2, numpy==2.4.6; CPython 3.11, x86-64 Linux, CPU with 8 virtual devices;
# 2026-11-29.
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
mesh = Mesh(np.array(jax.devices()), ("data",))
by_row, whole = NamedSharding(mesh, PartitionSpec("data")), NamedSharding(mesh, PartitionSpec())
KINDS = "all-gather|all-reduce|reduce-scatter|all-to-all|collective-permute"


def communication(rows, width, shape, ids_sharding, lookup=lambda table, ids: table[ids]):
    table = jax.ShapeDtypeStruct((rows, width), jnp.float32, sharding=by_row)
    ids = jax.ShapeDtypeStruct(shape, jnp.int32, sharding=ids_sharding)
    program = jax.jit(lookup).lower(table, ids).compile().as_text()
    found = re.findall(rf"= (\w+\[[\d,]*\])\S* ({KINDS})\(", program)
    return [f"{kind} of {result}" for result, kind in found]


cases = [
    (4096, 16, (64,)),
    (4096, 16, (3848,)),
    (4096, 16, (3856,)),
    (4096, 16, (8192,)),
    (4096, 16, (144, 26)),
    (4096, 16, (152, 26)),
    (4096, 1, (2040,)),
    (4096, 1, (2048,)),
]
for rows, width, shape in cases:
    found = communication(rows, width, shape, by_row)
    ids = "x".join(map(str, shape))
    print(f"table {rows}x{width}, {ids} ids, divided: {', '.join(found)}")
    gathered = f"all-gather of f32[{rows},{width}]" in found
    assert gathered == (np.prod(shape) * (width + 1) >= rows * width), "the table is gathered in other cases now"
    assert found == communication(rows, width, shape, by_row, lambda table, ids: jnp.take(table, ids, axis=0))
    found = communication(rows, width, shape, whole)
    print(f"  with the ids on every device: {', '.join(found)}")
    assert not [line for line in found if line.startswith("all-gather")]
EOF
