"""Generation: a batch whose finished rows leave it, against one sentence at a time; beams.

Run: python benchmarks/generation.py [--quick]. The weights are random and the end of sentence is
as likely as it takes for 21 words; beams and their greedy yardstick never end and write 21 words.
"""

import argparse
from typing import Any

import torch
from models import sentence_vae
from timing import Task, interleaved, table
from torch import Tensor

from textvae.graph.decoding import Decoding
from textvae.graph.generation import generate
from textvae.vocabulary import EOS

WORDS = 21
MODELS = {
    "LSTM 512 / 1024": ("lstm", {}),
    "LSTM 256 / 256": ("lstm", {"hidden": 256, "embedding": 256}),
    "Transformer 4 x 256": ("transformer", {}),
}


def decoder_of(kind: str, vocab_size: int, quick: bool, size: dict[str, Any]) -> Any:
    """A decoder whose every token is the end of sentence with probability 1 / 22."""
    model = sentence_vae(kind, vocab_size, quick, **({} if quick else size)).eval()
    decoder: Any = model.decoders["text"]
    # The other logits are close to 0, so their exponentials add up to the number of words.
    decoder.output.bias.data.zero_()[EOS] = torch.tensor(vocab_size / WORDS).log()
    return decoder


def alone(decoder: Any, context: Tensor, decoding: Decoding) -> None:
    """One sentence after the other."""
    for row in context:
        generate(decoder, row[None], decoding)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sentences", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="small sizes, to try the script")
    arguments = parser.parse_args()
    count = 32 if arguments.quick else arguments.sentences
    sampling = Decoding(do_sample=True, max_new_tokens=128)
    one, beams = [], []
    for name, (kind, size) in MODELS.items():
        decoder = decoder_of(kind, 10_000, arguments.quick, size)
        context = torch.randn(count, 32)
        # A sixteenth alone: that is time enough.
        few = context[: count // 16]
        costs = interleaved(
            {
                "alone": lambda d=decoder, c=few: alone(d, c, sampling),
                "batch": lambda d=decoder, c=context: generate(d, c, sampling),
            },
            arguments.rounds,
        )
        each = [1e3 * costs["alone"].cpu / len(few), 1e3 * costs["batch"].cpu / count]
        one.append((name, *each, f"{each[0] / each[1]:.1f} x"))
        decoder.output.bias.data[EOS] = -torch.inf
        tasks: dict[str, Task] = {
            f"{width}": lambda d=decoder, c=context[: count // 4], w=width: generate(
                d, c, Decoding(num_beams=w, max_new_tokens=WORDS + 1)
            )
            for width in (1, 5)
        }
        costs = interleaved(tasks, arguments.rounds)
        each = [1e3 * costs[width].cpu / (count // 4) for width in ("1", "5")]
        beams.append((name, *each, f"{each[1] / each[0]:.1f} x"))
    table(one, ["CPU ms a sentence, sampled", "alone", f"batch of {count}", "speed"])
    table(beams, [f"CPU ms a sentence, batch of {count // 4}", "greedy", "beam 5", "cost"])


if __name__ == "__main__":
    main()
