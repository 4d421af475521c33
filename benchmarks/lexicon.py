"""`lexicon`: what 100,000 terms add to `nlp.pipe`, and their matching against pyahocorasick.

As features in the embedding, and as scores at decoding; those are too small to make more entities,
whose annotation would be counted with them.
"""

import random
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

from .results import Report, show_table
from .timing import in_turn, paired_ratio, seconds
from .workers import turns, workers

PIPELINES = ("mamba_crf", "mamba_crf_small")
USES = ("features", "scores")
_WEIGHT = 0.01
MATCHERS = ("ours", "pyahocorasick")
_LABELS = [f"L{number}" for number in range(10)]
_BATCH = 64


def make_terms(corpus: str, count: int) -> list[tuple[str, str]]:
    """Terms of 2 to 6 characters with one of ten labels: n-grams of the very texts that are read.

    A text has more of them than of the terms of a real lexicon. Where there are not enough, their
    characters in random order fill up.
    """
    from .texts import sentences

    texts = sentences(corpus)
    grams = {
        text[start : start + size]
        for text in texts
        for size in range(2, 7)
        for start in range(len(text) - size + 1)
    }
    generator = random.Random(0)
    ordered = sorted(gram for gram in grams if gram == gram.strip())
    terms = dict.fromkeys(generator.sample(ordered, min(count, len(ordered))))
    characters = sorted({character for gram in ordered for character in gram})
    while len(terms) < count:
        term = "".join(generator.choices(characters, k=generator.randint(2, 6)))
        if term == term.strip():
            terms[term] = None
    return [(term, generator.choice(_LABELS)) for term in terms]


class PipelineRunner:
    """One of our pipelines, without a lexicon and with each use of one; lives in a worker."""

    def __init__(self, peer: str, corpus: str, device: str, quick: bool, terms: int):
        from spacy_mamba_crf.architectures import LexiconEmbed
        from spacy_mamba_crf.lexicon import Lexicon

        from .peers import load, model_of
        from .texts import sentences

        self.nlp, self.weights = load(peer, corpus, device, quick)
        self.texts = sentences(corpus)[: 20 if quick else 600]
        self.device = device
        self.tok2vec = model_of(self.nlp).get_ref("tok2vec")
        embed = self.tok2vec.layers[0]
        width = embed.get_dim("nO")
        rows = LexiconEmbed(embed, None, width)
        ner: Any = self.nlp.get_pipe("ner")
        self.ner = ner
        names = dict(zip(_LABELS, ner.labels * len(_LABELS)))
        pairs = [(term, names[label]) for term, label in make_terms(corpus, terms)]
        ner.lexicon = lexicon = Lexicon(pairs)
        rows.attrs["lexicon"] = lexicon
        rows.set_dim("nV", len(lexicon.labels) * 4 * rows.attrs["max_length"])
        rows.set_param("E", rows.ops.alloc2f(rows.get_dim("nV"), width))
        self.embeds = {False: embed, True: rows}
        for _ in range(2):
            self.all()

    def describe(self) -> str:
        """Where the weights come from."""
        return self.weights

    def all(self) -> tuple[float, ...]:
        """Microseconds a character of nlp.pipe without the lexicon and with each of USES."""
        return tuple(self.measure(use) for use in ("off", *USES))

    def measure(self, use: str) -> float:
        """Microseconds a character of nlp.pipe."""
        from spacy_mamba_crf.pipeline.lexicon_use import LexiconUse

        self.tok2vec.layers[0] = self.embeds[use == "features"]
        self.ner.lexicon_use = LexiconUse("soft" if use == "scores" else "off", _WEIGHT)
        taken = seconds(lambda: list(self.nlp.pipe(self.texts)), self.device)
        return 1e6 * taken / sum(map(len, self.texts))


class MatchRunner:
    """Matching alone; lives in a worker. pyahocorasick gets texts that are folded beforehand."""

    def __init__(self, matcher: str, corpus: str, quick: bool, terms: int):
        from .texts import sentences

        self.texts = sentences(corpus)[: 20 if quick else 600]
        make = _ours if matcher == "ours" else _pyahocorasick
        self.match, self.facts = make(make_terms(corpus, terms), self.texts)
        self.count = self.match()

    def describe(self) -> dict[str, Any]:
        """How long it took to make, its bytes, and how much it finds."""
        characters = sum(map(len, self.texts))
        return self.facts | {"matches_per_1000_characters": 1000 * self.count / characters}

    def measure(self) -> float:
        """Microseconds a character."""
        return 1e6 * seconds(self.match) / sum(map(len, self.texts))


def _ours(
    terms: list[tuple[str, str]], texts: Sequence[str]
) -> tuple[Callable[[], int], dict[str, Any]]:
    import spacy

    from spacy_mamba_crf.lexicon import Lexicon

    _ = Lexicon([("warm", "")]).trie  # compiles the kernels
    start = time.perf_counter()
    lexicon = Lexicon(terms)
    size = lexicon.trie.nbytes
    taken = time.perf_counter() - start
    nlp = spacy.blank("zh")
    docs = [nlp.make_doc(text) for text in texts]
    batches = [docs[start : start + _BATCH] for start in range(0, len(docs), _BATCH)]
    facts = {"what": "Docs in, spans of tokens out", "make_seconds": taken, "bytes": size}
    return lambda: sum(len(lexicon.matches(batch)) for batch in batches), facts


def _pyahocorasick(
    terms: list[tuple[str, str]], texts: Sequence[str]
) -> tuple[Callable[[], int], dict[str, Any]]:
    import ahocorasick

    from spacy_mamba_crf.lexicon import Lexicon

    lexicon = Lexicon()
    folded = [lexicon.fold(text) for text in texts]
    start = time.perf_counter()
    automaton = ahocorasick.Automaton()
    for number, (term, _) in enumerate(terms):
        automaton.add_word(lexicon.fold(term), number)
    automaton.make_automaton()
    taken = time.perf_counter() - start
    size = automaton.get_stats()["total_size"]
    facts = {"what": "folded texts in, places out", "make_seconds": taken, "bytes": size}
    return lambda: sum(len(list(automaton.iter(text))) for text in folded), facts


def run_lexicon(report: Report, cores: int, corpus: str, peers: Sequence[str], quick: bool) -> None:
    """Fill the report: a row a pipeline and a row a matcher. Raises RuntimeError if they differ."""
    rounds = 2 if quick else 9
    terms = 1000 if quick else 100_000
    report.settings |= {"corpus": corpus, "cores": cores, "rounds": rounds, "terms": terms}
    _measure_pipelines(report, cores, corpus, peers, quick)
    _measure_matchers(report, cores, corpus, quick)


def _measure_pipelines(
    report: Report, cores: int, corpus: str, peers: Sequence[str], quick: bool
) -> None:
    arguments = corpus, report.device, quick, report.settings["terms"]
    factories = {peer: (PipelineRunner, (peer, *arguments)) for peer in peers}
    with workers(factories, cores=cores, device=report.device, failed=report.leave_out) as made:
        weights = {peer: worker.call("describe") for peer, worker in made.items()}
        runs = in_turn(turns(made, "all"), report.settings["rounds"])
    rows = []
    for peer, rounds in runs.items():
        without, *with_lexicon = zip(*rounds)
        for use, times in zip(USES, with_lexicon):
            row = {"pipeline": peer, "use": use, "weights": weights[peer]}
            row |= {"rounds": list(zip(without, times))}
            row |= {"without": statistics.median(without), "with": statistics.median(times)}
            rows.append(row | {"added": paired_ratio(times, without) - 1})
    report.rows += rows
    report.summary["added"] = {f"{row['pipeline']} {row['use']}": row["added"] for row in rows}
    show_table(
        f"nlp.pipe with {report.settings['terms']:,} terms on {cores} core(s)",
        ["pipeline", "lexicon as", "us a character", "with the lexicon", "added"],
        [
            [row["pipeline"], row["use"], row["without"], row["with"], f"{row['added']:.1%}"]
            for row in rows
        ],
    )


def _measure_matchers(report: Report, cores: int, corpus: str, quick: bool) -> None:
    factories = {
        matcher: (MatchRunner, (matcher, corpus, quick, report.settings["terms"]))
        for matcher in MATCHERS
    }
    with workers(factories, cores=cores, device="cpu", failed=report.leave_out) as made:
        facts = {matcher: worker.call("describe") for matcher, worker in made.items()}
        runs = in_turn(turns(made, "measure"), report.settings["rounds"])
    found = {matcher: fact["matches_per_1000_characters"] for matcher, fact in facts.items()}
    if len(set(found.values())) > 1:
        raise RuntimeError(f"The matchers do not find the same, per 1,000 characters: {found}.")
    rows = [
        {"matcher": matcher, "microseconds": statistics.median(times), "rounds": times}
        | facts[matcher]
        for matcher, times in runs.items()
    ]
    report.rows += rows
    if len(rows) == len(MATCHERS):
        report.summary["matching"] = paired_ratio(runs["pyahocorasick"], runs["ours"])
    show_table(
        "matching alone",
        ["matcher", "us a character", "MiB", "s to make", "matches/1000 characters"],
        [
            [
                row["matcher"],
                row["microseconds"],
                row["bytes"] / 2**20,
                row["make_seconds"],
                row["matches_per_1000_characters"],
            ]
            for row in rows
        ],
    )
