"""The ogbg workload: published facts for real data, and separate facts for the built-in data."""

import functools
from typing import Any

import jraph

from algoperf_jax.workload import ArraySpec, Data, Facts, LossType, Schema, Workload
from workloads import schemas
from workloads.activations import ACTIVATIONS
from workloads.arguments import check_choices
from workloads.editions import published_facts
from workloads.flax_model import flax_model
from workloads.ogbg import builtin
from workloads.ogbg.data import generated_data, prepared_data
from workloads.ogbg.loss import loss
from workloads.ogbg.metrics import molecule_metrics
from workloads.ogbg.model import DROPOUT_RATE, EDGE_FEATURES, EXAMPLE_GRAPHS, NODE_FEATURES, NUM_TASKS, MoleculeNetwork
from workloads.ogbg.prepare import DATASET

PUBLISHED = published_facts(
    "ogbg",
    batch_size=512,
    split_sizes={"train": 350_343, "eval_train": 43_793, "validation": 43_793, "test": 43_793},
)

# The numbers of nodes, edges and graphs in a shard depend on the batch size. The rows of `inputs` are shards.
_GRAPHS: dict[str, Any] = {
    "nodes": ArraySpec((None, NODE_FEATURES)),
    "edges": ArraySpec((None, EDGE_FEATURES)),
    **dict.fromkeys(("senders", "receivers", "n_node", "n_edge"), ArraySpec((None,), "int32")),
}
_SCHEMA: Schema = {
    "inputs": jraph.GraphsTuple(**_GRAPHS, globals=None),
    **dict.fromkeys(("targets", "weights"), ArraySpec((NUM_TASKS,))),
}


def build(
    name: str,
    *,
    data_dir: str | None = None,
    activation: str = "relu",
    latent_dim: int = 256,
    hidden_dims: tuple[int, ...] = (256,),
    num_message_passing_steps: int = 5,
) -> Workload:
    """Builds the workload of the graph network, on the data prepared in `data_dir` or on the built-in molecules.

    Args:
      name: registry name.
      data_dir: folder of prepared data, or None.
      activation: `relu`, `gelu` (tanh approximation) or `silu`.
      latent_dim: width of the embeddings.
      hidden_dims: widths of the layers of each update function.
      num_message_passing_steps: number of graph networks.

    Raises:
      ConfigError: the activation is unknown.
    """
    check_choices("ogbg", activation=(activation, ACTIVATIONS))
    arguments = {
        "activation": activation,
        "latent_dim": latent_dim,
        "hidden_dims": tuple(hidden_dims),
        "num_message_passing_steps": num_message_passing_steps,
    }
    facts = builtin.FACTS if data_dir is None else PUBLISHED
    network = functools.partial(MoleculeNetwork, **arguments)
    init, apply = flax_model(network, EXAMPLE_GRAPHS, dropout_rate=DROPOUT_RATE)
    return Workload(
        name=name,
        base_name="ogbg",
        init=init,
        apply=apply,
        loss=loss,
        # The loss is a sigmoid cross entropy per task, but the benchmark reports this type to submissions.
        loss_type=LossType.SOFTMAX_CROSS_ENTROPY,
        metrics=molecule_metrics(apply, loss),
        output_parameters=(f"Dense_{3 * num_message_passing_steps * len(hidden_dims)}",),
        dropout_rate=DROPOUT_RATE,
        model_arguments=arguments,
        data=_data(data_dir, facts),
        schema=schemas.every_split(_SCHEMA),
        **vars(facts),
    )


def _data(data_dir: str | None, facts: Facts) -> Data:
    if data_dir is None:
        return generated_data(builtin.columns, facts.split_sizes)
    return prepared_data(data_dir, DATASET, num_eval_train=facts.split_sizes["eval_train"])
