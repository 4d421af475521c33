"""The component behind `crf_ner`."""

from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from spacy.errors import Errors
from spacy.language import Language
from spacy.pipeline import TrainablePipe
from spacy.tokens import Doc, Span
from spacy.training import Example, validate_examples, validate_get_examples
from spacy.util import check_lexeme_norms, minibatch
from spacy.vocab import Vocab
from thinc.api import Model, Optimizer
from thinc.types import Floats2d

from ..evaluation.scorer import ner_scorer
from ..layers.crf_output import read_potentials
from ..lexicon import Lexicon
from ..pytorch.crf import Potentials
from ..pytorch.schemes import TagSet
from ..pytorch.threads import shares_only
from .annotation import annotate, register_extension, set_span_group
from .calibration import Calibration, fit_temperature
from .constraints import Constraints
from .decoding import Prediction, check_thresholds, decode
from .entity_ratio import EntityRatio
from .label_check import warn_of_unknown_labels
from .lattice import Batch, Lattice, divide_scores, join_scores
from .learning import Loss, agreement_loss, annotation_loss, mix_losses, rehearsal_loss
from .lexicon_use import HasLexicon, LexiconUse
from .loss_score import loss_and_accuracy
from .queries import CRFQueries
from .regularization import Regularization
from .soft_rules import SoftRules
from .tag_masks import decoding_mask
from .teachers import Teachers
from .updates import learn

_NO_CONSTRAINTS = Constraints()
_LEXICON_USE = LexiconUse()
_REGULARIZATION = Regularization()


def _part(whole: str, name: str) -> Any:
    """A setting by its name in the config, which is a field of another attribute."""

    def read(self: "CRFEntityRecognizer") -> Any:
        return getattr(getattr(self, whole), name)

    def write(self: "CRFEntityRecognizer", value: Any) -> None:
        before = getattr(self, whole)
        setattr(self, whole, before._replace(**{name: value}))
        try:
            self._check_settings()
        except ValueError:
            setattr(self, whole, before)
            raise

    return property(read, write)


class CRFEntityRecognizer(CRFQueries, HasLexicon, TrainablePipe):
    """Sets doc.ents by the best tag sequence of a linear-chain CRF, within what is already set.

    Every entity carries its exact probability as `ent._.prob`: that precisely these tokens are an
    entity of this label, summed over all legal tag sequences (with a model without CRF: the product
    over the entity's own tags and its end). Entities set before and blocked tokens are kept as they
    are (and have no probability of their own). `make_crf_ner` explains the settings.
    """

    def __init__(
        self,
        vocab: Vocab,
        model: Model[list[Doc], list[Floats2d]],
        name: str = "crf_ner",
        *,
        probabilities: bool = True,
        threshold: float | None = None,
        spans_key: str | None = None,
        spans_threshold: float | None = None,
        incorrect_spans_key: str | None = None,
        correct_spans_key: str | None = None,
        entity_ratio: EntityRatio | None = None,
        constraints: Constraints = _NO_CONSTRAINTS,
        lexicon_use: LexiconUse = _LEXICON_USE,
        rules: SoftRules | None = None,
        teachers: Teachers | None = None,
        regularization: Regularization = _REGULARIZATION,
        score_loss: bool = False,
        scorer: Callable | None = ner_scorer,
    ):
        register_extension()
        check_thresholds(name, threshold, spans_threshold, spans_key)
        if entity_ratio is not None:
            entity_ratio.check(name)
        self.vocab = vocab
        self.model = model
        self.name = name
        self.scorer = scorer
        self.probabilities = probabilities
        self.threshold = threshold
        self.spans_key = spans_key
        self.spans_threshold = spans_threshold
        self.incorrect_spans_key = incorrect_spans_key
        self.correct_spans_key = correct_spans_key
        self.entity_ratio = entity_ratio
        self.constraints = constraints
        self.lexicon_use = lexicon_use
        self.rules = rules
        self.teachers = teachers
        self.regularization = regularization
        self.score_loss = score_loss
        # Only what is learnt is saved with the component; settings come from the config.
        self.cfg: dict[str, Any] = {"labels": []}
        self._unknown_labels: set[str] = set()  # in examples; each has one warning
        self._rehearsal_model: Model[list[Doc], list[Floats2d]] | None = None
        self._check_settings()

    max_entity_length = _part("constraints", "max_entity_length")
    allowed_transitions = _part("constraints", "allowed_transitions")
    forbidden_transitions = _part("constraints", "forbidden_transitions")
    lexicon_mode = _part("lexicon_use", "mode")
    lexicon_weight = _part("lexicon_use", "weight")
    agreement = _part("regularization", "agreement")
    adversarial = _part("regularization", "adversarial")

    def _check_settings(self) -> None:
        has_crf = self.model.get_ref("transition_scores").attrs["constrained"]
        self.constraints.check(self.name, has_crf)
        self.lexicon_use.check(self.name)
        self.regularization.check(self.name)

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

    @property
    def temperature(self) -> float:
        """What predictions divide all scores by, so that probabilities are calibrated."""
        return self.model.get_ref("transition_scores").attrs["temperature"]

    @temperature.setter
    def temperature(self, temperature: float) -> None:
        if not temperature > 0:
            raise ValueError(f"The temperature is {temperature}; it must be larger than 0.")
        self.model.get_ref("transition_scores").attrs["temperature"] = float(temperature)

    def initialize(
        self,
        get_examples: Callable[[], Iterable[Example]],
        *,
        nlp: Language | None = None,
        labels: list[str] | None = None,
        lexicon: str | None = None,
    ) -> None:
        """Take the labels from `labels` or from the examples, and make the parameters.

        lexicon: a file of lines `term` or `term<TAB>label`, for predictions. Raises ValueError
        without labels or examples, for settings that name unknown labels, and for a bad lexicon.
        """
        validate_get_examples(get_examples, "CRFEntityRecognizer.initialize")
        check_lexeme_norms(self.vocab, "crf_ner")
        if labels is None:
            found = {label for eg in get_examples() for label in self._labels_in(eg.reference)}
            labels = sorted(found - {""})
        for label in labels:
            self.add_label(label)
        self._require_labels()
        self.constraints.check_labels(self.tagset, self.name)
        if lexicon is not None:
            if not Path(lexicon).is_file():
                raise FileNotFoundError(
                    f"[initialize.components.{self.name}] lexicon = {lexicon!r} is no file."
                )
            self.lexicon = Lexicon.from_file(lexicon)
        doc_sample = [example.predicted for example in islice(get_examples(), 10)]
        if not doc_sample:
            raise ValueError(Errors.E923.format(name=self.name))
        self.set_output(len(self.tagset))
        self.model.initialize(X=doc_sample)

    def _labels_in(self, reference: Doc) -> Iterable[str]:
        """The labels of an annotated doc's entities, and of its spans known to be correct."""
        yield from (ent.label_ for ent in reference.ents)
        if self.correct_spans_key in reference.spans:
            yield from (span.label_ for span in reference.spans[self.correct_spans_key])

    def predict(self, docs: Iterable[Doc]) -> list[Prediction]:
        """The entities of each doc with their probabilities; the docs stay as they are."""
        docs = list(docs)
        if not any(map(len, docs)):
            return [Prediction([], None if self.spans_threshold is None else []) for _ in docs]
        scores = self.model.predict(docs)
        with shares_only():
            lattice = self.make_lattice(docs, join_scores(scores))
            return decode(lattice, self.probabilities, self.threshold, self.spans_threshold)

    def set_annotations(self, docs: Iterable[Doc], scores: list[Prediction]) -> None:
        """Add predicted entities to doc.ents beside those already there."""
        for doc, (entities, spans) in zip(docs, scores):
            annotate(doc, entities, self.name)
            if self.spans_key is not None:
                set_span_group(doc, self.spans_key, self.probabilities, spans)

    def lattice(self, docs: list[Doc], *, again: bool = False) -> Lattice:
        """All tag sequences of docs of which at least one has tokens, with their scores.

        again: as if the docs had not passed this component.
        """
        batch = join_scores(self.model.predict(docs))
        return self.make_lattice(docs, batch, is_own=self._is_own if again else None)

    def make_lattice(
        self,
        docs: list[Doc],
        batch: Batch,
        *,
        temperature: float | None = None,
        is_own: Callable[[Span], bool] | None = None,
    ) -> Lattice:
        """All tag sequences of docs by the model's scores of them.

        temperature: the component's own if None. is_own: entities of doc.ents that count as not
        there.
        """
        tagset, constraints, use = self.tagset, self.constraints, self.lexicon_use
        temperature = temperature or self.temperature
        potentials = self._potentials(self.model, tagset)
        if self.rules is not None and self.rules.decode == "teacher":
            batch, potentials = self.rules.teacher(docs, batch, potentials, tagset)
        if temperature != 1.0:
            batch, potentials = divide_scores(batch, potentials, temperature)
        potentials = constraints.forbid(potentials, tagset, self.name)
        terms = self._terms(tagset)
        if terms is not None and use.mode == "soft":
            batch = terms.add_scores(docs, batch, use.weight)
        has_crf = self.model.get_ref("transition_scores").attrs["constrained"]
        most = constraints.max_entity_length
        allowed = decoding_mask(docs, batch.offsets, tagset, has_crf, most=most, is_own=is_own)
        if terms is not None and use.mode == "hard":
            allowed = terms.require_terms(docs, batch, allowed, most)
        return Lattice(batch, potentials, tagset, allowed, most)

    def calibrate(self, examples: Iterable[Example]) -> Calibration | None:
        """Fit the temperature to examples, which training must not have seen, and keep it.

        Their predicted docs must have passed the components before this one. Changes probabilities
        alone, not which tag sequence is best. None, and the temperature stays, where nothing is
        predicted. To be saved with `nlp.to_disk`.
        """
        examples = list(examples)
        validate_examples(examples, "CRFEntityRecognizer.calibrate")
        docs = [example.predicted for example in examples]
        if not any(map(len, docs)):
            return None
        scores = [own for part in minibatch(docs, 64) for own in self.model.predict(part)]
        batch = join_scores(scores)
        given = [
            {(ent.start, ent.end, ent.label_) for ent in doc.ents if not self._is_own(ent)}
            for doc in docs
        ]

        def at(temperature: float) -> Lattice:
            return self.make_lattice(docs, batch, temperature=temperature, is_own=self._is_own)

        with shares_only():
            result = fit_temperature(examples, given, at)
        if result is not None:
            self.temperature = result.temperature
        return result

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
        warn_of_unknown_labels(self.name, examples, self.labels, self._unknown_labels)
        tagset = self.tagset

        def loss_of(read: list[Example], scores: list[Floats2d]) -> Loss:
            potentials = self._potentials(self.model, tagset)
            loss = self._annotation_loss(read, scores, potentials)
            docs = [example.predicted for example in read]
            for guide in (self.rules, self.teachers):
                if guide is not None:
                    loss = guide.mix(loss, docs, scores, potentials, tagset)
            if self.regularization.agreement:
                agreement = agreement_loss(scores, potentials, len(examples))
                loss = mix_losses(loss, agreement, 1.0, self.regularization.agreement)
            return loss

        losses = learn(self, examples, loss_of, drop, sgd, losses, self.regularization)
        if self.rules is not None and any(len(example.predicted) for example in examples):
            self.rules.seen += 1
        return losses

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

        def loss_of(examples: list[Example], scores: list[Floats2d]) -> Loss:
            assert tutor is not None
            return rehearsal_loss(
                scores,
                self._potentials(self.model, self.tagset),
                tutor.predict([example.predicted for example in examples]),
                self._potentials(tutor, self._tagset_of(tutor)),
            )

        return learn(self, examples if tutor is not None else [], loss_of, drop, sgd, losses)

    def get_loss(
        self, examples: Iterable[Example], scores: list[Floats2d]
    ) -> tuple[float, list[Floats2d]]:
        """The loss, summed over docs, and its gradient by the emissions (a mean over docs)."""
        examples = list(examples)
        validate_examples(examples, "CRFEntityRecognizer.get_loss")
        if not any(len(doc_scores) for doc_scores in scores):
            return 0.0, [doc_scores * 0 for doc_scores in scores]
        loss = self._annotation_loss(examples, scores, self._potentials(self.model, self.tagset))
        return loss.value, loss.d_scores

    def score(self, examples: Iterable[Example], **kwargs: Any) -> dict[str, Any]:
        """The scorer's scores; with `score_loss`, those of `loss_and_accuracy`, too."""
        examples = list(examples)
        scores = super().score(examples, **kwargs)
        return scores | loss_and_accuracy(self, examples) if self.score_loss else scores

    def _annotation_loss(
        self, examples: list[Example], scores: list[Floats2d], potentials: Potentials
    ) -> Loss:
        keys = (self.incorrect_spans_key, self.correct_spans_key)
        ratio = self.entity_ratio
        return annotation_loss(examples, scores, potentials, self.tagset, *keys, ratio)

    def _potentials(self, model: Model, tagset: TagSet) -> Potentials:
        return read_potentials(model.get_ref("transition_scores"), tagset)

    def _tagset_of(self, model: Model) -> TagSet:
        """The tags that an earlier copy of the model has: those of the first labels."""
        scheme = model.attrs["scheme"]
        n_tags = model.get_ref("output_layer").get_dim("nO")
        n_labels = (n_tags - 1) // len(TagSet(scheme, ()).letters)
        return TagSet(scheme, self.labels[:n_labels])
