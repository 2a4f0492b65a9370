"""The module `algoperf.pytorch_utils`: tells a PyTorch submission where it runs."""

import os

import torch


def pytorch_setup() -> tuple[bool, int, torch.device, int]:
    """Describes where this process runs; submissions call it when they are imported.

    Returns:
      Whether torchrun started the process, its rank on this host, its device, and the number of GPUs (0 on a CPU).
    """
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    device = torch.device("cuda", local_rank) if torch.cuda.is_available() else torch.device("cpu")
    return "LOCAL_RANK" in os.environ, local_rank, device, torch.cuda.device_count()
