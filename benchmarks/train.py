"""`train`: characters per second of `nlp.update`, with the optimiser's step."""

import statistics
from collections.abc import Sequence
from functools import partial
from typing import Any

from .results import Report, show_table
from .timing import in_turn, seconds, speed_ratios
from .workers import turns, workers

PEERS = ("mamba_crf", "bilstm_crf", "spacy_ner")
_DOCS = 3000  # of the training part


class TrainRunner:
    """Trains one peer on, turn by turn; lives in a worker."""

    def __init__(self, peer: str, corpus: str, device: str, quick: bool):
        from spacy.util import load_model_from_config
        from thinc.api import fix_random_seed

        from .peers import PEERS, config_of, endless_batches
        from .texts import examples

        fix_random_seed(0)
        config = config_of(peer, device)
        if peer == "spacy_ner":
            # Its batches grow from 100 to 1,000 words in 2,300 steps: measured as they stay.
            config["training"]["batcher"]["size"] = 1000
        self.nlp = load_model_from_config(config, auto_fill=True)
        data = examples(self.nlp, corpus, 60 if quick else _DOCS)
        self.optimizer = self.nlp.initialize(lambda: data)
        self.batches = endless_batches(config, data)
        self.dropout = config["training"]["dropout"]
        self.device = device
        self.goal = 0.1 if quick else 3.0  # seconds a turn
        self.what = PEERS[peer]
        self._update(1 if quick else 12)

    def describe(self) -> dict[str, Any]:
        """What the peer is."""
        return {"what": self.what}

    def throughput(self) -> float:
        """Characters per second over as many batches as fill a turn."""
        characters, time = 0, 0.0
        while time < self.goal:
            seen, taken = self._update(1)
            characters, time = characters + seen, time + taken
        return characters / time

    def _update(self, steps: int) -> tuple[int, float]:
        """(characters, seconds); making the batches does not count."""
        characters, time = 0, 0.0
        for _ in range(steps):
            batch = next(self.batches)
            characters += sum(len(example.reference.text) for example in batch)
            time += seconds(partial(self._step, batch), self.device)
        return characters, time

    def _step(self, batch: list[Any]) -> None:
        self.nlp.update(batch, sgd=self.optimizer, drop=self.dropout)


def run_train(
    report: Report, cores: Sequence[int], corpus: str, peers: Sequence[str], quick: bool
) -> None:
    """Fill the report: a row a peer and number of cores."""
    rounds = 2 if quick else 5
    report.settings |= {"corpus": corpus, "rounds": rounds, "cores": list(cores)}
    for count in cores:
        print(f"Making the peers ready on {count} core(s) ...", flush=True)
        factories = {peer: (TrainRunner, (peer, corpus, report.device, quick)) for peer in peers}
        with workers(factories, cores=count, device=report.device, failed=report.leave_out) as made:
            facts = {peer: worker.call("describe") for peer, worker in made.items()}
            speeds = in_turn(turns(made, "throughput"), rounds)
        for peer, values in speeds.items():
            row = {"peer": peer, "cores": count} | facts[peer]
            row |= {"characters_per_second": statistics.median(values), "rounds": values}
            report.rows.append(row)
    report.summary = {"ratios": speed_ratios(report.rows)}
    show_table(
        "training",
        ["peer", "cores", "characters/s"],
        [[row["peer"], row["cores"], row["characters_per_second"]] for row in report.rows],
    )
