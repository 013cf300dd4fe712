"""Context -> distribution over the class of a label."""

from typing import ClassVar

from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn import functional as F

from textvae.decoders.base import Decoder
from textvae.registry import Count, Rate
from textvae.vocabulary import MISSING


class LabelDecoder(Decoder, kind="label"):
    """softmax(W f(z) + b) over the classes of a label; f is a layer with tanh, or nothing.

    Args:
        classes: number of classes.
        features: size H of the context; 0 for the frequency of each class.
        hidden: width of the layer; None for none.
        dropout: rate before the projection.

    >>> import torch
    >>> decoder = LabelDecoder(classes=3, features=2)
    >>> decoder(torch.zeros(5, 2, 2)).log_prob(torch.tensor([1, -1])).shape
    torch.Size([5, 2])
    """

    def __init__(
        self, classes: int, features: int, hidden: Count | None = None, dropout: Rate = 0.0
    ):
        super().__init__()
        self.features = features
        self.dropout = dropout
        self.layer = nn.Linear(features, hidden) if hidden and features else None
        self.output = nn.Linear(hidden if self.layer is not None and hidden else features, classes)

    def forward(self, context: Tensor) -> "LabelDistribution":
        """p(label | z) for each context, (K, B, H)."""
        if self.layer is not None:
            context = self.layer(context).tanh()
        return LabelDistribution(self.output(F.dropout(context, self.dropout, self.training)))


class LabelDistribution(Distribution):
    """p(label | z), batch shape (K, B); a missing label has the log-probability 0.

    Args:
        logits: (K, B, C).
    """

    arg_constraints: ClassVar[dict] = {}

    def __init__(self, logits: Tensor):
        self.logits = logits.float()
        super().__init__(logits.shape[:2], validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(label | z), (K, B), nats.

        Args:
            value: classes, (B,), int64; -1 where a label is missing.
        """
        chosen = value.clamp(min=0).expand(self.batch_shape)[..., None]
        log_probs = self.logits.log_softmax(-1).gather(-1, chosen).squeeze(-1)
        return log_probs.masked_fill(value == MISSING, 0.0)

    @property
    def probabilities(self) -> Tensor:
        """Of each class, (K, B, C)."""
        return self.logits.softmax(-1)

    @property
    def mode(self) -> Tensor:
        """The most probable class, (K, B), int64."""
        return self.logits.argmax(-1)
