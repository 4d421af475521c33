"""The architectures that configs name; each puts together layers built elsewhere."""

from .embedders import CharNgramEmbed, LexiconEmbed
from .encoders import MambaEncoder, RecurrentEncoder
from .taggers import CRFTagger

__all__ = ["CRFTagger", "CharNgramEmbed", "LexiconEmbed", "MambaEncoder", "RecurrentEncoder"]
