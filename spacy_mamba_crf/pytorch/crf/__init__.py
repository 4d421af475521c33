"""A linear-chain CRF (Lafferty et al. 2001): partition, marginals, gradient, Viterbi.

`ragged` works on texts side by side, by kernels on the CPU; `padded`, whose functions are here, on
one row a text. Legality of a tagging scheme is a transition of -inf; partly annotated text, preset
entities and forbidden spans are masks of the tags allowed at each token.
"""

from .padded import (
    Lattice,
    expected_counts,
    forward_backward,
    loss_and_gradient,
    path_score,
    span_log_probability,
    tag_marginals,
    viterbi,
)
from .potentials import NEG_INF, Gradient, Potentials, SpanQuery, SpanTags

__all__ = [
    "NEG_INF",
    "Gradient",
    "Lattice",
    "Potentials",
    "SpanQuery",
    "SpanTags",
    "expected_counts",
    "forward_backward",
    "loss_and_gradient",
    "path_score",
    "span_log_probability",
    "tag_marginals",
    "viterbi",
]
