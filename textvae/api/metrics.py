"""The metrics that every model has on held-out rows."""

from dataclasses import asdict, dataclass

from textvae.api.display import flat, html_table, metric_text, value_text


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """Metrics over held-out rows, texts or images, each with its denominator.

    Args:
        nll: importance-weighted -log p(x), nats per row, with `samples` samples; with certain
            posteriors -log p(x, z) at their codes, an upper bound that no samples tighten.
        elbo: evidence lower bound, nats per row.
        reconstruction_loss: -E_q log p(x | z), nats per row.
        kl: KL(q(z | x) || p(z)), nats per row.
        mutual_information: I(x; z) over the N rows that are compared, nats; see `Information`. Of
            rows with parts, of the latents of whole rows alone; None where there are none.
        mutual_information_ceiling: ln N, which no estimate from N rows exceeds.
        marginal_kl: KL(q(z) || p(z)), nats: KL less mutual information, from the same samples; None
            where each row has a prior of its own.
        latent_samples: samples of each posterior for these two.
        compared: N, the number of rows for all metrics of the latent and the shuffled-z gap: all,
            or `COMPARED` random ones.
        active_units: dimensions whose posterior mean varies over the rows (variance > 0.01).
        dimensions: of all latents.
        variances: of each dimension's posterior mean over the rows.
        kls: KL of each dimension, nats; None where a posterior does not factorise.
        collapsed: whether the posterior is the same for every row, near the prior or far from it;
            False also where the rows are too few to tell.
        samples: K of the importance-weighted bound.
        deterministic: whether a latent is a point. Then nll, -elbo and reconstruction loss are
            equal and no bound, and KL, mutual information and marginal KL have no meaning.
        distinct: number of different rows.
        nll_standard_error: of the mean nll over the rows, s / sqrt(N); None for one row.
        mutual_information_standard_error: likewise; see `Information`.
        certain: whether all posteriors are certain, codes of a codebook; `samples` is then 1.
        codes_used: codes of the codebook that occur, over all rows that are compared; None without
            a codebook.
        codebook_size: codes of the codebook, K.
        code_perplexity: exp(entropy of the frequencies of codes), 1 to K.
        latent_kls: KL of each latent by name, nats per row, the sum over its parts; None where rows
            have no parts. There, `variances` of a latent of parts are over all parts.
        whole_kl: KL of the latents of whole rows, whose mutual information is measured; None
            likewise, and where all latents are of parts.
        parts: mean number of parts of a row, by plate; None likewise.
        field_nlls: nll of each field given those that are written before it, nats per row, by its
            name; None where they are not known, see `FieldTerms`.
    """

    nll: float
    elbo: float
    reconstruction_loss: float
    kl: float
    mutual_information: float | None
    mutual_information_ceiling: float
    marginal_kl: float | None
    latent_samples: int
    active_units: int
    dimensions: int
    variances: tuple[float, ...]
    kls: tuple[float, ...] | None
    collapsed: bool
    samples: int
    deterministic: bool = False
    distinct: int | None = None
    compared: int | None = None
    nll_standard_error: float | None = None
    mutual_information_standard_error: float | None = None
    certain: bool = False
    codes_used: int | None = None
    codebook_size: int | None = None
    code_perplexity: float | None = None
    latent_kls: dict[str, float] | None = None
    whole_kl: float | None = None
    parts: dict[str, float] | None = None
    field_nlls: dict[str, float] | None = None

    def __repr__(self) -> str:
        """All metrics on one line; of a long tuple, its length and range."""
        values = (f"{name}={metric_text(value)}" for name, value in flat(asdict(self)).items())
        return f"{type(self).__name__}({', '.join(values)})"

    def _repr_html_(self) -> str:
        """All metrics as a table, for notebooks."""
        rows = [(name, value_text(value)) for name, value in flat(asdict(self)).items()]
        return html_table(type(self).__name__, rows)
