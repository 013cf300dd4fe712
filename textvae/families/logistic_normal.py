"""Topic proportions that are the softmax of a Gaussian."""

from torch import Tensor
from torch.nn import functional as F

from textvae.families.gaussian import Gaussian
from textvae.registry import Count, Rate


class LogisticNormal(Gaussian, kind="logistic_normal"):
    """theta = softmax(z) with z ~ N(mu, diag(sigma^2)): latent and KL are those of z.

    z has one dimension more than theta has freedom, so KL(z) is no less than KL(theta).

    Args:
        features: size H of the context.
        dim: number of topics D.
        dropout: rate on z before the softmax, in training.

    Source: Miao et al. 2017, section 2.1 (Gaussian softmax), arXiv:1706.00359; the dropout of
    Gururangan et al. 2019, arXiv:1906.02242.
    """

    def __init__(self, features: int, dim: Count = 50, dropout: Rate = 0.0):
        super().__init__(features, dim)
        self.dropout = dropout

    def embed(self, value: Tensor) -> Tensor:
        """theta, (..., D), of z, (..., D)."""
        return F.dropout(value, self.dropout, self.training).softmax(-1)
