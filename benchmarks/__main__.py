"""The command line of the benchmarks: `python -m benchmarks COMMAND --help`."""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer
from wasabi import msg

from .machine import usable_cores
from .results import NAMES, REPOSITORY, Places, Report


class Device(str, Enum):
    """Where to compute."""

    cpu = "cpu"
    cuda = "cuda"


@dataclass(frozen=True)
class Options:
    """What all commands can be told."""

    device: str
    threads: int | None
    quick: bool
    keep: bool
    corpus: str | None
    peers: tuple[str, ...]
    root: Path | None

    @property
    def places(self) -> Places:
        """Quick results never replace real ones."""
        default = REPOSITORY / "training" / "benchmarks" / "quick" if self.quick else REPOSITORY
        return Places(self.root or default)

    def one_count(self) -> int:
        """Cores for the commands that measure with one number of them."""
        return self.threads or 1

    def counts(self) -> list[int]:
        """Cores for the commands that measure with several: one and two, where there are two."""
        if self.threads or self.quick:
            return [self.one_count()]
        return [1, 2] if len(usable_cores()) > 1 else [1]

    def command(self, name: str) -> str:
        """The command that measures the same, to be typed in the repository."""
        words = ["python", "-m", "benchmarks", name]
        words += ["--device", self.device] if self.device != "cpu" else []
        words += ["--threads", str(self.threads)] if self.threads else []
        words += ["--quick"] if self.quick else []
        words += ["--corpus", self.corpus] if self.corpus else []
        for peer in self.peers:
            words += ["--peer", peer]
        return shlex.join(words)

    def corpus_name(self) -> str:
        """The corpus asked for, or the best there is."""
        from .texts import default_corpus

        return self.corpus or ("sample" if self.quick else default_corpus())

    def chosen(self, peers: Sequence[str]) -> list[str]:
        """Those of a command's peers that were asked for, all if none was."""
        return [peer for peer in peers if not self.peers or peer in self.peers]


_DeviceOption = Annotated[Device, typer.Option(help="cpu, or cuda for spacy.require_gpu")]
_Threads = Annotated[
    int | None,
    typer.Option(help="Cores and threads; default 1, for pipeline and train 1 and then 2", min=1),
]
_Quick = Annotated[
    bool, typer.Option("--quick", help="Tiny sizes, seconds; into training/benchmarks/quick")
]
_Keep = Annotated[bool, typer.Option("--keep", help="Skip what has results already")]
_Corpus = Annotated[
    str | None, typer.Option(help="Corpus for texts; rocling where its files are, else sample")
]
_Peer = Annotated[list[str] | None, typer.Option(help="Only this peer; may be repeated")]
_Root = Annotated[
    Path | None, typer.Option(help="Folder to write under, in place of the repository")
]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Measure speed and memory against every peer. Each command prints a table and writes "
    "benchmarks/results/NAME.json and docs/images/benchmarks/NAME.png (NAME-cuda on a GPU).",
)


def _scan(report: Report, options: Options) -> None:
    from .scan import run_scan

    run_scan(report, options.one_count(), options.quick)


def _pipeline(report: Report, options: Options) -> None:
    from .peers import PEERS
    from .pipeline import run_pipeline

    peers = options.chosen(list(PEERS))
    run_pipeline(report, options.counts(), options.corpus_name(), peers, options.quick)


def _stages(report: Report, options: Options) -> None:
    from .stages import run_stages

    run_stages(report, options.one_count(), options.corpus_name(), options.quick)


def _length(report: Report, options: Options) -> None:
    from .length import PEERS, run_length

    peers = options.chosen(PEERS)
    run_length(report, options.one_count(), options.corpus_name(), peers, options.quick)


def _roofline(report: Report, options: Options) -> None:
    from .roofline import run_roofline

    run_roofline(report, options.one_count(), options.corpus_name(), options.quick)


def _train(report: Report, options: Options) -> None:
    from .train import PEERS, run_train

    peers = options.chosen(PEERS)
    run_train(report, options.counts(), options.corpus_name(), peers, options.quick)


def _precision(report: Report, options: Options) -> None:
    from .precision import run_precision

    run_precision(report, options.one_count(), options.quick)


def _lexicon(report: Report, options: Options) -> None:
    from .lexicon import PIPELINES, run_lexicon

    peers = options.chosen(PIPELINES)
    run_lexicon(report, options.one_count(), options.corpus_name(), peers, options.quick)


_RUNS: dict[str, Callable[[Report, Options], None]] = {
    "scan": _scan,
    "pipeline": _pipeline,
    "stages": _stages,
    "length": _length,
    "roofline": _roofline,
    "train": _train,
    "precision": _precision,
    "lexicon": _lexicon,
}
_HELP = {
    "scan": "Our kernels against the plain loop, mambapy and (on a GPU) mamba-ssm.",
    "pipeline": "Characters per second of nlp.pipe, and the time of one document, of every peer.",
    "stages": "Where the time of nlp.pipe goes, from text to entities.",
    "length": "Time and memory against the length of one document, 1,000 to 1,000,000 characters.",
    "roofline": "The matrix products alone over the time that the pipeline takes.",
    "train": "Characters per second of nlp.update, against BiLSTM-CRF and spaCy's ner.",
    "precision": "What bfloat16 does to the F1 and the speed of the project's trained pipelines.",
    "lexicon": "What 100,000 terms add to nlp.pipe, and their matching against pyahocorasick.",
}


def _measure(name: str, options: Options) -> None:
    from .plots import draw

    places = options.places
    if options.keep and places.json(name, options.device).exists():
        msg.info(f"Keeping {places.json(name, options.device)}")
        return
    msg.info(f"Measuring: {name}")
    report = Report(name, options.device, options.command(name))
    _RUNS[name](report, options)
    data = report.write(places)
    image = places.image(name, options.device)
    draw(data, image)
    msg.good(f"Wrote {image}")


def _add_command(name: str) -> None:
    def command(
        device: _DeviceOption = Device.cpu,
        threads: _Threads = None,
        quick: _Quick = False,
        keep: _Keep = False,
        corpus: _Corpus = None,
        peer: _Peer = None,
        root: _Root = None,
    ) -> None:
        options = Options(device.value, threads, quick, keep, corpus, tuple(peer or ()), root)
        _or_fail(name, lambda: _measure(name, options))

    app.command(name, help=_HELP[name])(command)


for _name in NAMES:
    _add_command(_name)


@app.command()
def docs(quick: _Quick = False, root: _Root = None) -> None:
    """Write docs/benchmarks.md, and the pictures anew, from the JSON files alone."""
    from .docs import write_docs
    from .plots import draw

    places = Options("cpu", None, quick, False, None, (), root).places
    for name in NAMES:
        for device in Device:
            data = places.read(name, device.value)
            if data is not None:
                draw(data, places.image(name, device.value))
    _or_fail("docs", lambda: write_docs(places))
    msg.good(f"Wrote {places.page}")


@app.command("all")
def everything(
    device: _DeviceOption = Device.cpu,
    threads: _Threads = None,
    quick: _Quick = False,
    keep: _Keep = False,
    corpus: _Corpus = None,
    peer: _Peer = None,
    root: _Root = None,
) -> None:
    """Every command in turn, then docs. What fails is told at the end; --keep takes up again."""
    options = Options(device.value, threads, quick, keep, corpus, tuple(peer or ()), root)
    failed = []
    for name in NAMES:
        try:
            _measure(name, options)
        except (OSError, RuntimeError, ValueError, ImportError) as error:
            msg.fail(f"{name} failed", str(error))
            failed.append(name)
    docs(quick, root)
    if failed:
        msg.fail(f"Failed: {', '.join(failed)}", exits=1)


def _or_fail(name: str, function: Callable[[], None]) -> None:
    try:
        function()
    except (OSError, RuntimeError, ValueError, ImportError) as error:
        msg.fail(f"{name} failed", str(error), exits=1)


if __name__ == "__main__":
    app()
