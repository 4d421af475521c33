"""Where the real corpora are, and small files written by the tests themselves."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """A function from a name under the data folder to its path; skips the test if it is absent."""
    root = Path(os.environ.get("SPACY_MAMBA_CRF_DATA", REPOSITORY.parent / "shared" / "data"))

    def find(name: str) -> Path:
        path = root / name
        if not path.exists():
            pytest.skip(f"{name} is not in the data folder (set SPACY_MAMBA_CRF_DATA to its place)")
        return path

    return find


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes text, byte for byte, to a file of the given name."""

    def write_text(name: str, text: str, encoding: str = "utf-8") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode(encoding))
        return path

    return write_text
