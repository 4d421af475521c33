"""The model card of a packaged pipeline: its meta.json, from which spaCy makes the README."""

from typing import Any

_SAMPLE = {
    "name": "synthetic sample of spacy-mamba-crf (written by its generator, for demonstration)",
    "url": "",
    "license": "MIT",
    "author": "spacy-mamba-crf developers",
}
_SOURCES: dict[str, list[dict[str, str]]] = {
    "sample": [_SAMPLE],
    "sample_en": [_SAMPLE],
    "rocling": [
        {
            "name": "ROCLING-2022 CHNER",
            "url": "https://github.com/NCUEE-NLPLab/ROCLING-2022-ST-CHNER",
            "license": "",
            "author": "Lung-Hao Lee, Chao-Yi Chen, Liang-Chih Yu, Yuen-Hsien Tseng",
        },
        {
            "name": "ROCLING-2023 MultiNER-Health",
            "url": "https://github.com/NYCU-NLP/ROCLING-2023-ST-MultiNERHealth",
            "license": "",
            "author": "Lung-Hao Lee, Tzu-Mi Lin, Chao-Yi Chen",
        },
    ],
    "healthner": [
        {
            "name": "Chinese HealthNER Corpus",
            "url": "https://github.com/NYCU-NLP/Chinese-HealthNER-Corpus",
            "license": "",
            "author": "Lung-Hao Lee, Yi Lu",
        }
    ],
}


def describe(
    meta: dict[str, Any], metrics: dict[str, Any], corpus: str, licence: str = ""
) -> dict[str, Any]:
    """A copy of a trained pipeline's meta with description, sources, scores and their meaning.

    metrics: metrics.json of the report; corpus: its name in the project (one without known sources
    is named as it is); licence: of the pipeline, which its corpus may bind.
    """
    f1, test = metrics.get("ents_f"), metrics["test"]
    score = "" if f1 is None else f" (strict F1 {100 * f1:.1f})"
    performance = {key: metrics.get(key) for key in ("ents_p", "ents_r", "ents_f")}
    performance["ents_per_type"] = metrics.get("ents_per_type") or {}
    part = "the development part, by which the model was selected: there is no test part"
    if not test.get("is_dev"):
        part = "the test part, which took no part in training or model selection"
    notes = (
        f"Trained and measured with the spacy-mamba-crf project on its corpus '{corpus}': scores "
        f"are strict entity scores on {part} ({test['documents']} sentences). Every entity "
        "carries its probability as `ent._.prob`. Not a medical device: check what it finds "
        "before use."
    )
    if corpus.startswith("sample"):
        notes += " The corpus is SYNTHETIC and tiny: this pipeline demonstrates the workflow only."
    return {
        **meta,
        "description": f"Named entities, trained with spacy-mamba-crf on {corpus}{score}",
        "license": licence,
        "sources": _SOURCES.get(corpus, [{"name": corpus, "url": "", "license": "", "author": ""}]),
        "performance": performance,
        "notes": notes,
    }
