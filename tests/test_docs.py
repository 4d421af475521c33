"""The examples of the documentation run, and print what the pages say."""

import doctest
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


def examples_of(page: Path) -> str:
    """A page with everything but its Python sessions left blank, line for line."""
    lines, inside = [], False
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("```"):
            inside = line == "```python"
            lines.append("")
        else:
            lines.append(line if inside else "")
    return "\n".join(lines)


@pytest.mark.parametrize("name", ["crf_ner.md"])
def test_the_examples_print_what_the_page_says(name: str):
    page = DOCS / name
    parser = doctest.DocTestParser()
    test = parser.get_doctest(examples_of(page), {}, name, str(page), 0)
    assert len(test.examples) > 20
    output: list[str] = []
    doctest.DocTestRunner().run(test, out=output.append)
    assert not output, "".join(output)


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path):
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    for link in links:
        assert (page.parent / link).exists(), link
