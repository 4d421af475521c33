"""The training loop of forward and backward language models."""

import json
import math
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from ..layers.static_lm import CONFIG, TrainedLM
from ..pytorch.language_model import FIRST, BidirectionalLanguageModel, LanguageModelConfig
from ..pytorch.recurrent import KINDS
from .checkpoint import CHECKPOINT, Progress, load_checkpoint, save_checkpoint
from .texts import LMTexts

# Tokens that are shuffled together; a checkpoint is written after each such buffer.
_BUFFER = 200_000
_MAX_NORM = 5.0  # of the gradient of the loss per token


@dataclass(frozen=True)
class LMSettings:
    """kind: "LSTM" | "GRU"; width: of the states of each direction; vocab_size: of known tokens;
    batch_tokens: about the tokens of an update; learn_rate: at the start, it falls to 0."""

    kind: str = "LSTM"
    width: int = 200
    embedding_width: int = 100
    vocab_size: int = 5000
    epochs: int = 1
    batch_tokens: int = 2048
    learn_rate: float = 0.003
    dropout: float = 0.1
    seed: int = 0

    def check(self) -> None:
        """Raise ValueError for a setting that cannot be used."""
        if self.kind not in KINDS:
            raise ValueError(f"kind = {self.kind!r} is unknown; choose one of {', '.join(KINDS)}.")
        for name, value in asdict(self).items():
            if name not in ("kind", "seed", "dropout") and value <= 0:
                raise ValueError(f"{name} = {value} must be larger than 0.")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout = {self.dropout} is not in [0, 1).")


def train_language_models(
    texts: LMTexts,
    folder: Path,
    settings: LMSettings,
    *,
    resume: bool = False,
    device: str = "cpu",
) -> TrainedLM:
    """Train both directions together and write them to `folder`, with perplexities.

    resume: go on from the folder's checkpoint, if there is one, with the result of a training that
    was never interrupted; a finished folder of the same settings is left as it is. Perplexity is by
    predicted token of the held-out texts, ends included, where any unknown token is as good as
    another. Raises ValueError for settings that cannot be used or are not those of the checkpoint.
    """
    settings.check()
    vocabulary, n_tokens = texts.vocabulary(settings.vocab_size)
    asked = _asked(texts, settings, vocabulary, n_tokens)
    checkpointed = (folder / CHECKPOINT).is_file()
    if resume and not checkpointed and (folder / CONFIG).is_file():
        finished = TrainedLM.from_folder(folder)
        if finished.facts.get("training") == asked:
            return finished
    torch.manual_seed(settings.seed)
    sizes = (FIRST + len(vocabulary), settings.width, settings.embedding_width)
    module = BidirectionalLanguageModel(LanguageModelConfig(settings.kind, *sizes)).to(device)
    optimizer = torch.optim.Adam(module.parameters(), settings.learn_rate)
    progress = load_checkpoint(folder, module, optimizer, asked) if resume else Progress()
    trained = TrainedLM(module, vocabulary, texts.attr, {"lang": texts.nlp.lang})
    _Training(trained, optimizer, texts, settings, n_tokens, asked).run(folder, progress)
    forward, backward = perplexities(trained, texts)
    trained.facts |= {"perplexity": {"forward": forward, "backward": backward}, "training": asked}
    trained.to_folder(folder)
    (folder / CHECKPOINT).unlink(missing_ok=True)
    return trained


def perplexities(trained: TrainedLM, texts: LMTexts) -> tuple[float, float]:
    """Perplexity of the forward and of the backward model on the held-out texts."""
    module = trained.module.eval()
    device = module.forward_lm.bias.device
    nll, predicted = torch.zeros(2, dtype=torch.float64), 0
    with torch.no_grad():
        for values in texts.held_out():
            ids = torch.from_numpy(trained.ids(values)).to(device)
            nll += module([ids]).double().cpu()
            predicted += len(ids) + 1
    forward, backward = (nll / predicted).exp().tolist()
    return forward, backward


class _Training:
    def __init__(
        self,
        trained: TrainedLM,
        optimizer: torch.optim.Optimizer,
        texts: LMTexts,
        settings: LMSettings,
        n_tokens: int,
        asked: dict[str, Any],
    ):
        self.trained = trained
        self.optimizer = optimizer
        self.texts = texts
        self.settings = settings
        self.goal = n_tokens * settings.epochs
        self.asked = asked

    def run(self, folder: Path, done: Progress) -> None:
        """Train from where `done` says on, with a checkpoint after each buffer."""
        module = self.trained.module
        module.set_dropout(self.settings.dropout)
        with tqdm(total=self.goal, initial=done.tokens, unit="token", unit_scale=True) as bar:
            for epoch in range(done.epoch, self.settings.epochs):
                for number, buffer in enumerate(_buffers(self._pieces())):
                    if epoch == done.epoch and number < done.buffers:
                        continue
                    module.train()
                    tokens = self._train_on(buffer, epoch, number, done.tokens, bar)
                    done = Progress(epoch, number + 1, tokens)
                    save_checkpoint(folder, module, self.optimizer, done, self.asked)
        module.set_dropout(0.0)
        module.eval()

    def _pieces(self) -> Iterator[np.ndarray]:
        return (self.trained.ids(values) for values in self.texts.training())

    def _train_on(
        self, buffer: list[np.ndarray], epoch: int, number: int, tokens: int, bar: tqdm
    ) -> int:
        """Update on each batch; tokens: seen before. Returns the tokens seen after."""
        seeds = np.random.SeedSequence((self.settings.seed, epoch, number))
        torch.manual_seed(int(seeds.generate_state(1)[0]))  # dropout, the same when resumed
        for batch in _batches(buffer, self.settings.batch_tokens, np.random.default_rng(seeds)):
            loss = self._update(batch, tokens)
            size = sum(map(len, batch))
            tokens += size
            bar.update(size)
            bar.set_postfix(perplexity=f"{math.exp(min(loss, 20.0)):.1f}", refresh=False)
        return tokens

    def _update(self, batch: list[np.ndarray], tokens: int) -> float:
        """One step on the mean loss of both directions, by token: (nats)."""
        module = self.trained.module
        device = module.forward_lm.bias.device
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.learn_rate * (1 - tokens / self.goal)
        predicted = sum(len(ids) + 1 for ids in batch)
        losses = module([torch.from_numpy(ids).to(device) for ids in batch]) / predicted
        self.optimizer.zero_grad()
        losses.sum().backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), _MAX_NORM)
        self.optimizer.step()
        return losses.mean().item()


def _asked(
    texts: LMTexts, settings: LMSettings, vocabulary: list[str], n_tokens: int
) -> dict[str, Any]:
    """What a training has to have in common with another to be the same one."""
    files = [path.name for path in texts.paths]
    source = {"texts": files, "lang": texts.nlp.lang, "attr": texts.attr, "tokens": n_tokens}
    known = zlib.crc32(json.dumps(vocabulary).encode())
    return {**asdict(settings), **source, "vocabulary_crc32": known}


def _buffers(pieces: Iterator[np.ndarray]) -> Iterator[list[np.ndarray]]:
    buffer: list[np.ndarray] = []
    size = 0
    for piece in pieces:
        buffer.append(piece)
        size += len(piece)
        if size >= _BUFFER:
            yield buffer
            buffer, size = [], 0
    if buffer:
        yield buffer


def _batches(
    pieces: list[np.ndarray], batch_tokens: int, generator: np.random.Generator
) -> list[list[np.ndarray]]:
    """Pieces of similar length together, up to batch_tokens and at least one, in random order."""
    shuffled = generator.permutation(len(pieces))
    order = shuffled[np.argsort([len(pieces[i]) for i in shuffled], kind="stable")]
    batches: list[list[np.ndarray]] = []
    size = batch_tokens
    for i in order:
        if size + len(pieces[i]) > batch_tokens:
            batches.append([])
            size = 0
        batches[-1].append(pieces[i])
        size += len(pieces[i])
    return [batches[i] for i in generator.permutation(len(batches))]
