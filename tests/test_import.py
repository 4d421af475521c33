"""What importing the package must not import: what is slow, and not needed before its first use."""

import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

SLOW = [
    "cupy",
    "mamba_ssm",
    "mambapy",
    "matplotlib",
    "numba",
    "pandas",
    "safetensors",
    "scipy",
    "sklearn",
    "tokenizers",
    "torch._dynamo",
    "torch._inductor",
    "transformers",
]


def entry_points() -> list[str]:
    """The modules that setup.cfg names as entry points."""
    parser = ConfigParser(interpolation=None)
    parser.read(Path(__file__).parents[1] / "setup.cfg", encoding="utf-8")
    groups = parser["options.entry_points"].values()
    lines = [line for group in groups for line in group.splitlines() if line]
    return sorted({line.split("=")[1].split(":")[0].strip() for line in lines})


@pytest.fixture(scope="module")
def imported() -> set[str]:
    """The modules that the entry points import, in a fresh process, beyond torch and spaCy."""
    code = f"""
import sys, torch, spacy
before = set(sys.modules)
import {", ".join(entry_points())}
print(*set(sys.modules) - before)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return set(result.stdout.split())


@pytest.mark.parametrize("module", SLOW)
def test_the_entry_points_do_not_import_what_is_slow(imported, module):
    assert "spacy_mamba_crf.architectures" in imported
    assert module not in imported
