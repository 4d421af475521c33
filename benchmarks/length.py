"""`length`: time and memory of the components for one Doc, against its length."""

import math
import statistics
from collections.abc import Sequence
from functools import partial
from typing import Any

from .memory import forget_peak, peak, used
from .results import Report, show_table
from .timing import seconds
from .workers import Worker, WorkerError

LENGTHS = (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
PEERS = ("mamba_crf", "spacy_ner", "bert")
LIMIT = 40.0  # seconds; a point that would take longer is left out
_WARM_UP = 10_000  # characters: long enough for what is done with long texts alone


class LengthRunner:
    """Runs a pipeline's components on one long Doc; lives in a worker of its own for each length,
    so that nothing is left in memory of another one."""

    def __init__(self, peer: str, corpus: str, device: str, quick: bool):
        from .peers import load
        from .texts import long_text

        self.nlp, self.weights = load(peer, corpus, device, quick)
        self.nlp.max_length = 10**9
        self.corpus = corpus
        self.device = device
        self._run(self.nlp.make_doc(long_text(corpus, 500)))

    def measure(self, characters: int, goal: float) -> dict[str, Any]:
        """Seconds of the components (as often as fits into `goal` seconds) and of the tokenizer,
        bytes at the peak over the loaded pipeline, and how much of that the Doc itself takes."""
        from .texts import long_text

        loaded = used(self.device)
        text = long_text(self.corpus, characters)
        self._run(self.nlp.make_doc(text[:_WARM_UP]))
        before = used(self.device)
        made = []
        tokenizer = seconds(lambda: made.append(self.nlp.make_doc(text)))
        doc_bytes = _difference(used(self.device), before)
        forget_peak(self.device)
        times = [seconds(lambda: self._run(made[0]), self.device)]
        memory = _difference(peak(self.device), loaded)
        entities = len(made[0].ents)
        while sum(times) + times[0] < goal and len(times) < 9:
            doc = self.nlp.make_doc(text)
            times.append(seconds(partial(self._run, doc), self.device))
        return {
            "characters": characters,
            "seconds": statistics.median(times),
            "runs": times,
            "tokenizer_seconds": tokenizer,
            "peak_bytes": memory,
            "doc_bytes": doc_bytes,
            "entities": entities,
            "weights": self.weights,
        }

    def _run(self, doc: Any) -> None:
        for _, component in self.nlp.pipeline:
            doc = component(doc)


def run_length(report: Report, cores: int, corpus: str, peers: Sequence[str], quick: bool) -> None:
    """Fill the report: a row a peer and length."""
    lengths = (200, 1_000) if quick else LENGTHS
    report.settings |= {"corpus": corpus, "cores": cores, "limit_seconds": LIMIT}
    expected = dict.fromkeys(peers, 0.0)
    for characters in lengths:
        for peer in peers:
            if LIMIT < expected[peer] < math.inf:
                report.note(
                    f"{peer} was left out from {characters:,} characters on: it would take about "
                    f"{expected[peer]:.0f} s."
                )
                expected[peer] = math.inf
            if math.isinf(expected[peer]):
                continue
            row = _measure(report, peer, corpus, cores, characters, quick)
            if row is None:
                expected[peer] = math.inf
                continue
            report.rows.append(row)
            longer = [length for length in lengths if length > characters]
            expected[peer] = row["seconds"] * (longer[0] / characters if longer else 1)
    report.summary = summarise(report.rows)
    _show(report.rows)


def summarise(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """For each peer the exponent of its cost, the longest text, and the peak memory there."""
    summary = {}
    for peer in dict.fromkeys(row["peer"] for row in rows):
        own = [row for row in rows if row["peer"] == peer]
        summary[peer] = {
            "exponent": exponent([(row["characters"], row["seconds"]) for row in own]),
            "characters": own[-1]["characters"],
            "peak_bytes": own[-1]["peak_bytes"],
        }
    return summary


def exponent(points: Sequence[tuple[float, float]]) -> float | None:
    """The slope of log(time) by log(length), by least squares; None for fewer than two points."""
    if len(points) < 2:
        return None
    logs = [(math.log(length), math.log(time)) for length, time in points]
    return statistics.linear_regression(*zip(*logs)).slope


def _measure(
    report: Report, peer: str, corpus: str, cores: int, characters: int, quick: bool
) -> dict[str, Any] | None:
    print(f"{peer}, {characters:,} characters ...", flush=True)
    arguments = (peer, corpus, report.device, quick)
    try:
        worker = Worker(LengthRunner, *arguments, cores=cores, device=report.device)
        found = worker.call("measure", characters, 0.1 if quick else 2.0)
    except WorkerError as error:
        report.leave_out(f"{peer} from {characters:,} characters on", error.reason)
        return None
    worker.close()
    return {"peer": peer, "cores": cores} | found


def _difference(after: int | None, before: int | None) -> int | None:
    return None if after is None or before is None else max(0, after - before)


def _show(rows: list[dict[str, Any]]) -> None:
    show_table(
        "one document",
        ["peer", "characters", "s", "us/char", "peak MiB", "Doc MiB", "tokenizer s"],
        [
            [
                row["peer"],
                row["characters"],
                row["seconds"],
                1e6 * row["seconds"] / row["characters"],
                _mib(row["peak_bytes"]),
                _mib(row["doc_bytes"]),
                row["tokenizer_seconds"],
            ]
            for row in sorted(rows, key=lambda row: row["peer"])
        ],
    )


def _mib(size: int | None) -> float | None:
    return None if size is None else size / 2**20
