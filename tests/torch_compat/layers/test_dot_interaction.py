"""The interaction of embeddings is the upper triangle of their products, and so are its derivatives."""

import torch

from torch_compat.layers.dot_interaction import dot_interaction


def vectors() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(3, 5, 4, generator=generator, dtype=torch.float64).requires_grad_()


def test_pairs_are_the_rows_of_the_upper_triangle() -> None:
    given = vectors()
    expected = [
        [float(example[i] @ example[j]) for i in range(5) for j in range(i, 5)] for example in given.detach().unbind()
    ]
    torch.testing.assert_close(dot_interaction(given).detach(), torch.tensor(expected, dtype=torch.float64))


def test_first_and_second_derivatives_are_those_of_finite_differences() -> None:
    assert torch.autograd.gradcheck(dot_interaction, vectors())
    assert torch.autograd.gradgradcheck(dot_interaction, vectors())


def test_narrow_types_stay_narrow() -> None:
    given = vectors().detach().to(torch.bfloat16).requires_grad_()
    pairs = dot_interaction(given)
    pairs.sum().backward()
    assert given.grad is not None
    assert pairs.dtype == given.grad.dtype == torch.bfloat16
