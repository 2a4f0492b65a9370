"""A decoder-only transformer (Radford et al. 2019) that predicts the next token of each.

Tokens are normalized before each layer by their root mean square (Zhang and Sennrich 2019,
https://arxiv.org/abs/1910.07467). Queries and keys are turned by their positions, then scaled to length 1 (Henry et al.
2020, https://arxiv.org/abs/2010.04245); one number per block scales their products. The multilayer perceptrons have
gated linear units. The embedding is, transposed, the output. No layer has a bias.

Tokens attend to all tokens before them in their row, also across the end of a document.

For the backward pass, a block keeps its input and what its products with parameters return; the rest is computed again.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from algoperf_jax.workload import Parameters, RandomKey
from workloads.finewebedu_lm.architecture import NORM_EPSILON, Architecture, rotary_table
from workloads.layers.attention import causal_attention
from workloads.layers.recomputation import recomputed

INITIAL_DEVIATION = 0.02

Tokens = Float[Array, "batch tokens features"]
Heads = Float[Array, "batch tokens heads head"]


def draw(architecture: Architecture, rng: RandomKey) -> Parameters:
    """Initial parameters: normal distributions, scales of 1, and the initial scale of attention.

    The last layers of the branches are drawn narrower, so that the sum of all branches has the same deviation in models
    of any depth (Radford et al. 2019, section 2.3).
    """
    sizes = architecture
    per_head = (sizes.width, sizes.num_heads, sizes.head_width)
    narrower = INITIAL_DEVIATION / (2 * sizes.depth) ** 0.5
    scale = {"scale": jnp.ones(sizes.width, jnp.float32)}

    def block(rng: RandomKey) -> Parameters:
        keys = iter(jax.random.split(rng, 6))
        return {
            "RMSNorm_0": scale,
            "CausalAttn_0": {
                "query": {"kernel": _normal(next(keys), per_head)},
                "key": {"kernel": _normal(next(keys), per_head)},
                "value": {"kernel": _normal(next(keys), per_head)},
                "attn_scale": jnp.asarray(sizes.initial_attention_scale, jnp.float32),
                "attn_out_proj": {"kernel": _normal(next(keys), (sizes.width, sizes.width), narrower)},
            },
            "RMSNorm_1": scale,
            "Mlp_0": {
                "Dense_0": {"kernel": _normal(next(keys), (sizes.width, 2 * sizes.mlp_width))},
                "Dense_1": {"kernel": _normal(next(keys), (sizes.mlp_width, sizes.width), narrower)},
            },
        }

    of_embedding, of_blocks = jax.random.split(rng)
    blocks = jax.vmap(block)(jax.random.split(of_blocks, sizes.depth))
    return {
        "embed": {"embedding": _normal(of_embedding, (sizes.vocab_size, sizes.width))},
        **{
            f"blocks_{index}": jax.tree.map(lambda leaf, index=index: leaf[index], blocks)
            for index in range(sizes.depth)
        },
        "out_ln": scale,
    }


def _normal(rng: RandomKey, shape: tuple[int, ...], deviation: float = INITIAL_DEVIATION) -> Float[Array, "..."]:
    return deviation * jax.random.normal(rng, shape, jnp.float32)


def predict(
    architecture: Architecture, params: Parameters, tokens: Int[Array, "batch tokens"]
) -> Float[Array, "batch tokens vocabulary"]:
    """Logits of what follows each token.

    Raises:
      ValueError: the rows are longer than those that the model was made for.
    """
    if tokens.shape[-1] > architecture.max_length:
        raise ValueError(f"rows of {tokens.shape[-1]} tokens; the model was made for {architecture.max_length} at most")
    embedding = params["embed"]["embedding"]
    hidden = embedding[tokens]
    for index in range(architecture.depth):
        hidden = transformed(params[f"blocks_{index}"], hidden)
    return normalized(hidden, params["out_ln"]["scale"]) @ embedding.T


@jax.jit  # traced once for all blocks
def transformed(params: Parameters, tokens: Tokens) -> Tokens:
    """Tokens after a block: attention and a multilayer perceptron, each with a residual connection."""
    of_attention, of_perceptron = params["CausalAttn_0"], params["Mlp_0"]
    tokens = tokens + attention(of_attention, tokens, params["RMSNorm_0"]["scale"])
    expanded = _expand(tokens, params["RMSNorm_1"]["scale"], of_perceptron["Dense_0"]["kernel"])
    return tokens + _contract(expanded, of_perceptron["Dense_1"]["kernel"])


def attention(params: Parameters, tokens: Tokens, norm_scale: Float[Array, " features"] | None = None) -> Tokens:
    """Attention of tokens to themselves and to those before them.

    Args:
      params: the projections, and the scale of the scores.
      tokens: the tokens.
      norm_scale: scale of the normalization before the projections, or None for none.
    """
    kernels = [params[name]["kernel"] for name in ("query", "key", "value")]
    if norm_scale is None:
        query, key, value = _projected(tokens, *kernels)
    else:
        query, key, value = _project(tokens, norm_scale, *kernels)
    attended = _attend(query, key, value, params["attn_scale"])
    return attended.reshape(tokens.shape) @ params["attn_out_proj"]["kernel"]


def normalized(tokens: Tokens, scale: Float[Array, " features"]) -> Tokens:
    """Tokens divided by their root mean square, which is at least float32, times a scale for each feature."""
    wide = tokens.astype(_wide(tokens))
    inverse = jax.lax.rsqrt(jnp.square(wide).mean(-1, keepdims=True) + NORM_EPSILON)
    return (wide * inverse).astype(tokens.dtype) * scale


def rotated(heads: Heads) -> Heads:
    """Queries or keys, turned by their positions, which are counted from 0 in each row; at least float32.

    Neighbouring features, (0, 1), (2, 3) and so on, are the pairs that are turned.
    """
    *_, length, _, features = heads.shape
    table = jnp.asarray(rotary_table(length, features), _wide(heads))[:, None]
    cosine, sine = table[..., 0], table[..., 1]
    pairs = heads.reshape(*heads.shape[:-1], features // 2, 2)
    first, second = pairs[..., 0], pairs[..., 1]
    turned = jnp.stack([first * cosine - second * sine, second * cosine + first * sine], axis=-1)
    return turned.reshape(heads.shape)


def of_length_one(heads: Heads) -> Heads:
    """Queries or keys, divided by their length plus epsilon."""
    squares = jnp.square(heads).sum(-1, keepdims=True)
    # The derivative of a square root is infinite at 0.
    return heads / (jnp.sqrt(jnp.maximum(squares, jnp.finfo(squares.dtype).tiny)) + NORM_EPSILON)


def _projected(tokens: Tokens, *kernels: Float[Array, "features heads head"]) -> tuple[Heads, ...]:
    return tuple(jnp.einsum("bmf,fhd->bmhd", tokens, kernel) for kernel in kernels)


@functools.partial(recomputed, of=(0,))
def _project(
    tokens: Tokens, scale: Float[Array, " features"], *kernels: Float[Array, "features heads head"]
) -> tuple[Heads, ...]:
    return _projected(normalized(tokens, scale), *kernels)


@functools.partial(recomputed, of=(0, 1))
def _attend(query: Heads, key: Heads, value: Heads, scale: Float[Array, ""]) -> Heads:
    query = (of_length_one(rotated(query)) * scale).astype(value.dtype)
    return causal_attention(query, of_length_one(rotated(key)).astype(value.dtype), value)


@functools.partial(recomputed, of=(0,))
def _expand(
    tokens: Tokens, scale: Float[Array, " features"], kernel: Float[Array, "features hidden"]
) -> Float[Array, "batch tokens hidden"]:
    return normalized(tokens, scale) @ kernel


@functools.partial(recomputed, of=(0,))
def _contract(hidden: Float[Array, "batch tokens hidden"], kernel: Float[Array, "half features"]) -> Tokens:
    return jax.nn.glu(hidden) @ kernel


def _wide(array: Array) -> Any:
    """The type of an array, or float32 if that is wider."""
    return jnp.promote_types(array.dtype, jnp.float32)
