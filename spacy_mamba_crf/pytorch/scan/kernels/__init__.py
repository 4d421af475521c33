"""Numba kernels over ragged batches, one file a recurrence; imported at their first use.

Arrays of tokens are flat: token t's row starts at `t * stride`, so that a column slice of a wider
array (a part of a projection) is read where it lies. `offsets` (text + 1,) says where each text
starts; `reverse` runs every text from its last token to its first.
"""
