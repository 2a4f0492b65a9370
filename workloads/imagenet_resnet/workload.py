"""The imagenet_resnet workload: published facts for real data, and separate facts for the built-in data."""

import functools

import jax

from algoperf_jax.workload import Budget, Facts, Goal, LossType, Workload
from workloads import losses, metrics, schemas
from workloads.activations import ACTIVATIONS
from workloads.arguments import check_choices, chosen_facts
from workloads.editions import published, published_facts
from workloads.flax_model import flax_model
from workloads.imagenet.data import TRAIN_MEAN, TRAIN_STDDEV, open_data
from workloads.imagenet.facts import chosen_size, published_split_sizes
from workloads.imagenet_resnet.model import CHANNELS, FULL, SMALL, ResNet

SIZES = {"full": FULL, "small": SMALL}
BUILTIN = {
    "full": Facts(
        goal=Goal("accuracy", "maximize", validation=0.80, test=0.80),
        budget=Budget(max_runtime_sec=3_600, eval_period_sec=300, step_hint=4_000),
        batch_size=64,
        eval_batch_size=128,
        split_sizes={"train": 16_384, "eval_train": 512, "validation": 512, "test": 512},
    ),
    "small": Facts(
        goal=Goal("accuracy", "maximize", validation=0.97, test=0.97),
        budget=Budget(max_runtime_sec=300, eval_period_sec=15, step_hint=1_000),
        batch_size=32,
        eval_batch_size=256,
        split_sizes={"train": 4_096, "eval_train": 512, "validation": 512, "test": 512},
    ),
}
PUBLISHED = published_facts(
    "imagenet_resnet",
    batch_size=1_024,
    split_sizes=published_split_sizes(published("imagenet_resnet").eval_batch_size),
)


def build(
    name: str,
    *,
    data_dir: str | None = None,
    activation: str = "relu",
    bn_init_scale: float = 0.0,
    size: str = "full",
) -> Workload:
    """Builds the workload of the residual network, on the ImageNet prepared in `data_dir` or on the built-in images.

    Args:
      name: registry name.
      data_dir: folder of prepared data, or None.
      activation: `relu`, `gelu` (tanh approximation) or `silu`.
      bn_init_scale: initial scale of the last normalization in each block.
      size: `full`, or `small` for a model that a CPU can train, also on real data of fewer classes.

    Raises:
      ConfigError: the activation or size is unknown.
    """
    check_choices("imagenet_resnet", activation=(activation, ACTIVATIONS))
    model_size = chosen_size("imagenet_resnet", size, SIZES, data_dir)
    facts = chosen_facts(BUILTIN, PUBLISHED, size, data_dir)
    arguments = {"size": model_size, "activation": activation, "bn_init_scale": bn_init_scale}
    images = jax.ShapeDtypeStruct((1, model_size.image_size, model_size.image_size, CHANNELS), "float32")
    network = functools.partial(ResNet, **arguments)
    init, apply = flax_model(network, images, batch_stats=True)
    return Workload(
        name=name,
        base_name="imagenet_resnet",
        init=init,
        apply=apply,
        loss=losses.softmax_cross_entropy,
        loss_type=LossType.SOFTMAX_CROSS_ENTROPY,
        metrics=metrics.classification(apply, losses.softmax_cross_entropy),
        output_parameters=("Dense_0",),
        train_mean=TRAIN_MEAN,
        train_stddev=TRAIN_STDDEV,
        model_arguments=arguments,
        data=open_data(
            data_dir,
            image_size=model_size.image_size,
            num_classes=model_size.num_classes,
            num_eval_train=facts.split_sizes["eval_train"],
            split_sizes=facts.split_sizes,
            every_class=size == "full",
            augmentation="resnet",
        ),
        schema=schemas.every_split(schemas.labelled_images(images.shape[1:])),
        **vars(facts),
    )
