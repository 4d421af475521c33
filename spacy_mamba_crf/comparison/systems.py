"""Which family a system, the stem of a file in configs/, belongs to, and their order in tables."""

from collections.abc import Iterable

OTHER = "other"
FAMILIES: dict[str, tuple[str, ...]] = {
    "Mamba": (
        "mamba_crf",
        "mamba_crf_pretrained",
        "mamba",
        "mamba1_crf",
        "mamba1",
        "s4d_crf",
        "s4d",
        "mamba_crf_small",
        "mamba_crf_lexicon",
        "pretrained_mamba_crf",
        "mamba_2.8b_crf",
    ),
    "transformer": (
        "bert_crf",
        "bert_bilstm_crf",
        "clinicaldistilbert_bilstm_crf",
        "macbert_bilstm_crf",
        "bert_wwm_bilstm_crf",
        "roberta_wwm_bilstm_crf",
    ),
    "recurrent": (
        "bilstm",
        "bilstm_crf",
        "lample2016",
        "chiu_nichols2016",
        "ma_hovy2016",
        "yang2016",
        "yang2016_no_gazetteer",
        "yang2016_no_chars",
        "yang2017",
    ),
    "convolutional": ("collobert2011", "idcnn_crf", "cnn_crf"),
    "language model": ("peters2017", "rei2017"),
    "rules": ("hu2016",),
    OTHER: ("spacy_ner",),
}
_FAMILY = {system: family for family, systems in FAMILIES.items() for system in systems}
_PLACE = {system: place for place, system in enumerate(_FAMILY)}


def family_of(system: str) -> str:
    """Family of a system; "other" for a config of the user's own."""
    return _FAMILY.get(system, OTHER)


def in_order(systems: Iterable[str]) -> list[str]:
    """Each system once: by family as above, unknown ones last, as they came."""
    return sorted(dict.fromkeys(systems), key=lambda system: _PLACE.get(system, len(_PLACE)))
