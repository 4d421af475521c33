"""A small pipeline whose tok2vec is pretrained in these tests, and a text that can be learnt."""

from pathlib import Path
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc
from spacy.util import load_model_from_config
from thinc.api import Config, Model, fix_random_seed

from spacy_mamba_crf.pipeline.pretrained_tok2vec import tok2vec_of, tok2vec_settings
from spacy_mamba_crf.pretraining import PretrainSettings

# Each token follows from the one before it, and from the one after it.
ALPHABET = "甲乙丙丁戊己庚辛"
LINES = [(ALPHABET * 3)[start : start + 16] for start in range(8)] * 25
CONFIG = """
[nlp]
lang = "zh"
pipeline = ["ner"]

[components]

[components.ner]
factory = "crf_ner"

[components.ner.model]
@architectures = "spacy_mamba_crf.CRFTagger.v1"

[components.ner.model.tok2vec]
@architectures = "spacy.Tok2Vec.v2"

[components.ner.model.tok2vec.embed]
@architectures = "spacy_mamba_crf.CharNgramEmbed.v2"
width = 16
rows = [100]
edge_rows = 50

[components.ner.model.tok2vec.encode]
@architectures = "spacy_mamba_crf.MambaEncoder.v1"
width = 16
depth = 1
d_state = 8
headdim = 8
"""
SETTINGS = PretrainSettings(
    epochs=20, batch_tokens=400, piece_tokens=24, vocab_size=50, hidden=16, learn_rate=0.02
)


def write_text(path: Path) -> Path:
    path.write_text("\n".join(LINES) + "\n", encoding="utf-8")
    return path


def pipeline(lexicon: str | None = None, **encoder: Any) -> Language:
    """A blank one, with random weights that are always the same; lexicon: a file of terms."""
    fix_random_seed(0)
    config = Config().from_str(CONFIG)
    settings = config["components"]["ner"]["model"]["tok2vec"]
    settings["encode"].update(encoder)
    if lexicon is not None:
        around = {"@architectures": "spacy_mamba_crf.LexiconEmbed.v1", "width": 16}
        settings["embed"] = {**around, "lexicon": lexicon, "embed": settings["embed"]}
    nlp = load_model_from_config(config, auto_fill=True)
    tok2vec(nlp).initialize(X=[Doc(nlp.vocab, words=["a"])])
    return nlp


def tok2vec(nlp: Language) -> Model:
    return tok2vec_of(nlp, "ner")


def settings(nlp: Language) -> dict[str, Any]:
    return tok2vec_settings(nlp, "ner")
