"""What a figure depends on beside the code: processor, cores, versions, date."""

import importlib.metadata
import os
import platform
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

_PACKAGES = (
    "spacy-mamba-crf",
    "torch",
    "spacy",
    "thinc",
    "numba",
    "numpy",
    "mambapy",
    "mamba-ssm",
    "spacy-transformers",
    "transformers",
    "pytorch-crf",
    "pyahocorasick",
)


def describe(device: str) -> dict[str, Any]:
    """Processor, number of usable cores, memory, system, package versions, date (UTC)."""
    return {
        "cpu": cpu_name(),
        "cores": len(usable_cores()),
        "memory_gib": _memory_gib(),
        "gpu": _gpu_name() if device == "cuda" else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: version(name) for name in _PACKAGES if version(name)},
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def usable_cores() -> list[int]:
    """The numbers of the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def version(package: str) -> str | None:
    """The installed version of a package, None if there is none."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def cpu_name() -> str:
    """Model name, with family and model number, which tell virtual machines' processors apart."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    fields = dict(_field(line) for line in reversed(lines) if ":" in line)
    numbers = [f"{name} {fields[name]}" for name in ("cpu family", "model") if name in fields]
    return ", ".join([fields.get("model name", platform.processor() or "unknown"), *numbers])


def _field(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.strip(), value.strip()


def _memory_gib() -> float | None:
    if not hasattr(os, "sysconf"):
        return None
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)


def _gpu_name() -> str | None:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None
