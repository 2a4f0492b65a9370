"""The imagenet_vit workload: published facts for real data, and separate facts for the built-in data."""

import functools

import jax

from algoperf_jax.workload import Budget, Facts, Goal, LossType, Workload
from workloads import losses, metrics, schemas
from workloads.arguments import chosen_facts
from workloads.editions import published, published_facts
from workloads.flax_model import flax_model
from workloads.imagenet.data import TRAIN_MEAN, TRAIN_STDDEV, open_data
from workloads.imagenet.facts import chosen_size, published_split_sizes
from workloads.imagenet_vit.model import CHANNELS, FULL, SMALL, ViT

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
        goal=Goal("accuracy", "maximize", validation=0.95, test=0.95),
        budget=Budget(max_runtime_sec=300, eval_period_sec=15, step_hint=1_000),
        batch_size=32,
        eval_batch_size=256,
        split_sizes={"train": 4_096, "eval_train": 512, "validation": 512, "test": 512},
    ),
}
DROPOUT_RATE = 0.0
PUBLISHED = published_facts(
    "imagenet_vit",
    batch_size=1_024,
    split_sizes=published_split_sizes(published("imagenet_vit").eval_batch_size),
)


def build(
    name: str,
    *,
    data_dir: str | None = None,
    use_glu: bool = False,
    use_post_layer_norm: bool = False,
    use_map: bool = False,
    size: str = "full",
) -> Workload:
    """Builds the workload of the vision transformer, on the ImageNet prepared in `data_dir` or on the built-in images.

    Args:
      name: registry name.
      data_dir: folder of prepared data, or None.
      use_glu: use gated linear units in the encoder.
      use_post_layer_norm: normalize after each layer of the encoder, not before.
      use_map: pool by attention.
      size: `full`, or `small` for a model that a CPU can train, also on real data of fewer classes.

    Raises:
      ConfigError: the size is unknown.
    """
    model_size = chosen_size("imagenet_vit", size, SIZES, data_dir)
    facts = chosen_facts(BUILTIN, PUBLISHED, size, data_dir)
    arguments = {
        "size": model_size,
        "use_glu": use_glu,
        "use_post_layer_norm": use_post_layer_norm,
        "use_map": use_map,
    }
    images = jax.ShapeDtypeStruct((1, model_size.image_size, model_size.image_size, CHANNELS), "float32")
    network = functools.partial(ViT, **arguments)
    init, apply = flax_model(network, images, dropout_rate=DROPOUT_RATE)
    return Workload(
        name=name,
        base_name="imagenet_vit",
        init=init,
        apply=apply,
        loss=losses.softmax_cross_entropy,
        loss_type=LossType.SOFTMAX_CROSS_ENTROPY,
        metrics=metrics.classification(apply, losses.softmax_cross_entropy),
        output_parameters=("head",),
        dropout_rate=DROPOUT_RATE,
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
            augmentation="vit",
        ),
        schema=schemas.every_split(
            schemas.labelled_images(images.shape[1:]),
            train=schemas.labelled_images(images.shape[1:], num_mixed_classes=model_size.num_classes),
        ),
        **vars(facts),
    )
