"""Schemas of batches that several workloads share."""

from algoperf_jax.workload import SPLITS, ArraySpec, Schema, SplitName


def every_split(schema: Schema, **others: Schema) -> dict[SplitName, Schema]:
    """The same schema for all splits except those given by name."""
    return {split: others.get(split, schema) for split in SPLITS}


def labelled_images(shape: tuple[int, int, int], *, num_mixed_classes: int | None = None) -> Schema:
    """Images and their classes: indices, or probabilities of this many classes if images are mixed."""
    is_mixed = num_mixed_classes is not None
    targets = ArraySpec((num_mixed_classes,)) if is_mixed else ArraySpec(dtype="int32")
    return {"inputs": ArraySpec(shape), "targets": targets, "weights": ArraySpec()}
