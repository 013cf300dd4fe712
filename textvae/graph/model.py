"""A VAE as a graph of named nodes: encoders, latents, decoders."""

import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from typing import Any, ClassVar, Self, cast

import torch
from huggingface_hub.dataclasses import strict
from pydantic import PositiveFloat
from torch import Tensor, nn
from torch.distributions import Distribution, MultivariateNormal
from torch.nn import functional as F
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers import initialization as init

from textvae.config import read_section
from textvae.decoders import Decoder
from textvae.encoders import Encoder, Features, pooled_only
from textvae.families import Family
from textvae.graph.refinement import Refinement, refine
from textvae.objectives.outputs import Latent, Loss, VAEOutput
from textvae.registry import Component, SpecError, arguments, check_value, suggest
from textvae.vocabulary import MISSING

Node = dict[str, Any]
GRAPH_KEYS = {
    "encoders": {"field"},
    "latents": {"given", "prior", "field", "label_weight"},
    "decoders": {"field", "given", "auxiliary"},
}
RESERVED = ("step", "samples")
BASES: dict[str, type[Component]] = {"encoders": Encoder, "latents": Family, "decoders": Decoder}
SUPPLIED = {
    "encoders": {"vocab_size", "shape", "classes"},
    "latents": {"features", "classes"},
    "decoders": {"vocab_size", "shape", "classes", "features"},
}
MODALITIES = {"shape": "image", "classes": "label"}
"""What a component asks for of a field that is no text, and what such a field is called."""


@strict
class VAEConfig(PreTrainedConfig):
    """The graph of a VAE: lists of named nodes, since saved mappings lose their order.

    Args:
        vocab_size: number of token ids V of the text fields.
        observed: what is known of each field that is no text: the `shape`, [C, H, W], of an image
            and how its `pixels` are read; the number of `classes` of a label.
        encoders: `{name, kind, field, ...}`; `field` is the name when not given.
        latents: `{name, kind, given, prior, ...}`; `given` names encoders and earlier latents;
            `prior: {given: [...]}` makes the prior a network of those instead of the default,
            `prior: {given: []}` one distribution that is learned, and `prior: {fitted: true}` one
            that is fitted to the posteriors of all training data once training is over.
            `field` names the label that says, in training and where it is not missing, what the
            latent is; `label_weight: w` adds -w log q(label | x) to the loss, which no figure
            counts.
        decoders: `{name, kind, field, given, ...}`; `auxiliary: weight` makes it a term of the
            training loss alone, -weight E_q log p(x | z), which no figure counts.
        init_range: every weight starts uniform in [-init_range, init_range]; when None, each kind
            of layer has its usual start.
        refinement: arguments of a `Refinement`: steps that improve each text's posterior, in
            training and in evaluation; None for the encoders' posterior as it is.
        recipe: name of the recipe it was made from, for messages.
    """

    model_type = "textvae"

    vocab_size: int = 0
    observed: dict | None = None
    encoders: list[dict] | None = None
    latents: list[dict] | None = None
    decoders: list[dict] | None = None
    init_range: float | int | None = None
    refinement: dict | None = None
    recipe: str | None = None
    is_encoder_decoder: bool = False
    tie_word_embeddings: bool = False

    def facts(self, node: Node) -> dict[str, Any]:
        """What a node's component may ask for of its field."""
        known = (self.observed or {}).get(node.get("field"), {})
        chosen = {name: known[name] for name in MODALITIES if name in known}
        return chosen or {"vocab_size": self.vocab_size}

    def nodes(self, group: str) -> list[Node]:
        """The nodes of `encoders`, `latents` or `decoders`, with their graph keys filled in."""
        filled = []
        for node in getattr(self, group) or []:
            complete = dict(node)
            if group != "latents":
                complete.setdefault("field", node["name"])
            if "given" in GRAPH_KEYS[group]:
                complete.setdefault("given", [])
            filled.append(complete)
        return filled


class VAE(PreTrainedModel):
    """A variational autoencoder: walks its graph and says what each distribution thinks.

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

    config_class = VAEConfig
    base_model_prefix = ""
    main_input_name = "text"
    # Trainer would otherwise pass num_items_in_batch as one more field.
    accepts_loss_kwargs = False
    # What an objective has learnt stands in checkpoints and is no part of the model.
    _keys_to_ignore_on_load_unexpected: ClassVar[list[str]] = [r"^objective\."]

    def __init__(self, config: VAEConfig):
        super().__init__(config)
        problems = check_graph(config) or check_fields(config)
        if problems:
            raise SpecError(problems)
        self.objective: Callable[[VAEOutput, int], Loss] | None = None
        self.frozen: tuple[str, ...] = ()
        """Names of frozen parts, such as `encoders.text`."""
        self.refinement = None if config.refinement is None else Refinement(**config.refinement)
        sizes: dict[str, int] = {}
        self.encoders, self.latents = nn.ModuleDict(), nn.ModuleDict()
        self.priors, self.decoders = nn.ModuleDict(), nn.ModuleDict()
        for node in config.nodes("encoders"):
            encoder = build_node("encoders", node, **config.facts(node))
            self.encoders[node["name"]] = encoder
            sizes[node["name"]] = encoder.features
        for node in config.nodes("latents"):
            name = node["name"]
            features = sum(sizes[given] for given in node["given"])
            classes = config.facts(node).get("classes")
            self.latents[name] = build_node("latents", node, features=features, classes=classes)
            if "prior" in node:
                family = cast(Family, self.latents[name])
                above = sum(sizes[given] for given in node["prior"].get("given", []))
                if "fitted" in node["prior"]:
                    self.priors[name] = FittedPrior(family)
                elif above:
                    self.priors[name] = build_node("latents", node, features=above, classes=classes)
                else:
                    self.priors[name] = LearnedPrior(family)
            sizes[name] = int(self.latents[name].dim)  # type: ignore[arg-type]
        for node in config.nodes("decoders"):
            features = sum(sizes[given] for given in node["given"])
            self.decoders[node["name"]] = build_node(
                "decoders", node, features=features, **config.facts(node)
            )
        self.sizes = sizes
        """Size of each encoder's features and of each latent, by name."""
        self.post_init()

    def train(self, mode: bool = True) -> Self:
        """Set the mode of all modules; those inside a frozen part stay in evaluation mode.

        Their dropout and noise are off, and running averages of batch normalisation do not move.
        """
        super().train(mode)
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
        samples = getattr(self.objective, "samples", 1)
        schedule = getattr(self.objective, "kl_weight", None)
        features = self.read(fields, 1.0 if schedule is None else schedule(step))
        out = self.infer_from(features, fields, samples)
        loss = self.objective(out, step)  # type: ignore[operator]
        weights = self.auxiliary | self.label_weights
        for name, said in out.auxiliary.items():
            term = -out.expected(said).mean()
            value = loss.value + weights[name] * term
            loss = Loss(value, {**loss.terms, name: term.detach()})
        return loss

    def infer(self, samples: int = 1, **fields: Tensor) -> VAEOutput:
        """What each distribution says of a batch under K samples of every latent.

        Args:
            samples: K; a model without latents has nothing to sample and takes 1.
            **fields: observed batch by field name; token ids are (B, T), int64.
        """
        return self.infer_from(self.read(fields), fields, samples)

    def infer_from(
        self, features: Mapping[str, Features], fields: dict[str, Tensor], samples: int
    ) -> VAEOutput:
        """`infer` of a batch that was read; more samples read it no further."""
        batch = len(next(iter(fields.values())))
        latents = self.draw(features, samples, batch, enumerate_all=True)
        values = {name: latent.value for name, latent in latents.items()}
        wanted = list(self.decoders) if self.training else self.main_decoders
        said = {
            name: likelihood.log_prob(fields[self.field_of(name)])
            for name, likelihood in self.likelihoods(values, features, batch, wanted).items()
        }
        auxiliary = {name: said.pop(name) for name in self.auxiliary if name in said}
        if self.training:
            auxiliary |= self.label_log_probs(features, fields)
        pooled = {name: found.pooled for name, found in features.items()}
        return VAEOutput(latents, said, fields, auxiliary, pooled)

    def draw(
        self,
        features: Mapping[str, Features],
        samples: int,
        batch: int,
        use_mean: bool = False,
        enumerate_all: bool = False,
    ) -> dict[str, Latent]:
        """K posterior samples of each latent in turn, each given those before it.

        Args:
            features: as `read` gives them.
            samples: K.
            batch: B.
            use_mean: the posterior means in place of samples; K is then 1.
            enumerate_all: every class of a categorical latent in turn in place of samples; K is
                then their number times as large.
        """
        samples = 1 if use_mean else samples
        if enumerate_all:
            samples *= self.copies
        latents: dict[str, Latent] = {}
        for node in self.config.nodes("latents"):
            values = {name: latent.value for name, latent in latents.items()}
            family = cast(Family, self.latents[node["name"]])
            posterior = family.distribution(self.variational_parameters(node, features, values))
            drawn = posterior.expand((samples, batch))
            if use_mean:
                value = family.point_estimate(drawn)
            elif enumerate_all and family.enumerated:
                value = family.enumerate_support(samples, batch, drawn.mean)
            else:
                value = drawn.rsample() if drawn.has_rsample else drawn.sample()
            prior = self.prior(node, features, values, posterior.batch_shape, value)
            counted = enumerate_all and not use_mean and family.enumerated
            latents[node["name"]] = Latent(value, posterior, prior, counted)
        return latents

    @property
    def copies(self) -> int:
        """What a sample is multiplied by where a latent is enumerated: its number of values."""
        families = [cast(Family, family) for family in self.latents.values()]
        return next((family.dim for family in families if family.enumerated), 1)

    def encode(self, **fields: Tensor) -> dict[str, Distribution]:
        """The posterior of each latent, batch shape (B,); later latents see the earlier means."""
        features = self.read(fields)
        values: dict[str, Tensor] = {}
        posteriors = {}
        for node in self.config.nodes("latents"):
            family = cast(Family, self.latents[node["name"]])
            posterior = family.distribution(self.variational_parameters(node, features, values)[0])
            values[node["name"]] = family.point_estimate(posterior)[None]
            posteriors[node["name"]] = posterior
        return posteriors

    def sample_prior(
        self, count: int, known: Mapping[str, Tensor] | None = None, **fields: Tensor
    ) -> dict[str, Tensor]:
        """Samples of each latent from its prior, (1, count, D).

        Args:
            count: of each latent.
            known: values of some latents, (1, count, D), in place of samples.
            **fields: for learned priors.
        """
        features = self.encoder_features(fields)
        values: dict[str, Tensor] = {}
        like = next(self.parameters())
        for node in self.config.nodes("latents"):
            if known and node["name"] in known:
                values[node["name"]] = known[node["name"]]
                continue
            shape = torch.Size((1, count))
            prior = self.prior(node, features, values, shape, like)
            values[node["name"]] = prior.expand(shape).sample()
        return values

    def contexts(
        self,
        values: Mapping[str, Tensor],
        features: Mapping[str, Features],
        batch: int,
        wanted: Iterable[str] | None = None,
    ) -> dict[str, Tensor]:
        """What decoders are given, (K, B, H), by name.

        Args:
            values: of the latents, (K, B, D).
            features: of the encoders, by name.
            batch: B, for a decoder that is given nothing.
            wanted: names of decoders; the main decoders by default.
        """
        samples = max((len(value) for value in values.values()), default=1)
        empty = next(self.parameters()).new_zeros(1, batch, 0)
        names = self.main_decoders if wanted is None else list(wanted)
        given = {
            node["name"]: self.context(node, features, values) if node["given"] else empty
            for node in self.config.nodes("decoders")
            if node["name"] in names
        }
        return {
            # Latents are float32; a decoder's weights need not be.
            name: context.expand(samples, -1, -1).to(next(self.decoders[name].parameters()).dtype)
            for name, context in given.items()
        }

    def likelihoods(
        self,
        values: Mapping[str, Tensor],
        features: Mapping[str, Features],
        batch: int,
        wanted: Iterable[str] | None = None,
    ) -> dict[str, Distribution]:
        """p(x | z) of decoders, batch shape (K, B), by name; arguments as `contexts`."""
        contexts = self.contexts(values, features, batch, wanted)
        return {name: self.decoders[name](context) for name, context in contexts.items()}

    @property
    def auxiliary(self) -> dict[str, float]:
        """Weights of the auxiliary decoders, by name."""
        nodes = self.config.nodes("decoders")
        return {n["name"]: n["auxiliary"] for n in nodes if n.get("auxiliary") is not None}

    @property
    def label_weights(self) -> dict[str, float]:
        """Weights of -log q(label | x), by `label_` and the name of the latent."""
        nodes = self.config.nodes("latents")
        found = {node["name"]: node.get("label_weight") for node in nodes}
        return {f"label_{name}": weight for name, weight in found.items() if weight is not None}

    @property
    def main_decoders(self) -> list[str]:
        """Names of the decoders whose likelihood counts: all but the auxiliary."""
        return [name for name in self.decoders if name not in self.auxiliary]

    def read(self, fields: Mapping[str, Tensor], kl_weight: float = 1.0) -> dict[str, Features]:
        """All that the observed batch says of its latents.

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
            # Held out, the label is what is asked for: metrics are of the texts alone.
            features |= self.known(features, fields)
        if self.refinement is None:
            return features
        missing = {self.field_of(name) for name in self.main_decoders} - fields.keys()
        if missing:
            raise ValueError(f"refinement of posteriors needs the fields {sorted(missing)}")
        return features | self.refined(self.refinement, features, fields, kl_weight)

    def known(
        self, features: Mapping[str, Features], fields: Mapping[str, Tensor]
    ) -> dict[str, Features]:
        """The variational parameters of each latent whose label is there, (B, P), by its name."""
        return {
            node["name"]: pooled_only(
                cast(Family, self.latents[node["name"]]).observed(
                    self.head(node, features, {})[0], fields[node["field"]]
                )
            )
            for node in self.config.nodes("latents")
            if node.get("field") in fields
        }

    def label_log_probs(
        self, features: Mapping[str, Features], fields: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """log q(label | x), (1, B), as `label_weights` names it; 0 where the label is missing."""
        found = {}
        for node in self.config.nodes("latents"):
            if node.get("label_weight") is not None and node["field"] in fields:
                labels = fields[node["field"]]
                logits = self.head(node, features, {})[0]
                loss = F.cross_entropy(logits, labels, ignore_index=MISSING, reduction="none")
                found[f"label_{node['name']}"] = -loss[None]
        return found

    def encoder_features(self, fields: Mapping[str, Tensor]) -> dict[str, Features]:
        """The features of each encoder whose field is there, by encoder name."""
        return {
            node["name"]: self.encoders[node["name"]](fields[node["field"]])
            for node in self.config.nodes("encoders")
            if node["field"] in fields
        }

    def refined(
        self,
        plan: Refinement,
        features: dict[str, Features],
        fields: Mapping[str, Tensor],
        kl_weight: float,
    ) -> dict[str, Features]:
        """The variational parameters of each latent after the steps of a plan, by its name.

        In evaluation the noise of the steps is the same each time: a batch has one posterior.
        """
        nodes = self.config.nodes("latents")
        parameters = [self.variational_parameters(node, features, {})[0] for node in nodes]
        sizes = [variational_parameters.shape[-1] for variational_parameters in parameters]
        device = parameters[0].device.type
        half, dtype = torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)
        # cuDNN computes no gradient of an LSTM in evaluation mode.
        native = device == "cuda" and not self.training

        def named(parameters: Tensor) -> dict[str, Features]:
            parts = parameters.split(sizes, dim=-1)
            return {
                node["name"]: pooled_only(part) for node, part in zip(nodes, parts, strict=True)
            }

        def loss(parameters: Tensor) -> Tensor:
            with ExitStack() as stack:
                stack.enter_context(torch.autocast(device, dtype, enabled=half))
                if native:
                    stack.enter_context(torch.backends.cudnn.flags(enabled=False))
                out = self.infer_from(features | named(parameters), dict(fields), plan.samples)
            return (kl_weight * out.kl - out.total_log_likelihood).mean(0)

        given = [found.pooled for found in features.values()]
        weights = [*self.decoders.parameters(), *self.priors.parameters()]
        seeds = torch.randint(2**62, (plan.steps,)) if self.training else torch.arange(plan.steps)
        start = torch.cat(parameters, dim=-1)
        return named(refine(plan, loss, start, [*given, *weights], seeds.tolist()))

    def variational_parameters(
        self, node: Node, features: Mapping[str, Features], values: Mapping[str, Tensor]
    ) -> Tensor:
        """Variational parameters of a latent, (K or 1, B, P): the refined, or the encoders'."""
        if node["name"] in features:
            return features[node["name"]].pooled[None]
        return self.head(node, features, values)

    def head(
        self, node: Node, features: Mapping[str, Features], values: Mapping[str, Tensor]
    ) -> Tensor:
        """Variational parameters of a latent as the encoders have them, (K or 1, B, P)."""
        family = cast(Family, self.latents[node["name"]])
        return family.variational_parameters(self.context(node, features, values))

    def context(
        self, node: Node, features: Mapping[str, Features], values: Mapping[str, Tensor]
    ) -> Tensor:
        """What a node is given, side by side: (K, B, H), K = 1 when it comes from encoders only."""
        parts = [
            cast(Family, self.latents[name]).embed(values[name])
            if name in values
            else features[name].pooled[None]
            for name in node["given"]
        ]
        samples = max(len(part) for part in parts)
        return torch.cat([part.expand(samples, *part.shape[1:]) for part in parts], dim=-1)

    def prior(
        self,
        node: Node,
        features: Mapping[str, Features],
        values: Mapping[str, Tensor],
        batch_shape: torch.Size,
        like: Tensor,
    ) -> Distribution:
        """p(z) of a latent: its network of what the prior is given, else the family's default."""
        standing = self.unconditional_prior(node["name"])
        if standing is not None:
            return standing.expand(batch_shape)
        if node.get("prior", {}).get("given"):
            return self.priors[node["name"]](self.context(node["prior"], features, values))
        family = cast(Family, self.latents[node["name"]])
        return family.default_prior(batch_shape, like)

    def unconditional_prior(self, latent: str) -> Distribution | None:
        """The learned or fitted prior that is given nothing, batch shape (), if there is one."""
        prior = dict(self.priors.items()).get(latent)
        if isinstance(prior, LearnedPrior):
            return cast(Family, self.latents[latent]).distribution(prior.bias)
        return prior.distribution() if isinstance(prior, FittedPrior) else None

    @torch.no_grad()
    def unit(self, latent: str) -> Tensor | float:
        """Standard deviation of each dimension under the prior, (D,) or one for all.

        It is what variances are measured in. Under a prior that is a network of something it is
        that of the family's default prior.
        """
        standing = self.unconditional_prior(latent)
        return cast(Family, self.latents[latent]).unit if standing is None else standing.stddev

    def field_of(self, decoder: str) -> str:
        """The field that a decoder reconstructs."""
        return next(n["field"] for n in self.config.nodes("decoders") if n["name"] == decoder)

    def get_input_embeddings(self) -> None:  # type: ignore[override]
        """None: every encoder and decoder has an embedding of its own."""

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        # Only these functions are safe: they skip weights that from_pretrained has loaded.
        width = self.config.init_range
        if isinstance(module, nn.LayerNorm):
            init.ones_(module.weight)
            init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            limit = 0.1 if width is None else width
            init.uniform_(module.weight, -limit, limit)
        elif isinstance(module, nn.Linear | nn.LSTM | nn.Conv2d | nn.ConvTranspose2d):
            limit = 1 / math.sqrt(max(inputs_of(module), 1)) if width is None else width
            for parameter in module.parameters(recurse=False):
                init.uniform_(parameter, -limit, limit)
        else:
            for name, parameter in module.named_parameters(recurse=False):
                if name == "bias":
                    init.zeros_(parameter)


class LearnedPrior(nn.Module):
    """Variational parameters of a prior that is given nothing; zeros at first."""

    def __init__(self, family: Family):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(family.head.out_features))


class FittedPrior(nn.Module):
    """A Gaussian with the mean and covariance of all posteriors taken together, once it is fitted.

    Until then, and so in training, the prior is the family's default.

    Args:
        family: of the latent.

    Source: Ghosh et al. 2020, section 4, arXiv:1903.12436 (density estimation after training; there
    of an autoencoder's codes).
    """

    mean: Tensor
    scale_tril: Tensor
    fitted: Tensor

    def __init__(self, family: Family):
        super().__init__()
        self.register_buffer("mean", torch.zeros(family.dim))
        self.register_buffer("scale_tril", torch.eye(family.dim))
        self.register_buffer("fitted", torch.tensor(False))

    def fit(self, means: Tensor, scales: Tensor) -> None:
        """Take the moments of posteriors N(means, diag(scales^2)), (N, D) each."""
        covariance = means.double().T.cov(correction=0) + scales.double().square().mean(0).diag()
        self.mean.copy_(means.double().mean(0))
        self.scale_tril.copy_(torch.linalg.cholesky(covariance))
        self.fitted.fill_(True)

    def distribution(self) -> MultivariateNormal | None:
        """The Gaussian, batch shape (), event (D,); None before it is fitted."""
        if not self.fitted:
            return None
        return MultivariateNormal(self.mean, scale_tril=self.scale_tril, validate_args=False)


def inputs_of(layer: nn.Linear | nn.LSTM | nn.Conv2d | nn.ConvTranspose2d) -> float:
    """Number of inputs that one output of a layer adds up; of an LSTM, the size of its state."""
    if isinstance(layer, nn.LSTM):
        return layer.hidden_size
    if isinstance(layer, nn.Linear):
        return layer.in_features
    inputs = layer.in_channels * math.prod(layer.kernel_size)
    # Each output of a transposed convolution sees one in `stride` of the kernel's places.
    return inputs / math.prod(layer.stride) if isinstance(layer, nn.ConvTranspose2d) else inputs


def build_node(group: str, node: Node, **context: Any) -> Any:
    """The component of a node.

    Raises:
        SpecError: its arguments do not fit together.
    """
    spec = {k: v for k, v in node.items() if k != "name" and k not in GRAPH_KEYS[group]}
    try:
        return BASES[group].build(spec, **context)
    except SpecError:
        raise
    except ValueError as error:
        raise SpecError([f"{group}.{node['name']}: {error}"]) from None


def check_graph(config: VAEConfig) -> list[str]:
    """The mistakes in a graph, one line each."""
    problems: list[str] = []
    sources: list[str] = []
    for group in ("encoders", "latents", "decoders"):
        names: list[str] = []
        for number, node in enumerate(getattr(config, group) or []):
            name = node.get("name") if isinstance(node, dict) else None
            # A module cannot be called what a container of modules calls its own methods.
            if not isinstance(name, str) or not name.isidentifier() or hasattr(nn.ModuleDict, name):
                problems.append(f"{group}[{number}]: needs a 'name', a word (got {node!r})")
                continue
            if node.get("field", "text") in RESERVED:
                problems.append(f"{group}.{name}.field: {', '.join(RESERVED)} are taken")
            if name in names or (group == "latents" and name in sources):
                problems.append(f"{group}.{name}: the name is taken")
            names.append(name)
            problems += check_node(group, dict(node), sources)
            if group == "latents":
                sources.append(name)
        if group == "encoders":
            sources += names
    problems += refinement_problems(config) + enumeration_problems(config)
    nodes = [node for node in config.decoders or [] if isinstance(node, dict)]
    if all(node.get("auxiliary") is not None for node in nodes):
        problems.append("decoders: at least one is needed that is not auxiliary")
    return problems


def refinement_problems(config: VAEConfig) -> list[str]:
    """The mistakes in `refinement`, and what of the graph it cannot refine, one line each."""
    if config.refinement is None:
        return []
    problems = read_section(Refinement, config.refinement, "refinement")[1]
    nodes = [node for node in config.latents or [] if isinstance(node, dict)]
    if not nodes:
        problems.append("refinement: the model has no latent")
    names = {node.get("name") for node in nodes}
    return problems + [
        f"refinement: {node.get('name')} is given the latent {name!r}; only latents that are "
        f"given encoders can be refined"
        for node in nodes
        for name in node.get("given") or []
        if name in names
    ]


def enumeration_problems(config: VAEConfig) -> list[str]:
    """What of a graph's latents cannot be summed over, or told a label, one line each."""
    kinds = {
        node.get("name"): Family.kinds.get(node.get("kind", ""))
        for node in config.latents or []
        if isinstance(node, dict)
    }
    names = [str(name) for name, kind in kinds.items() if getattr(kind, "enumerated", False)]
    problems = []
    if len(names) > 1:
        problems.append(f"latents: one categorical latent at most (got {', '.join(names)})")
    if names and config.refinement is not None:
        problems.append(f"refinement: {names[0]} is categorical; others can be refined")
    return problems + [
        f"latents.{node.get('name')}: a label is told of the text alone, not of the latent {name!r}"
        for node in config.latents or []
        if isinstance(node, dict) and "field" in node and is_list_of_names(node.get("given", []))
        for name in node.get("given", [])
        if name in kinds
    ]


def check_fields(config: VAEConfig) -> list[str]:
    """The nodes whose field is of another modality than their kind reads or writes."""
    others = ", ".join(sorted(config.observed or {})) or "texts only"
    problems = []
    for group in ("encoders", "decoders"):
        for node in config.nodes(group):
            known = config.facts(node)
            wanted, _ = arguments(BASES[group].kinds[node["kind"]])
            for name in SUPPLIED[group] - {"features"}:
                if name in wanted and name not in known:
                    what = MODALITIES.get(name, "text")
                    problems.append(
                        f"{group}.{node['name']}: {node['kind']} needs {what}s, and the data has "
                        f"no {what} field {node['field']!r} (it has: {others})"
                    )
    for node in config.nodes("latents"):
        if "field" in node and "classes" not in config.facts(node):
            problems.append(
                f"latents.{node['name']}: the data has no label field {node['field']!r} "
                f"(it has: {others})"
            )
    return problems


def check_node(group: str, node: Node, sources: Iterable[str]) -> list[str]:
    """The mistakes in one node; `sources` are the names that it may be given."""
    path = f"{group}.{node['name']}"
    spec = {k: v for k, v in node.items() if k != "name" and k not in GRAPH_KEYS[group]}
    problems = BASES[group].check(spec, SUPPLIED[group], path)
    given, prior = node.get("given", []), node.get("prior")
    if not is_list_of_names(given):
        return [*problems, f"{path}.given: must be a list of names (got {given!r})"]
    if node.get("auxiliary") is not None:
        problems += check_value(PositiveFloat, node["auxiliary"], f"{path}.auxiliary")
    if group == "latents":
        problems += label_problems(node, path)
    if group == "latents" and not given:
        problems.append(f"{path}.given: a latent needs at least one encoder or earlier latent")
    if prior == {"fitted": True}:
        family = Family.kinds.get(node.get("kind", ""))
        if family is not None and not family.fittable:
            problems.append(f"{path}.prior.fitted: no prior is fitted to {node['kind']} latents")
    elif "prior" in node:
        names = prior.get("given") if isinstance(prior, Mapping) and len(prior) == 1 else None
        if names is not None and is_list_of_names(names):
            given = [*given, *names]
            problems += [] if names else learned_prior_problems(node, path)
        else:
            problems.append(
                f"{path}.prior: must be {{given: [names]}} or {{fitted: true}} (got {prior!r})"
            )
    known = list(sources)
    return problems + [
        f"{path}.given: unknown {name!r} {suggest(str(name), known)}"
        for name in given
        if name not in known
    ]


def learned_prior_problems(node: Node, path: str) -> list[str]:
    """Why a latent's prior cannot be a distribution that is given nothing, in a line, if so."""
    family = Family.kinds.get(node.get("kind", ""))
    if family is not None and (family.spherical or family.deterministic):
        return [f"{path}.prior.given: the prior of a {node['kind']} latent cannot be learned"]
    return []


def label_problems(node: Node, path: str) -> list[str]:
    """The mistakes in what a latent's node says of a label, one line each."""
    problems = []
    if "field" in node:
        kind = Family.kinds.get(node.get("kind", ""))
        if kind is not None and "classes" not in arguments(kind)[0]:
            problems.append(f"{path}.field: a {node['kind']} latent takes no label")
        elif not isinstance(node["field"], str):
            problems.append(f"{path}.field: must be a name (got {node['field']!r})")
    if node.get("label_weight") is not None:
        problems += check_value(PositiveFloat, node["label_weight"], f"{path}.label_weight")
        if "field" not in node:
            problems.append(f"{path}.label_weight: needs the field of the label")
    return problems


def is_list_of_names(given: Any) -> bool:
    """Whether a value is a list of words; a single word, though iterable, is not."""
    return isinstance(given, list | tuple) and all(isinstance(name, str) for name in given)


AutoConfig.register("textvae", VAEConfig)
AutoModel.register(VAEConfig, VAE)
