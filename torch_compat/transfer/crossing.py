"""Arrays that cross between JAX and PyTorch through DLPack, without a copy.

Sharing memory is safe only where one side gives an array up. JAX takes its arrays for immutable and reads them later
than it is told to; PyTorch writes into its tensors at any time. So these functions hand over: what is given must not be
used afterwards by the side that gave it. Whoever wants to keep it gives a copy.
"""

import jax
import jax.numpy as jnp
import numpy as np
import torch

_ALIGNMENT = 64
"""Bytes. What JAX can take as it is; anything else it would copy without saying so."""
_NARROWED = (torch.float64, torch.int64, torch.uint64, torch.complex128)


def hand_to_jax(tensor: torch.Tensor) -> jax.Array:
    """The tensor's memory as a JAX array, on the same device where JAX has that device, else on the host.

    The caller must not write into the tensor any more, nor let anybody else.

    Raises:
      TypeError: a 64-bit tensor, which JAX would narrow without saying so.
    """
    if tensor.dtype in _NARROWED and not jax.config.read("jax_enable_x64"):
        raise TypeError(
            f"a tensor of {tensor.dtype} and shape {tuple(tensor.shape)} cannot cross to JAX, which has 32 bits here; "
            "convert it first"
        )
    # Autograd hands out expanded tensors, and conjugation may be lazy: JAX takes neither.
    tensor = tensor.detach().resolve_conj().resolve_neg().contiguous()
    if tensor.device.type != "cpu" and jax.default_backend() == "cpu":
        tensor = tensor.cpu()
    if tensor.data_ptr() % _ALIGNMENT:
        tensor = tensor.clone()
    # What `copy=False` does not refuse was refused above. See findings/jax_from_dlpack_copy.sh.
    return jnp.from_dlpack(tensor, copy=False)


def hand_to_torch(array: jax.Array, device: torch.device) -> torch.Tensor:
    """The array's memory as a tensor that may be written into; waits until it is computed.

    The caller must drop the array. It must live on one device and hold no reference from a compiled function.
    """
    if device.type == "cpu" and any(place.platform != "cpu" for place in array.devices()):
        array = jax.device_put(array, jax.local_devices(backend="cpu")[0])
    return torch.from_dlpack(array).to(device)


def host_to_torch(array: np.ndarray, dtype: torch.dtype) -> torch.Tensor:
    """A tensor of `dtype` in memory of its own, row by row, with the values of a NumPy array.

    The copy is on purpose: NumPy's memory is not aligned alike in every process, and the last bits of a sum depend on
    the alignment of what is summed. NumPy makes it, for it runs in threads beside the training, where PyTorch would
    start as many threads again.

    Raises:
      TypeError: `dtype` cannot hold all values of the array's type.
    """
    tensor = torch.empty(array.shape, dtype=dtype)
    np.copyto(np.from_dlpack(tensor), array, casting="safe")
    return tensor
