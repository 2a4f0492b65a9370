from typing import Any

from tests.workloads.case import Case, Golden


def clicks(golden: Golden) -> dict[str, Any]:
    """The stored rows, of which the last is masked."""
    return {name: golden[f"inputs/{name}"] for name in ("inputs", "targets", "weights")}


CASE = Case(
    golden_batch=clicks,
    reference_arguments={"vocab_size": 65_536},
    reduced={"": {"size": "small", "vocab_size": 4_096}},
    num_outputs=1,
)
