"""The cifar workload: published facts for real data, and separate facts for the built-in data."""

from algoperf_jax.workload import LossType, Workload
from workloads import losses, metrics, schemas
from workloads.cifar import builtin, model
from workloads.cifar.data import TRAIN_MEAN, TRAIN_STDDEV, open_data
from workloads.editions import published_facts

PUBLISHED = published_facts(
    "cifar",
    batch_size=128,
    split_sizes={"train": 45_000, "eval_train": 5_120, "validation": 5_000, "test": 10_000},
)


def build(name: str, *, data_dir: str | None = None) -> Workload:
    """Builds the workload of ResNet-18, on the CIFAR-10 prepared in `data_dir` or on the built-in shapes."""
    facts = builtin.FACTS if data_dir is None else PUBLISHED
    return Workload(
        name=name,
        base_name="cifar",
        init=model.init,
        apply=model.apply,
        loss=losses.softmax_cross_entropy,
        loss_type=LossType.SOFTMAX_CROSS_ENTROPY,
        metrics=metrics.classification(model.apply, losses.softmax_cross_entropy),
        output_parameters=("Dense_0",),
        train_mean=TRAIN_MEAN,
        train_stddev=TRAIN_STDDEV,
        data=open_data(data_dir, num_eval_train=facts.split_sizes["eval_train"]),
        schema=schemas.every_split(schemas.labelled_images(model.IMAGE_SHAPE)),
        **vars(facts),
    )
