"""What `mamba-pretrain` runs: from files and a config to a file of weights."""

import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import spacy
import torch
from spacy.language import Language
from spacy.tokens import Doc
from spacy.util import load_model_from_config
from thinc.api import Model, fix_random_seed
from wasabi import msg

from ..configs import merge_configs
from ..corpora.raw_texts import check_raw_files, raw_docs
from ..layers.tok2vec_file import PRECISIONS, read_file
from ..layers.tok2vec_parts import load_to_extend
from ..pipeline.pretrained_tok2vec import tok2vec_of, tok2vec_settings
from .checkpoint import CHECKPOINT, check_folder
from .processes import joined_processes
from .settings import PretrainSettings
from .training import Trained, pretrain


def run(
    config_path: Path,
    overrides: dict[str, Any],
    texts: Sequence[Path],
    output: Path,
    component: str,
    settings: PretrainSettings,
    precision: str,
    resume: bool,
    gpu_id: int,
    start: Path | None = None,
) -> Trained | None:
    """Pretrain the component's tok2vec. Returns None in all processes but the first.

    start: file of weights of an earlier pretraining, to begin with in place of random ones. Raises
    ValueError or OSError, with a sentence, for what cannot be used.
    """
    settings.check()
    check_folder(output, resume)
    check_raw_files(texts)
    if precision not in PRECISIONS:
        raise ValueError(
            f"precision = {precision!r} is unknown; choose one of {', '.join(PRECISIONS)}."
        )
    device = "cpu"
    if gpu_id >= 0:
        gpu = int(os.environ.get("LOCAL_RANK", gpu_id))
        spacy.require_gpu(gpu)
        device = f"cuda:{gpu}"
    elif "LOCAL_WORLD_SIZE" in os.environ:  # torchrun gives each process a single thread
        cores = (os.cpu_count() or 1) // int(os.environ["LOCAL_WORLD_SIZE"])
        torch.set_num_threads(max(cores, 1))
    fix_random_seed(settings.seed)
    nlp = _pipeline(config_path, overrides)
    tok2vec, tok2vec_config = tok2vec_of(nlp, component), tok2vec_settings(nlp, component)
    tok2vec.initialize(X=[Doc(nlp.vocab, words=["a"])])
    facts: dict[str, Any] = {"lang": nlp.lang, "texts": [path.name for path in texts]}
    if start is not None:
        facts["start"] = _begin_with(start, nlp, tok2vec, tok2vec_config)
    with joined_processes(device) as processes:
        if resume and processes.rank == 0 and not (output / CHECKPOINT).is_file():
            msg.info(f"There is no checkpoint in {output}: the training starts from the beginning.")
        trained = pretrain(
            nlp,
            tok2vec,
            tok2vec_config,
            raw_docs(texts, nlp),
            output,
            settings,
            facts=facts,
            precision=precision,
            resume=resume,
            processes=processes,
        )
    return trained if processes.rank == 0 else None


def _pipeline(path: Path, overrides: dict[str, Any]) -> Language:
    config = merge_configs([path])
    if overrides:
        config = config.from_str(config.to_str(), overrides=overrides, interpolate=False)
    return load_model_from_config(config, auto_fill=True)


def _begin_with(
    start: Path, nlp: Language, tok2vec: Model, settings: dict[str, Any]
) -> dict[str, Any]:
    """Put the weights of a file in place; returns what is known of them."""
    earlier = read_file(start)
    load_to_extend(start, earlier, tok2vec, settings)
    lang = earlier.facts.get("lang", nlp.lang)
    if lang != nlp.lang:
        msg.warn(f"{start} is for the language {lang}, and the config's is {nlp.lang}.")
    return {**earlier.facts, "crc32": f"{zlib.crc32(start.read_bytes()):08x}"}
