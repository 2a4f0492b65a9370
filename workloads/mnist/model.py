"""The digit classifier: one hidden layer of 128 sigmoid units."""

import flax.linen as nn
import jax
from jaxtyping import Array, Float

from workloads.flax_model import flax_model

NUM_CLASSES = 10
IMAGE_SHAPE = (28, 28, 1)


class DigitClassifier(nn.Module):
    """The network; it returns logits."""

    @nn.compact
    def __call__(self, images: Float[Array, "batch 28 28 1"]) -> Float[Array, "batch classes"]:
        flat = images.reshape(images.shape[0], -1)
        hidden = nn.sigmoid(nn.Dense(128)(flat))
        return nn.Dense(NUM_CLASSES)(hidden)


init, apply = flax_model(DigitClassifier, example_inputs=jax.ShapeDtypeStruct((1, *IMAGE_SHAPE), "float32"))
