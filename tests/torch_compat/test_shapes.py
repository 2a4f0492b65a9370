"""The modules of twins have the shapes that their annotations show."""

import pytest
import torch

from tests.shape_checks import checked_torch
from tests.torch_compat import module_support
from tests.workloads import reduced
from torch_compat import twins
from torch_compat.layers.convolutions import HalvingConvolution
from workloads import base_names

# Variants with other layers than their workload.
NAMES = (
    *base_names(),
    "fastmri_layernorm",
    "imagenet_vit_glu",
    "imagenet_vit_map",
    "imagenet_vit_post_ln",
    "wmt_glu_tanh",
    "librispeech_conformer_layernorm",
    "librispeech_deepspeech_norm_and_spec_aug",
)


@pytest.mark.parametrize("name", NAMES)
def test_every_module_of_a_twin_has_the_annotated_shapes(name: str) -> None:
    twin = twins.load(reduced.load(name))
    assert twin is not None
    module = twin.make_module()
    for parameter in module.parameters():
        torch.nn.init.constant_(parameter, 0.01)
    with checked_torch() as called:
        module(module_support.batch(twin, reduced.batch(name)), dropout_rate=0.1)
    assert type(module).__name__ in called


def test_another_shape_is_found() -> None:
    module = HalvingConvolution(3, 4, 3, 2, bias=False)
    with checked_torch() as called, pytest.raises(AssertionError, match="HalvingConvolution: features, return"):
        module(torch.ones(3, 6, 6))
    assert called == {"HalvingConvolution"}
