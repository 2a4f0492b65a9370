"""The graph network: an interaction network over molecules (Battaglia et al. 2018, Algorithm 1).

A dense layer on a concatenation is a sum of products, one per part. Computing each product where it has the fewest rows
(once per atom instead of once per bond end, once per molecule instead of once per atom) and then broadcasting it gives
the same numbers with half the arithmetic. All indices are local to a shard, so everything is batched over the leading
shard axis and splits over devices without communication.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import jraph
from jaxtyping import Array, Float, Int

from workloads.activations import ACTIVATIONS
from workloads.dropout import Dropout, Rate

NODE_FEATURES = 9
EDGE_FEATURES = 3
NUM_TASKS = 128
DROPOUT_RATE = 0.1

_gather = jax.vmap(lambda rows, index: rows[index])
_gather_sorted = jax.vmap(lambda rows, index: rows.at[index].get(indices_are_sorted=True))


def _sum_at(
    rows: Float[Array, "shards rows features"],
    index: Int[Array, "shards rows"],
    count: int,
    *,
    is_sorted: bool = False,
) -> Float[Array, "shards count features"]:
    """Sums the rows of a shard that share an index."""
    # Narrow types, which a submission may use, are summed in float32: in bfloat16 a sum of ones stops at 256.
    wide = rows.astype(jnp.promote_types(rows.dtype, jnp.float32))
    sums = jax.vmap(
        lambda rows, index: jraph.segment_sum(rows, index, num_segments=count, indices_are_sorted=is_sorted)
    )(wide, index)
    return sums.astype(rows.dtype)


@dataclasses.dataclass(frozen=True)
class Embedded:
    """The rows `codes @ kernel + bias`, not computed yet, because their product with a matrix is cheaper in another
    order.
    """

    codes: Float[Array, "shards rows codes"]
    kernel: Float[Array, "codes features"]
    bias: Float[Array, " features"]

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.codes.shape[:-1], self.kernel.shape[-1])

    def __matmul__(self, matrix: Float[Array, "features out"]) -> Float[Array, "shards rows out"]:
        return self.codes @ (self.kernel @ matrix) + self.bias @ matrix


class Embedding(nn.Module):
    """A dense layer without activation, applied to the codes of atoms or bonds."""

    features: int

    @nn.compact
    def __call__(self, codes: Float[Array, "shards rows codes"]) -> Embedded:
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (codes.shape[-1], self.features))
        return Embedded(codes, kernel, self.param("bias", nn.initializers.zeros, (self.features,)))


class Dense(nn.Module):
    """The products of a dense layer's kernel with each part of its concatenated input, not yet summed, and its bias.

    The class's name determines that of its parameters, `Dense_<i>`; i counts these and flax's own dense layers
    together.
    """

    features: int

    @nn.compact
    def __call__(
        self, parts: Sequence[Float[Array, "shards _ _"] | Embedded]
    ) -> tuple[list[Float[Array, "shards _ features"]], Float[Array, " features"]]:
        widths = [part.shape[-1] for part in parts]
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (sum(widths), self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        products, row = [], 0
        for part, width in zip(parts, widths, strict=True):
            products.append(part @ kernel[row : row + width])
            row += width
        return products, bias


_INTEGERS = jax.ShapeDtypeStruct((1, 1), "int32")
_EXAMPLE: dict[str, Any] = {
    "nodes": jax.ShapeDtypeStruct((1, 1, NODE_FEATURES), "float32"),
    "edges": jax.ShapeDtypeStruct((1, 1, EDGE_FEATURES), "float32"),
    **dict.fromkeys(("senders", "receivers", "n_node", "n_edge"), _INTEGERS),
}
EXAMPLE_GRAPHS = jraph.GraphsTuple(**_EXAMPLE, globals=None)
"""One shard with one graph of one atom and one bond, from which shapes of parameters are inferred."""


class MoleculeNetwork(nn.Module):
    """The network; it returns logits of the graphs of all shards. Without a shard axis, they are one shard.

    Attributes:
      activation: name of the activation function.
      latent_dim: width of the node and edge embeddings.
      hidden_dims: widths of the layers of each update function; a layer is dense, layer norm, activation, dropout.
      num_message_passing_steps: number of graph networks, each with its own parameters.
      deterministic: whether dropout is off.
    """

    activation: str
    latent_dim: int
    hidden_dims: tuple[int, ...]
    num_message_passing_steps: int
    deterministic: bool

    @nn.compact
    def __call__(self, graph: jraph.GraphsTuple, dropout_rate: Rate) -> Float[Array, "graphs tasks"]:
        if jnp.asarray(graph.nodes).ndim == 2:
            graph = jax.tree.map(lambda leaf: leaf[None], graph)
        senders, receivers = jnp.asarray(graph.senders), jnp.asarray(graph.receivers)
        nodes, edges, n_node = jnp.asarray(graph.nodes), jnp.asarray(graph.edges), jnp.asarray(graph.n_node)
        (num_shards, num_graphs), num_nodes = n_node.shape, nodes.shape[1]
        graph_of_node = jax.vmap(
            lambda counts: jnp.repeat(jnp.arange(num_graphs), counts, total_repeat_length=num_nodes)
        )(n_node)

        def products(*parts: Array | Embedded) -> tuple[list[Array], Array]:
            return Dense(self.hidden_dims[0])(parts)

        def activate(hidden: Array) -> Array:
            hidden = ACTIVATIONS[self.activation](nn.LayerNorm()(hidden))
            return Dropout(self.deterministic)(hidden, dropout_rate)

        def finish(hidden: Array) -> Array:
            for width in self.hidden_dims[1:]:
                hidden = nn.Dense(width)(activate(hidden))
            return activate(hidden)

        nodes = Embedding(self.latent_dim, name="node_embedding")(nodes)
        edges = Embedding(self.latent_dim, name="edge_embedding")(edges)
        globals_ = jnp.zeros((num_shards, num_graphs, NUM_TASKS))
        for _ in range(self.num_message_passing_steps):
            # An edge belongs to the graph of its sender, so the globals reach the edges through the senders.
            (own, sender, receiver, context), bias = products(edges, nodes, nodes, globals_)
            sender = sender + _gather_sorted(context + bias, graph_of_node)
            edges = finish(own + _gather(sender, senders) + _gather(receiver, receivers))

            sent = _sum_at(edges, senders, num_nodes)
            received = _sum_at(edges, receivers, num_nodes)
            (own, out, into, context), bias = products(nodes, sent, received, globals_)
            nodes = finish(own + out + into + _gather_sorted(context + bias, graph_of_node))

            # For the same reason, the sum over a graph's edges is the sum over its nodes of what they sent.
            (of_nodes, of_edges, own), bias = products(
                _sum_at(nodes, graph_of_node, num_graphs, is_sorted=True),
                _sum_at(sent, graph_of_node, num_graphs, is_sorted=True),
                globals_,
            )
            globals_ = finish(of_nodes + of_edges + own + bias)
        logits = nn.Dense(NUM_TASKS)(globals_)
        return logits.reshape(num_shards * num_graphs, NUM_TASKS)
