import jax
from parts import rates


def descend(params, gradient, rate):
    match rate:
        case rates.Rate(value):
            return jax.tree.map(lambda p, g: p - value * g, params, gradient)
    raise NotImplementedError(f"{rate} not supported!")
