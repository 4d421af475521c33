"""What all tests share: the `--slow` switch, one torch thread, the place of the real corpora."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

REPOSITORY = Path(__file__).parents[1]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run the tests that take minutes")


def pytest_configure() -> None:
    torch.set_num_threads(1)  # the tensors here are small: more threads only wait for each other


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--slow"):
        return
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="takes minutes; run with --slow"))


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
