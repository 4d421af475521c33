"""`pipeline`: characters per second of `nlp.pipe`, and the time of a single document."""

import statistics
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from .results import Report, show_table
from .timing import in_turn, percentile, seconds, speed_ratios
from .workers import turns, workers

_LATENCIES = 30  # documents a round


class PipelineRunner:
    """Runs one peer's pipeline over texts; lives in a worker."""

    def __init__(self, peer: str, corpus: str, device: str, quick: bool):
        from .texts import sentences

        self.texts = sentences(corpus)[: 40 if quick else None]
        self.device = device
        self.goal = 0.1 if quick else 2.0  # seconds a turn
        make = _torch_peer if peer == "torch_bilstm_crf" else _spacy_peer
        self.pipe, self.single, self.facts = make(peer, corpus, device, quick)
        self.single(self.texts[0])  # compiles kernels, fills caches
        self.share = self._calibrated()

    def describe(self) -> dict[str, Any]:
        """What the peer is, how many texts a turn takes, and how many entities it finds."""
        docs = list(self.pipe(self.share))
        found = sum(len(getattr(doc, "ents", ())) for doc in docs)
        characters = sum(map(len, self.share))
        facts: dict[str, Any] = {"texts": len(self.share), "characters": characters}
        if self.facts["spacy"]:
            facts["entities_per_1000_characters"] = 1000 * found / characters
        return self.facts | facts

    def throughput(self) -> float:
        """Characters per second over the peer's share of the texts."""
        return sum(map(len, self.share)) / self._time(self.share)

    def latencies(self, count: int) -> list[float]:
        """Seconds of each of the first texts, one at a time."""
        texts = self.texts[:count]
        return [seconds(partial(self.single, text), self.device) for text in texts]

    def _time(self, texts: Sequence[str]) -> float:
        return seconds(lambda: deque(self.pipe(texts), maxlen=0), self.device)

    def _calibrated(self) -> Sequence[str]:
        """The first texts, as many as take about `goal` seconds."""
        count = min(32, len(self.texts))
        while True:
            share = self.texts[:count]
            time = min(self._time(share) for _ in range(2))
            if time > self.goal / 2 or count == len(self.texts):
                return self.texts[: max(1, min(len(self.texts), int(count * self.goal / time)))]
            count = min(4 * count, len(self.texts))


def run_pipeline(
    report: Report, cores: Sequence[int], corpus: str, peers: Sequence[str], quick: bool
) -> None:
    """Fill the report: a row a peer and number of cores."""
    rounds = 2 if quick else 7
    report.settings |= {"corpus": corpus, "rounds": rounds, "cores": list(cores)}
    for count in cores:
        print(f"Making the peers ready on {count} core(s) ...", flush=True)
        factories = {peer: (PipelineRunner, (peer, corpus, report.device, quick)) for peer in peers}
        with workers(factories, cores=count, device=report.device, failed=report.leave_out) as made:
            rows: dict[str, dict[str, Any]] = {
                peer: {"peer": peer, "cores": count} for peer in made
            }
            for peer, worker in made.items():
                rows[peer] |= worker.call("describe")
            speeds: dict[str, list[float]] = in_turn(turns(made, "throughput"), rounds)
            documents = 3 if quick else _LATENCIES
            latencies: dict[str, list[list[float]]] = in_turn(
                turns(made, "latencies", documents), min(rounds, 4)
            )
        for peer, row in rows.items():
            times = [time for turn in latencies[peer] for time in turn]
            row["characters_per_second"] = statistics.median(speeds[peer])
            row["rounds"] = speeds[peer]
            row["latency_p50"] = percentile(times, 0.5)
            row["latency_p95"] = percentile(times, 0.95)
        report.rows += rows.values()
        _show(list(rows.values()))
    report.summary = {"ratios": speed_ratios(report.rows)}


def _spacy_peer(peer: str, corpus: str, device: str, quick: bool) -> tuple[Callable, Callable, Any]:
    from .peers import PEERS, encoder_of, load, parameters_of

    nlp, weights = load(peer, corpus, device, quick)
    encoder = encoder_of(nlp)
    facts = {
        "spacy": True,
        "what": PEERS[peer],
        "weights": weights,
        "batch_size": nlp.batch_size,
        "encoder_parameters": parameters_of(encoder) if encoder is not None else None,
    }
    return nlp.pipe, nlp, facts


def _torch_peer(peer: str, corpus: str, device: str, quick: bool) -> tuple[Callable, Callable, Any]:
    from .peers import PEERS, bilstm_settings
    from .texts import sentences
    from .torch_crf import TorchBiLSTMCRF

    settings = bilstm_settings(device)
    sizes = (settings["width"], settings["depth"], settings["input_width"])
    model = TorchBiLSTMCRF(sentences(corpus), *sizes, tags=41).to(device).eval()
    parameters = sum(parameter.numel() for parameter in model.lstm.parameters())
    facts = {
        "spacy": False,
        "what": PEERS[peer],
        "weights": "random weights",
        "batch_size": 64,
        "encoder_parameters": parameters,
    }
    return model.pipe, model, facts


def _show(rows: list[dict[str, Any]]) -> None:
    show_table(
        f"nlp.pipe on {rows[0]['cores']} core(s)",
        ["peer", "characters/s", "p50 ms", "p95 ms", "entities/1000 chars"],
        [
            [
                row["peer"],
                row["characters_per_second"],
                1e3 * row["latency_p50"],
                1e3 * row["latency_p95"],
                row.get("entities_per_1000_characters"),
            ]
            for row in rows
        ],
    )
