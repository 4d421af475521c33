"""The card of a shipped file of pretrained weights: what it is, from what text, how it was made."""

from pathlib import Path
from typing import Any

from ..evaluation.markdown import markdown_table
from ..layers.tok2vec_file import Tok2VecFile


def card(path: Path, content: Tok2VecFile, precision: str, sources: str, config: str) -> str:
    """Markdown. sources: of the text with licences, markdown; config: that the weights fit."""
    facts = content.facts
    size = path.stat().st_size / 1e6
    count = sum(values.size for values in content.weights.values())
    text = facts["text"]
    rows = [
        ("language", facts.get("lang", "")),
        ("text", ", ".join(facts.get("texts", []))),
        ("tokens read in an epoch", f"{text['tokens']:,}"),
        ("tokens that are predicted", f"{text['classes']:,} different ones"),
        ("perplexity of masked tokens, held-out text", f"{facts['perplexity']:.2f}"),
        ("weights", f"{count:,} in {precision}, {size:.1f} MB"),
        ("config", f"`configs/{config}.cfg`"),
    ]
    stages = _stages(facts)
    header = ("setting", *(f"stage {n}" for n in range(1, len(stages) + 1)))
    if len(stages) == 1:
        header = ("setting", "value")
    recipe = [
        (f"`{name}`", *(str(stage["settings"].get(name, "")) for stage in stages))
        for name in facts["settings"]
    ]
    recipe.append(("text", *(", ".join(stage.get("texts", [])) for stage in stages)))
    recipe.append(("tokens in an epoch", *(f"{stage['text']['tokens']:,}" for stage in stages)))
    recipe.append(("perplexity after it", *(f"{stage['perplexity']:.2f}" for stage in stages)))
    return f"""# {path.name}

Weights of a tok2vec, learnt by predicting masked tokens with `python -m spacy mamba-pretrain` (see
docs/pretraining.md). `[initialize.after_init]` of the config loads them before training.

{markdown_table(("", ""), rows)}

## Recipe

{markdown_table(header, recipe)}

## Text

{sources.strip()}

The file holds numbers, no text. It was not checked for bias; like any model it may repeat
what its text says. Not a medical device.
"""


def _stages(facts: dict[str, Any]) -> list[dict[str, Any]]:
    """The pretrainings that led to the weights, each begun with what the one before had learnt."""
    earlier = facts.get("start")
    return [*(_stages(earlier) if earlier else ()), facts]
