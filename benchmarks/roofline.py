"""`roofline`: the pipeline's matrix products alone, at the fastest rate torch has for them, over
the time that the encoder, the model and `nlp.pipe` take."""

import statistics
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from .results import Report, show_table
from .timing import in_turn, paired_ratio, seconds
from .workers import Worker, turns

PRECISIONS = ("float32", "bfloat16")
PARTS = ("encoder", "model", "pipe")


class RooflineRunner:
    """Times products, encoder, model and pipeline over the same batches; lives in a worker."""

    def __init__(self, peer: str, corpus: str, device: str, quick: bool):
        import torch

        from .peers import encoder_of, load, model_of
        from .texts import sentences

        self.device = device
        self.nlp, self.weights = load(peer, corpus, device, quick)
        size = self.nlp.batch_size
        self.texts = sentences(corpus)[: size if quick else 8 * size]
        docs = list(map(self.nlp.make_doc, self.texts))
        self.batches = [docs[start : start + size] for start in range(0, len(docs), size)]
        self.model = model_of(self.nlp)
        self.encoder = encoder_of(self.nlp)
        embed = self.model.get_ref("tok2vec").get_ref("embed")
        self.embedded = [embed.predict(batch) for batch in self.batches]
        self.module = next(shim._model for node in self.encoder.walk() for shim in node.shims)
        self.shapes = self._shapes()
        self.rates: list[dict[str, Any]] = []
        with torch.no_grad():
            self.routines = {
                precision: self._fastest(getattr(torch, precision)) for precision in PRECISIONS
            }
        self.switches = [module for module in self.module.modules() if hasattr(module, "bf16")]
        self.default = PRECISIONS[any(module.bf16 for module in self.switches)]
        for precision in PRECISIONS:
            for part in PARTS:
                self.run(part, precision)

    def describe(self) -> dict[str, Any]:
        """How many products, the rates reached, and the precision that the encoder defaults to."""
        rows = sum(len(doc) for batch in self.batches for doc in batch)
        return {
            "weights": self.weights,
            "precision": self.default,
            "tokens": rows,
            "batches": len(self.batches),
            "gflop": sum(2 * rows * inner * outer for inner, outer in self.shapes) / 1e9,
            "rates": self.rates,
        }

    def products(self, precision: str) -> float:
        """Seconds of all matrix products of all batches, each timed right after a first call of it:
        the limit is the rate of a product by itself, with its arrays at hand."""
        import torch

        total = 0.0
        with torch.no_grad():
            for run in self.routines[precision]:
                run()
                total += seconds(run, self.device)
        return total

    def run(self, part: str, precision: str) -> float:
        """Seconds of a part of the pipeline over all batches, the encoder in that precision."""
        for module in self.switches:
            module.bf16 = precision == "bfloat16"
        functions: dict[str, Callable[[], Any]] = {
            "encoder": lambda: [self.encoder.predict(Xs) for Xs in self.embedded],
            "model": lambda: [self.model.predict(batch) for batch in self.batches],
            "pipe": lambda: list(self.nlp.pipe(self.texts)),
        }
        return seconds(functions[part], self.device)

    def _shapes(self) -> list[tuple[int, int]]:
        """(inner, outer) of each product that runs once over all tokens: every linear layer of the
        encoder, in both directions, and the emissions."""
        from torch import nn

        linear = [module for module in self.module.modules() if isinstance(module, nn.Linear)]
        output = self.model.get_ref("output_layer")
        shapes = [(layer.in_features, layer.out_features) for layer in linear]
        return [*shapes, (output.get_dim("nI"), output.get_dim("nO"))]

    def _fastest(self, dtype: Any) -> list[Callable[[], Any]]:
        """For each batch and product, the routine that was fastest for it."""
        chosen = []
        for batch in self.batches:
            rows = sum(map(len, batch))
            for inner, outer in self.shapes:
                ways = dict(_products(rows, inner, outer, dtype, self.device))
                times = {name: _least(run, self.device) for name, run in ways.items()}
                best = min(times, key=lambda name: times[name])
                chosen.append(ways[best])
                if batch is self.batches[0]:
                    rate = 2 * rows * inner * outer / times[best] / 1e9
                    self.rates.append(
                        {"dtype": str(dtype).removeprefix("torch."), "shape": [rows, inner, outer]}
                        | {"routine": best, "gflop_per_second": rate}
                    )
        return chosen


def run_roofline(report: Report, cores: int, corpus: str, quick: bool) -> None:
    """Fill the report: one row, the medians of each part, and fractions in the summary."""
    rounds = 2 if quick else 9
    worker = Worker(
        RooflineRunner, "mamba_crf", corpus, report.device, quick, cores=cores, device=report.device
    )
    facts = worker.call("describe")
    runs: dict[str, Callable[[], float]] = {}
    for precision in PRECISIONS:
        runs |= turns({f"products {precision}": worker}, "products", precision)
        for part in PARTS:
            runs |= turns({f"{part} {precision}": worker}, "run", part, precision)
    times = in_turn(runs, rounds)
    worker.close()
    report.settings |= {"corpus": corpus, "cores": cores, "rounds": rounds}
    medians = {name: statistics.median(values) for name, values in times.items()}
    report.rows = [facts | {"seconds": medians, "rounds": times}]
    report.summary = {
        "precision": facts["precision"],
        "gflop_per_second": {
            precision: facts["gflop"] / medians[f"products {precision}"] for precision in PRECISIONS
        },
        "fractions": {
            precision: {
                part: paired_ratio(times[f"products {precision}"], times[f"{part} {precision}"])
                for part in PARTS
            }
            for precision in PRECISIONS
        },
    }
    _show(report)


def _products(
    rows: int, inner: int, outer: int, dtype: Any, device: str
) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Ways to multiply (rows, inner) by (inner, outer), by name: at once, or in portions of rows,
    whose results stay in the cache."""
    import torch

    x = torch.randn(rows, inner, device=device).to(dtype)
    weight = torch.randn(outer, inner, device=device).to(dtype)
    for portion in (rows, 1024, 256):
        parts = x.split(portion)
        name = "" if portion == rows else f", {portion:,} rows at a time"
        yield f"torch{name}", partial(_by_torch, parts, weight)
        if device == "cpu":
            packed = torch.ops.mkldnn._reorder_linear_weight(weight, portion)
            yield f"oneDNN{name}", partial(_by_onednn, parts, packed)


def _by_torch(parts: Sequence[Any], weight: Any) -> None:
    for x in parts:
        x @ weight.T


def _by_onednn(parts: Sequence[Any], packed: Any) -> None:
    """packed: the weight, laid out for oneDNN beforehand."""
    import torch

    for x in parts:
        torch.ops.mkldnn._linear_pointwise(x, packed, None, "none", [], "")


def _least(run: Callable[[], Any], device: str) -> float:
    run()
    return min(seconds(run, device) for _ in range(5))


def _show(report: Report) -> None:
    summary, row = report.summary, report.rows[0]
    show_table(
        f"fraction of the GEMM limit on {report.settings['cores']} core(s); the default is "
        f"{row['precision']}",
        ["precision", "GFLOP/s", *PARTS],
        [
            [precision, summary["gflop_per_second"][precision]]
            + [summary["fractions"][precision][part] for part in PARTS]
            for precision in PRECISIONS
        ],
    )
