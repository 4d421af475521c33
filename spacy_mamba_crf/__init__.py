"""Bidirectional Mamba encoder and CRF entity recogniser for spaCy.

Everything here is reached through spaCy's registry; importing the package pulls in nothing heavy.
"""

from .about import __version__

__all__ = ["__version__"]
