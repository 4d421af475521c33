"""Tables as data: what becomes one CSV file, and the same as sections of a Markdown page."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..evaluation.markdown import markdown_table

Cell = str | int | float | None


@dataclass(frozen=True)
class Table:
    """A header and rows; figures in percent are floats, counts are integers, None is no figure."""

    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""

    def to_csv(self) -> str:
        """RFC 4180 with LF line ends; floats with four decimals at most."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(self.header)
        writer.writerows([_plain(value) for value in row] for row in self.rows)
        return stream.getvalue()

    def to_markdown(self) -> str:
        """The table, with its caption before it."""
        caption = f"**{self.caption}**\n\n" if self.caption else ""
        return caption + markdown_table(self.header, self.rows)


@dataclass(frozen=True)
class Section:
    """A heading, a line that says what the figures are, tables, and the CSV files beside the page.

    files: stem of the CSV file and its table. images: PNG files to show after the tables.
    """

    title: str
    note: str
    tables: Sequence[Table]
    files: dict[str, Table] = field(default_factory=dict)
    images: Sequence[str] = ()

    def to_markdown(self) -> str:
        """The section from its heading on."""
        parts = [f"## {self.title}\n\n{self.note}\n"]
        parts += [table.to_markdown() for table in self.tables]
        parts += [f"![{name.partition('.')[0]}]({name})\n" for name in self.images]
        if self.files:
            links = ", ".join(f"[{name}.csv]({name}.csv)" for name in self.files)
            parts.append(f"As data: {links}\n")
        return "\n".join(parts)


def _plain(value: Cell) -> Cell:
    return round(value, 4) if isinstance(value, float) else value
