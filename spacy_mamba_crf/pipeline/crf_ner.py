"""`crf_ner`: a named-entity recogniser with a linear-chain CRF, as a trainable spaCy component."""

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

import numpy as np
from spacy.errors import Errors
from spacy.language import Language
from spacy.pipeline import TrainablePipe
from spacy.tokens import Doc
from spacy.training import Example, validate_examples, validate_get_examples
from spacy.util import check_lexeme_norms
from spacy.vocab import Vocab
from thinc.api import Config, Model, Optimizer, set_dropout_rate
from thinc.types import Floats2d

from ..evaluation.scorer import ner_scorer
from ..layers.crf_output import add_gradient, read_potentials
from ..pytorch.crf import Potentials
from ..pytorch.schemes import TagSet
from ..pytorch.threads import shares_only
from .annotation import annotate, register_extension, set_span_group
from .decoding import PredictedEntity, decode
from .learning import Loss, annotation_loss, rehearsal_loss

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
        "spans_key": None,
        "incorrect_spans_key": None,
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
    spans_key: str | None,
    incorrect_spans_key: str | None,
    scorer: Callable | None,
) -> "CRFEntityRecognizer":
    """Construct a CRF entity recogniser.

    model: such as `spacy_mamba_crf.CRFTagger.v1`; probabilities: set `ent._.prob`;
    spans_key: also write the entities there in doc.spans, their probabilities in
    `attrs["scores"]`; incorrect_spans_key: where examples list spans that are not entities.
    """
    return CRFEntityRecognizer(
        nlp.vocab,
        model,
        name,
        probabilities=probabilities,
        spans_key=spans_key,
        incorrect_spans_key=incorrect_spans_key,
        scorer=scorer,
    )


class CRFEntityRecognizer(TrainablePipe):
    """Sets doc.ents by the best tag sequence of a linear-chain CRF, within what is already set.

    Every entity carries its exact probability as `ent._.prob`: that precisely these tokens are an
    entity of this label, summed over all legal tag sequences (with a model without CRF: the product
    over the entity's own tags and its end). Entities set before and blocked tokens are kept as they
    are (and have no probability of their own).
    """

    def __init__(
        self,
        vocab: Vocab,
        model: Model[list[Doc], list[Floats2d]],
        name: str = "crf_ner",
        *,
        probabilities: bool = True,
        spans_key: str | None = None,
        incorrect_spans_key: str | None = None,
        scorer: Callable | None = ner_scorer,
    ):
        register_extension()
        self.vocab = vocab
        self.model = model
        self.name = name
        self.scorer = scorer
        self.probabilities = probabilities
        self.spans_key = spans_key
        self.incorrect_spans_key = incorrect_spans_key
        # Only what is learnt is saved with the component; settings come from the config.
        self.cfg: dict[str, Any] = {"labels": []}
        self._rehearsal_model: Model[list[Doc], list[Floats2d]] | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """The entity labels, in the order in which they were added."""
        return tuple(self.cfg["labels"])

    @property
    def label_data(self) -> tuple[str, ...]:
        """What `spacy init labels` stores: the labels."""
        return self.labels

    @property
    def tagset(self) -> TagSet:
        """The tags of the model's scheme over the labels."""
        return TagSet(self.model.attrs["scheme"], self.labels)

    def add_label(self, label: str) -> int:
        """Add a label, also to a trained model, which keeps what it knows. 1 if it was new."""
        if not isinstance(label, str):
            raise ValueError(Errors.E187)
        if label in self.labels:
            return 0
        self.cfg["labels"].append(label)
        self.vocab.strings.add(label)
        if self.model.get_ref("output_layer").has_dim("nO"):
            self.set_output(len(self.tagset))
        return 1

    def initialize(
        self,
        get_examples: Callable[[], Iterable[Example]],
        *,
        nlp: Language | None = None,
        labels: list[str] | None = None,
    ) -> None:
        """Take the labels from `labels` or from the examples' entities, and make the parameters."""
        validate_get_examples(get_examples, "CRFEntityRecognizer.initialize")
        check_lexeme_norms(self.vocab, "crf_ner")
        if labels is None:
            found = {ent.label_ for eg in get_examples() for ent in eg.reference.ents}
            labels = sorted(found)
        for label in labels:
            self.add_label(label)
        self._require_labels()
        doc_sample = [example.predicted for example in islice(get_examples(), 10)]
        if not doc_sample:
            raise ValueError(Errors.E923.format(name=self.name))
        self.set_output(len(self.tagset))
        self.model.initialize(X=doc_sample)

    def predict(self, docs: Iterable[Doc]) -> list[list[PredictedEntity]]:
        """The entities of each doc with their probabilities; the docs stay as they are."""
        docs = list(docs)
        if not any(len(doc) for doc in docs):
            return [[] for _ in docs]
        with shares_only():
            scores = self.model.predict(docs)
            potentials = self._potentials(self.model, self.tagset)
            return decode(docs, scores, potentials, self.tagset, self.probabilities)

    def set_annotations(self, docs: Iterable[Doc], scores: list[list[PredictedEntity]]) -> None:
        """Add predicted entities to doc.ents beside those already there."""
        for doc, predicted in zip(docs, scores):
            annotate(doc, predicted)
            if self.spans_key is not None:
                set_span_group(doc, self.spans_key, self.probabilities)

    def update(
        self,
        examples: Iterable[Example],
        *,
        drop: float = 0.0,
        sgd: Optimizer | None = None,
        losses: dict[str, float] | None = None,
    ) -> dict[str, float]:
        """Learn from a batch of examples; the loss is summed over its docs."""
        examples = list(examples)
        validate_examples(examples, "CRFEntityRecognizer.update")

        def loss_of(docs: list[Doc], scores: list[Floats2d]) -> Loss:
            return self._annotation_loss(examples, scores)

        return self._learn(examples, loss_of, drop, sgd, losses)

    def rehearse(
        self,
        examples: Iterable[Example],
        *,
        drop: float = 0.0,
        sgd: Optimizer | None = None,
        losses: dict[str, float] | None = None,
        **config: Any,
    ) -> dict[str, float]:
        """Learn to go on predicting as the model did when `nlp.resume_training` was called."""
        examples = list(examples)
        validate_examples(examples, "CRFEntityRecognizer.rehearse")
        tutor = self._rehearsal_model

        def loss_of(docs: list[Doc], scores: list[Floats2d]) -> Loss:
            assert tutor is not None
            return rehearsal_loss(
                scores,
                self._potentials(self.model, self.tagset),
                tutor.predict(docs),
                self._potentials(tutor, self._tagset_of(tutor)),
            )

        return self._learn(examples if tutor is not None else [], loss_of, drop, sgd, losses)

    def get_loss(
        self, examples: Iterable[Example], scores: list[Floats2d]
    ) -> tuple[float, list[Floats2d]]:
        """The loss, summed over docs, and its gradient by the emissions (a mean over docs)."""
        examples = list(examples)
        validate_examples(examples, "CRFEntityRecognizer.get_loss")
        if not any(len(doc_scores) for doc_scores in scores):
            return 0.0, [doc_scores * 0 for doc_scores in scores]
        loss = self._annotation_loss(examples, scores)
        return loss.value, loss.d_scores

    def _annotation_loss(self, examples: list[Example], scores: list[Floats2d]) -> Loss:
        potentials = self._potentials(self.model, self.tagset)
        key = self.incorrect_spans_key
        return annotation_loss(examples, scores, potentials, self.tagset, key)

    def _learn(
        self,
        examples: list[Example],
        loss_of: Callable[[list[Doc], list[Floats2d]], Loss],
        drop: float,
        sgd: Optimizer | None,
        losses: dict[str, float] | None,
    ) -> dict[str, float]:
        """One pass forwards and back, with a step of the optimizer if there is one."""
        losses = {} if losses is None else losses
        losses.setdefault(self.name, 0.0)
        docs = [example.predicted for example in examples]
        if not any(len(doc) for doc in docs):
            return losses
        set_dropout_rate(self.model, drop)
        with shares_only():
            scores, backprop = self.model.begin_update(docs)
            loss = loss_of(docs, scores)
            if not np.isfinite(loss.value):
                raise ValueError(Errors.E910.format(name=self.name))
            add_gradient(self.model.get_ref("transition_scores"), loss.d_potentials)
            backprop(loss.d_scores)
        if sgd not in (None, False):
            self.finish_update(sgd)
        losses[self.name] += loss.value
        return losses

    def _potentials(self, model: Model, tagset: TagSet) -> Potentials:
        return read_potentials(model.get_ref("transition_scores"), tagset)

    def _tagset_of(self, model: Model) -> TagSet:
        """The tags that an earlier copy of the model has: those of the first labels."""
        scheme = model.attrs["scheme"]
        n_tags = model.get_ref("output_layer").get_dim("nO")
        n_labels = (n_tags - 1) // len(TagSet(scheme, ()).letters)
        return TagSet(scheme, self.labels[:n_labels])
