"""`precision`: what bfloat16 in the encoder does to the scores and to the speed of a pipeline."""

import statistics
from pathlib import Path
from typing import Any

from .results import REPOSITORY, Report, show_table
from .timing import in_turn, paired_ratio
from .workers import Worker, turns

PRECISIONS = ("float32", "bfloat16")
# Trained pipelines of the project, with the parts of their corpora that are not for training.
TRAINED = {"rocling": ("dev", "test"), "conll2003": ("dev",), "sample": ("test",)}


class PrecisionRunner:
    """A trained pipeline with the encoder in one precision; lives in a worker."""

    def __init__(self, corpus: str, precision: str, quick: bool):
        import spacy
        from spacy.tokens import Doc, DocBin
        from spacy.training import Example

        name = "components.ner.model.tok2vec.encode.cpu_precision"
        self.nlp = spacy.load(model_folder(corpus), config={name: precision})
        self.examples: dict[str, list[Example]] = {}
        for part in TRAINED[corpus]:
            docbin = DocBin().from_disk(REPOSITORY / "corpus" / corpus / f"{part}.spacy")
            docs = list(docbin.get_docs(self.nlp.vocab))[: 50 if quick else None]
            self.examples[part] = [
                Example(
                    Doc(self.nlp.vocab, [t.text for t in doc], [bool(t.whitespace_) for t in doc]),
                    doc,
                )
                for doc in docs
            ]

    def scores(self) -> dict[str, float]:
        """Strict F1 in percent of each part."""
        return {
            part: 100 * self.nlp.evaluate(examples)["ents_f"]
            for part, examples in self.examples.items()
        }

    def speed(self) -> float:
        """Tokens per second of the pipeline's components over all parts."""
        import time

        docs = [example.predicted.copy() for part in self.examples.values() for example in part]
        start = time.perf_counter()
        for _ in self.nlp.pipe(docs):
            pass
        return sum(map(len, docs)) / (time.perf_counter() - start)


def model_folder(corpus: str) -> Path:
    """Where `spacy project run train` leaves the pipeline of a corpus."""
    return REPOSITORY / "training" / corpus / "mamba_crf" / "model-best"


def run_precision(report: Report, cores: int, quick: bool) -> None:
    """Fill the report: a row a corpus and precision, for each corpus with a trained pipeline."""
    rounds = 2 if quick else 9
    for corpus in TRAINED:
        if not model_folder(corpus).exists():
            report.note(f"{corpus} was left out: it has no trained pipeline in training/{corpus}.")
            continue
        made = {
            precision: Worker(PrecisionRunner, corpus, precision, quick, cores=cores)
            for precision in PRECISIONS
        }
        scores = {precision: worker.call("scores") for precision, worker in made.items()}
        speeds = in_turn(turns(made, "speed"), rounds)
        for precision, worker in made.items():
            worker.close()
            row: dict[str, Any] = {"corpus": corpus, "precision": precision}
            row |= {"f1": scores[precision], "rounds": speeds[precision]}
            report.rows.append(row | {"tokens_per_second": statistics.median(speeds[precision])})
        change = max(
            abs(scores["bfloat16"][part] - scores["float32"][part]) for part in TRAINED[corpus]
        )
        report.summary[corpus] = {
            "largest_change_of_f1": change,
            "speed": paired_ratio(speeds["bfloat16"], speeds["float32"]),
        }
    report.settings |= {"cores": cores, "rounds": rounds}
    show_table(
        "precision of the encoder",
        ["corpus", "precision", "F1 by part", "tokens/s"],
        [
            [
                row["corpus"],
                row["precision"],
                ", ".join(f"{part} {f1:.2f}" for part, f1 in row["f1"].items()),
                row["tokens_per_second"],
            ]
            for row in report.rows
        ],
    )
