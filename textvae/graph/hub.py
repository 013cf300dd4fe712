"""The model as transformers loads it: the same graph under the base classes of transformers.

Importing transformers' base classes takes longer than torch does, so nothing else imports them:
`textvae.graph.registration` imports this module when AutoModel meets one of our models.
"""

from typing import ClassVar

from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel

from textvae.graph import config as plain_config
from textvae.graph import model as plain_model


class VAEConfig(PreTrainedConfig, plain_config.VAEConfig):
    """`VAEConfig` with what transformers keeps in a config."""

    model_type = plain_config.VAEConfig.model_type
    is_encoder_decoder: bool = False
    tie_word_embeddings: bool = False


class VAE(plain_model.VAE, PreTrainedModel):
    """`VAE` as `AutoModel.from_pretrained` returns it: with dtypes, device maps, `push_to_hub`.

    Args:
        config: of transformers, as `AutoConfig` gives it.
    """

    config_class = VAEConfig
    base_model_prefix = ""
    # What an objective has learnt stands in checkpoints and is no part of the model.
    _keys_to_ignore_on_load_unexpected: ClassVar[list[str]] = [r"^objective\."]

    def __init__(self, config: VAEConfig):
        PreTrainedModel.__init__(self, config)
        self.assemble(config)
        self.post_init()

    # The plain ones come first among the bases and would load by themselves.
    from_pretrained = PreTrainedModel.__dict__["from_pretrained"]
    save_pretrained = PreTrainedModel.__dict__["save_pretrained"]

    def get_input_embeddings(self) -> None:  # type: ignore[override]
        """None: every encoder and decoder has an embedding of its own."""


AutoConfig.register(VAEConfig.model_type, VAEConfig, exist_ok=True)
AutoModel.register(VAEConfig, VAE, exist_ok=True)
