"""The case of each workload, and the batch of the reference numbers of each variant."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any

import workloads
from tests.workloads.case import Case, Golden

CASES: Mapping[str, Case] = {
    base: importlib.import_module(f"tests.workloads.{base}.case").CASE for base in workloads.base_names()
}
"""By base name."""
BATCHES: dict[str, Callable[[Golden], dict[str, Any]]] = {
    name: CASES[workloads.base_name(name)].golden_batch
    for name in workloads.names()
    if workloads.has_published_target(name)
}
"""By name. Models without published targets have no reference numbers."""
TRAINING_BATCHES: dict[str, Callable[[Golden], dict[str, Any]]] = {
    name: CASES[workloads.base_name(name)].golden_training_batch or golden_batch
    for name, golden_batch in BATCHES.items()
}


def stored_logits(name: str, logits: Any) -> Any:
    """What of the logits of a model the reference numbers hold."""
    stored = CASES[workloads.base_name(name)].stored_logits
    return logits if stored is None else stored(logits)
