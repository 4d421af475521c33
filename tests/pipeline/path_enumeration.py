"""Every legal tag sequence of a short doc, and the entities in it, apart from the package."""

import itertools

import numpy as np
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training.iob_utils import iob_to_biluo, tags_to_entities

Entity = tuple[int, int, str]


def read_entities(tags: tuple[str, ...]) -> frozenset[Entity]:
    """The entities that spaCy reads from BIO or BIOES tags; they must be without fault."""
    biluo = [tag.replace("S-", "U-").replace("E-", "L-") for tag in tags]
    if not any(tag[0] in "UL" for tag in biluo):
        biluo = iob_to_biluo(biluo)
    return frozenset((start, end + 1, label) for label, start, end in tags_to_entities(biluo))


def legal(tags: tuple[str, ...], scheme: str) -> bool:
    """Whether I (and E) always continue an entity, and under BIOES every B is closed."""
    for before, after in itertools.pairwise(("O", *tags, "O")):
        opens = before[0] in "BI"
        continues = after[0] in "IE"
        if continues and not (opens and before[2:] == after[2:]):
            return False
        if scheme == "BIOES" and opens and not continues:
            return False
    return True


def enumerate_paths(nlp: Language, doc: Doc) -> list[tuple[tuple[str, ...], float]]:
    """Every legal tag sequence of a doc with its probability, from the model's own scores."""
    ner = nlp.get_pipe("ner")
    tags = ner.tagset.tags
    emissions = ner.model.predict([doc])[0].astype("float64")
    layer = ner.model.get_ref("transition_scores")
    scale = layer.attrs["scale"]
    transitions, start, end = (
        layer.get_param(name).astype("float64") * scale for name in ("transitions", "start", "end")
    )
    paths, scores = [], []
    for numbers in itertools.product(range(len(tags)), repeat=len(doc)):
        names = tuple(tags[number] for number in numbers)
        if legal(names, ner.tagset.scheme):
            path = np.array(numbers)
            score = start[path[0]] + end[path[-1]] + emissions[np.arange(len(doc)), path].sum()
            scores.append(score + transitions[path[:-1], path[1:]].sum())
            paths.append(names)
    p = np.exp(np.array(scores) - max(scores))
    return list(zip(paths, (p / p.sum()).tolist()))
