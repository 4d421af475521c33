"""Figures from the literature, each with its metric, its test set and its training data."""

from collections.abc import Collection
from dataclasses import dataclass

from ..chunks import HEALTH_TYPES

CONLL_TYPES = frozenset("LOC MISC ORG PER".split())
_LEAST_HEALTH_TYPES = 3  # fewer could be any corpus that happens to have TIME or DRUG


@dataclass(frozen=True)
class PublishedTable:
    """Systems and their figures in percent; one metric, test set and training set for all."""

    title: str
    metric: str
    test_set: str
    trained_on: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[float, ...]], ...]
    decimals: int = 2


_ROCLING_2022 = PublishedTable(
    title="ROCLING-2022 CHNER",
    metric="strict entity F1 (conlleval)",
    test_set="all of ROCLING-2022 CHNER",
    trained_on="Chinese HealthNER Corpus",
    columns=("F1",),
    rows=(
        ("PERT + W2NER", (81.93,)),
        ("RoBERTa-BiLSTM-CRF", (79.23,)),
        ("MacBERT-CRF + adversarial training", (77.96,)),
        ("BERT-BiLSTM-CRF", (77.68,)),
    ),
)
_ROCLING_2023 = PublishedTable(
    title="ROCLING-2023 MultiNER-Health",
    metric="strict entity F1 (conlleval); macro: mean over the three genres",
    test_set="all of MultiNER-Health FT, SM, WA",
    trained_on="the training data of the shared task",
    columns=("FT", "SM", "WA", "macro"),
    rows=(
        ("PERT-CRF + paraphrases", (65.49, 69.54, 73.63, 69.55)),
        ("RoBERTa-large-BiLSTM-CRF", (61.96, 71.11, 72.13, 68.40)),
        ("BERT-BiLSTM-CRF", (61.08, 70.77, 72.54, 68.13)),
        ("word2vec BiLSTM-CRF", (60.99, 67.16, 67.91, 65.35)),
        ("ChatGLM2-6B", (51.23, 59.28, 60.54, 57.02)),
    ),
)
_THESIS_MICRO = PublishedTable(
    title="Thesis, micro average",
    metric="token level, micro with O included (= token accuracy); not an entity score",
    test_set="HealthNER test",
    trained_on="Chinese HealthNER Corpus (train)",
    columns=("micro F1",),
    rows=(
        ("Mamba + CRF", (91.9,)),
        ("Mamba", (86.3,)),
        ("BERT + BiLSTM + CRF", (79.6,)),
        ("RoBERTa-WWM + BiLSTM + CRF", (79.9,)),
    ),
    decimals=1,
)
_THESIS_MACRO = PublishedTable(
    title="Thesis, macro average",
    metric="token level, macro over tags; not an entity score",
    test_set="HealthNER test",
    trained_on="Chinese HealthNER Corpus (train)",
    columns=("precision", "recall", "F1"),
    rows=(
        ("Mamba + CRF", (66.3, 48.2, 55.1)),
        ("Mamba", (34.8, 20.9, 23.8)),
        ("BERT + BiLSTM + CRF", (77.3, 67.3, 68.1)),
        ("BERT + CRF", (68.2, 50.9, 57.2)),
        ("ClinicalDistilBERT", (72.7, 53.5, 60.1)),
        ("MacBERT", (74.5, 60.1, 65.6)),
        ("BERT-WWM", (73.8, 62.4, 66.8)),
        ("RoBERTa-WWM", (76.5, 67.9, 71.5)),
    ),
    decimals=1,
)
_CONLL = PublishedTable(
    title="CoNLL-2003 English",
    metric="strict entity F1 (conlleval); the thesis figure as it is printed there",
    test_set="CoNLL-2003 English test (testb), not the development set testa",
    trained_on="CoNLL-2003 English train",
    columns=("F1",),
    rows=(
        ("Mamba + CRF (thesis)", (85.2,)),
        ("BiLSTM-CRF without embeddings (about)", (83.6,)),
        ("Huang et al., as the thesis prints it", (84.2,)),
        ("Lample et al.", (90.9,)),
        ("Ma & Hovy", (91.2,)),
        ("Flair", (93.1,)),
    ),
    decimals=1,
)


def published_tables(types: Collection[str]) -> tuple[PublishedTable, ...]:
    """Tables that belong beside a test set with these entity types; none for other corpora."""
    kinds = frozenset(types)
    if kinds <= frozenset(HEALTH_TYPES) and len(kinds) >= _LEAST_HEALTH_TYPES:
        return (_ROCLING_2022, _ROCLING_2023, _THESIS_MICRO, _THESIS_MACRO)
    if kinds == CONLL_TYPES:
        return (_CONLL,)
    return ()
