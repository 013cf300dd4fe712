"""What every objective provides."""

from textvae.outputs import Loss, VAEOutput
from textvae.registry import Component


class Objective(Component):
    """A loss as a function of a model's output and the optimizer step.

    A frozen dataclass; a `torch.nn.Module` only when it has parameters of its own.
    """

    samples: int = 1
    """Samples K of each latent that the model draws for it."""

    def __call__(self, out: VAEOutput, step: int) -> Loss:
        """The loss of a batch at an optimizer step: the mean over its texts."""
        raise NotImplementedError
