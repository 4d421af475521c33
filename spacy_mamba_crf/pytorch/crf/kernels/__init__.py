"""Numba kernels of the CRF over ragged texts; imported at their first use.

Scores over tags are rows of float64 in flat arrays, padded with -inf to a `width` that is a
multiple of PAIR. A text is walked in blocks of BLOCK tokens: forwards, keeping the row at each
block's start, then block by block from the last, whose rows are still there; those of the others
are made again. So memory beside the emissions does not grow with a text, but for a row in each
BLOCK tokens.
"""
