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


def describe(meta: dict[str, Any], metrics: dict[str, Any], corpus: str) -> dict[str, Any]:
    """A copy of a trained pipeline's meta with description, sources, scores and their meaning.

    metrics: what the report wrote for the test part; corpus: its name in the project. A corpus
    without known sources is named as it is.
    """
    f1 = 100 * (metrics.get("ents_f") or 0.0)
    performance = {key: metrics.get(key) for key in ("ents_p", "ents_r", "ents_f")}
    performance["ents_per_type"] = metrics.get("ents_per_type") or {}
    notes = (
        f"Trained and measured with the spacy-mamba-crf project on its corpus '{corpus}': scores "
        f"are strict entity scores on the test part ({metrics.get('sentences', 'unknown')} "
        "sentences), which took no part in training or model selection. Every entity carries its "
        "probability as `ent._.prob`. Not a medical device: check what it finds before use."
    )
    if corpus.startswith("sample"):
        notes += " The corpus is SYNTHETIC and tiny: this pipeline demonstrates the workflow only."
    return {
        **meta,
        "description": f"Named entities by a bidirectional Mamba encoder and a CRF (F1 {f1:.1f})",
        "author": "spacy-mamba-crf developers",
        "license": "MIT",
        "sources": _SOURCES.get(corpus, [{"name": corpus, "url": "", "license": "", "author": ""}]),
        "performance": performance,
        "notes": notes,
    }
