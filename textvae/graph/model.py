"""A VAE as a graph of named nodes: encoders, latents, decoders."""

from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Self, cast

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from textvae.encoders import Features, pooled_only
from textvae.families import Family
from textvae.graph.config import Node, VAEConfig
from textvae.graph.folders import local_folder
from textvae.graph.initialization import initialize
from textvae.graph.loss import family_terms, label_log_probs, prior_log_probs, training_loss
from textvae.graph.nodes import Nodes
from textvae.graph.plates import batch_size
from textvae.graph.posteriors import refined
from textvae.graph.refinement import Refinement
from textvae.objectives.outputs import Latent, Loss, VAEOutput
from textvae.randomness import draws

Fields = dict[str, Tensor]
"""An observed batch by field name; token ids are (B, T), int64."""


class VAE(Nodes):
    """A variational autoencoder: evaluates the distributions of its graph on a batch.

    >>> config = VAEConfig(
    ...     vocab_size=10,
    ...     encoders=[{"name": "text", "kind": "lstm", "hidden": 8}],
    ...     latents=[{"name": "z", "kind": "gaussian", "dim": 2, "given": ["text"]}],
    ...     decoders=[{"name": "text", "kind": "lstm", "hidden": 8, "given": ["z"]}],
    ... )
    >>> out = VAE(config).infer(samples=3, text=torch.tensor([[1, 5, 2], [1, 6, 2]]))
    >>> out.log_weight.shape
    torch.Size([3, 2])

    Raises:
        SpecError: a node that cannot be built, or is given something unknown.
    """

    main_input_name = "text"
    # Trainer would otherwise pass num_items_in_batch as one more field.
    accepts_loss_kwargs = False

    def __init__(self, config: VAEConfig):
        super().__init__()
        self.config = config
        self.assemble(config)
        self.apply(self._init_weights)

    def assemble(self, config: VAEConfig) -> None:
        """Build the component of each node, see `Nodes.assemble`."""
        super().assemble(config)
        self.objective: Callable[[VAEOutput, int], Loss] | None = None
        self.frozen: tuple[str, ...] = ()
        """Names of frozen parts, such as `encoders.text`."""
        self.refinement = None if config.refinement is None else Refinement(**config.refinement)

    @classmethod
    def from_pretrained(cls, folder: str | PathLike[str], **options: Any) -> Any:
        """The model in a folder or under a hub name, in evaluation mode; safetensors only.

        Args:
            folder: of `save_pretrained`, or a hub name.
            **options: of `PreTrainedModel.from_pretrained`, such as `dtype`, which then loads.

        Raises:
            CheckpointError: there is none, it is of another kind, or it is damaged.
        """
        if options:
            from textvae.graph import hub

            return hub.VAE.from_pretrained(folder, **options)
        from textvae.graph.saving import load_model

        return load_model(local_folder(folder), cls)

    def save_pretrained(
        self,
        folder: str | PathLike[str],
        state_dict: Mapping[str, Tensor] | None = None,
        max_shard_size: int | str = "50GB",
    ) -> None:
        """Write the config and the weights for `from_pretrained` and for `AutoModel`.

        Args:
            folder: made if it is not there; an older model in it is replaced.
            state_dict: weights to write in place of the model's own.
            max_shard_size: of a file, in bytes or as "5GB".
        """
        from textvae.graph.saving import write_model

        weights = self.state_dict() if state_dict is None else state_dict
        write_model(self, Path(folder), weights, max_shard_size)

    def train(self, mode: bool = True) -> Self:
        """Set the mode of all modules; those inside a frozen part stay in evaluation mode.

        Their dropout and noise are off, and running averages of batch normalisation do not move.
        """
        super().train(mode)
        if not self.frozen:
            return self
        parts = tuple(f"{part}." for part in self.frozen)
        for name, module in self.named_modules():
            if f"{name}.".startswith(parts):
                module.training = False
        return self

    def forward(self, step: int, **fields: Tensor) -> Loss:
        """The objective's loss of a batch at an optimizer step.

        Only tensors leave: distributed training cannot see into a distribution.

        Raises:
            ValueError: no objective was set.
        """
        if self.objective is None:
            raise ValueError("the model has no objective: set model.objective, e.g. to ELBO()")
        return training_loss(self, self.objective, step, fields)

    def infer(self, samples: int = 1, **fields: Tensor) -> VAEOutput:
        """The distributions of a batch under K samples of every latent.

        Args:
            samples: K; a model without latents has nothing to sample and takes 1.
            **fields: observed batch by field name; token ids are (B, T), int64.
        """
        return self.infer_from(self.read(fields), fields, samples)

    def infer_from(
        self,
        features: Mapping[str, Features],
        fields: Fields,
        samples: int,
        reparameterize: bool = True,
    ) -> VAEOutput:
        """`infer` of a batch that was read; more samples read it no further.

        Args:
            features: as `read` gives them.
            fields: observed batch by field name.
            samples: K.
            reparameterize: False for samples that carry no gradient.
        """
        batch = batch_size(self.config, fields)
        latents = self.draw(
            features, samples, batch, enumerate_all=True, reparameterize=reparameterize
        )
        values = {name: latent.value for name, latent in latents.items()}
        wanted = list(self.decoders) if self.training else self.main_decoders
        likelihoods = self.likelihoods(values, features, batch, wanted)
        log_probs = self.log_probs(likelihoods, features, fields)
        auxiliary = {name: log_probs.pop(name) for name in self.auxiliary if name in log_probs}
        if self.training:
            auxiliary |= label_log_probs(self, features, fields, latents)
            auxiliary |= family_terms(self, latents)
            auxiliary |= prior_log_probs(self, features, fields, batch)
        pooled = {name: features[name].pooled for name in self.encoders if name in features}
        return VAEOutput(latents, log_probs, fields, auxiliary, pooled, likelihoods)

    def draw(
        self,
        features: Mapping[str, Features],
        samples: int,
        batch: int,
        use_mean: bool = False,
        enumerate_all: bool = False,
        reparameterize: bool = True,
        whole: bool = False,
    ) -> dict[str, Latent]:
        """K posterior samples of each latent in turn, each given those before it.

        Args:
            features: as `read` gives them.
            samples: K.
            batch: B.
            use_mean: the posterior means in place of samples; K is then 1.
            enumerate_all: every class of a categorical latent in turn in place of samples; K is
                then their number times as large.
            reparameterize: False for samples that carry no gradient.
            whole: the latents of whole rows alone; those of parts are never given to them.
        """
        samples = 1 if use_mean else samples
        if enumerate_all:
            samples *= self.copies
        latents: dict[str, Latent] = {}
        for node in self.config.nodes("latents"):
            if whole and self.node_plates.latents[node["name"]] is not None:
                continue
            values = {name: latent.value for name, latent in latents.items()}
            family = cast(Family, self.latents[node["name"]])
            plate = self.plate_of("latents", node["name"], features)
            parts = batch if plate is None else plate.parts
            posterior = self.posterior(node, features, values)
            drawn = posterior.expand((samples, parts))
            if use_mean:
                value = family.point_estimate(drawn)
            elif enumerate_all and family.enumerated:
                value = family.enumerate_support(samples, parts, drawn.mean)
            else:
                gradient = reparameterize and drawn.has_rsample
                with draws():
                    value = drawn.rsample() if gradient else drawn.sample()
            prior = self.prior(node, features, values, posterior.batch_shape, value)
            counted = enumerate_all and not use_mean and family.enumerated
            latents[node["name"]] = Latent(value, posterior, prior, counted, plate)
        return latents

    def log_probs(
        self,
        likelihoods: Mapping[str, Distribution],
        features: Mapping[str, Features],
        fields: Mapping[str, Tensor],
    ) -> dict[str, Tensor]:
        """log p(x | z) of each decoder's field, (K, B), nats: of parts, their sum."""
        found = {}
        for name, likelihood in likelihoods.items():
            log_prob = likelihood.log_prob(fields[self.field_of(name)])
            plate = self.plate_of("decoders", name, features)
            found[name] = log_prob if plate is None else plate.sum_parts(log_prob)
        return found

    def encode(self, **fields: Tensor) -> dict[str, Distribution]:
        """The posterior of each latent, batch shape (B,); later latents see the earlier means.

        A latent whose fields are not all there is left out. That of a latent of parts is (R,).
        """
        features = self.read(fields)
        values: dict[str, Tensor] = {}
        posteriors = {}
        for node in self.config.nodes("latents"):
            if not fields.keys() >= set(self.config.fields_read(node["name"])):
                continue
            family = cast(Family, self.latents[node["name"]])
            posterior = self.posterior(node, features, values, first=True)
            values[node["name"]] = family.point_estimate(posterior)[None]
            posteriors[node["name"]] = posterior
        return posteriors

    def sample_prior(
        self,
        count: int,
        known: Mapping[str, Tensor] | None = None,
        **fields: Tensor,
    ) -> dict[str, Tensor]:
        """Samples of each latent from its prior, (1, count, D); of parts, as many as they are.

        Args:
            count: of each latent, number of rows.
            known: values of some latents, (1, count, D), in place of samples.
            **fields: for priors that are given encoders.
        """
        return self.prior_values(self.encoder_features(fields), count, known)

    def prior_values(
        self,
        features: Mapping[str, Features],
        count: int,
        known: Mapping[str, Tensor] | None = None,
        use_mean: bool = False,
        reparameterize: bool = False,
    ) -> dict[str, Tensor]:
        """`sample_prior` of what encoders have read.

        Args:
            features: of the encoders that priors are given, by name.
            count: of each latent.
            known: values of some latents, (1, count, D), in place of samples.
            use_mean: the means of the priors in place of samples.
            reparameterize: whether samples carry gradients, where the prior's can.
        """
        values: dict[str, Tensor] = {}
        for node in self.config.nodes("latents"):
            if known and node["name"] in known:
                values[node["name"]] = known[node["name"]]
                continue
            values[node["name"]] = self.prior_value(
                node, features, values, count, use_mean, reparameterize
            )
        return values

    def prior_value(
        self,
        node: Node,
        features: Mapping[str, Features],
        values: Mapping[str, Tensor],
        count: int,
        use_mean: bool = False,
        reparameterize: bool = False,
    ) -> Tensor:
        """A sample of one latent from its prior, (1, count, D), given those before it.

        Arguments as `prior_values`.
        """
        plate = self.plate_of("latents", node["name"], features)
        shape = torch.Size((1, count if plate is None else plate.parts))
        like = next(self.parameters())
        prior = self.prior(node, features, values, shape, like).expand(shape)
        if use_mean:
            return cast(Family, self.latents[node["name"]]).point_estimate(prior)
        with draws():
            return prior.rsample() if reparameterize and prior.has_rsample else prior.sample()

    @torch.no_grad()
    def sample_means(self, count: int) -> Fields:
        """E[x | z] of each field, (count, ...), for latents from the prior; without gradient.

        Raises:
            NotImplementedError: a field's distribution has no mean, as a text's.
        """
        values = self.sample_prior(count)
        means = self.likelihoods(values, {}, count)
        return {self.field_of(name): each.mean[0] for name, each in means.items()}

    def read(self, fields: Mapping[str, Tensor], kl_weight: float = 1.0) -> dict[str, Features]:
        """What posteriors are computed from.

        The features of each encoder whose field is there, by its name; with `refinement` also each
        latent's variational parameters after its steps, (B, P), as the features of that name.

        Args:
            fields: observed batch by field name.
            kl_weight: of the KL in what the steps maximise, E_q log p(x | z) - weight KL.

        Raises:
            ValueError: there is refinement, and a field that is decoded is missing.
        """
        features = self.encoder_features(fields)
        if self.training:
            # Held-out labels are not read: metrics are of the texts alone.
            features |= self.known(features, fields)
        if self.refinement is None:
            return features
        missing = {self.field_of(name) for name in self.main_decoders} - fields.keys()
        if missing:
            raise ValueError(f"refinement of posteriors needs the fields {sorted(missing)}")
        return features | refined(self, self.refinement, features, fields, kl_weight)

    def known(
        self, features: Mapping[str, Features], fields: Mapping[str, Tensor]
    ) -> dict[str, Features]:
        """The variational parameters of each latent whose label is there, (B, P), by its name.

        Of a latent whose prior takes the label: the labels, (B, 1), by its name and `.label`.
        """
        known = {}
        for node in self.config.nodes("latents"):
            if node.get("field") not in fields or not node.get("fixed", True):
                continue
            name, labels = node["name"], fields[node["field"]]
            if self.class_prior(name) is not None:
                known[f"{name}.label"] = pooled_only(labels[:, None])
                continue
            parameters = self.head(node, features, {})[0]
            observed = cast(Family, self.latents[name]).observed(parameters, labels)
            known[name] = pooled_only(observed)
        return known

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        initialize(module, self.config.init_range)
