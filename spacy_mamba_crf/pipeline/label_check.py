"""A warning where examples have labels that a component would silently not learn."""

import warnings

from spacy.attrs import ENT_TYPE
from spacy.strings import get_string_id
from spacy.training import Example


def warn_of_unknown_labels(
    name: str, examples: list[Example], labels: tuple[str, ...], warned: set[str]
) -> None:
    """Warn once for each entity label in examples that is not among a component's labels.

    name: of the component; warned: where the labels are noted that had their warning. One look at
    each token's label: microseconds a text.
    """
    known = {get_string_id(label) for label in ("", *labels, *warned)}
    for example in examples:
        reference = example.reference
        for key in set(reference.to_array(ENT_TYPE).tolist()) - known:
            known.add(key)
            label = reference.vocab.strings[key]
            warned.add(label)
            warnings.warn(
                f"Examples have entities labelled {label!r}, which the component {name!r} does not "
                f"know: to it, their tokens have no annotation. Call nlp.get_pipe({name!r})"
                f".add_label({label!r}) before training; in a config, let "
                "spacy_mamba_crf.add_labels.v1 do so under [initialize.before_init].",
                stacklevel=3,
            )
