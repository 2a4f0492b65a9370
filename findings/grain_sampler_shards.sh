#!/usr/bin/env bash
# grain: with shards, IndexSampler shuffles within fixed blocks; no process ever sees other examples.
#
# Expected: with `shuffle=True` the data set is shuffled in each epoch, and each shard takes its part of the
# shuffled order, so that all processes together make the batches that one would.
#
# What happens: the data set is cut into contiguous blocks first, one for each shard, and every block is shuffled
# by itself: shard 0 of 2 draws from the first half in every epoch.
#
# Why it matters here: batches depend on the number of processes. Where files are sorted, by class or by length,
# each process trains on its own classes all the time, and a global batch is stratified; results of 1 and 8
# processes are not comparable.
#
# Seen with: grain==0.2.18, numpy==2.4.6; CPython 3.11, x86-64 Linux, CPU; 2026-11-28.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet grain==0.2.18 numpy==2.4.6
venv/bin/python - <<'EOF'
from importlib.metadata import version

import grain

print(*(f"{name} {version(name)}" for name in ["grain", "numpy"]), sep=", ")
SIZE, SHARDS, EPOCHS = 12, 2, 4
for shard in range(SHARDS):
    options = grain.sharding.ShardOptions(shard, SHARDS)
    sampler = grain.samplers.IndexSampler(SIZE, shard_options=options, shuffle=True, num_epochs=EPOCHS, seed=0)
    keys = [sampler[index].record_key for index in range(shard, SIZE * EPOCHS, SHARDS)]
    epochs = [keys[start : start + SIZE // SHARDS] for start in range(0, len(keys), SIZE // SHARDS)]
    print(f"shard {shard}:", *epochs)
    block = set(range(shard * SIZE // SHARDS, (shard + 1) * SIZE // SHARDS))
    assert all(set(epoch) == block for epoch in epochs), "shards are no longer fixed blocks"
    assert len({tuple(epoch) for epoch in epochs}) > 1
EOF
