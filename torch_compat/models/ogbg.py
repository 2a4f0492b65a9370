"""The graph network over molecules, the twin of `workloads/ogbg/model.py`.

The graphs of a batch are flat: one list of nodes, one of edges, and indices into these. As in the JAX model, a dense
layer on a concatenation is a sum of products, each computed where it has the fewest rows (once per atom instead of once
per bond end, once per molecule instead of once per atom).
"""

import dataclasses
import functools
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from algoperf_jax.workload import Batch, Workload
from torch_compat.layers.activations import ACTIVATIONS
from torch_compat.layers.uninitialized import uninitialized
from torch_compat.transfer.leaves import linear_leaves, normalization_leaves
from torch_compat.transfer.torch_model import Leaf, TorchModel
from workloads.ogbg.model import EDGE_FEATURES, NODE_FEATURES, NUM_TASKS


@dataclasses.dataclass(frozen=True)
class Embedded:
    """The rows `embedder(codes)`, not computed yet, because their product with a matrix is cheaper in another order."""

    codes: Float[Tensor, "rows codes"]
    embedder: nn.Linear


class MoleculeNetwork(nn.Module):
    """The network, on flat graphs.

    Args:
      activation: `relu`, `gelu` (tanh approximation) or `silu`.
      latent_dim: width of the node and edge embeddings.
      hidden_dims: widths of the layers of each update function.
      num_message_passing_steps: number of graph networks, each with its own parameters.
    """

    def __init__(
        self, activation: str, latent_dim: int, hidden_dims: Sequence[int], num_message_passing_steps: int
    ) -> None:
        super().__init__()
        self.node_embedder = uninitialized(nn.Linear, NODE_FEATURES, latent_dim)
        self.edge_embedder = uninitialized(nn.Linear, EDGE_FEATURES, latent_dim)
        # Input widths of a step: nodes and edges, globals.
        widths = [(latent_dim, NUM_TASKS)] + [(hidden_dims[-1], hidden_dims[-1])] * (num_message_passing_steps - 1)
        self.graph_network = nn.ModuleList(
            GraphNetwork(latent_width, global_width, hidden_dims, activation) for latent_width, global_width in widths
        )
        self.decoder = uninitialized(nn.Linear, hidden_dims[-1], NUM_TASKS)

    def forward(self, batch: Batch, *, dropout_rate: float) -> Float[Tensor, "graphs tasks"]:
        """Returns logits of all graphs, including padding graphs.

        Args:
          batch: `inputs` is a `jraph.GraphsTuple` of tensors: nodes [N, 9], edges [E, 3], senders and receivers [E],
            n_node [G] with sum N.
          dropout_rate: dropout rate of every layer of the update functions in training mode.
        """
        inputs = batch["inputs"]
        graph_of_node = torch.repeat_interleave(
            torch.arange(len(inputs.n_node), device=inputs.n_node.device), inputs.n_node, output_size=len(inputs.nodes)
        )
        nodes, edges = Embedded(inputs.nodes, self.node_embedder), Embedded(inputs.edges, self.edge_embedder)
        globals_ = inputs.nodes.new_zeros((len(inputs.n_node), NUM_TASKS))
        for network in self.graph_network:
            nodes, edges, globals_ = network(
                nodes, edges, globals_, inputs.senders, inputs.receivers, graph_of_node, dropout_rate
            )
        return self.decoder(globals_)


class GraphNetwork(nn.Module):
    """One step of message passing: updates edges, then nodes, then globals (Battaglia et al. 2018, Algorithm 1)."""

    def __init__(self, latent_width: int, global_width: int, hidden_dims: Sequence[int], activation: str) -> None:
        super().__init__()
        new = hidden_dims[-1]
        self.update_edge_fn = Update((latent_width, latent_width, latent_width, global_width), hidden_dims, activation)
        self.update_node_fn = Update((latent_width, new, new, global_width), hidden_dims, activation)
        self.update_global_fn = Update((new, new, global_width), hidden_dims, activation)

    def forward(
        self,
        nodes: Float[Tensor, "nodes node_features"] | Embedded,
        edges: Float[Tensor, "edges edge_features"] | Embedded,
        globals_: Float[Tensor, "graphs global_features"],
        senders: Int[Tensor, " edges"],
        receivers: Int[Tensor, " edges"],
        graph_of_node: Int[Tensor, " nodes"],
        dropout_rate: float,
    ) -> tuple[Float[Tensor, "nodes hidden"], Float[Tensor, "edges hidden"], Float[Tensor, "graphs hidden"]]:
        """Returns new nodes, edges and globals."""
        num_nodes, num_graphs = len(graph_of_node), len(globals_)
        # An edge belongs to the graph of its sender, so the globals reach the edges through the senders.
        own, sender, receiver, context = self.update_edge_fn.products(edges, nodes, nodes, globals_)
        sender = sender + context.index_select(0, graph_of_node)
        hidden = own + sender.index_select(0, senders) + receiver.index_select(0, receivers)
        new_edges = self.update_edge_fn(hidden, dropout_rate)

        sent = _sum_at(new_edges, senders, num_nodes)
        received = _sum_at(new_edges, receivers, num_nodes)
        own, out, into, context = self.update_node_fn.products(nodes, sent, received, globals_)
        new_nodes = self.update_node_fn(own + out + into + context.index_select(0, graph_of_node), dropout_rate)

        # For the same reason, the sum over a graph's edges is the sum over its nodes of what they sent.
        of_nodes, of_edges, own = self.update_global_fn.products(
            _sum_at(new_nodes, graph_of_node, num_graphs), _sum_at(sent, graph_of_node, num_graphs), globals_
        )
        return new_nodes, new_edges, self.update_global_fn(of_nodes + of_edges + own, dropout_rate)


class Update(nn.Module):
    """An update function: layers of dense, layer norm, activation, dropout on a concatenation of parts.

    The dense layer and the layer norm of layer j are called `dense_<j>` and `norm_<j>`.
    """

    def __init__(self, part_widths: Sequence[int], hidden_dims: Sequence[int], activation: str) -> None:
        super().__init__()
        self.part_widths = tuple(part_widths)
        self.depth = len(hidden_dims)
        self.activation = ACTIVATIONS[activation]
        for layer, (in_width, width) in enumerate(itertools.pairwise((sum(part_widths), *hidden_dims))):
            self.add_module(f"dense_{layer}", uninitialized(nn.Linear, in_width, width))
            self.add_module(f"norm_{layer}", nn.LayerNorm(width, eps=1e-6))

    def products(self, *parts: Float[Tensor, "_ _"] | Embedded) -> list[Float[Tensor, "_ hidden"]]:
        """The products whose sum is the first dense layer: each part of the input times its part of the weight.

        The bias is added to the last product.
        """
        weights = self.get_parameter("dense_0.weight").split(self.part_widths, dim=1)
        biases = [None] * (len(parts) - 1) + [self.get_parameter("dense_0.bias")]
        return [_times(*operands) for operands in zip(parts, weights, biases, strict=True)]

    def forward(self, hidden: Float[Tensor, "rows first"], dropout_rate: float) -> Float[Tensor, "rows last"]:
        """Applies everything after the sum of the first dense layer."""
        for layer in range(self.depth):
            if layer > 0:
                hidden = self.get_submodule(f"dense_{layer}")(hidden)
            hidden = self.activation(self.get_submodule(f"norm_{layer}")(hidden))
            hidden = functional.dropout(hidden, dropout_rate, self.training)
        return hidden


def _times(
    rows: Float[Tensor, "rows in"] | Embedded,
    weight: Float[Tensor, "out in"],
    bias: Float[Tensor, " out"] | None,
) -> Float[Tensor, "rows out"]:
    """`rows` times the transpose of `weight`, plus the bias."""
    if isinstance(rows, Tensor):
        return functional.linear(rows, weight, bias)
    constant = weight @ rows.embedder.bias
    return functional.linear(rows.codes, weight @ rows.embedder.weight, constant if bias is None else constant + bias)


def _sum_at(
    rows: Float[Tensor, "rows features"], index: Int[Tensor, " rows"], count: int
) -> Float[Tensor, "count features"]:
    """Sums the rows that share an index."""
    # Narrow types, which a submission may use, are summed in float32: in bfloat16 a sum of ones stops at 256.
    wide = torch.promote_types(rows.dtype, torch.float32)
    sums = rows.new_zeros((count, rows.shape[1]), dtype=wide).index_add(0, index, rows.to(wide))
    return sums.to(rows.dtype)


def build(workload: Workload) -> TorchModel:
    """Builds the twin of the workload's variant."""
    hidden_dims, num_message_passing_steps = (
        workload.model_arguments[name] for name in ("hidden_dims", "num_message_passing_steps")
    )
    updates = [
        f"graph_network.{step}.update_{kind}_fn"
        for step in range(num_message_passing_steps)
        for kind in ("edge", "node", "global")
    ]
    parameters: dict[str, Leaf] = {}
    for name, kind in (("node_embedder", "node_embedding"), ("edge_embedder", "edge_embedding")):
        parameters |= linear_leaves(name, kind)
    layers = [(update, layer) for update in updates for layer in range(len(hidden_dims))]
    # flax numbers the layers consecutively across steps.
    for index, (update, layer) in enumerate(layers):
        parameters |= linear_leaves(f"{update}.dense_{layer}", f"Dense_{index}")
        parameters |= normalization_leaves(f"{update}.norm_{layer}", f"LayerNorm_{index}")
    parameters |= linear_leaves("decoder", f"Dense_{len(layers)}")
    return TorchModel(
        make_module=functools.partial(MoleculeNetwork, **workload.model_arguments),
        parameters=parameters,
        buffers={},
        arrange=flatten,
        loss=workload.loss,
    )


def flatten(graph: Any) -> Any:
    """Merges stacked shards into one flat graph.

    Args:
      graph: `jraph.GraphsTuple` of NumPy arrays: nodes [S, n, 9], edges [S, e, 3], senders and receivers [S, e] local
        to a shard, n_node and n_edge [S, g]; or a flat graph, without the axis S.

    Returns:
      `jraph.GraphsTuple` of nodes [S n, 9] and edges [S e, 3], which are views, and int64 senders, receivers [S e],
      n_node and n_edge [S g]; globals None.
    """
    first_node: Any = 0
    if graph.nodes.ndim == 3:
        num_shards, num_nodes, _ = graph.nodes.shape
        first_node = num_nodes * np.arange(num_shards)[:, None]
    return graph._replace(
        nodes=graph.nodes.reshape(-1, NODE_FEATURES),
        edges=graph.edges.reshape(-1, EDGE_FEATURES),
        senders=np.add(graph.senders, first_node, dtype=np.int64).reshape(-1),
        receivers=np.add(graph.receivers, first_node, dtype=np.int64).reshape(-1),
        n_node=np.asarray(graph.n_node, np.int64).reshape(-1),
        n_edge=np.asarray(graph.n_edge, np.int64).reshape(-1),
        globals=None,
    )
