"""Shapes, paths and roles of parameters."""

import jax
import jax.numpy as jnp
import pytest

from algoperf_jax import parameters
from algoperf_jax.parameters import ShapeTuple
from algoperf_jax.workload import ParameterType
from tests import golden_support

PARAMS = {"Dense_1": {"kernel": jnp.zeros((2, 3)), "bias": jnp.zeros(3)}, "BatchNorm_0": {"scale": jnp.zeros(5)}}


@pytest.mark.parametrize(
    "name", ["mnist", "cifar", "ogbg", "ogbg_model_size", "imagenet_resnet", "imagenet_vit", "imagenet_vit_map"]
)
def test_types_of_published_models(name: str) -> None:
    for path, _, _, kind in golden_support.listing(name)["parameters"]:
        assert parameters.type_of(path).name == kind, path


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("BatchNorm_0/scale", "BATCH_NORM_SCALE"),
        ("block/bn_1/bias", "BATCH_NORM_BIAS"),
        ("LayerNorm_0/scale", "LAYER_NORM_SCALE"),
        ("encoder/LN_1/bias", "LAYER_NORM_BIAS"),
        ("Conv_0/kernel", "CONV_WEIGHT"),
        ("Conv_0/bias", "BIAS"),
        ("Embed_0/embedding", "EMBEDDING"),
        ("embedding_layer/kernel", "EMBEDDING"),
        ("SelfAttention_0/query/kernel", "ATTENTION_Q"),
        ("SelfAttention_0/key/kernel", "ATTENTION_K"),
        ("SelfAttention_0/value/kernel", "ATTENTION_V"),
        ("SelfAttention_0/out/kernel", "ATTENTION_OUT"),
        ("SelfAttention_0/out/bias", "ATTENTION_BIAS"),
        ("SelfAttention_0/temperature_scale", "WEIGHT"),
        ("attention/in_proj_weight", "ATTENTION_QKV"),
        ("Dense_0/bias", "BIAS"),
        ("Dense_0/kernel", "WEIGHT"),
        ("anything", "WEIGHT"),
        # The first matching rule decides.
        ("Conv_0/BatchNorm_0/scale", "BATCH_NORM_SCALE"),
        ("attention/LayerNorm_0/bias", "LAYER_NORM_BIAS"),
        ("conv_attention/query/kernel", "CONV_WEIGHT"),
    ],
)
def test_type_of(path: str, kind: str) -> None:
    assert parameters.type_of(path) is ParameterType[kind]


@pytest.mark.parametrize("path", ["BatchNorm_0/kernel", "LayerNorm_0/weight", "attention/other/kernel"])
def test_paths_without_a_role_are_refused_by_name(path: str) -> None:
    with pytest.raises(ValueError, match=path):
        parameters.type_of(path)


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (("out/kernel",), "ATTENTION_OUT"),
        (("key/kernel", "value/kernel"), "ATTENTION_KV"),
        (("query/kernel", "key/kernel", "value/kernel"), "ATTENTION_QKV"),
        (("key/bias", "value/bias"), "ATTENTION_BIAS"),
    ],
)
def test_type_of_parameters_that_another_framework_joins(names: tuple[str, ...], kind: str) -> None:
    assert parameters.joined_type([f"SelfAttention_0/{name}" for name in names]) is ParameterType[kind]


def test_parameters_that_have_no_role_in_common_are_not_joined() -> None:
    with pytest.raises(ValueError, match="Dense_0/kernel, Conv_0/kernel"):
        parameters.joined_type(["Dense_0/kernel", "Conv_0/kernel"])


def test_types_have_lower_cased_keys() -> None:
    assert parameters.types(PARAMS) == {
        "dense_1": {"kernel": ParameterType.WEIGHT, "bias": ParameterType.BIAS},
        "batchnorm_0": {"scale": ParameterType.BATCH_NORM_SCALE},
    }


def test_shapes_are_opaque_leaves() -> None:
    shapes = parameters.shapes(PARAMS)
    assert jax.tree.structure(shapes) == jax.tree.structure(PARAMS)
    assert shapes["Dense_1"]["kernel"] == ShapeTuple((2, 3))
    ones = jax.tree.map(lambda leaf: jnp.ones(leaf.shape_tuple), shapes)
    assert jax.tree.map(jnp.shape, ones) == jax.tree.map(jnp.shape, PARAMS)


def test_shapes_of_abstract_arrays() -> None:
    assert parameters.shapes(jax.eval_shape(lambda: PARAMS)) == parameters.shapes(PARAMS)


def test_count_and_paths() -> None:
    assert parameters.count(PARAMS) == 14
    assert list(parameters.paths(PARAMS)) == ["BatchNorm_0/scale", "Dense_1/bias", "Dense_1/kernel"]
