"""What a reader reports besides its sentences: every repair with its place, and raw counts."""

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

import wasabi

from ..files import write_text

KINDS = {
    "tag-case": "case of a tag corrected",
    "outside-with-type": "O- with an entity type read as O",
    "inside-without-begin": "I- that opens an entity rewritten as B-",
    "whitespace-edge": "whitespace at the edge of an entity set to O",
    "token-split": "token of several characters split into characters",
    "token-lost": "missing token (a whitespace character) restored as a space",
    "text-differs": "sentence field ignored, the annotated characters kept",
    "control-character": "control character kept as it is",
}


@dataclass(frozen=True, slots=True)
class Repair:
    """One departure from the file as written; `old` equals `new` where it was kept."""

    kind: str
    source: str
    line: int
    old: str
    new: str


@dataclass(slots=True)
class FileCounts:
    """Counts of one file.

    begin_tags: B- tags as written, their case apart. chunks: entities by conlleval's definition,
    which also begins one at an I- without its B-; it is the number of entities after the repairs,
    unless an entity was nothing but whitespace. comments: comment lines passed over.

    The published entity counts are of different kinds. ROCLING-2023 gives begin_tags (10,845 for
    FT) in its paper and chunks (10,849) in its score files: the FT file has four I- without B-,
    SM and WA have none. ROCLING-2022 gives 13,369; its file has 13,372 begin_tags and 13,378
    chunks. Nine types of its table equal the file's begin_tags; TIME has 194 there and 197 here.
    CoNLL-2003's are chunks, as IOB1 writes hardly any B-.
    """

    sentences: int = 0
    tokens: int = 0
    begin_tags: int = 0
    chunks: int = 0
    comments: int = 0


@dataclass(slots=True)
class ReadReport:
    """Repairs and counts, filled by the readers while their iterators are consumed."""

    repairs: list[Repair] = field(default_factory=list)
    files: dict[str, FileCounts] = field(default_factory=dict)

    def add(self, kind: str, source: str, line: int, old: str, new: str) -> None:
        """Record one repair; `kind` is a key of KINDS."""
        if kind not in KINDS:
            raise ValueError(f"Unknown kind of repair {kind!r}; known are {', '.join(KINDS)}.")
        self.repairs.append(Repair(kind, source, line, old, new))

    def file(self, source: str) -> FileCounts:
        """The counts of one file, made on first use."""
        return self.files.setdefault(source, FileCounts())

    @property
    def counts(self) -> dict[str, int]:
        """Number of repairs of each kind."""
        return dict(sorted(Counter(repair.kind for repair in self.repairs).items()))

    def to_dict(self) -> dict[str, object]:
        """Everything as plain data for JSON."""
        return {
            "counts": self.counts,
            "repairs": [asdict(repair) for repair in self.repairs],
            "files": {source: asdict(counts) for source, counts in self.files.items()},
        }

    def write_json(self, path: Path) -> None:
        """Write the whole report, replacing the file in one step."""
        text = json.dumps(self.to_dict(), ensure_ascii=False, indent=2)
        write_text(path, text + "\n")

    def table(self, max_rows: int = 30) -> str:
        """A table of the repairs for the terminal: totals by kind, then the first `max_rows`."""
        if not self.repairs:
            return "No repairs were needed."
        totals = [(KINDS[kind], count) for kind, count in self.counts.items()]
        rows = [
            (f"{r.source}:{r.line}", r.kind, f"{visible(r.old)} -> {visible(r.new)}")
            for r in self.repairs[:max_rows]
        ]
        parts = [
            wasabi.table(
                totals, header=("Repair", "Count"), divider=True, aligns=("l", "r"), max_col=80
            ),
            wasabi.table(rows, header=("Where", "Kind", "Change"), divider=True, max_col=60),
        ]
        if len(self.repairs) > max_rows:
            parts.append(f"... and {len(self.repairs) - max_rows} more")
        return "\n".join(parts)


def visible(text: str) -> str:
    """`text` with control and whitespace characters spelt out."""
    return "".join(c if c.isprintable() and not c.isspace() else repr(c)[1:-1] for c in text)
