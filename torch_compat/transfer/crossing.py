"""Passes arrays between JAX and PyTorch through DLPack, without a copy.

Sharing memory is safe only if one side gives up the array. JAX treats its arrays as immutable and reads them
asynchronously; PyTorch writes into its tensors at any time. So these functions hand arrays over: the side that gave an
array must not use it afterwards. To keep it, pass a copy.
"""

import jax
import jax.numpy as jnp
import numpy as np
import torch

_ALIGNMENT = 64
"""Alignment in bytes that JAX needs; it would silently copy anything else."""
_NARROWED = (torch.float64, torch.int64, torch.uint64, torch.complex128)


def hand_to_jax(tensor: torch.Tensor) -> jax.Array:
    """The tensor's memory as a JAX array, on the same device if JAX has that device, else on the host.

    Nothing may write into the tensor afterwards.

    Raises:
      TypeError: the tensor has a 64-bit type, which JAX would silently narrow.
    """
    if tensor.dtype in _NARROWED and not jax.config.read("jax_enable_x64"):
        raise TypeError(
            f"a tensor of {tensor.dtype} and shape {tuple(tensor.shape)} cannot cross to JAX, which has 32 bits here; "
            "convert it first"
        )
    # Autograd produces expanded tensors, and conjugation may be lazy: JAX accepts neither.
    tensor = tensor.detach().resolve_conj().resolve_neg().contiguous()
    if tensor.device.type != "cpu" and jax.default_backend() == "cpu":
        tensor = tensor.cpu()
    if tensor.data_ptr() % _ALIGNMENT:
        tensor = tensor.clone()
    # What `copy=False` does not refuse was refused above. See findings/jax_from_dlpack_copy.sh.
    return jnp.from_dlpack(tensor, copy=False)


def hand_to_torch(array: jax.Array, device: torch.device) -> torch.Tensor:
    """The array's memory as a writable tensor; waits until the array is computed.

    The caller must drop the array. It must be on one device, and no compiled function may refer to it.
    """
    if device.type == "cpu" and any(place.platform != "cpu" for place in array.devices()):
        array = jax.device_put(array, jax.local_devices(backend="cpu")[0])
    return torch.from_dlpack(array).to(device)


def host_to_torch(array: np.ndarray, dtype: torch.dtype) -> torch.Tensor:
    """A contiguous tensor of `dtype` in its own memory, with the values of a NumPy array.

    The copy is on purpose: NumPy's memory is aligned differently in each process, and the last bits of a sum depend on
    the alignment of its terms. NumPy makes the copy, because this runs in threads next to the training, where PyTorch
    would start further threads.

    Raises:
      TypeError: `dtype` cannot hold all values of the array's type.
    """
    tensor = torch.empty(array.shape, dtype=dtype)
    np.copyto(np.from_dlpack(tensor), array, casting="safe")
    return tensor
