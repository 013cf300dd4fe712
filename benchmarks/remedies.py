"""Every remedy against posterior collapse on one data set at one budget.

Run: python benchmarks/remedies.py DATA OUT [NAME ...]. Trains each remedy that is not in OUT yet,
evaluates it on the test split, and prints the table of all that are there. `--parallel` runs
several at once; several commands may run beside each other too: each takes what no other has begun.
On one core of a server CPU 20 to 40 minutes each; semi-amortised inference and lagging encoders
take hours. One step of these models leaves most of a GPU idle: 16 at once, under CUDA MPS, take 5
minutes.

All differ from `bowman2016_ptb`, or its language model, in what is said here alone, and in epochs:
12 in place of 28. Critics and the multiplier are parameters that plain SGD moves too far, and under
it the delta-VAE, the target rate and skip connections end with a z that is noise; they have AdamW.
Of each other one there is also `adam_NAME`. Lagging encoders catch up in the first epoch alone.
"""

import argparse
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

EPOCH = 1314
"""Optimizer steps of an epoch of the Penn Treebank."""
ANNEALED = f"kl_weight: {{kind: linear, start: 0.1, steps: {4 * EPOCH}}}"
CELLS = "hidden: 256, dropout: 0.5, tied: true, cutoffs: [2000], given: [z]"
BUDGET = ["train.epochs=12", "train.validation_samples=1"]
ADAM = ["train.optimizer=adamw", "train.learning_rate=0.002"]
LAST = ["train.keep=last"]
"""For losses that are no bound."""


def elbo(settings: str = "") -> list[str]:
    """The bound, with something changed."""
    return [f"objective={{kind: elbo{settings and ', ' + settings}}}"]


def latent(settings: str) -> list[str]:
    """Another family in place of the Gaussian, under the plain bound."""
    return [*elbo(), f"latents=[{{name: z, dim: 32, given: [text], {settings}}}]"]


def decoders(*nodes: str) -> list[str]:
    """Others in place of the LSTM, under annealing."""
    return [*elbo(ANNEALED), f"decoders=[{', '.join(nodes)}]"]


LSTM = f"{{name: text, kind: lstm, every_step: false, {CELLS}}}"
BAG = "{name: bag, kind: bag, field: text, hidden: 256, given: [z], auxiliary: 1.0}"
NOISE = "{name: text, kind: lstm, hidden: 256, noise: {kind: drop, rate: 0.3}}"
REFINED = "{steps: 5, learning_rate: 0.1, momentum: 0.5, clip: 5.0}"
LANGUAGE_MODELS = {
    "lm": [],
    "lm_inputless": ["decoders.text.word_dropout=1.0"],
}
REMEDIES = {
    "annealing": elbo(ANNEALED),
    "sigmoid_word_dropout": [
        *elbo("kl_weight: {kind: sigmoid, midpoint_steps: 4000, steepness_per_step: 0.0025}"),
        "decoders.text.word_dropout=0.5",
    ],
    "inputless": [*elbo(ANNEALED), "decoders.text.word_dropout=1.0"],
    "cyclical": elbo(f"kl_weight: {{kind: cyclical, period_steps: {3 * EPOCH}, cycles: 4}}"),
    "free_bits": elbo("free_bits: 8.0"),
    "free_bits_dimension": elbo("free_bits: 0.25, free_bits_per: dimension"),
    "free_bits_batch": elbo("free_bits: 8.0, free_bits_per: batch"),
    "beta": [*elbo("kl_weight: 0.4"), *LAST],
    "target_rate": [
        "objective={kind: target_rate, target: {kind: linear, steps: 2500, end: 8.0}, weight: 2.0}",
        *LAST,
        *ADAM,
    ],
    "minimum_rate": ["objective={kind: minimum_rate, rate: 8.0}", *LAST, *ADAM],
    "batch_norm": [*elbo(), "latents.z.batch_norm=0.6"],
    "delta": [*latent("kind: delta, rate: 8.0"), *ADAM],
    "vmf": latent("kind: vmf, kappa: 30.0"),
    "copula": latent("kind: copula"),
    "infovae": ["objective={kind: mmd, kl_weight: 0.1, mmd_weight: 10.0}", *LAST],
    "mine": ["objective={kind: mutual_information, weight: 1.0}", *LAST, *ADAM],
    "adversarial": ["objective={kind: adversarial, weight: 1.0}", *LAST, *ADAM],
    "skip": [*decoders(f"{{name: text, kind: skip_lstm, {CELLS}}}"), *ADAM],
    "bag": decoders(LSTM, BAG),
    "denoising": [*elbo("free_bits: 8.0"), f"encoders=[{NOISE}]"],
    "semi_amortised": [*elbo(ANNEALED), f"model.refinement={REFINED}"],
    "lagging": [*elbo(ANNEALED), "train.lagging={epochs: 1}"],
}
KNOWN = LANGUAGE_MODELS | REMEDIES
KNOWN |= {
    f"adam_{name}": [*settings, *ADAM]
    for name, settings in KNOWN.items()
    if not set(ADAM) <= set(settings)
}
COLUMNS = {
    "nll": "nll",
    "word_perplexity": "perplexity",
    "elbo": "elbo",
    "reconstruction_loss": "reconstruction loss",
    "kl": "KL",
    "mutual_information": "MI",
    "marginal_kl": "marginal KL",
    "active_units": "active",
    "minutes": "minutes",
}


def run(name: str, arguments: argparse.Namespace) -> None:
    """Train and evaluate one, unless someone has begun it."""
    folder = arguments.out / name
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        return
    is_language_model = name.removeprefix("adam_") in LANGUAGE_MODELS
    recipe = "lstm_lm_ptb" if is_language_model else "bowman2016_ptb"
    precision = f"train.precision={arguments.precision}"
    settings = [*BUDGET, precision, *KNOWN[name]]
    overrides = [part for setting in settings for part in ("--set", setting)]
    textvae = [sys.executable, "-m", "textvae"]
    begun = time.monotonic()
    data = ["--data", arguments.data]
    subprocess.run([*textvae, "train", recipe, *overrides, *data, "--output", folder], check=True)
    minutes = (time.monotonic() - begun) / 60
    file = folder / "evaluation.json"
    given = [*data, "--samples", str(arguments.samples), "--out", file]
    subprocess.run([*textvae, "evaluate", folder, *given], check=True)
    metrics = json.loads(file.read_text()) | {"minutes": minutes}
    file.write_text(json.dumps(metrics, indent=1))
    file.rename(folder / "metrics.json")  # whole from the first moment: others read it


def table(out: Path) -> str:
    """All that have been evaluated, in Markdown, by nll."""
    rows = {file.parent.name: json.loads(file.read_text()) for file in out.glob("*/metrics.json")}
    lines = [["remedy", *COLUMNS.values()], ["---"] * (1 + len(COLUMNS))]
    for name in sorted(rows, key=lambda name: rows[name]["nll"]):
        cells = [rows[name][column] for column in COLUMNS]
        digits = [0 if column in ("active_units", "minutes") else 2 for column in COLUMNS]
        shown = (
            f"{round(cell, places) + 0.0:.{places}f}"
            for cell, places in zip(cells, digits, strict=True)
        )
        lines.append([name, *shown])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Run what is asked for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", help="folder of the Penn Treebank")
    parser.add_argument("out", type=Path, help="folder for the runs")
    parser.add_argument("names", nargs="*", help=f"of {', '.join(KNOWN)}; default: all")
    parser.add_argument("--samples", type=int, default=100, help="of each posterior")
    parser.add_argument("--precision", default="bfloat16", help="or float32")
    parser.add_argument("--parallel", type=int, default=1, help="trainings at once")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.names if name not in KNOWN]:
        parser.error(f"no remedy named {', '.join(unknown)}")
    with ThreadPoolExecutor(arguments.parallel) as pool:
        list(pool.map(lambda name: run(name, arguments), arguments.names or KNOWN))
    print(table(arguments.out))


if __name__ == "__main__":
    main()
