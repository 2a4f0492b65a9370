#!/usr/bin/env bash
# torch: copy.deepcopy keeps shared memory between tensors, and separates parameters that are views of one another.
#
# Expected: `copy.deepcopy` keeps what is shared inside the object that it copies. For tensors it does: two views of one
# allocation are views of one allocation in the copy, too.
#
# What happens: each `nn.Parameter` gets memory of its own. Weights that are tied through a view, such as one parameter
# and its transpose, agree in the copy until it is changed, and then differ. A buffer that shares memory with a
# parameter is separated as well, and pickle and AveragedModel do the same. torch.save with torch.load keeps the weights
# tied. A parameter that is the same object twice stays tied everywhere.
#
# Why it matters here: averages of the weights and copies for an evaluation are made with deepcopy. The copy of a model
# that keeps its parameters in one flat allocation, or ties weights by a view, has another number of independent weights
# than the model.
#
# Seen with: torch==2.13.0, numpy==2.4.6; CPython 3.11, x86-64 Linux, CPU; 2026-11-29.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet torch==2.13.0
venv/bin/pip install --quiet numpy==2.4.6
venv/bin/python - <<'EOF'
import copy
import io
import pickle
from importlib.metadata import version

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

print(*(f"{name} {version(name)}" for name in ["torch", "numpy"]), sep=", ")


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.zeros(3, 2))
        self.output = nn.Parameter(self.embedding.detach().t())
        self.again = self.embedding
        self.register_buffer("frozen", self.embedding.detach())


def through_torch_save(model: nn.Module) -> nn.Module:
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


def tied(model: nn.Module) -> tuple[bool, bool, bool]:
    """Whether a change of the embedding reaches the view of it, the buffer, and the second name."""
    with torch.no_grad():
        model.embedding[0, 0] = 1
    found = tuple(tensor[0, 0].item() == 1 for tensor in (model.output, model.frozen, model.again))
    with torch.no_grad():
        model.embedding[0, 0] = 0
    return found


seen = {
    "the model": tied(Tied()),
    "copy.deepcopy": tied(copy.deepcopy(Tied())),
    "pickle": tied(pickle.loads(pickle.dumps(Tied()))),
    "AveragedModel": tied(AveragedModel(Tied()).module),
    "torch.save and torch.load": tied(through_torch_save(Tied())),
}
print("tied to the embedding: its transpose, a buffer, the same object again")
for name, found in seen.items():
    print(f"{name}: {', '.join('yes' if one else 'no' for one in found)}")
apart, together = (False, False, True), (True, True, True)
assert list(seen.values()) == [together, apart, apart, apart, together], "copies tie other weights now"

numbers = torch.zeros(4)
first, second = copy.deepcopy([numbers[:3], numbers[1:]])
first[1] = 1
print("views that are no parameters, after copy.deepcopy:", "yes" if second[0] == 1 else "no")
assert second[0] == 1, "copies of plain views are separate now"
EOF
