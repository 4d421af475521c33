"""`python -m spacy crf ...`: probabilities, n best, calibration and errors of trained pipelines.

Registered by the entry point `spacy_cli`, which spaCy imports when its command line starts. The
pipeline's settings can be overridden as in `spacy train`: `--components.ner.threshold 0.5`.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from spacy.cli._util import app, parse_config_overrides
from wasabi import msg

from .annotate import annotate
from .errors import errors
from .failures import failing_clearly

crf = typer.Typer(
    name="crf", help="Probabilities, n best, calibration and errors", no_args_is_help=True
)
app.add_typer(crf)

Model = Annotated[str, typer.Argument(help="Trained pipeline, by path or package name")]
Data = Annotated[Path, typer.Argument(help="DocBin file (.spacy), or a folder of them")]
Text = Annotated[str, typer.Argument(help="Text to analyse, or - to read it from standard input")]
Component = Annotated[
    str | None, typer.Option("--component", "-c", help="Which crf_ner, the last if not given")
]


LexiconFile = Annotated[
    Path | None, typer.Option("--lexicon", help="File of terms, see lexicon_mode", exists=True)
]
_OVERRIDES = {"allow_extra_args": True, "ignore_unknown_options": True}


@crf.command("n-best", context_settings=_OVERRIDES)
def n_best(
    ctx: typer.Context,
    model: Model,
    text: Text,
    k: Annotated[int, typer.Option("--k", "-k", help="How many analyses", min=1)] = 5,
    component: Component = None,
    lexicon: LexiconFile = None,
) -> None:
    """Print the k most probable analyses of a text with their probabilities."""
    with failing_clearly():
        nlp, pipe = _load(model, component, ctx.args, lexicon)
        doc = nlp(_read(text))
        rows = [
            (f"{analysis.prob:.4f}", _written(analysis.ents))
            for analysis in pipe.n_best([doc], k)[0]
        ]
    msg.table(rows, header=("probability", "entities"), divider=True)


@crf.command("spans", context_settings=_OVERRIDES)
def spans(
    ctx: typer.Context,
    model: Model,
    text: Text,
    threshold: Annotated[
        float, typer.Option("--threshold", "-t", help="Least probability", min=0.01, max=1.0)
    ] = 0.05,
    component: Component = None,
    lexicon: LexiconFile = None,
) -> None:
    """Print all spans of a text that are entities with at least this probability."""
    with failing_clearly():
        nlp, pipe = _load(model, component, ctx.args, lexicon)
        doc = nlp(_read(text))
        found = pipe.likely_spans([doc], threshold)[0]
    rows = [
        (f"{prob:.4f}", doc[start:end].text, label, f"{start}-{end}")
        for start, end, label, prob in sorted(found, key=lambda span: -span.prob)
    ]
    msg.table(rows, header=("probability", "text", "label", "tokens"), divider=True)


@crf.command("calibrate")
def calibrate(
    model: Model,
    data: Data,
    output: Annotated[Path, typer.Argument(help="Folder to write the calibrated pipeline to")],
    component: Component = None,
) -> None:
    """Fit the temperature on texts that training has not seen, and save the pipeline."""
    with failing_clearly():
        from ..pipeline.calibration import calibrate_pipeline

        nlp, _ = _load(model, component)
        results = calibrate_pipeline(nlp, data, component)
        if not results:
            raise ValueError(f"Nothing is predicted in {data} whose truth is known.")
        nlp.to_disk(output)
    rows = [
        (name, f"{r.temperature:.3f}", r.entities, f"{r.before:.4f}", f"{r.after:.4f}")
        for name, r in results.items()
    ]
    header = ("component", "temperature", "entities", "ECE before", "ECE after")
    msg.table(rows, header=header, divider=True)
    msg.good(f"Saved {output}")


@crf.command("reliability", context_settings=_OVERRIDES)
def reliability(ctx: typer.Context, model: Model, data: Data) -> None:
    """Print how often entities are right by their probability, and the oracle F1 of the n best."""
    with failing_clearly():
        from ..evaluation.metrics import predict
        from ..evaluation.probabilities import measure_probabilities

        nlp, _ = _load(model, None, ctx.args)
        examples, _ = predict(nlp, data)
        measured = measure_probabilities(nlp, examples)
        assert measured is not None
    for key, name in (("entities", "Entities found"), ("candidates", "All spans from 0.05")):
        scores = measured[key]
        error, chance = scores["ece"], scores["ece_by_chance"]
        msg.divider(f"{name}: {scores['size']}, ECE {error:.4f} (by chance {chance:.4f})")
        rows = [
            (
                f"{row['low']:.2f}-{row['high']:.2f}",
                row["size"],
                f"{row['confidence']:.3f}",
                f"{row['accuracy']:.3f}",
            )
            for row in scores["bins"]
        ]
        msg.table(rows, header=("probability", "spans", "mean", "share right"))
    msg.divider("F1 of the best of the k most probable analyses")
    oracle = [(k, f"{100 * score:.2f}") for k, score in measured["oracle"].items()]
    msg.table(oracle, header=("k", "oracle F1"))


@crf.command("robustness", context_settings=_OVERRIDES)
def robustness(ctx: typer.Context, model: Model, data: Data) -> None:
    """Print F1 on the texts as they are, and as users write them: other script, whole documents."""
    with failing_clearly():
        import spacy
        from spacy.training import Corpus

        from ..evaluation.robustness import measure_robustness

        nlp = spacy.load(model, config=parse_config_overrides(ctx.args))
        docs = [example.reference for example in Corpus(data)(nlp)]
        if not docs:
            raise ValueError(f"{data} holds no documents.")
        results = measure_robustness(nlp, docs)
    before = results[0].f
    rows = [(r.name, r.docs, f"{100 * r.f:.2f}", f"{100 * (r.f - before):+.2f}") for r in results]
    msg.table(rows, header=("texts", "docs", "F1", "change"), divider=True, max_col=40)


crf.command("annotate")(annotate)
crf.command("errors")(errors)


def _load(
    model: str,
    component: str | None,
    overrides: Sequence[str] = (),
    lexicon: Path | None = None,
) -> tuple[Any, Any]:
    """The pipeline and its crf_ner; ValueError if there is none."""
    import spacy

    from ..lexicon import Lexicon
    from ..pipeline.parts import find_recogniser

    nlp = spacy.load(model, config=parse_config_overrides(list(overrides)))
    pipe = find_recogniser(nlp, component, model)
    if lexicon is not None:
        pipe.lexicon = Lexicon.from_file(lexicon)
    return nlp, pipe


def _read(text: str) -> str:
    return sys.stdin.read().strip() if text == "-" else text


def _written(ents: Sequence[Any]) -> str:
    return "  ".join(f"{ent.text} ({ent.label_})" for ent in ents) or "no entities"
