"""Plain torch modules and kernels: nothing in here knows of spaCy or thinc."""
