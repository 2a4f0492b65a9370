#!/usr/bin/env bash
# torch: antialias=True changes bicubic enlargement, where there is nothing to smooth.
#
# Expected: `antialias` matters when an image is made smaller; enlarging gives the same with and without it.
#
# What happens: the cubic kernel has another parameter: -0.75 without, -0.5 with antialiasing. Enlarged by two, an
# impulse of 1 is 0.879 next to its centre without and 0.867 with it. Pillow and `jax.image.resize` always have
# -0.5, so they agree with the antialiased form only.
#
# Why it matters here: positional embeddings and images are resized in the input or the model of one framework and
# compared with the other; 1 % on the pixels is far more than rounding.
#
# Seen with: torch==2.13.0, numpy==2.4.6, jax==0.10.2, jaxlib==0.10.2, pillow==13.0.0; CPython 3.11, x86-64 Linux,
# CPU; 2026-11-28.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0
venv/bin/pip install --quiet numpy==2.4.6 jax==0.10.2 jaxlib==0.10.2 pillow==13.0.0
JAX_PLATFORMS=cpu venv/bin/python - <<'EOF'
from importlib.metadata import version

import jax
import numpy as np
import torch
from PIL import Image

print(*(f"{name} {version(name)}" for name in ["torch", "numpy", "jax", "jaxlib", "pillow"]), sep=", ")
impulse = np.zeros((1, 8), np.float32)
impulse[0, 4] = 1


def by_torch(antialias):
    image = torch.from_numpy(impulse)[None, None]
    return torch.nn.functional.interpolate(image, size=(1, 16), mode="bicubic", antialias=antialias)[
        0, 0
    ].numpy()


found = {
    "torch": by_torch(False),
    "torch, antialias": by_torch(True),
    "jax": np.asarray(jax.image.resize(impulse, (1, 16), "bicubic")),
    "Pillow": np.asarray(Image.fromarray(impulse, mode="F").resize((16, 1), Image.Resampling.BICUBIC)),
}
for name, row in found.items():
    print(f"{name:>16}:", np.round(row[0, 5:13], 4))
plain, *others = found.values()
for row in others:
    np.testing.assert_allclose(row, others[0], atol=1e-6)
assert abs(plain - others[0]).max() > 0.01, "torch has one kernel now"
EOF
