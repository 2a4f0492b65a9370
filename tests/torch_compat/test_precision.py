"""A PyTorch trial sets the precision of products in PyTorch, and in JAX, which evaluates."""

import pathlib
from collections.abc import Callable, Iterator

import jax
import pytest
import torch

from tests.algoperf_jax.conftest import Command
from torch_compat.precision import set_for_torch


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    in_jax, in_torch = jax.config.values["jax_default_matmul_precision"], torch.get_float32_matmul_precision()
    in_cudnn = torch.backends.cudnn.allow_tf32
    yield
    jax.config.update("jax_default_matmul_precision", in_jax)
    torch.set_float32_matmul_precision(in_torch)
    torch.backends.cudnn.allow_tf32 = in_cudnn


@pytest.mark.parametrize(("name", "products", "tf32"), [("highest", "highest", False), ("tf32", "high", True)])
def test_products_and_convolutions_have_the_requested_precision(name: str, products: str, tf32: bool) -> None:
    set_for_torch("bf16")
    assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == ("medium", True)
    set_for_torch(name)
    assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == (products, tf32)


def test_a_trial_sets_it_in_both_frameworks(command: Command, submission: Callable[..., pathlib.Path]) -> None:
    assert command(f"--config.submission={submission()}", "--config.precision=tf32").code == 0
    assert torch.get_float32_matmul_precision() == "high"
    assert torch.backends.cudnn.allow_tf32
    assert jax.config.values["jax_default_matmul_precision"] == "tensorfloat32"
