"""The training loop of masked prediction over raw text."""

import math
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from spacy.language import Language
from spacy.tokens import Doc
from thinc.api import Adam, Model, fix_random_seed, set_dropout_rate
from tqdm import tqdm

from ..layers.parameters import gradients
from ..layers.tok2vec_file import write_tok2vec
from .checkpoint import CHECKPOINT, WEIGHTS, check_folder, load_checkpoint, save_checkpoint
from .masking import Masker
from .model import MaskedModel, set_bf16
from .pieces import Pieces, write_pieces
from .processes import Processes
from .settings import PretrainSettings
from .stopping import held_back_signals

_PIECES = "pieces-{}.txt"
_MAX_NORM = 1.0  # of each parameter's gradient
_CHECKPOINT_SECONDS = 300.0
_HELD_OUT_SEED = 9973
_ALONE = Processes()


class Trained(NamedTuple):
    """path: of the weights; perplexity: of masked tokens in held-out text; facts: of the file."""

    path: Path
    perplexity: float
    facts: dict[str, Any]


def pretrain(
    nlp: Language,
    tok2vec: Model,
    tok2vec_settings: dict[str, Any],
    docs: Iterable[Doc],
    folder: Path,
    settings: PretrainSettings,
    *,
    facts: dict[str, Any] | None = None,
    precision: str = "float32",
    resume: bool = False,
    processes: Processes = _ALONE,
) -> Trained:
    """Pretrain a tok2vec in place, and write it to `folder`/tok2vec.safetensors.

    tok2vec: of a pipeline nlp, initialized; tok2vec_settings: its part of the config; docs: the raw
    text, the same in every process; facts: about the text, for the file, and under "start" those of
    the file that the weights are from. resume: go on from the
    folder's checkpoint, if there is one, with the result of a training that was never interrupted.
    Raises ValueError for settings that cannot be used or are not those of the checkpoint, for too
    little text, for a checkpoint where it is not to resume, or for a folder with a finished
    training; KeyboardInterrupt, after a checkpoint, at SIGINT or SIGTERM.
    """
    settings.check()
    check_folder(folder, resume)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _PIECES.format(processes.rank)
    pieces, counts = write_pieces(
        docs, path, settings.piece_tokens, settings.max_tokens, settings.seed
    )
    mask_rates = _set_mask_rates(tok2vec, {})
    try:
        training = _Training(nlp, tok2vec, pieces, counts, settings, processes)
        asked = {**asdict(settings), "tok2vec": tok2vec_settings, "text": training.summary()}
        asked["processes"] = processes.size
        asked["start"] = (facts or {}).get("start", {}).get("crc32")
        start = 0
        if resume:
            start = load_checkpoint(folder, training.masked.model, training.optimizer, asked)
        training.run(folder, start, asked)
        perplexity = training.perplexity()
    finally:
        pieces.close()
        path.unlink()
        set_bf16(tok2vec, False)
        _set_mask_rates(tok2vec, mask_rates)
    about = {"perplexity": perplexity, "settings": asdict(settings), "text": training.summary()}
    found = Trained(folder / WEIGHTS, perplexity, {**(facts or {}), **about})
    if processes.rank == 0:
        write_tok2vec(found.path, tok2vec, tok2vec_settings, found.facts, precision)
        (folder / CHECKPOINT).unlink(missing_ok=True)
    return found


class _Training:
    def __init__(
        self,
        nlp: Language,
        tok2vec: Model,
        pieces: Pieces,
        counts: Counter[str],
        settings: PretrainSettings,
        processes: Processes,
    ):
        self.pieces = pieces
        self.settings = settings
        self.processes = processes
        norms: Counter[str] = Counter()
        for word, count in counts.items():
            norms[nlp.vocab[word].norm_] += count
        n_words = counts.total()
        predicted = {norm: count for norm, count in norms.items() if norm.strip()}
        frequent = sorted(predicted, key=lambda norm: (-predicted[norm], norm))
        classes = {norm: i for i, norm in enumerate(frequent[: settings.vocab_size])}
        self.masker = Masker(
            classes,
            lambda word: nlp.vocab[word].norm_,
            settings.mask_rate,
            settings.mask_length,
        )
        prior = np.log([predicted[norm] / n_words for norm in classes]).astype("float32")
        self.masked = MaskedModel(tok2vec, nlp.vocab, settings.hidden, prior)
        set_bf16(self.masked.model, settings.bf16)
        self.batches = [b for epoch in range(settings.epochs) for b in self._batches_of(epoch)]
        self.optimizer = Adam(
            settings.learn_rate,
            L2=settings.L2,
            grad_clip=_MAX_NORM,
            use_averages=False,
            L2_is_weight_decay=True,
        )

    def summary(self) -> dict[str, Any]:
        """What is read, as far as trainings on the same text have it in common."""
        tokens = int(self.pieces.table.tokens[self.pieces.numbers(False)].sum())
        classes = len(self.masker.classes)
        return {"tokens": tokens, "classes": classes, "crc32": self.pieces.crc32}

    def run(self, folder: Path, start: int, asked: dict[str, Any]) -> None:
        """All steps after the first `start`, with a checkpoint every few minutes.

        At a signal to stop, there is one more, and KeyboardInterrupt.
        """
        model = self.masked.model
        set_dropout_rate(model, self.settings.dropout)
        sizes = [int(self.pieces.table.tokens[batch].sum()) for batch in self.batches]
        first = self.processes.rank == 0
        saved = time.monotonic()
        bar = tqdm(
            total=sum(sizes),
            initial=sum(sizes[:start]),
            unit="token",
            unit_scale=True,
            disable=not first,
        )
        with bar, held_back_signals() as signals:
            for step in range(start, len(self.batches)):
                loss = self._step(step)
                bar.update(sizes[step])
                bar.set_postfix(perplexity=f"{_exp(loss):.1f}", refresh=False)
                if first and (signals or time.monotonic() - saved > _CHECKPOINT_SECONDS):
                    save_checkpoint(folder, model, self.optimizer, step + 1, asked)
                    saved = time.monotonic()
                if signals:
                    raise KeyboardInterrupt
        set_dropout_rate(model, 0.0)

    def perplexity(self) -> float:
        """Of the tokens masked in held-out text, the same ones wherever text and settings are."""
        loss, n_targets = 0.0, 0
        generator = np.random.default_rng(_HELD_OUT_SEED)
        for numbers in _groups(
            self.pieces.numbers(True), self.pieces.table.tokens, self.settings.batch_tokens
        ):
            batch = self.masker([self.pieces[number] for number in numbers], generator)
            if len(batch.targets):
                loss += self.masked.loss(batch)
                n_targets += len(batch.targets)
        return _exp(loss / max(n_targets, 1))

    def _batches_of(self, epoch: int) -> list[np.ndarray]:
        """The numbers of the pieces of each update: all pieces, in an order of the epoch's own."""
        generator = np.random.default_rng((self.settings.seed, epoch))
        order = generator.permutation(self.pieces.numbers(False))
        return _groups(order, self.pieces.table.tokens, self.settings.batch_tokens)

    def _step(self, step: int) -> float:
        """Update on the batch, of which each process has a part. Returns the mean loss."""
        seed = self.settings.seed * 1_000_003 + step
        generator = np.random.default_rng(seed)
        batch = self.masker([self.pieces[number] for number in self.batches[step]], generator)
        n_targets = max(len(batch.targets), 1)
        fix_random_seed((seed * self.processes.size + self.processes.rank) % 2**32)
        own = batch.share(self.processes.rank, self.processes.size)
        loss = torch.zeros(1, device=self.masked.head.device)
        if len(own.targets):
            loss += self.masked.learn(own, n_targets)
        if self.processes.size > 1:
            self.processes.add_up([*gradients(self.masked.model), loss])
        self.optimizer.learn_rate = self._learn_rate(step)
        self.masked.model.finish_update(self.optimizer)
        return loss.item() / n_targets

    def _learn_rate(self, step: int) -> float:
        """Rising linearly over the warm-up, then falling linearly to 0 at the end."""
        steps = len(self.batches)
        warmup = min(self.settings.warmup_steps, steps // 2)
        share = (step + 1) / warmup if step < warmup else (steps - step) / (steps - warmup)
        return self.settings.learn_rate * share


def _set_mask_rates(tok2vec: Model, rates: dict[int, float]) -> dict[int, float]:
    """Set how much embeddings hide by themselves, by layer, 0 if not named; returns the old ones.

    While tokens are hidden to be predicted, nothing else is.
    """
    before = {}
    for node in tok2vec.walk():
        if "mask_rate" in node.attrs:
            before[node.id] = node.attrs["mask_rate"]
            node.attrs["mask_rate"] = rates.get(node.id, 0.0)
    return before


def _groups(numbers: np.ndarray, tokens: np.ndarray, batch_tokens: int) -> list[np.ndarray]:
    """Neighbouring pieces together, up to about batch_tokens."""
    ends = np.cumsum(tokens[numbers])
    edges = np.searchsorted(ends, np.arange(batch_tokens, ends[-1], batch_tokens))
    return [group for group in np.split(numbers, np.unique(edges)) if len(group)]


def _exp(loss: float) -> float:
    return math.exp(min(loss, 20.0))
