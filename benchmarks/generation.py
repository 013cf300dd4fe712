"""Generation: ours against the best public loop and one sentence at a time; beams.

Run: python benchmarks/generation.py [--quick]. The weights are random. Sentences of "22 words"
never end and are cut there, so no row leaves the batch; otherwise the end of sentence is as likely
as it takes for 21 words. The loop of plain.py goes on with the whole batch until the last has
ended. Rare words of the adaptive softmax get 13 % of the tokens, as in the Penn Treebank.
"""

import argparse
import math
from copy import deepcopy
from typing import Any

import torch
from models import sentence_vae
from plain import PlainLSTM
from timing import Task, interleaved, table
from torch import Tensor

from textvae.graph.decoding import Decoding
from textvae.graph.generation import generate
from textvae.layers.adaptive import AdaptiveSoftmax
from textvae.vocabulary import EOS, PAD

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


def with_cutoff(decoder: Any, cutoff: int) -> Any:
    """The same LSTM decoder under an adaptive softmax, whose rare words get 13 % of the tokens."""
    decoder = deepcopy(decoder)
    weight, bias = decoder.projection
    decoder.adaptive = AdaptiveSoftmax(weight.shape[1], len(weight), [cutoff])
    decoder.adaptive.scores.weight.data.zero_()
    frequent = bias.data[:cutoff].exp().sum()
    decoder.adaptive.scores.bias.data.fill_(frequent.log() + math.log(0.13 / 0.87))
    return decoder


def alone(decoder: Any, context: Tensor, decoding: Decoding) -> None:
    """One sentence after the other."""
    for row in context:
        generate(decoder, row[None], decoding)


def against_plain(arguments: argparse.Namespace, count: int) -> None:
    """Print user CPU time per token of the LSTM 256 / 256, ours and plain."""
    size: dict[str, Any] = {} if arguments.quick else {"hidden": 256, "embedding": 256}
    model = sentence_vae("lstm", arguments.vocabulary, arguments.quick, **size).eval()
    rows = []
    for name, longest in (("22 words", WORDS + 1), ("21 words on average", 128)):
        decoder: Any = model.decoders["text"]
        decoder.output.bias.data.zero_()[EOS] = (
            -torch.inf if longest == WORDS + 1 else math.log(arguments.vocabulary / WORDS)
        )
        adaptive = with_cutoff(decoder, arguments.vocabulary // 5)
        plain, context = PlainLSTM(model), torch.randn(count, 32)
        sampling = Decoding(do_sample=True, max_new_tokens=longest)
        tokens: dict[str, int] = {}

        def counted(part: str, ids: Tensor, tokens: dict[str, int] = tokens) -> None:
            tokens[part] = tokens.get(part, 0) + int((ids != PAD).sum())

        cases: dict[str, Task] = {
            "plain": lambda p=plain, c=context, n=longest: counted("plain", p.sample(c, n)),
            "ours": lambda d=decoder, c=context, s=sampling: counted("ours", generate(d, c, s)),
            "adaptive": lambda d=adaptive, c=context, s=sampling: counted(
                "adaptive", generate(d, c, s)
            ),
        }
        costs = interleaved(cases, arguments.rounds)
        runs = arguments.rounds + 1
        each = [1e6 * costs[part].user / (tokens[part] / runs) for part in cases]
        rows.append((name, *each, *(f"{each[0] / part:.2f} x" for part in each[1:])))
    table(rows, ["user us a token", "plain", "ours", "adaptive", "ours", "adaptive"])


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sentences", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--vocabulary", type=int, default=10_002)
    parser.add_argument("--only-plain", action="store_true", help="the first table alone")
    parser.add_argument("--quick", action="store_true", help="small sizes, to try the script")
    arguments = parser.parse_args()
    count = 32 if arguments.quick else arguments.sentences
    against_plain(arguments, count)
    if arguments.only_plain:
        return
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
