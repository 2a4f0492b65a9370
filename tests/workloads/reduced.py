"""Large models, reduced to a size that tests can afford; the code is the same at any size.

They are used by tests that compare a model with itself or with another implementation; only comparisons with the
reference's numbers need the full size.
"""

from typing import Any

import workloads
from algoperf_jax.workload import Workload
from tests import golden_support
from tests.workloads.golden_batches import BATCHES, CASES


def load(name: str) -> Workload:
    """The reduced workload or variant, on built-in data."""
    base = workloads.base_name(name)
    case, arguments = CASES[base], CASES[base].reduced
    suffix = name.removeprefix(base).removeprefix("_")
    return workloads.load(name, **{**case.reference_arguments, **arguments.get(suffix, arguments.get("", {}))})


def batch(name: str) -> dict[str, Any]:
    """A batch for `load(name)`: that of the reference numbers, or one that fits a reduced model."""
    case = CASES[workloads.base_name(name)]
    return case.reduced_batch(load(name)) if case.reduced_batch else BATCHES[name](golden_support.numbers(name))
