"""How generation chooses the next token, as options; without torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Decoding:
    """How to choose the next token.

    Args:
        do_sample: draw from the distribution; otherwise take the most probable token.
        temperature: logits are divided by it; sampling only.
        top_k: sample among the k most probable tokens; 0 for all.
        top_p: sample among the fewest tokens whose probability adds up to p.
        num_beams: width of the beam search; 1 for none. Not with `do_sample`.
        max_new_tokens: longest sentence, end of sentence included.
        allow_unknown: whether `<unk>` may be generated.
        known_words: whether words are those of the training texts alone, where the model knows
            them; pieces are not put together to new ones.

    Raises:
        ValueError: a value out of its range, beams together with sampling, or settings of sampling
            without it.
    """

    do_sample: bool = False
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    num_beams: int = 1
    max_new_tokens: int = 128
    allow_unknown: bool = True
    known_words: bool = True

    def __post_init__(self):
        allowed = {
            "temperature": (1e-3 <= self.temperature <= 100, "from 0.001 to 100"),
            "top_k": (self.top_k >= 0, "0 (all) or more"),
            "top_p": (0 < self.top_p <= 1, "above 0 and at most 1"),
            "num_beams": (1 <= self.num_beams <= 1_000, "from 1 to 1,000"),
            "max_new_tokens": (1 <= self.max_new_tokens <= 100_000, "from 1 to 100,000"),
        }
        for name, (fine, range_) in allowed.items():
            if not fine:
                raise ValueError(f"{name} must be {range_} (got {getattr(self, name)})")
        if not self.do_sample and (self.temperature, self.top_k, self.top_p) != (1, 0, 1):
            raise ValueError("temperature, top_k and top_p are of sampling: give do_sample=True")
        if self.do_sample and self.num_beams > 1:
            raise ValueError("beams search for the most probable sentence: not with sampling")
