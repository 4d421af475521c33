"""What is to be trained: the settings of a comparison, each run's config, and its key."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spacy.language import DEFAULT_CONFIG
from thinc.api import Config

from ..about import __version__
from ..configs import merge_configs

Override = tuple[str, Any]  # a dotted key and its value
PARTS = ("train", "dev", "test")
_CURVES = "curves.cfg"  # adds the loss and the tag accuracy to what is logged
_LOGGER = {"@loggers": "spacy.ConsoleLogger.v3", "output_file": "${paths.log}"}


def read_seeds(text: str) -> list[int]:
    """Different whole numbers with spaces between. Raises ValueError for anything else."""
    try:
        return list(dict.fromkeys(map(int, text.split())))
    except ValueError as error:
        raise ValueError(
            f"seeds = {text!r} must be whole numbers with spaces between, such as '0 1 2'."
        ) from error


@dataclass(frozen=True)
class Plan:
    """A comparison on one corpus.

    configs: folder of SYSTEM.cfg, corpora/CORPUS.cfg (may be missing) and devices/DEVICE.cfg.
    corpus_dir: folder of train.spacy, dev.spacy and, mostly, test.spacy. out: folder of the runs.
    max_steps: training steps of each system, 0 for what its config says. gpu: number of the GPU,
    -1 for none. jobs: runs at once. paths: what systems take from elsewhere, by its name under
    [paths], for those whose config has it. overrides: of all systems, system_overrides: of one.
    """

    corpus: str
    systems: Sequence[str]
    configs: Path
    corpus_dir: Path
    out: Path
    seeds: Sequence[int] = (0,)
    max_steps: int = 0
    device: str = "cpu"
    gpu: int = -1
    jobs: int = 1
    paths: Sequence[Override] = ()
    overrides: Sequence[Override] = ()
    system_overrides: Mapping[str, Sequence[Override]] = field(default_factory=dict)

    def check(self) -> None:
        """Raise FileNotFoundError or ValueError for what would make every run fail."""
        for part in ("train", "dev"):
            if not self.part(part).is_file():
                raise FileNotFoundError(
                    f"There is no {self.part(part)}. Convert the corpus {self.corpus!r} first."
                )
        device = self.configs / "devices" / f"{self.device}.cfg"
        if not device.is_file():
            raise FileNotFoundError(f"There is no config {device} for the device {self.device!r}.")
        if not self.systems or not self.seeds:
            raise ValueError("There is nothing to run: name at least one system and one seed.")
        if self.jobs < 1 or self.max_steps < 0:
            raise ValueError(
                f"jobs is {self.jobs} and max_steps is {self.max_steps}. jobs must be at least 1, "
                "max_steps at least 0 (0: what each config says)."
            )
        self._check_paths()
        unknown = set(self.system_overrides) - set(self.systems)
        if unknown:
            raise ValueError(
                f"There are settings for {', '.join(sorted(unknown))}, which is not among the "
                f"systems {', '.join(self.systems)}."
            )

    def _check_paths(self) -> None:
        """Raise ValueError for a path that no system has."""
        known: set[str] = set()
        for system in self.systems:
            file = self.configs / f"{system}.cfg"
            known |= set(merge_configs([file]).get("paths", {})) if file.is_file() else set()
        for name, value in self.paths:
            if value is not None and name not in known:
                raise ValueError(
                    f"No config of these systems has {name} under [paths]; they have "
                    f"{', '.join(sorted(known))}."
                )

    def part(self, name: str) -> Path:
        """The DocBin file of a part; dev.spacy stands for a test part that is not there."""
        path = self.corpus_dir / f"{name}.spacy"
        if name == "test" and not path.is_file():
            return self.corpus_dir / "dev.spacy"
        return path

    def folder(self, system: str, seed: int) -> Path:
        """Where everything of one run lies."""
        return self.out / system / f"seed-{seed}"

    def config(self, system: str) -> Config:
        """The merged config of a system, with the step budget and the overrides.

        Raises FileNotFoundError or ValueError naming the file or the key that is wrong.
        """
        file = self.configs / f"{system}.cfg"
        own = merge_configs([file])
        config = merge_configs([file, *self._overlays(own)])
        _drop_stray_schedule(config, _schedule(own))
        if self.max_steps:
            set_budget(config, self.max_steps)
        config.setdefault("paths", {}).setdefault("log", None)
        config.setdefault("training", {})["logger"] = dict(_LOGGER)
        config["paths"] |= {name: value for name, value in self.paths if name in config["paths"]}
        for key, value in (*self.overrides, *self.system_overrides.get(system, ())):
            _set(config, key, value, system)
        return config

    def _overlays(self, own: Config) -> list[Path]:
        """What is merged over a system's own config."""
        overlays = [
            path
            for path in [self.configs / "corpora" / f"{self.corpus}.cfg"]
            if path.is_file()  # a user's corpus needs no settings of its own
        ]
        overlays.append(self.configs / "devices" / f"{self.device}.cfg")
        components = own.get("components", {})
        curves = self.configs / _CURVES
        if components.get("ner", {}).get("factory") == "crf_ner" and curves.is_file():
            overlays.append(curves)
        return overlays

    def hashes(self) -> dict[str, str]:
        """SHA-256 of each file of the corpus."""
        return {part: _sha256(self.part(part)) for part in PARTS}

    def key(self, config: Config, seed: int, hashes: Mapping[str, str]) -> str:
        """SHA-256 of all that a result depends on: config, files and folders named under [paths],
        seed, GPU, corpus and the version of this package."""
        files = {
            name: _sha256(Path(value))
            for name, value in sorted(config.get("paths", {}).items())
            if isinstance(value, str) and Path(value).exists()
        }
        parts = [config.to_str(interpolate=False), files, seed, self.gpu, hashes, __version__]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def read_override(text: str) -> Override:
    """`KEY=VALUE` as a dotted key and a value, JSON where it can be read as such.

    Raises ValueError if there is no key or no equals sign.
    """
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise ValueError(f"The setting {text!r} is not KEY=VALUE, such as training.dropout=0.3.")
    try:
        return key, json.loads(value)
    except json.JSONDecodeError:
        return key, value


def read_system_override(text: str) -> tuple[str, Override]:
    """`SYSTEM:KEY=VALUE` as the system and its override. Raises ValueError for anything else."""
    system, colon, setting = text.partition(":")
    if not (system and colon):
        raise ValueError(f"The setting {text!r} is not SYSTEM:KEY=VALUE.")
    return system, read_override(setting)


def _schedule(config: Config) -> dict[str, Any]:
    """The settings of the learning rate's schedule; none where it is constant or not there."""
    schedule = config.get("training", {}).get("optimizer", {}).get("learn_rate")
    return schedule if isinstance(schedule, dict) else {}


def _drop_stray_schedule(config: Config, own: Mapping[str, Any]) -> None:
    """Drop what the corpus's config says of a schedule that is not among the system's settings."""
    optimizer = config.get("training", {}).get("optimizer", {})
    schedule = optimizer.get("learn_rate")
    if isinstance(schedule, dict):
        optimizer["learn_rate"] = {key: schedule[key] for key in schedule if key in own}
        if not own:
            del optimizer["learn_rate"]


def set_budget(config: Config, max_steps: int) -> None:
    """Train for `max_steps`: the schedule and the evaluations are scaled with them."""
    training = config.setdefault("training", {})
    defaults = DEFAULT_CONFIG["training"]
    before = training.get("max_steps", defaults["max_steps"])
    share = max_steps / before if isinstance(before, int) and before else 1.0
    every = training.get("eval_frequency", defaults["eval_frequency"])
    every = max(1, round(every * share)) if isinstance(every, int) else max(1, max_steps // 10)
    training |= {"max_steps": max_steps, "eval_frequency": min(every, max_steps)}
    schedule = _schedule(config)
    if "total_steps" in schedule:
        schedule["total_steps"] = max_steps
        if isinstance(schedule.get("warmup_steps"), int):
            schedule["warmup_steps"] = round(schedule["warmup_steps"] * share)


def _set(config: Config, key: str, value: Any, system: str) -> None:
    *sections, name = key.split(".")
    node: Any = config
    for section in sections:
        node = node.get(section) if isinstance(node, dict) else None
    if not sections or not isinstance(node, dict):
        raise ValueError(
            f"{key} cannot be set: the config of {system} has no section [{'.'.join(sections)}]."
        )
    node[name] = value


def _sha256(path: Path) -> str:
    """Of a file's content, or of the names and contents of all files in a folder."""
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            digest.update(str(file.relative_to(path)).encode())
            with file.open("rb") as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
    return digest.hexdigest()
