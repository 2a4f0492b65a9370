"""The fastmri workload: published facts for real data, and separate facts for the built-in data."""

import dataclasses
import functools

import jax

from algoperf_jax.errors import ConfigError
from algoperf_jax.workload import ArraySpec, LossType, Workload
from workloads import schemas
from workloads.arguments import check_choices
from workloads.editions import published_facts
from workloads.fastmri import builtin
from workloads.fastmri.data import PreparedSlices, slice_data
from workloads.fastmri.metrics import WINDOW, reconstruction_metrics
from workloads.fastmri.model import ACTIVATIONS, DROPOUT_RATE, NORMALIZATIONS, UNet
from workloads.fastmri.reconstruction import IMAGE_SIZE
from workloads.flax_model import flax_model
from workloads.losses import mean_absolute_error


@dataclasses.dataclass(frozen=True)
class Size:
    """The size of the images and the network.

    Attributes:
      image_size: height and width of the images; below 320, they are cropped from the centre of real slices.
      num_pool_layers: number of times the network halves the images.
      num_channels: channels of its first block.
    """

    image_size: int
    num_pool_layers: int
    num_channels: int


SIZES = {
    "full": Size(image_size=IMAGE_SIZE, num_pool_layers=4, num_channels=32),
    "wide": Size(image_size=IMAGE_SIZE, num_pool_layers=3, num_channels=64),
    "small": Size(image_size=64, num_pool_layers=2, num_channels=12),
}
PUBLISHED = published_facts(
    "fastmri",
    batch_size=32,
    split_sizes={"train": 34_742, "eval_train": 3_584, "validation": 3_554, "test": 3_581},
)


def build(
    name: str,
    *,
    data_dir: str | None = None,
    size: str | Size = "full",
    activation: str = "leaky_relu",
    normalization: str = "instance",
) -> Workload:
    """Builds the workload of the U-Net, on the volumes prepared in `data_dir` or on the built-in ones.

    Args:
      name: registry name.
      data_dir: folder of prepared data, or None.
      size: `full`; `wide` for fewer halvings and twice the channels; `small` for a network that a CPU can train, on
        images of 64x64; or a `Size`.
      activation: `leaky_relu` or `tanh`.
      normalization: normalization of its convolution blocks, `instance` or `layer`.

    Raises:
      ConfigError: an argument is invalid.
    """
    check_choices("fastmri", activation=(activation, ACTIVATIONS), normalization=(normalization, NORMALIZATIONS))
    chosen = _chosen_size(size)
    arguments = {
        "num_pool_layers": chosen.num_pool_layers,
        "num_channels": chosen.num_channels,
        "activation": activation,
        "normalization": normalization,
    }
    if data_dir is None:
        facts = builtin.FACTS if chosen.image_size == IMAGE_SIZE else builtin.SMALL_FACTS
        source = builtin.GeneratedSlices(chosen.image_size, facts.split_sizes)
    else:
        facts = PUBLISHED
        source = PreparedSlices(data_dir)
    # No parameter's shape depends on the size of the images; these leave two pixels at the lowest level.
    images = jax.ShapeDtypeStruct((1, *(2 ** (chosen.num_pool_layers + 1),) * 2), "float32")
    network = functools.partial(UNet, **arguments)
    init, apply = flax_model(network, images, dropout_rate=DROPOUT_RATE)
    return Workload(
        name=name,
        base_name="fastmri",
        init=init,
        apply=apply,
        loss=mean_absolute_error,
        loss_type=LossType.MEAN_ABSOLUTE_ERROR,
        metrics=reconstruction_metrics(apply, mean_absolute_error),
        output_parameters=("Conv_0",),
        dropout_rate=DROPOUT_RATE,
        model_arguments=arguments,
        data=slice_data(
            source,
            size=chosen.image_size,
            num_eval_train=facts.split_sizes["eval_train"],
        ),
        schema=schemas.every_split(
            {
                **dict.fromkeys(("inputs", "targets"), ArraySpec((chosen.image_size, chosen.image_size))),
                **dict.fromkeys(("mean", "std", "volume_max", "weights"), ArraySpec()),
            }
        ),
        **vars(facts),
    )


def _chosen_size(size: str | Size) -> Size:
    if isinstance(size, str):
        check_choices("fastmri", size=(size, SIZES))
        return SIZES[size]
    smallest = max(WINDOW, 2 ** (size.num_pool_layers + 1))
    if not smallest <= size.image_size <= IMAGE_SIZE:
        raise ConfigError("image_size of fastmri", value=size.image_size, expected=f"{smallest} to {IMAGE_SIZE}")
    return size
