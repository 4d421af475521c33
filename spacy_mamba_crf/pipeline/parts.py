"""Finding a pipeline's components and their models by name, with messages that name both."""

from typing import Any

from spacy.language import Language
from thinc.api import Model


def find_recogniser(nlp: Language, component: str | None, name: str) -> Any:
    """The component that knows probabilities of spans, the last one if `component` is None.

    name: of the pipeline, for the message. Raises ValueError if there is none of that name.
    """
    able = [own for own, pipe in nlp.pipeline if hasattr(pipe, "likely_spans")]
    if not able or component not in (None, *able):
        raise ValueError(
            f"{name} has no component {component or 'crf_ner'!r} that knows probabilities; its "
            f"pipeline is {', '.join(nlp.pipe_names) or 'empty'}."
        )
    return nlp.get_pipe(component or able[-1])


def model_of(nlp: Language, component: str, name: str = "the pipeline") -> Model:
    """A component's model. Raises ValueError, with the pipeline's name, if there is none."""
    if component not in nlp.component_names:
        raise ValueError(
            f"There is no component {component!r} in {name}; it has "
            f"{', '.join(nlp.component_names) or 'none'}."
        )
    model = getattr(nlp.get_pipe(component), "model", None)
    if not isinstance(model, Model):
        raise ValueError(f"The component {component!r} in {name} has no model.")
    return model
