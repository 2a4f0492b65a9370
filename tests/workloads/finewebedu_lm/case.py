from typing import Any

from algoperf_jax.workload import Workload
from tests import golden_support
from tests.workloads.case import Case, Golden


def rows(golden: Golden, prefix: str = "") -> dict[str, Any]:
    """The stored rows of the full model, or with the prefix `small/` of the reference's small one."""
    return {name: golden[f"{prefix}inputs/{name}"] for name in ("inputs", "targets", "weights")}


def with_few_words(workload: Workload) -> dict[str, Any]:
    """Rows of the small vocabulary, which every model knows."""
    del workload
    return rows(golden_support.numbers("finewebedu_lm"), "small/")


CASE = Case(
    golden_batch=rows,
    stored_logits=lambda logits: logits[:, ::8, ::101],
    reduced={"": {"size": "small"}},
    reduced_batch=with_few_words,
    splits=("train", "eval_train", "validation"),
    num_outputs=50_257,
)
