"""The hazards of sharing memory between JAX and PyTorch, one by one."""

import gc

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from torch_compat.transfer.crossing import hand_to_jax, hand_to_torch, host_to_torch

CPU = torch.device("cpu")


def address(array: jax.Array) -> int:
    return array.unsafe_buffer_pointer()


def misaligned(length: int) -> torch.Tensor:
    buffer = torch.arange(length + 1, dtype=torch.float32)
    assert buffer[1:].data_ptr() % 64
    return buffer[1:]


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float16, torch.bfloat16, torch.int32, torch.uint8, torch.bool, torch.complex64]
)
def test_nothing_is_copied_in_either_direction(dtype: torch.dtype) -> None:
    tensor = torch.ones(100, dtype=dtype)
    array = hand_to_jax(tensor)
    assert address(array) == tensor.data_ptr()
    back = hand_to_torch(array, CPU)
    assert back.data_ptr() == tensor.data_ptr()
    assert (back.dtype, back.shape) == (tensor.dtype, tensor.shape)


@pytest.mark.parametrize("dtype", [torch.float64, torch.int64, torch.uint64, torch.complex128])
def test_what_jax_would_narrow_is_refused(dtype: torch.dtype) -> None:
    with pytest.raises(TypeError, match=rf"{dtype} and shape \(3,\) cannot cross"):
        hand_to_jax(torch.ones(3, dtype=dtype))


def test_64_bits_cross_where_jax_has_them() -> None:
    with jax.enable_x64(True):
        assert hand_to_jax(torch.ones(3, dtype=torch.int64)).dtype == np.int64


def test_host_arrays_are_not_narrowed_either() -> None:
    with pytest.raises(TypeError, match="float64"):
        host_to_torch(np.ones(3), torch.float32)
    assert host_to_torch(np.ones(3, np.int32), torch.int64).dtype == torch.int64


@pytest.mark.parametrize(
    "tensor",
    [
        torch.ones(2, 3, requires_grad=True),
        torch.ones(()).expand(2, 3),
        torch.arange(12.0).reshape(2, 6)[:, ::2],
        torch.arange(6.0).reshape(3, 2).T,
        torch.ones(2, 3, dtype=torch.complex64).conj(),
        torch.zeros(0, 3),
        torch.tensor(2.0),
        misaligned(6),
    ],
    ids=["requires_grad", "expanded", "step", "transposed", "conjugate", "empty", "scalar", "misaligned"],
)
def test_every_tensor_from_autograd_crosses(tensor: torch.Tensor) -> None:
    array = hand_to_jax(tensor)
    np.testing.assert_array_equal(array, tensor.detach().resolve_conj().numpy())
    assert address(array) % 64 == 0


def test_a_result_that_is_still_computed_is_waited_for() -> None:
    @jax.jit
    def heavy(x: jax.Array) -> jax.Array:
        return jax.lax.fori_loop(0, 60, lambda _, y: jnp.tanh(y @ y), x)

    x = jnp.full((400, 400), 1e-3)
    expected = np.asarray(heavy(x))
    np.testing.assert_array_equal(hand_to_torch(heavy(x), CPU).numpy(), expected)


def test_either_side_may_be_dropped_first() -> None:
    tensor = torch.arange(1000.0)
    array = hand_to_jax(tensor)
    del tensor
    gc.collect()
    np.testing.assert_array_equal(array, np.arange(1000.0))
    back = hand_to_torch(array + 0, CPU)
    del array
    gc.collect()
    assert torch.equal(back, torch.arange(1000.0))
    assert torch.equal(back.add_(1), torch.arange(1.0, 1001.0))


def test_a_sharded_array_does_not_cross_as_a_whole() -> None:
    mesh = jax.sharding.Mesh(np.asarray(jax.devices()), ("batch",))
    sharded = jax.device_put(jnp.zeros(8), jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("batch")))
    with pytest.raises((BufferError, ValueError)):
        hand_to_torch(sharded, CPU)


def test_host_arrays_become_aligned_tensors_in_their_own_memory() -> None:
    source = np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4)
    view = source.transpose(0, 3, 1, 2)
    tensor = host_to_torch(view, torch.float32)
    assert tensor.is_contiguous()
    assert tensor.data_ptr() % 64 == 0
    np.testing.assert_array_equal(tensor.numpy(), view)
    tensor.zero_()
    assert source.any()


def test_read_only_host_arrays_stay_unchanged() -> None:
    source = np.arange(4)
    source.flags.writeable = False
    host_to_torch(source, torch.int64).add_(1)
    assert source.tolist() == [0, 1, 2, 3]
