"""Measured comparisons with every peer: `python -m benchmarks --help`. How they are kept fair:

- Each peer has a process of its own, bound to the same cores, with as many threads as cores for
  torch, BLAS, OpenMP and Numba. While one works, the others wait.
- Peers are measured in turn, A B C A B C ..., so that a slow minute of the machine hits them all.
  A ratio is the median, over the rounds, of the ratio within a round; a figure is a median.
- Everybody gets the same texts in the same order, has warmed up on them, and runs at the batch size
  of the config that its makers ship. Peers that learn have seen the same corpus.
- The peer to beat, the recurrent encoder, has as many parameters as ours (within 3 %), the same
  embedding, CRF and training settings, and takes the fastest exact way through torch that we found.
- What was left out, and why, is written beside the figures.
"""
