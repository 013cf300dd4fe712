"""The spectral norms of weight matrices, for a penalty on them."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

ITERATIONS = 10
"""Of the power method, each a product with the matrix and one with its transpose."""


def spectral_norm(weight: Tensor, iterations: int = ITERATIONS) -> Tensor:
    """The largest singular value of a weight, (), by the power method, which never exceeds it.

    It begins at the same vector each time and keeps no state, so that a resumed training goes on
    as before. The gradient is that of u W v at the two vectors that it found.

    Args:
        weight: (O, ...), read as a matrix of O rows.
        iterations: of the power method.

    >>> round(spectral_norm(torch.diag(torch.tensor([3.0, 1.0]))).item(), 3)
    3.0
    """
    matrix = weight.flatten(1)
    with torch.no_grad():
        left = torch.arange(1, len(matrix) + 1, device=matrix.device).to(matrix.dtype).cos()
        for _ in range(iterations):
            right = F.normalize(matrix.mT @ left, dim=0)
            left = F.normalize(matrix @ right, dim=0)
    return left @ matrix @ right


def spectral_norms(module: nn.Module) -> Tensor:
    """The sum of the spectral norms of all weights of two or more dimensions that train, ().

    Embeddings do not count. The sum is 0 where there are none.

    Source: Vahdat & Kautz 2020, section 3.2, arXiv:2007.03898.
    """
    norms = [
        spectral_norm(parameter)
        for layer in module.modules()
        if not isinstance(layer, nn.Embedding | nn.EmbeddingBag)
        for name, parameter in layer.named_parameters(recurse=False)
        if "weight" in name and parameter.ndim > 1 and parameter.requires_grad
    ]
    return torch.stack(norms).sum() if norms else torch.zeros(())
