"""`crf_ner`: a named-entity recogniser with a linear-chain CRF, as a trainable spaCy component."""

from collections.abc import Callable

from spacy.language import Language
from spacy.tokens import Doc
from thinc.api import Config, Model
from thinc.types import Floats2d

from .constraints import Constraints
from .entity_ratio import EntityRatio
from .lexicon_use import LexiconUse
from .recognizer import CRFEntityRecognizer
from .regularization import Regularization
from .soft_rules import SoftRules
from .teachers import Teachers

DEFAULT_CONFIG = """
[model]
@architectures = "spacy_mamba_crf.CRFTagger.v1"
scheme = "BIO"

[model.tok2vec]
@architectures = "spacy.Tok2Vec.v2"

[model.tok2vec.embed]
@architectures = "spacy_mamba_crf.CharNgramEmbed.v1"
width = 128
rows = [5000, 10000, 10000]
edge_rows = 5000

[model.tok2vec.encode]
@architectures = "spacy_mamba_crf.MambaEncoder.v1"
width = 128
depth = 2
variant = "mamba2"
"""
DEFAULT_CRF_NER_MODEL = Config().from_str(DEFAULT_CONFIG)["model"]


@Language.factory(
    "crf_ner",
    assigns=["doc.ents", "token.ent_iob", "token.ent_type", "span._.prob"],
    default_config={
        "model": DEFAULT_CRF_NER_MODEL,
        "probabilities": True,
        "threshold": None,
        "spans_key": None,
        "spans_threshold": None,
        "incorrect_spans_key": None,
        "correct_spans_key": None,
        "entity_ratio": None,
        "max_entity_length": None,
        "allowed_transitions": None,
        "forbidden_transitions": None,
        "lexicon_mode": "soft",
        "lexicon_weight": 1.0,
        "rules": None,
        "teachers": None,
        "agreement": 0.0,
        "adversarial": 0.0,
        "score_loss": False,
        "scorer": {"@scorers": "spacy_mamba_crf.ner_scorer.v1"},
    },
    default_score_weights={
        "ents_f": 1.0,
        "ents_p": 0.0,
        "ents_r": 0.0,
        "ents_per_type": None,
        "ents_macro_f": None,
    },
)
def make_crf_ner(
    nlp: Language,
    name: str,
    model: Model[list[Doc], list[Floats2d]],
    probabilities: bool,
    threshold: float | None,
    spans_key: str | None,
    spans_threshold: float | None,
    incorrect_spans_key: str | None,
    correct_spans_key: str | None,
    entity_ratio: float | None,
    max_entity_length: int | None,
    allowed_transitions: dict[str, list[str]] | None,
    forbidden_transitions: dict[str, list[str]] | None,
    lexicon_mode: str,
    lexicon_weight: float,
    rules: SoftRules | None,
    teachers: Teachers | None,
    agreement: float,
    adversarial: float,
    score_loss: bool,
    scorer: Callable | None,
) -> "CRFEntityRecognizer":
    """Construct a CRF entity recogniser.

    model: such as `spacy_mamba_crf.CRFTagger.v1`. probabilities: set `ent._.prob`. threshold: None
    for the entities of the best tag sequence, else all of at least this probability (of overlapping
    ones, the best set). spans_key: also write the entities there in doc.spans, their probabilities
    in `attrs["scores"]`; with spans_threshold, all spans of at least that probability instead.

    Examples may list in doc.spans, under incorrect_spans_key, spans that are not entities, and
    under correct_spans_key spans that are, of an unknown type or one of several. entity_ratio: the
    share of tokens in entities, for training on examples that do not say what is outside.

    Predictions have no entity longer than max_entity_length tokens, and right after the labels (or
    "O") that are keys of allowed_transitions or forbidden_transitions comes only what is listed, or
    nothing of it. lexicon_mode: a lexicon's terms make entities of their label more likely by
    lexicon_weight, in log-odds ("soft"), must be entities ("hard"), or nothing ("off").

    To learn from beside the annotation: rules, such as `spacy_mamba_crf.SoftRules.v1`; teachers,
    such as `spacy_mamba_crf.Teachers.v1`, trained pipelines to imitate; agreement, weight of the
    divergence of two readings of each doc, which differ by dropout (R-Drop); adversarial, length of
    the step by which embeddings go against the model before it learns once more (FGM). score_loss:
    when scored, add the loss of the annotation ("ents_loss") and the accuracy of the tags
    ("ents_tag_acc").
    """
    return CRFEntityRecognizer(
        nlp.vocab,
        model,
        name,
        probabilities=probabilities,
        threshold=threshold,
        spans_key=spans_key,
        spans_threshold=spans_threshold,
        incorrect_spans_key=incorrect_spans_key,
        correct_spans_key=correct_spans_key,
        entity_ratio=None if entity_ratio is None else EntityRatio(entity_ratio),
        constraints=Constraints(max_entity_length, allowed_transitions, forbidden_transitions),
        lexicon_use=LexiconUse(lexicon_mode, lexicon_weight),
        rules=rules,
        teachers=teachers,
        regularization=Regularization(agreement, adversarial),
        score_loss=score_loss,
        scorer=scorer,
    )
