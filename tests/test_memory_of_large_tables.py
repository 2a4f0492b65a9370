"""No part of a trial but the training itself needs more than two further copies of a large table at a time."""

import pytest

from tests import memory_of_large_tables

# Large beside the buffers of fixed size, in which arrays are written and small ones cross between the frameworks.
MEBIBYTES = 384


@pytest.mark.slow
@pytest.mark.parametrize("framework", ["jax", "pytorch"])
def test_at_most_two_further_copies_exist_at_a_time(framework: str) -> None:
    rows = list(memory_of_large_tables.measured_phases(framework, MEBIBYTES))
    further = {name: peak - kept for name, kept, peak in rows}
    parts = ("parameters", "optimizer state", "second evaluation", "save", "restore")
    assert {name: further[name] for name in parts if further[name] > 2} == {}
