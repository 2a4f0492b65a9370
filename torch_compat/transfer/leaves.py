"""Where the tensors of common layers are in the JAX trees."""

from torch_compat.transfer.torch_model import LINEAR, Leaf


def linear_leaves(name: str, path: str) -> dict[str, Leaf]:
    """The two parameters of a `Linear` called `name`, which are in a flax `Dense` at `path`."""
    return {f"{name}.weight": Leaf(f"{path}/kernel", LINEAR), f"{name}.bias": Leaf(f"{path}/bias")}


def normalization_leaves(name: str, path: str) -> dict[str, Leaf]:
    """The two parameters of a batch or layer normalization called `name`, which are in the flax layer at `path`."""
    return {f"{name}.weight": Leaf(f"{path}/scale"), f"{name}.bias": Leaf(f"{path}/bias")}


def statistics_leaves(name: str, path: str) -> dict[str, Leaf]:
    """The running statistics of a batch normalization called `name`, which are in the flax layer at `path`."""
    state = f"batch_stats/{path}"
    return {f"{name}.running_mean": Leaf(f"{state}/mean"), f"{name}.running_var": Leaf(f"{state}/var")}


def row_leaves(name: str, path: str, *, num_rows: int, count: int) -> dict[str, Leaf]:
    """The array of `num_rows` rows at `path`, split equally over the tensors `<name>_0` to `<name>_<count - 1>`.

    Raises:
      ValueError: the rows cannot be split equally.
    """
    if num_rows % count:
        raise ValueError(f"{path}: {num_rows} rows cannot be split equally over {count} tensors")
    share = num_rows // count
    return {f"{name}_{i}": Leaf(path, rows=slice(i * share, (i + 1) * share)) for i in range(count)}
