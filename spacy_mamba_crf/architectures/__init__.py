"""The architectures that configs name; each puts together layers built elsewhere."""

from .characters import CharEncoder
from .embedders import CharNgramEmbed, CharNgramEmbedFolded, LexiconEmbed
from .encoders import IDCNNEncoder, MambaEncoder, RecurrentEncoder
from .language_models import LMLoss, StaticLM
from .pretrained import PretrainedMamba
from .taggers import CRFTagger

__all__ = [
    "CRFTagger",
    "CharEncoder",
    "CharNgramEmbed",
    "CharNgramEmbedFolded",
    "IDCNNEncoder",
    "LMLoss",
    "LexiconEmbed",
    "MambaEncoder",
    "PretrainedMamba",
    "RecurrentEncoder",
    "StaticLM",
]
