"""Figures from the literature, each with its metric, its test set and its training data."""

from collections.abc import Collection, Mapping
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


@dataclass(frozen=True)
class PublishedScore:
    """A published F1 in percent of the system that one of our configs stands for.

    name: the system as its authors call it. metric: what was measured, and on which test set.
    source: authors, year, venue. recipe: what it was made with that a config of ours may lack.
    """

    name: str
    f1: float
    metric: str
    source: str
    recipe: str

    def __str__(self) -> str:
        return f"{self.f1:.2f} ({self.name}; {self.metric}; {self.source})"


@dataclass(frozen=True)
class ThesisScore:
    """Token-level figures of the thesis on HealthNER test, in percent, O a class among others.

    micro: F1 micro (= accuracy); macro: precision, recall, F1 macro over tags. None: not printed.
    """

    micro: float | None
    macro: tuple[float, float, float] | None


_TESTB = "strict F1, CoNLL-2003 English test"
_VECTORS = "pretrained word vectors"


def _conll(name: str, f1: float, source: str, recipe: str = _VECTORS) -> PublishedScore:
    return PublishedScore(name, f1, _TESTB, source, recipe)


_MAMBA = _conll(
    "Mamba+CRF", 85.2, "the thesis, table 4-8", "a Mamba of width 2560 and 64 layers, 5 epochs"
)
_HUANG = "Huang et al. 2015, arXiv:1508.01991"
_CHIU = "Chiu & Nichols 2016, TACL"
_YANG = "Yang et al. 2016, arXiv:1603.06270"

# By the stem of our config. All of them are TEST figures (testb), not of the development part.
CONLL_2003_TEST: Mapping[str, tuple[PublishedScore, ...]] = {
    "mamba_crf": (_MAMBA,),
    "mamba1_crf": (_MAMBA,),
    "pretrained_mamba_crf": (_MAMBA,),
    "mamba_2.8b_crf": (_MAMBA,),
    "bilstm_crf": (
        _conll("BI-LSTM-CRF as the thesis prints it", 84.2, _HUANG, "spelling features"),
    ),
    "lample2016": (_conll("LSTM-CRF", 90.94, "Lample et al. 2016, NAACL"),),
    "chiu_nichols2016": (
        _conll("BLSTM-CNN + lexicon", 91.62, _CHIU, f"{_VECTORS}, a lexicon, trained on testa too"),
        _conll("BLSTM-CNN", 90.91, _CHIU, f"{_VECTORS}, trained on testa too"),
    ),
    "ma_hovy2016": (_conll("BLSTM-CNNs-CRF", 91.21, "Ma & Hovy 2016, ACL"),),
    "yang2016": (_conll("GRU-CRF", 91.20, _YANG, f"{_VECTORS}, gazetteers"),),
    "yang2016_no_gazetteer": (_conll("GRU-CRF without gazetteers", 90.96, _YANG),),
    "yang2016_no_chars": (
        _conll("GRU-CRF without the character GRU", 88.00, _YANG, f"{_VECTORS}, gazetteers"),
    ),
    "yang2017": (
        _conll("transfer", 91.26, "Yang et al. 2017, ICLR", f"{_VECTORS}, two other tasks' data"),
    ),
    "collobert2011": (
        _conll("window network", 89.59, "Collobert et al. 2011, JMLR", f"{_VECTORS}, a gazetteer"),
    ),
    "idcnn_crf": (_conll("ID-CNN-CRF", 90.54, "Strubell et al. 2017, EMNLP"),),
    "peters2017": (
        _conll(
            "TagLM",
            91.93,
            "Peters et al. 2017, ACL",
            f"{_VECTORS}, language models of 1B words, trained on testa too",
        ),
    ),
    "rei2017": (_conll("joint language model", 86.26, "Rei 2017, ACL"),),
    "hu2016": (_conll("BLSTM-CNN with rules", 91.18, "Hu et al. 2016, ACL"),),
}

_HEALTHNER = "all of HealthNER to train on, pretrained weights"
_R22 = "strict F1, all of ROCLING-2022"
_R23 = "strict F1, macro over the genres of ROCLING-2023"
_TASK_22, _TASK_23 = "ROCLING-2022 shared task", "ROCLING-2023 shared task"

# Strict entity scores on all of ROCLING-2022 and 2023, of which our test part is a tenth.
ROCLING: Mapping[str, tuple[PublishedScore, ...]] = {
    "bilstm_crf": (
        PublishedScore("BiLSTM-CRF", 65.35, _R23, _TASK_23, "HealthNER to train on, word2vec"),
    ),
    "bert_bilstm_crf": (
        PublishedScore("BERT-BiLSTM-CRF", 77.68, _R22, _TASK_22, _HEALTHNER),
        PublishedScore("BERT-BiLSTM-CRF", 68.13, _R23, _TASK_23, _HEALTHNER),
    ),
    "roberta_wwm_bilstm_crf": (
        PublishedScore("RoBERTa-BiLSTM-CRF", 79.23, _R22, _TASK_22, _HEALTHNER),
        PublishedScore("RoBERTa-large-BiLSTM-CRF", 68.40, _R23, _TASK_23, _HEALTHNER),
    ),
}

_THESIS_MAMBA_CRF = ThesisScore(91.9, (66.3, 48.2, 55.1))
_THESIS_MAMBA = ThesisScore(86.3, (34.8, 20.9, 23.8))
THESIS_TOKENS: Mapping[str, ThesisScore] = {
    "mamba": _THESIS_MAMBA,
    "mamba_crf": _THESIS_MAMBA_CRF,
    "mamba1": _THESIS_MAMBA,
    "mamba1_crf": _THESIS_MAMBA_CRF,
    "pretrained_mamba_crf": _THESIS_MAMBA_CRF,
    "mamba_2.8b_crf": _THESIS_MAMBA_CRF,
    "bert_crf": ThesisScore(None, (68.2, 50.9, 57.2)),
    "bert_bilstm_crf": ThesisScore(79.6, (77.3, 67.3, 68.1)),
    "clinicaldistilbert_bilstm_crf": ThesisScore(None, (72.7, 53.5, 60.1)),
    "macbert_bilstm_crf": ThesisScore(None, (74.5, 60.1, 65.6)),
    "bert_wwm_bilstm_crf": ThesisScore(None, (73.8, 62.4, 66.8)),
    "roberta_wwm_bilstm_crf": ThesisScore(79.9, (76.5, 67.9, 71.5)),
}

# What its publishers say that a file holds, by the corpus's name and the file's.
PUBLISHED_COUNTS: Mapping[str, Mapping[str, Mapping[str, int]]] = {
    "rocling": {
        "ROCLING22_CHNER_truth.txt": {"sentences": 3205, "tokens": 118116, "entities": 13369},
        "MultiNER-Health_truth_FT.txt": {"sentences": 2035, "tokens": 149276, "entities": 10845},
        "MultiNER-Health_truth_SM.txt": {"sentences": 2208, "tokens": 98317, "entities": 8292},
        "MultiNER-Health_truth_WA.txt": {"sentences": 2381, "tokens": 92498, "entities": 9761},
    },
    "healthner": {
        "train.json": {"sentences": 28161, "entities": 61155},
        "test.json": {"sentences": 2531, "entities": 7305},
    },
    "conll2003": {
        "eng.train": {"entities": 7140 + 3438 + 6321 + 6600},
        "eng.testa": {"entities": 1837 + 922 + 1341 + 1842},
    },
}


def are_health_types(types: Collection[str]) -> bool:
    """Whether these entity types are of the Chinese health corpora, and not a few by chance."""
    kinds = frozenset(types)
    return kinds <= frozenset(HEALTH_TYPES) and len(kinds) >= _LEAST_HEALTH_TYPES


def published_tables(types: Collection[str]) -> tuple[PublishedTable, ...]:
    """Tables that belong beside a test set with these entity types; none for other corpora."""
    if are_health_types(types):
        return (_ROCLING_2022, _ROCLING_2023, _THESIS_MICRO, _THESIS_MACRO)
    if frozenset(types) == CONLL_TYPES:
        return (_CONLL,)
    return ()
