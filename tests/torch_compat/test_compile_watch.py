"""Programs of `torch.compile` are counted, even while reads on the host are counted."""

import torch

from torch_compat.compile_watch import TorchCompileWatch
from torch_compat.host_reads import count_host_reads


def test_compilations_of_both_frameworks_are_counted() -> None:
    torch._dynamo.reset()  # also forgets listeners
    watch = TorchCompileWatch()
    doubled = torch.compile(lambda tensor: 2 * tensor, backend="eager", dynamic=False)
    counts = []
    for size in (3, 3, 4):
        with count_host_reads() as reads:
            assert doubled(torch.ones(size)).sum().item() == 2 * size
        assert reads.places is not None
        assert reads.places.total() == 1
        counts.append(watch.count)
    assert counts == [1, 1, 2]
    assert set(watch.programs) == {"torch.compile 0/0", "torch.compile 0/1"}
    assert watch.seconds > 0
