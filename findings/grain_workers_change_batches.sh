#!/usr/bin/env bash
# grain: the number of workers changes the batches, and drops more rows.
#
# Expected: worker processes make batches faster; which examples are in a batch, and how many there are, does not
# depend on their number.
#
# What happens: each worker reads every n-th example and makes batches of these by itself. With 2 workers the
# first batch of 0..9 is 0, 2, 4, 6; with 3 workers and `drop_remainder=True` only one batch of four is left, and
# six of ten examples are never seen. DataLoader does the same.
#
# Why it matters here: the number of workers is taken for a matter of speed and set by the machine's cores, so
# that runs on two machines train on different batches; evaluation on a small split loses most of its examples.
#
# Seen with: grain==0.2.18, numpy==2.4.6, absl-py==2.5.1; CPython 3.11, x86-64 Linux, CPU; 2026-11-28.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet grain==0.2.18 numpy==2.4.6 absl-py==2.5.1
cat > seen.py <<'EOF'
import sys
from importlib.metadata import version

import grain
from absl import flags

if __name__ == "__main__":
    flags.FLAGS(sys.argv)
    print(*(f"{name} {version(name)}" for name in ["grain", "numpy", "absl-py"]), sep=", ")


def batches(workers):
    dataset = grain.MapDataset.range(10).to_iter_dataset().batch(4, drop_remainder=True)
    if workers:
        dataset = dataset.mp_prefetch(grain.multiprocessing.MultiprocessingOptions(num_workers=workers))
    return [batch.tolist() for batch in dataset]


class Numbers:
    def __len__(self):
        return 10

    def __getitem__(self, index):
        return int(index)


def loaded(workers):
    sampler = grain.samplers.IndexSampler(10, shuffle=False, num_epochs=1)
    operations = [grain.transforms.Batch(4, drop_remainder=False)]
    loader = grain.DataLoader(
        data_source=Numbers(), sampler=sampler, operations=operations, worker_count=workers
    )
    return [batch.tolist() for batch in loader]


if __name__ == "__main__":
    found = {workers: batches(workers) for workers in (0, 2, 3)}
    for workers, made in found.items():
        print(f"mp_prefetch, {workers} workers:", made)
    assert found[0] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert found[2] == [[0, 2, 4, 6], [1, 3, 5, 7]], "workers make the same batches now"
    assert found[3] == [[0, 3, 6, 9]]
    found = {workers: loaded(workers) for workers in (0, 2)}
    for workers, made in found.items():
        print(f"DataLoader, {workers} workers:", made)
    assert found[0] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert found[2] == [[0, 2, 4, 6], [1, 3, 5, 7], [8], [9]]
EOF
venv/bin/python seen.py
