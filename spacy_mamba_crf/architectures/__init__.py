"""The architectures that configs name; each puts together layers built elsewhere."""

from .embedders import CharNgramEmbed, LexiconEmbed
from .encoders import IDCNNEncoder, MambaEncoder, RecurrentEncoder
from .taggers import CRFTagger

__all__ = [
    "CRFTagger",
    "CharNgramEmbed",
    "IDCNNEncoder",
    "LexiconEmbed",
    "MambaEncoder",
    "RecurrentEncoder",
]
