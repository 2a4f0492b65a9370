"""The interaction of embeddings is the upper triangle of their products, and so are its derivatives."""

import torch

from torch_compat.layers.dot_interaction import dot_interaction


def vectors(dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    """One vector of each example, and the others."""
    generator = torch.Generator().manual_seed(0)
    first, others = torch.randn(3, 5, 4, generator=generator, dtype=torch.float64).to(dtype).split((1, 4), dim=1)
    return first[:, 0].clone().requires_grad_(), others.clone().requires_grad_()


def test_pairs_are_the_rows_of_the_upper_triangle() -> None:
    first, others = vectors()
    together = torch.cat([first[:, None], others], dim=1).detach()
    expected = [[float(row[i] @ row[j]) for i in range(5) for j in range(i, 5)] for row in together.unbind()]
    torch.testing.assert_close(dot_interaction(first, others).detach(), torch.tensor(expected, dtype=torch.float64))


def test_first_and_second_derivatives_are_those_of_finite_differences() -> None:
    assert torch.autograd.gradcheck(dot_interaction, vectors())
    assert torch.autograd.gradgradcheck(dot_interaction, vectors())


def test_narrow_types_stay_narrow() -> None:
    given = vectors(torch.bfloat16)
    pairs = dot_interaction(*given)
    pairs.sum().backward()
    assert pairs.dtype == torch.bfloat16
    assert [tensor.grad is not None and tensor.grad.dtype for tensor in given] == [torch.bfloat16] * 2
