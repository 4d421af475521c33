"""`python -m spacy mamba-pretrain`: learn a tok2vec from raw text, by predicting masked tokens."""

from pathlib import Path
from typing import Annotated, Any

import typer
from spacy.cli._util import app, parse_config_overrides
from typer.core import TyperCommand
from wasabi import msg

from .failures import failing_clearly


class _WithOverrides(TyperCommand):
    """Overrides such as `--training.seed 1` among arguments of which there may be any number."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        own: list[str] = []
        overrides: list[str] = []
        waiting = False  # for the value of an override
        for arg in args:
            name, is_joined, _ = arg.partition("=")
            if name.startswith("--") and "." in name:
                overrides.append(arg)
                waiting = not is_joined
            elif waiting and not arg.startswith("--"):
                overrides.append(arg)
                waiting = False
            else:
                own.append(arg)
                waiting = False
        ctx.args = super().parse_args(ctx, own) + overrides
        return ctx.args


@app.command("mamba-pretrain", cls=_WithOverrides)
def mamba_pretrain(
    ctx: typer.Context,
    config: Annotated[Path, typer.Argument(help="Config of the pipeline that will be trained")],
    texts: Annotated[list[Path], typer.Argument(help=".txt, .jsonl, .xz of them, or .spacy files")],
    output: Annotated[Path, typer.Argument(help="Folder to write", file_okay=False)],
    component: Annotated[str, typer.Option(help="The one whose tok2vec is learnt")] = "ner",
    start: Annotated[
        Path | None, typer.Option(help="Weights to begin with, of an earlier pretraining")
    ] = None,
    epochs: Annotated[int, typer.Option(help="Times that the text is read")] = 1,
    max_tokens: Annotated[int | None, typer.Option(help="Read no more than these")] = None,
    batch_tokens: Annotated[int, typer.Option(help="Of an update, all processes together")] = 8192,
    piece_tokens: Annotated[int, typer.Option(help="Longest piece of text read at once")] = 160,
    mask_rate: Annotated[float, typer.Option(help="Share of tokens to predict")] = 0.2,
    mask_length: Annotated[int, typer.Option(help="Longest run of masked tokens")] = 3,
    vocab_size: Annotated[int, typer.Option(help="Most frequent tokens are predicted")] = 6000,
    hidden: Annotated[int, typer.Option(help="Width of the layer before the prediction")] = 256,
    learn_rate: Annotated[float, typer.Option(help="At its highest, after the warm-up")] = 0.002,
    warmup_steps: Annotated[int, typer.Option(help="Until the learn rate is reached")] = 200,
    dropout: Annotated[float, typer.Option(help="Share of dropped values")] = 0.0,
    seed: Annotated[int, typer.Option(help="Of weights, order and masks")] = 0,
    bf16: Annotated[bool, typer.Option("--bf16", help="Multiply in bfloat16 on a CPU")] = False,
    precision: Annotated[str, typer.Option(help="Of the file: float32, float16, int8")] = "float16",
    resume: Annotated[bool, typer.Option("--resume", help="Go on from a checkpoint")] = False,
    gpu_id: Annotated[int, typer.Option(help="Number of the GPU, -1 for the CPU")] = -1,
) -> None:
    """Learn from TEXTS the tok2vec that CONFIG describes, and write it to OUTPUT.

    Start it with `torchrun --nproc-per-node N -m spacy mamba-pretrain ...` for N processes. The
    config's settings can be overridden as in `spacy train`.
    """
    with failing_clearly():
        from ..pretraining import PretrainSettings
        from ..pretraining.checkpoint import CHECKPOINT
        from ..pretraining.command import run

        settings = PretrainSettings(
            epochs=epochs,
            batch_tokens=batch_tokens,
            piece_tokens=piece_tokens,
            mask_rate=mask_rate,
            mask_length=mask_length,
            vocab_size=vocab_size,
            hidden=hidden,
            learn_rate=learn_rate,
            warmup_steps=warmup_steps,
            dropout=dropout,
            max_tokens=max_tokens,
            bf16=bf16,
            seed=seed,
        )
        overrides = parse_config_overrides(ctx.args)
        try:
            trained = run(
                *(config, overrides, texts, output, component),
                *(settings, precision, resume, gpu_id, start),
            )
        except KeyboardInterrupt:
            kept = "The same command with --resume goes on from here."
            msg.warn("Stopped.", kept if (output / CHECKPOINT).is_file() else "")
            raise typer.Exit(130) from None
    if trained is not None:
        msg.info(f"Perplexity of masked tokens in held-out text: {trained.perplexity:.2f}")
        msg.good(f"Wrote {trained.path}")
