"""Pretraining a tok2vec on raw text, by predicting masked tokens."""

from .settings import PretrainSettings
from .training import pretrain

__all__ = ["PretrainSettings", "pretrain"]
