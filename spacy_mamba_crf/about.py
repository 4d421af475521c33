"""Name and version of the package."""

__title__ = "spacy-mamba-crf"
__version__ = "0.1.0"
