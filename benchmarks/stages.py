"""`stages`: where the time of `nlp.pipe` goes, from text to entities."""

import statistics
from collections.abc import Callable
from typing import Any

from .results import Report, show_table
from .timing import in_turn, seconds
from .workers import Worker, turns

STAGES = (
    "tokenizer",
    "embedding",
    "encoder",
    "emissions",
    "best tags",
    "probabilities",
    "entities",
)
# What the component does only if it is asked to, beside the stages above.
EXTRAS = (
    "threshold instead of best tags",
    "2 best sequences",
    "10 best sequences",
    "longest entity of 10",
)
_BATCH = 64


class StagesRunner:
    """Our pipeline taken apart; lives in a worker."""

    def __init__(self, corpus: str, device: str, quick: bool):
        from .peers import load
        from .texts import sentences

        self.nlp, self.weights = load("mamba_crf", corpus, device, quick)
        self.texts = sentences(corpus)[: 20 if quick else 600]
        self.device = device
        ner: Any = self.nlp.get_pipe("ner")
        ner.threshold = None
        for _ in range(2):
            self.measure()

    def measure(self) -> dict[str, float]:
        """Microseconds a character of each stage, and of nlp.pipe as a whole."""
        times = dict.fromkeys([*STAGES, *EXTRAS], 0.0)
        for start in range(0, len(self.texts), _BATCH):
            self._batch(list(self.texts[start : start + _BATCH]), times)
        times["nlp.pipe"] = seconds(lambda: list(self.nlp.pipe(self.texts)), self.device)
        characters = sum(map(len, self.texts))
        return {name: 1e6 * time / characters for name, time in times.items()}

    def _batch(self, texts: list[str], times: dict[str, float]) -> None:
        from spacy_mamba_crf.pipeline.decoding import decode
        from spacy_mamba_crf.pipeline.lattice import join_scores

        ner: Any = self.nlp.get_pipe("ner")
        model = ner.model
        tok2vec = model.get_ref("tok2vec")

        def timed(stage: str, function: Callable[[], Any]) -> Any:
            made = []
            times[stage] += seconds(lambda: made.append(function()), self.device)
            return made[0]

        docs = timed("tokenizer", lambda: [self.nlp.make_doc(text) for text in texts])
        embedded = timed("embedding", lambda: tok2vec.layers[0].predict(docs))
        hidden = timed("encoder", lambda: tok2vec.layers[-1].predict(embedded))
        scores = timed("emissions", lambda: model.layers[1].predict(hidden))
        batch = join_scores(scores)

        def lattice() -> Any:
            return ner.make_lattice(docs, batch)

        before = times["best tags"]
        timed("best tags", lambda: decode(lattice(), False))
        plain = times["best tags"] - before
        found = timed("probabilities", lambda: decode(lattice(), True))
        times["probabilities"] -= plain  # decoding with them less without
        timed("threshold instead of best tags", lambda: decode(lattice(), True, 0.4))
        times["threshold instead of best tags"] -= plain
        timed("2 best sequences", lambda: lattice().k_best(2))
        timed("10 best sequences", lambda: lattice().k_best(10))
        constraints = ner.constraints
        ner.constraints = constraints._replace(max_entity_length=10)
        timed("longest entity of 10", lambda: decode(lattice(), False))
        times["longest entity of 10"] -= plain
        ner.constraints = constraints
        timed("entities", lambda: ner.set_annotations(docs, found))


def run_stages(report: Report, cores: int, corpus: str, quick: bool) -> None:
    """Fill the report: a row a stage, and the share of the probabilities in the summary."""
    rounds = 2 if quick else 9
    worker = Worker(
        *(StagesRunner, corpus, report.device, quick), cores=cores, device=report.device
    )
    runs = in_turn(turns({"ours": worker}, "measure"), rounds)["ours"]
    worker.close()
    medians = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
    report.settings |= {"corpus": corpus, "cores": cores, "rounds": rounds}
    whole = medians["nlp.pipe"]
    report.rows = [
        {"stage": name, "microseconds": time, "share": time / whole}
        for name, time in medians.items()
    ]
    report.summary = {
        "probabilities": medians["probabilities"] / whole,
        "n_best_10": medians["10 best sequences"] / whole,
    }
    show_table(
        f"nlp.pipe on {cores} core(s)",
        ["stage", "us a character", "share"],
        [[row["stage"], row["microseconds"], f"{row['share']:.0%}"] for row in report.rows],
    )
