"""Where results lie, and how they are written, read and shown."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wasabi import msg

from spacy_mamba_crf.files import write_text

from .machine import describe

REPOSITORY = Path(__file__).parents[1]
NAMES = ("scan", "pipeline", "stages", "length", "roofline", "train", "precision", "lexicon")


@dataclass(frozen=True)
class Places:
    """The files of the benchmarks under `root`, which is the repository but for quick runs."""

    root: Path

    def json(self, name: str, device: str) -> Path:
        """benchmarks/results/NAME.json, NAME-cuda.json on a GPU."""
        return self.root / "benchmarks" / "results" / f"{_file_name(name, device)}.json"

    def image(self, name: str, device: str) -> Path:
        """docs/images/benchmarks/NAME.png, NAME-cuda.png on a GPU."""
        return self.root / "docs" / "images" / "benchmarks" / f"{_file_name(name, device)}.png"

    @property
    def page(self) -> Path:
        """docs/benchmarks.md."""
        return self.root / "docs" / "benchmarks.md"

    def read(self, name: str, device: str = "cpu") -> dict[str, Any] | None:
        """The results of a command, None if it has not run."""
        path = self.json(name, device)
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


@dataclass
class Report:
    """What one command found, for its JSON file.

    command: how it was called; rows: one plain dict a measurement; summary: the figures of the
    table of goals; notes: what was left out and why.
    """

    name: str
    device: str
    command: str
    settings: dict[str, Any] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Write a sentence down, once, and show it."""
        if text not in self.notes:
            self.notes.append(text)
            msg.warn(text)

    def leave_out(self, peer: str, why: str) -> None:
        """Note that a peer could not be measured."""
        self.note(f"{peer} was left out: {why}")

    def to_dict(self) -> dict[str, Any]:
        """As it stands in the JSON file, with the machine and the command."""
        return {
            "benchmark": self.name,
            "device": self.device,
            "command": self.command,
            "machine": describe(self.device),
            "settings": self.settings,
            "summary": self.summary,
            "notes": self.notes,
            "rows": self.rows,
        }

    def write(self, places: Places) -> dict[str, Any]:
        """Write the JSON file, whole or not at all; return what it holds."""
        data = self.to_dict()
        text = json.dumps(data, ensure_ascii=False, indent=1)
        path = places.json(self.name, self.device)
        write_text(path, text + "\n")
        msg.good(f"Wrote {path}")
        return data


def show_table(title: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table, first column to the left, the others to the right."""
    msg.divider(title)
    cells = [[shown(value) for value in row] for row in rows]
    aligns = ["l"] + ["r"] * (len(header) - 1)
    msg.table(cells, header=header, divider=True, aligns=aligns)


def shown(value: object) -> str:
    """A table cell: three significant digits, thousands separated, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    if value != 0 and abs(value) < 1e-3:
        return f"{value:.1e}"
    return f"{value:.3g}"


def _file_name(name: str, device: str) -> str:
    return name if device == "cpu" else f"{name}-{device}"
