"""A PyTorch submission starts, reads and is evaluated as in JAX; and the workload as it sees it."""

import dataclasses
import json
import pathlib
import re
from collections.abc import Callable
from typing import Any

import array_api_compat
import jax
import numpy as np
import pytest
import torch

import workloads
from algoperf_jax.assembly import Parts, assemble, initial_state, load_workload, make_keys
from algoperf_jax.framework.framework import load_framework
from algoperf_jax.parameters import ShapeTuple
from algoperf_jax.submission.interface import ForwardPassMode
from algoperf_jax.submission.load import load_submission
from algoperf_jax.submission.locate import locate
from algoperf_jax.workload import Batch, LossType, OpenSplit, ParameterType, SplitName, SplitReader
from configs import base
from tests.torch_compat.test_twins import LISTINGS, NAMES

Write = Callable[..., pathlib.Path]
SMALL = {
    "ogbg": {"batch_size": 24, "eval_batch_size": 1024},
    **{name: {"batch_size": 4, "eval_batch_size": 64} for name in ("cifar", "imagenet_resnet", "imagenet_vit")},
}
# The reference calls these weights and biases; in the JAX model, they belong to an attention layer.
POOLING_TYPES = {
    "map.mha.q_proj.weight": ParameterType.ATTENTION_Q,
    "map.mha.kv_proj.weight": ParameterType.ATTENTION_KV,
    "map.mha.out_proj.weight": ParameterType.ATTENTION_OUT,
    **dict.fromkeys((f"map.mha.{name}_proj.bias" for name in ("q", "kv", "out")), ParameterType.ATTENTION_BIAS),
}


def assembled(name: str, framework: str = "pytorch", **changes: Any) -> Parts:
    config: Any = base.named(name, "")
    config.framework = framework
    config.update_from_flattened_dict({**SMALL.get(workloads.base_name(name), {}), **changes})
    chosen = load_framework(framework)
    chosen.start(config)
    workload = load_workload(config)
    workload = dataclasses.replace(
        workload, data=dataclasses.replace(workload.data, open=one_batch(workload.data.open))
    )
    return assemble(config, chosen, workload, load_submission(locate("nadamw", framework), workload), None)


def one_batch(open_split: OpenSplit) -> OpenSplit:
    """Evaluation splits of one batch, which suffices to compare two evaluations."""

    def open_short(split: SplitName, **options: Any) -> SplitReader:
        reader = open_split(split, **options)
        return reader if split == "train" else dataclasses.replace(reader, num_batches=1)

    return open_short


# --- same start, same data -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", workloads.light_names())
def test_both_frameworks_start_from_the_same_parameters(name: str) -> None:
    parts = assembled(name)
    module, model_state = parts.backend.initialize(parts.keys.model)
    assert model_state is None
    ours = parts.backend.for_evaluation(module, None)
    theirs = jax.jit(parts.workload.init)(make_keys(0, "external").model)
    for mine, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_array_equal(mine, other)


def test_a_second_initialization_draws_again_into_the_same_module() -> None:
    parts = assembled("mnist")
    view: Any = parts.view
    module, _ = view.init_model_fn(np.asarray([1, 2], np.uint32))
    first = [parameter.detach().clone() for parameter in module.parameters()]
    again, _ = view.init_model_fn(np.asarray([3, 4], np.int32))
    assert again is module
    assert not torch.equal(first[0], next(iter(module.parameters())))


@pytest.mark.parametrize("name", ["mnist", "cifar"])
def test_images_come_in_the_same_order_in_pytorchs_layout_and_types(name: str) -> None:
    parts, jax_parts = assembled(name), assembled(name, "jax", **{"mesh.data": 1})
    for ours, theirs in zip(*(pair_feed(parts, jax_parts)), strict=True):
        assert set(ours) == {"inputs", "targets", "weights"}
        assert ours["inputs"].dtype == torch.float32
        assert ours["inputs"].is_contiguous()
        assert (ours["targets"].dtype, ours["weights"].dtype) == (torch.int64, torch.bool)
        np.testing.assert_array_equal(ours["inputs"].permute(0, 2, 3, 1).numpy(), theirs["inputs"])
        np.testing.assert_array_equal(ours["targets"].numpy(), theirs["targets"])
        np.testing.assert_array_equal(ours["weights"].numpy(), np.asarray(theirs["weights"]) != 0)


def test_speech_comes_as_samples_of_16_bits() -> None:
    name = "librispeech_conformer_small"
    parts, jax_parts = assembled(name), assembled(name, "jax", **{"mesh.data": 1})
    for ours, theirs in zip(*(pair_feed(parts, jax_parts)), strict=True):
        ids, paddings = ours["targets"]
        assert [leaf.dtype for leaf in (ours["inputs"], ours["input_lengths"], ids, paddings, ours["weights"])] == [
            *(torch.int16, torch.int64, torch.int64, torch.float32, torch.bool)
        ]
        for tensor, array in zip(
            (ours["inputs"], ours["input_lengths"], ids, paddings),
            (theirs["inputs"], theirs["input_lengths"], *theirs["targets"]),
            strict=True,
        ):
            np.testing.assert_array_equal(tensor.numpy(), array)


def test_batches_are_finished_on_the_device() -> None:
    """Bytes are sent as bytes, and every other type becomes PyTorch's, as without a last stage."""

    def finish(batch: Batch) -> Batch:
        inputs = batch["inputs"]
        assert inputs.dtype in (torch.uint8, np.uint8)
        namespace = array_api_compat.array_namespace(inputs)
        return {**batch, "inputs": namespace.astype(inputs, namespace.float32) / 2}

    parts, jax_parts = assembled("cifar"), assembled("cifar", "jax", **{"mesh.data": 1})
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)
    batch = {"inputs": images, "targets": np.arange(4, dtype=np.int32), "weights": np.ones(4, np.float32)}
    ours, theirs = (each.backend.put_batch(batch, finish) for each in (parts, jax_parts))
    assert ours["inputs"].is_contiguous()
    assert (ours["inputs"].dtype, ours["targets"].dtype, ours["weights"].dtype) == (
        torch.float32,
        torch.int64,
        torch.bool,
    )
    np.testing.assert_array_equal(ours["inputs"].permute(0, 2, 3, 1).numpy(), images / 2)
    np.testing.assert_array_equal(theirs["inputs"], images / 2)
    np.testing.assert_array_equal(ours["targets"].numpy(), theirs["targets"])


def pair_feed(*several: Parts) -> list[list[Any]]:
    feeds = [parts.make_feed() for parts in several]
    return [[next(feed) for _ in range(3)] for feed in feeds]


def test_molecules_come_in_the_same_order_as_one_flat_graph() -> None:
    parts, jax_parts = assembled("ogbg"), assembled("ogbg", "jax", **{"mesh.data": 1})
    for ours, theirs in zip(*(pair_feed(parts, jax_parts)), strict=True):
        graph, stacked = ours["inputs"], theirs["inputs"]
        assert type(graph) is type(stacked)
        assert {field: None if leaf is None else leaf.dtype for field, leaf in graph._asdict().items()} == {
            "nodes": torch.float32,
            "edges": torch.float32,
            "senders": torch.int64,
            "receivers": torch.int64,
            "n_node": torch.int64,
            "n_edge": torch.int64,
            "globals": None,
        }
        np.testing.assert_array_equal(graph.nodes.numpy(), np.asarray(stacked.nodes).reshape(-1, 9))
        np.testing.assert_array_equal(graph.n_node.numpy(), np.asarray(stacked.n_node).reshape(-1))
        assert (ours["targets"].dtype, ours["weights"].dtype) == (torch.float32, torch.bool)
        np.testing.assert_array_equal(ours["targets"].numpy(), theirs["targets"])
        np.testing.assert_array_equal(ours["weights"].numpy(), np.asarray(theirs["weights"]) != 0)


# --- same evaluation -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", workloads.light_names())
def test_a_trained_module_is_judged_as_the_same_parameters_are_in_jax(name: str) -> None:
    parts, jax_parts = assembled(name), assembled(name, "jax", **{"mesh.data": 1})
    state = initial_state(parts)
    feed, optimizer_state = parts.make_feed(), state.optimizer_state
    for step in range(2):
        optimizer_state, module, _ = update(parts, optimizer_state, state.params, next(feed), step)
        assert module is state.params
    module = state.params
    module.eval()
    before = left_behind(module)
    generator = torch.get_rng_state()
    key = np.asarray([5, 6], np.int32)
    ours = parts.backend.evaluate(module, None, key)
    assert torch.equal(torch.get_rng_state(), generator)
    assert left_behind(module) == before

    params, model_state = jax.tree.map(np.array, parts.backend.for_evaluation(module, None))
    theirs = jax_parts.backend.evaluate(params, model_state, np.asarray(key, np.uint32))
    assert set(ours) == set(theirs)
    losses = [metric for metric in ours if metric.endswith(("/loss", "/ctc_loss"))]
    splits = {split.removeprefix("eval_") for split in workloads.load(name).split_sizes}
    assert sorted(metric.partition("/")[0] for metric in losses) == sorted(splits)
    for metric, value in theirs.items():
        assert ours[metric] == pytest.approx(value, rel=1e-6), metric


def update(parts: Parts, optimizer_state: Any, module: Any, batch: Any, step: int) -> Any:
    return parts.submission.update_params(
        workload=parts.view,
        current_param_container=module,
        current_params_types=parts.view.model_params_types,
        model_state=None,
        hyperparameters=parts.hyperparameters,
        batch=batch,
        loss_type=parts.view.loss_type,
        optimizer_state=optimizer_state,
        eval_results=[],
        global_step=step,
        rng=np.asarray([1, 2], np.int32),
    )


def left_behind(module: torch.nn.Module) -> Any:
    """Everything about a module that an evaluation might disturb."""
    tensors = {name: (id(t), t.data_ptr(), t.numpy(force=True).tobytes()) for name, t in module.state_dict().items()}
    grads = {n: None if p.grad is None else p.grad.numpy().tobytes() for n, p in module.named_parameters()}
    flags = {n: (p.requires_grad, p.is_leaf) for n, p in module.named_parameters()}
    tensors = {name: value[1:] for name, value in tensors.items()}
    return tensors, grads, flags, [child.training for child in module.modules()]


# --- the view --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_shapes_types_and_output_parameters_are_those_of_the_reference(name: str) -> None:
    view: Any = assembled(name).view
    listing = json.loads((LISTINGS / f"{name}.json").read_text())
    expected = {
        row[0]: (ShapeTuple(tuple(row[1])), POOLING_TYPES.get(row[0]) or meant_type(name, row[0], row[3]))
        for row in listing["params"]
    }
    assert {key: (view.param_shapes[key], view.model_params_types[key]) for key in view.param_shapes} == expected
    output = {key for key in view.param_shapes if view.is_output_params(key)}
    layer = OUTPUT_LAYERS.get(name) or listing["output_params"][0].removesuffix(".weight")
    of_layer = {key for key, *_ in listing["params"] if key.rpartition(".")[0] == layer}
    assert of_layer
    assert output == of_layer
    assert all(view.is_output_params(f"{prefix}.{key}") for key in of_layer for prefix in ("module", "_orig_mod"))


OUTPUT_LAYERS = {
    "fastmri_model_size": "up_conv.2.1",
    "finewebedu_lm": "embed_tokens",
    **dict.fromkeys(("criteo1tb", "criteo1tb_embed_init", "criteo1tb_test"), "top_mlp.9"),
    "criteo1tb_layernorm": "top_mlp.13",
    "criteo1tb_resnet": "top_mlp.4.module.0",
}
"""The reference finds none here, because it looks for the name of another variant or of an array that is tied; or, in
criteo1tb, a hidden layer."""


def meant_type(workload: str, name: str, listed: str) -> ParameterType:
    """The reference uses names, which do not tell norms and embeddings everywhere."""
    if name.startswith("embedding_chunk_"):
        return ParameterType.EMBEDDING
    norms = {"fastmri_layernorm": r"conv_layers\.[15]\.", "criteo1tb_layernorm": r"_mlp\.([258]|11)\."}
    if workload in norms and re.search(norms[workload], name):
        return ParameterType.LAYER_NORM_SCALE if name.endswith("weight") else ParameterType.LAYER_NORM_BIAS
    return ParameterType[listed]


def test_the_view_cannot_be_changed() -> None:
    view: Any = assembled("mnist").view
    with pytest.raises(AttributeError, match="must not change the workload"):
        view.step_hint = 3
    with pytest.raises(AttributeError, match="must not change the workload"):
        view.loss_fn = None


def test_the_mode_switches_the_module_and_the_statistics() -> None:
    parts = assembled("cifar")
    view: Any = parts.view
    module, _ = parts.backend.initialize(parts.keys.model)
    batch = next(parts.make_feed())

    def logits(mode: ForwardPassMode, update_batch_norm: bool) -> torch.Tensor:
        found, state = view.model_fn(
            params=module,
            augmented_and_preprocessed_input_batch=batch,
            model_state=None,
            mode=mode,
            rng=None,
            update_batch_norm=update_batch_norm,
            dropout_rate=0.1,
        )
        assert state is None
        return found

    def statistics() -> list[bytes]:
        return [buffer.numpy().tobytes() for buffer in module.buffers()]

    before = statistics()
    with torch.no_grad():
        evaluated = logits(ForwardPassMode.EVAL, True)
        assert not module.training
        assert statistics() == before
        trained = logits(ForwardPassMode.TRAIN, False)
        assert module.training
        assert statistics() == before
        assert not torch.allclose(trained, evaluated)
        torch.testing.assert_close(logits(ForwardPassMode.TRAIN, True), trained)
    assert all(old != new for old, new in zip(before, statistics(), strict=True))


def test_dropout_defaults_to_the_rate_of_the_workload() -> None:
    parts = assembled("ogbg_silu")
    view: Any = parts.view
    module, _ = parts.backend.initialize(parts.keys.model)
    batch = next(parts.make_feed())

    def logits(**given: Any) -> torch.Tensor:
        torch.manual_seed(0)
        with torch.no_grad():
            return view.model_fn(module, batch, None, ForwardPassMode.TRAIN, None, False, **given)[0]

    assert torch.equal(logits(), logits(dropout_rate=0.1))
    assert torch.equal(logits(), logits(dropout_rate=None))
    assert not torch.equal(logits(), logits(dropout_rate=0.0))


def test_output_activation_follows_the_loss_type() -> None:
    view: Any = assembled("mnist").view
    logits = torch.tensor([[0.0, 1.0]])
    torch.testing.assert_close(view.output_activation_fn(logits), torch.softmax(logits, -1))
    assert view.loss_type is LossType.SOFTMAX_CROSS_ENTROPY
    with pytest.raises(ValueError, match="'jax'"):
        view.output_activation_fn(logits, "jax")


def test_step_keys_are_those_of_the_benchmark() -> None:
    golden = json.loads((LISTINGS.parent / "random_utils.json").read_text())["numpy_path"]
    backend = assembled("mnist").backend
    for seed in golden.values():
        runner = seed["runner_external"]
        for step, name in enumerate(("step0_[data_select,update,prep_eval,eval]", "step1")):
            keys = backend.step_keys(np.asarray(runner["loop_rng"], np.uint32), step)
            assert [key.tolist() for key in keys] == runner[name]
