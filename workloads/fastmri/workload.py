"""The fastmri workload: published facts for real data, and facts of its own for the built-in data."""

import functools

from algoperf_jax.errors import ConfigError, did_you_mean
from algoperf_jax.workload import Budget, Facts, Goal, LossType, Workload
from workloads.fastmri import builtin
from workloads.fastmri.data import PreparedSlices, slice_data
from workloads.fastmri.metrics import WINDOW, reconstruction_metrics
from workloads.fastmri.model import ACTIVATIONS, DROPOUT_RATE, NORMALIZATIONS, UNet, unet_apply, unet_init
from workloads.fastmri.reconstruction import IMAGE_SIZE
from workloads.losses import mean_absolute_error

_BUDGET = Budget(max_runtime_sec=4_430, eval_period_sec=80, step_hint=18_094)
_SPLIT_SIZES = {"train": 34_742, "eval_train": 3_584, "validation": 3_554, "test": 3_581}
_BASE = (4, 32, "leaky_relu", "instance")
# Validation and test targets by number of halvings, channels, activation and normalization.
_TARGETS = {
    _BASE: (0.723653, 0.740633),
    (3, 64, "leaky_relu", "instance"): (0.723559, 0.740726),
    (4, 32, "tanh", "instance"): (0.717840, 0.734505),
    (4, 32, "leaky_relu", "layer"): (0.723284, 0.739996),
}


def build(
    name: str,
    *,
    data_dir: str | None = None,
    num_pool_layers: int = 4,
    num_channels: int = 32,
    activation: str = "leaky_relu",
    normalization: str = "instance",
    image_size: int = IMAGE_SIZE,
) -> Workload:
    """The U-Net, on the volumes prepared in `data_dir` or on the built-in ones.

    Args:
      name: registry name.
      data_dir: folder of prepared data, or None.
      num_pool_layers: how often the network halves the images.
      num_channels: channels of its first block.
      activation: `leaky_relu` or `tanh`.
      normalization: of its convolution blocks, `instance` or `layer`. A network without a published target has that of
        `fastmri`.
      image_size: height and width of the images; smaller ones than 320 are cropped from the centre of real slices.

    Raises:
      ConfigError: an argument that has no meaning.
    """
    for what, value, known in (
        ("activation", activation, ACTIVATIONS),
        ("normalization", normalization, NORMALIZATIONS),
    ):
        if value not in known:
            raise ConfigError(f"{what} of fastmri", value=value, remedy=did_you_mean(value, known))
    smallest = max(WINDOW, 2 ** (num_pool_layers + 1))
    if not smallest <= image_size <= IMAGE_SIZE:
        raise ConfigError("image_size of fastmri", value=image_size, expected=f"{smallest} to {IMAGE_SIZE}")
    arguments = {
        "num_pool_layers": num_pool_layers,
        "num_channels": num_channels,
        "activation": activation,
        "normalization": normalization,
    }
    if data_dir is None:
        facts = builtin.FACTS if image_size == IMAGE_SIZE else builtin.SMALL_FACTS
        source = builtin.GeneratedSlices(image_size, facts.split_sizes)
    else:
        facts = _published((num_pool_layers, num_channels, activation, normalization))
        source = PreparedSlices(data_dir)
    network = functools.partial(UNet, **arguments)
    apply = unet_apply(network)
    return Workload(
        name=name,
        base_name="fastmri",
        init=unet_init(network),
        apply=apply,
        loss=mean_absolute_error,
        loss_type=LossType.MEAN_ABSOLUTE_ERROR,
        metrics=reconstruction_metrics(apply, mean_absolute_error),
        output_parameters=("Conv_0",),
        dropout_rate=DROPOUT_RATE,
        model_arguments=arguments,
        data=slice_data(
            source,
            size=image_size,
            num_eval_train=facts.split_sizes["eval_train"],
        ),
        **vars(facts),
    )


def _published(network: tuple[int, int, str, str]) -> Facts:
    validation, test = _TARGETS.get(network, _TARGETS[_BASE])
    return Facts(
        goal=Goal("ssim", "maximize", validation=validation, test=test),
        budget=_BUDGET,
        batch_size=32,
        eval_batch_size=256,
        split_sizes=_SPLIT_SIZES,
    )
