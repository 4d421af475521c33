"""Sub-commands of `python -m spacy`: what this package adds to spaCy's command line."""
