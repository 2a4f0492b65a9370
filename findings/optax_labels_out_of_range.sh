#!/usr/bin/env bash
# optax: the label -1 is the last class, and other labels out of range make the loss NaN.
#
# Expected: labels that mark padding, -1 or -100, contribute nothing, or raise. With `jax.nn.one_hot` they
# contribute 0.
#
# What happens: `softmax_cross_entropy_with_integer_labels` counts from the end for -1, as Python does, and trains
# the last class; for -100 and for a label equal to the number of classes the loss is NaN. NaN stays NaN under a
# weight of 0, while the gradient of the weighted loss is finite. `where=` helps.
#
# Why it matters here: two forms of one loss, both in optax, disagree on the padding that data sets for PyTorch
# bring along (its cross entropy leaves out -100 unless told otherwise). With -1 nothing looks wrong at all.
# Labels of padding must be replaced before the loss.
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
logits = jnp.array([[1.0, 2.0, 3.0]] * 4)
labels = jnp.array([2, -1, -100, 3])
by_index = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
by_one_hot = optax.softmax_cross_entropy(logits, jax.nn.one_hot(labels, 3))
print("labels", labels, "losses by index", by_index, "by one_hot", by_one_hot)
assert by_index[1] == by_index[0], "-1 is not the last class now"
assert jnp.isnan(by_index[2:]).all()
assert (by_one_hot[1:] == 0).all()

weights = jnp.array([1.0, 0.0, 0.0, 0.0])
weighted = lambda logits: (weights * optax.softmax_cross_entropy_with_integer_labels(logits, labels)).sum()
value, gradient = jax.value_and_grad(weighted)(logits)
print("with weights 0 the loss is", value, "and the gradient is finite:", jnp.isfinite(gradient).all())
assert jnp.isnan(value)
assert jnp.isfinite(gradient).all()
masked = optax.softmax_cross_entropy_with_integer_labels(logits, labels, where=weights > 0).sum()
print("with where= it is", masked)
assert masked == by_index[0]
EOF
