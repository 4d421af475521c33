"""Train forward and backward language models on raw text, for spacy_mamba_crf.StaticLM.v1."""

from pathlib import Path
from typing import Annotated

import typer
from wasabi import msg

from spacy_mamba_crf.language_model_training import LMSettings, LMTexts, train_language_models

_DEFAULT = LMSettings()


def main(
    texts: Annotated[list[Path], typer.Argument(help=".txt, .jsonl, .xz of them, or .spacy files")],
    output: Annotated[Path, typer.Argument(help="Folder to write", file_okay=False)],
    lang: Annotated[str, typer.Option(help="Language, which decides what a token is")] = "zh",
    attr: Annotated[str, typer.Option(help="Token attribute that is modelled")] = "NORM",
    kind: Annotated[str, typer.Option(help="LSTM or GRU")] = _DEFAULT.kind,
    width: Annotated[int, typer.Option(help="Of each direction's states")] = _DEFAULT.width,
    embedding_width: Annotated[
        int, typer.Option(help="Of the tokens' vectors")
    ] = _DEFAULT.embedding_width,
    vocab_size: Annotated[
        int, typer.Option(help="Most frequent tokens; others are unknown")
    ] = _DEFAULT.vocab_size,
    max_tokens: Annotated[int | None, typer.Option(help="Read no more than these")] = None,
    epochs: Annotated[int, typer.Option(help="Times that the text is read")] = _DEFAULT.epochs,
    batch_tokens: Annotated[int, typer.Option(help="Of an update")] = _DEFAULT.batch_tokens,
    learn_rate: Annotated[float, typer.Option(help="At the start")] = _DEFAULT.learn_rate,
    dropout: Annotated[float, typer.Option(help="Share of dropped values")] = _DEFAULT.dropout,
    seed: Annotated[int, typer.Option(help="Of weights, order and dropout")] = _DEFAULT.seed,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from a checkpoint")] = False,
    gpu_id: Annotated[int, typer.Option(help="Number of the GPU, -1 for the CPU")] = -1,
) -> None:
    """Train on TEXTS, where a line is a text, and write OUTPUT."""
    settings = LMSettings(
        kind, width, embedding_width, vocab_size, epochs, batch_tokens, learn_rate, dropout, seed
    )
    device = "cpu" if gpu_id < 0 else f"cuda:{gpu_id}"
    try:
        read = LMTexts(texts, lang, attr, max_tokens)
        trained = train_language_models(read, output, settings, resume=resume, device=device)
    except (OSError, ValueError, ImportError) as error:
        msg.fail("Cannot train the language models", str(error), exits=1)
    for direction, value in trained.facts["perplexity"].items():
        msg.info(f"Perplexity on held-out text, {direction}: {value:.2f}")
    msg.good(f"Wrote {output}")


if __name__ == "__main__":
    typer.run(main)
