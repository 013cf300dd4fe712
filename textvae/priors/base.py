"""Base class of priors."""

from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.distributions import Distribution

from textvae.registry import Component

if TYPE_CHECKING:
    from textvae.families import Family


class Prior(Component, nn.Module):
    """p(z) of a latent, or p(z | context), where it is not the family's own.

    A constructor must take `features`, the size H of the context, 0 when the prior is given
    nothing, and `family`, the latent's family; its other arguments are keys of `prior` in a recipe.
    The family is a part of the model elsewhere, so keep it with `refer`.
    """

    family: "Family"

    def refer(self, family: "Family") -> None:
        """Keep the latent's family without making its weights part of the prior's."""
        # nn.Module.__setattr__ would register it a second time.
        self.__dict__["family"] = family

    def forward(self, context: Tensor) -> Distribution:
        """The prior of each context, (..., H): batch shape (...), event (D,)."""
        raise NotImplementedError

    @property
    def ready(self) -> bool:
        """Whether it holds yet; until then the family's default prior does."""
        return True
