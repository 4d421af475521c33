"""Training the language models whose states spacy_mamba_crf.StaticLM.v1 gives as features."""

from .texts import LMTexts
from .training import LMSettings, train_language_models

__all__ = ["LMSettings", "LMTexts", "train_language_models"]
