"""From a pipeline and a test file to one dictionary of metrics (what `metrics.json` holds)."""

import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import srsly
from spacy.language import Language
from spacy.scorer import PRFScore
from spacy.training import Corpus, Example
from tqdm import tqdm

from .scorer import count_entities, summarise
from .spans import tag_pair
from .token_level import token_table


def predict(nlp: Language, test: str | Path) -> tuple[list[Example], float]:
    """Run the pipeline over a DocBin file (or a folder of them).

    Returns the examples with predictions and the seconds that the pipeline took, without reading
    and tokenising, as `spacy evaluate` counts them. Raises ValueError where there is no document.
    """
    if not Path(test).exists():
        raise ValueError(f"There is no test file {test}. Convert the corpus first.")
    examples = list(Corpus(test)(nlp))
    if not examples:
        raise ValueError(f"{test} holds no documents. Pass a .spacy file with annotated documents.")
    start = time.perf_counter()
    docs = nlp.pipe(example.predicted for example in examples)
    for example, doc in zip(examples, tqdm(docs, "predict", total=len(examples), disable=None)):
        example.predicted = doc
    return examples, time.perf_counter() - start


def measure(examples: Sequence[Example]) -> dict[str, Any]:
    """All scores of predicted examples, in [0, 1], with the counts behind them.

    Keys: those of `summarise` (as in `spacy evaluate`, with gold, found and correct counts for
    each type), `per_genre` and `macro_over_genres` (None unless `doc.user_data["genre"]` is set),
    `token_level` with `with_o` and `without_o`, and `test` with the size of the test set. Genres
    are scored strictly, and the macro is the mean over genres of each of precision, recall, F1.
    """
    genres = _score_genres(examples)
    pairs = [tag_pair(example) for example in examples]
    gold, predicted = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    return {
        **_score(examples),
        "per_genre": genres,
        "macro_over_genres": _mean_over_genres(genres),
        "token_level": {
            "with_o": token_table(gold, predicted, include_o=True).to_dict(),
            "without_o": token_table(gold, predicted, include_o=False).to_dict(),
        },
        "test": _describe_test(examples),
    }


def repeats_dev(test: str | Path) -> bool:
    """Whether the conversion that wrote this test part noted that it repeats the dev part."""
    stats = Path(test).with_name("stats.json")
    return stats.is_file() and bool(srsly.read_json(stats).get("test_is_dev"))


def speed(examples: Sequence[Example], seconds: float) -> dict[str, float]:
    """Seconds, and documents and tokens per second."""
    tokens = sum(len(example.predicted) for example in examples)
    seconds = max(seconds, 1e-9)
    return {
        "seconds": seconds,
        "documents_per_second": len(examples) / seconds,
        "tokens_per_second": tokens / seconds,
    }


def _score(examples: Sequence[Example]) -> dict[str, Any]:
    counts = count_entities(examples)
    total = PRFScore()
    for score in counts.values():
        total += score
    result = {**summarise(counts), **_counts(total)}
    if result["ents_per_type"] is not None:
        result["ents_per_type"] = {
            label: {**scores, **_counts(counts[label])}
            for label, scores in sorted(result["ents_per_type"].items())
        }
    return result


def _counts(score: PRFScore) -> dict[str, int]:
    return {"gold": score.tp + score.fn, "found": score.tp + score.fp, "correct": score.tp}


def _score_genres(examples: Sequence[Example]) -> dict[str, dict[str, Any]] | None:
    groups: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        genre = example.reference.user_data.get("genre")
        if genre is not None:
            groups[str(genre)].append(example)
    keys = ("ents_p", "ents_r", "ents_f", "gold", "found", "correct")
    result = {}
    for genre, group in sorted(groups.items()):
        scores = _score(group)
        result[genre] = {key: scores[key] for key in keys} | {"documents": len(group)}
    return result or None


def _mean_over_genres(genres: dict[str, dict[str, Any]] | None) -> dict[str, float] | None:
    scored = [scores for scores in (genres or {}).values() if scores["ents_f"] is not None]
    if not scored:
        return None
    keys = ("ents_p", "ents_r", "ents_f")
    return {key: sum(scores[key] for scores in scored) / len(scored) for key in keys}


def _describe_test(examples: Sequence[Example]) -> dict[str, int]:
    references = [example.reference for example in examples]
    return {
        "documents": len(references),
        "sentences": sum(
            len(list(doc.sents)) if doc.has_annotation("SENT_START") else 1 for doc in references
        ),
        "tokens": sum(len(doc) for doc in references),
        "characters": sum(len(doc.text) for doc in references),
        "entities": sum(len(doc.ents) for doc in references),
    }
