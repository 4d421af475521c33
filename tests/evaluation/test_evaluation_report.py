"""The report of pipelines that know nothing of this package, and of one with probabilities."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Example

from spacy_mamba_crf.evaluation.comparison import compare, read_metrics
from spacy_mamba_crf.evaluation.displacy_page import entities_page
from spacy_mamba_crf.evaluation.metrics import measure, predict
from spacy_mamba_crf.evaluation.published import HEALTH_TYPES, published_tables
from spacy_mamba_crf.evaluation.report import write_report

ROOT = Path(__file__).resolve().parents[2]
FILES = {"metrics.json", "report.md", "confusion.png", "entities.html"}
TEXTS = [  # text, gold entities in characters, genre
    ("肺炎會咳嗽。", [(0, 2, "DISE"), (3, 5, "SYMP")], "ft"),
    ("糖尿病傷腎臟。", [(0, 3, "DISE"), (4, 6, "BODY")], "ft"),
    ("胰島素治糖尿病<b>。", [(0, 3, "DRUG"), (4, 7, "DISE")], "sm"),
]
# The ruler below finds 肺炎, 咳嗽, 糖尿病 twice, and takes 胰島素 for CHEM: 4 right of 5, gold 6.


@pytest.fixture
def test_file(tmp_path: Path) -> Path:
    vocab = spacy.blank("zh").vocab
    docs = DocBin(store_user_data=True)
    for text, entities, genre in TEXTS:
        doc = Doc(vocab, words=list(text), spaces=[False] * len(text))
        doc.set_ents([Span(doc, *entity) for entity in entities])
        doc.user_data["genre"] = genre
        docs.add(doc)
    path = tmp_path / "test.spacy"
    docs.to_disk(path)
    return path


@pytest.fixture
def ruler() -> Language:
    nlp = spacy.blank("zh")
    patterns = {"肺炎": "DISE", "咳嗽": "SYMP", "糖尿病": "DISE", "胰島素": "CHEM"}
    nlp.add_pipe("entity_ruler").add_patterns(  # type: ignore[attr-defined]
        [{"label": label, "pattern": text} for text, label in patterns.items()]
    )
    return nlp


@pytest.fixture
def examples(ruler: Language, test_file: Path) -> list[Example]:
    return predict(ruler, test_file)[0]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.jsonl"
    entry = {"epoch": 0, "step": 0, "losses": {"ner": 1.0}, "scores": {"ents_f": 1}, "score": 0.01}
    path.write_text(json.dumps(entry) + "\n")
    return path


def test_strict_scores_are_those_counted_by_hand(examples: list[Example]) -> None:
    metrics = measure(examples)
    assert (metrics["gold"], metrics["found"], metrics["correct"]) == (6, 5, 4)
    assert metrics["ents_p"] == pytest.approx(4 / 5)
    assert metrics["ents_r"] == pytest.approx(4 / 6)
    assert metrics["ents_per_type"]["DISE"]["f"] == pytest.approx(1)
    assert metrics["ents_macro_f"] == pytest.approx(2 / 5)  # DISE and SYMP of five types


def test_genres_are_scored_apart_and_averaged(examples: list[Example]) -> None:
    metrics = measure(examples)
    assert metrics["per_genre"]["ft"]["ents_r"] == pytest.approx(3 / 4)
    assert metrics["per_genre"]["sm"]["ents_r"] == pytest.approx(1 / 2)
    assert metrics["macro_over_genres"]["ents_r"] == pytest.approx((3 / 4 + 1 / 2) / 2)


def test_without_genres_there_is_no_table_of_genres(examples: list[Example]) -> None:
    for example in examples:
        example.reference.user_data.clear()
    metrics = measure(examples)
    assert metrics["per_genre"] is None
    assert metrics["macro_over_genres"] is None


def test_the_size_of_the_test_set_is_in_the_metrics(examples: list[Example]) -> None:
    length = sum(len(text) for text, _, _ in TEXTS)
    sizes = {"documents": 3, "sentences": 3, "tokens": length, "characters": length, "entities": 6}
    assert measure(examples)["test"] == sizes


def test_a_ruler_gets_a_whole_report(
    ruler: Language, test_file: Path, log: Path, tmp_path: Path
) -> None:
    metrics = write_report(ruler, test_file, tmp_path / "out", log=log, title="Ruler")
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES | {"training.png"}
    saved = json.loads((tmp_path / "out" / "metrics.json").read_text("utf-8"))
    assert saved["ents_f"] == pytest.approx(metrics["ents_f"])
    assert saved["speed"]["seconds"] > 0


def test_the_ner_of_spacy_gets_a_report_from_disk_without_a_log(
    test_file: Path, tmp_path: Path
) -> None:
    nlp = spacy.blank("zh")
    nlp.add_pipe("ner").add_label("DISE")  # type: ignore[attr-defined]
    nlp.initialize()
    nlp.to_disk(tmp_path / "model")
    write_report(tmp_path / "model", test_file, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES


def test_a_pipeline_that_finds_nothing_gets_a_report(test_file: Path, tmp_path: Path) -> None:
    metrics = write_report(spacy.blank("zh"), test_file, tmp_path / "out")
    assert metrics["ents_f"] == 0
    assert "| **all (micro)** | 0.00 | 0.00 | 0.00 | 6 | 0 | 0 |" in report(tmp_path)


def test_a_pipeline_with_probabilities_gets_their_plot_and_their_section(
    test_file: Path, tmp_path: Path
) -> None:
    nlp = spacy.blank("zh")
    tok2vec = {"@architectures": "spacy_mamba_crf.CharNgramEmbed.v1", "width": 8, "rows": [50]}
    model = {"@architectures": "spacy_mamba_crf.CRFTagger.v1", "tok2vec": tok2vec}
    nlp.add_pipe("crf_ner", name="finder", config={"model": model})
    gold = list(DocBin().from_disk(test_file).get_docs(nlp.vocab))
    nlp.initialize(lambda: [Example(nlp.make_doc(doc.text), doc) for doc in gold])
    metrics = write_report(nlp, test_file, tmp_path / "out")
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files == FILES | {"reliability.png"}
    assert (tmp_path / "out" / "reliability.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert metrics["probabilities"]["component"] == "finder"
    text = report(tmp_path)
    assert "## Probabilities\n\nOf the component `finder`" in text
    assert "(reliability.png)" in text


def test_a_pipeline_without_probabilities_gets_no_section_of_them(
    ruler: Language, test_file: Path, tmp_path: Path
) -> None:
    metrics = write_report(ruler, test_file, tmp_path / "out")
    assert metrics["probabilities"] is None
    assert "Probabilities" not in report(tmp_path)
    assert "reliability" not in report(tmp_path)


def report(folder: Path) -> str:
    return (folder / "out" / "report.md").read_text("utf-8")


def test_the_report_shows_strict_scores_and_literature_with_its_metric(
    ruler: Language, test_file: Path, tmp_path: Path
) -> None:
    write_report(ruler, test_file, tmp_path / "out")
    text = report(tmp_path)
    assert "| **all (micro)** | 80.00 | 66.67 | 72.73 | 6 | 5 | 4 |" in text
    assert "| BERT-BiLSTM-CRF | 61.08 | 70.77 | 72.54 | 68.13 |" in text
    assert text.count("- Metric:") == text.count("- Test set: ") - 1 == 4
    assert "each table names its own test set" in text


@pytest.mark.parametrize(
    ("types", "count"),
    [(HEALTH_TYPES, 4), (["LOC", "MISC", "ORG", "PER"], 1), (["TIME"], 0), (["GENE"], 0), ([], 0)],
)
def test_published_figures_are_only_for_their_own_corpora(types: list[str], count: int) -> None:
    assert len(published_tables(types)) == count


def test_a_model_on_the_same_test_set_is_compared_in_points(
    ruler: Language, test_file: Path, tmp_path: Path
) -> None:
    write_report(spacy.blank("zh"), test_file, tmp_path / "empty")
    other = {"nothing": tmp_path / "empty" / "metrics.json"}
    write_report(ruler, test_file, tmp_path / "out", comparisons=other)
    assert "| nothing | 0.00 | 0.00 | 0.00 | +72.73 | 0.00 | +67.86 | same |" in report(tmp_path)


def test_a_model_on_another_test_set_is_marked(examples: list[Example]) -> None:
    ours = measure(examples)
    theirs = {**ours, "test": {**ours["test"], "documents": 9}}
    assert compare(ours, "other", theirs).same_test is False


def test_metrics_of_spacy_evaluate_can_be_compared(examples: list[Example], tmp_path: Path) -> None:
    (tmp_path / "spacy.json").write_text('{"ents_p": 0.5, "ents_r": 0.5, "ents_f": 0.5}')
    comparison = compare(measure(examples), "spacy", read_metrics(tmp_path / "spacy.json"))
    assert comparison.difference == pytest.approx(100 * (8 / 11 - 0.5))
    assert comparison.same_test is None


def test_metrics_without_entity_scores_are_refused_by_file(tmp_path: Path) -> None:
    (tmp_path / "tagger.json").write_text('{"tag_acc": 0.5}')
    with pytest.raises(ValueError, match=r"tagger\.json holds no entity scores"):
        read_metrics(tmp_path / "tagger.json")


def test_a_missing_test_file_is_refused_by_name(ruler: Language, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no test file .*absent\.spacy"):
        predict(ruler, tmp_path / "absent.spacy")


def test_a_test_file_without_documents_is_refused(ruler: Language, tmp_path: Path) -> None:
    DocBin().to_disk(tmp_path / "empty.spacy")
    with pytest.raises(ValueError, match=r"empty\.spacy holds no documents"):
        predict(ruler, tmp_path / "empty.spacy")


def test_the_page_marks_wrong_and_missed_entities(examples: list[Example]) -> None:
    page = entities_page(examples)
    assert page.count('<mark class="entity missed"') == 2  # 腎臟, and 胰島素 as DRUG
    assert page.count('<mark class="entity wrong"') == 1  # 胰島素 as CHEM
    assert page.count("<section>") == 3


def test_the_page_escapes_the_text(examples: list[Example]) -> None:
    page = entities_page(examples, title="a < b")
    assert "&lt;b&gt;" in page
    assert "<title>a &lt; b</title>" in page


def test_the_page_without_probabilities_says_nothing_of_them(examples: list[Example]) -> None:
    assert "probability" not in entities_page(examples)


@pytest.fixture
def probability() -> float:
    return 0.974


@pytest.fixture
def with_probabilities(probability: float):
    earlier = Span.get_extension("prob") if Span.has_extension("prob") else None
    Span.set_extension("prob", default=probability, force=True)
    yield
    Span.remove_extension("prob")
    if earlier is not None:
        _, _, getter, _ = earlier
        Span.set_extension("prob", getter=getter)


@pytest.mark.usefixtures("with_probabilities")
@pytest.mark.parametrize(
    ("probability", "shown"), [(0.974, ".97"), (1.0, "1.00"), (0.0, ".00"), (None, "")]
)
def test_the_page_shows_probabilities_of_predicted_entities_only(
    examples: list[Example], shown: str
) -> None:
    page = entities_page(examples)
    assert page.count(f'SYMP<span class="prob">{shown}</span>') == (1 if shown else 2)


def test_the_page_takes_documents_at_even_distances(examples: list[Example]) -> None:
    page = entities_page(examples, limit=2)
    assert "document 1 " in page and "document 2 " in page
    assert page.count("<section>") == 2


def test_the_page_of_no_entities_is_empty_but_whole(ruler: Language) -> None:
    doc = ruler.make_doc("無。")
    page = entities_page([Example(doc, doc.copy())])
    assert page.rstrip().endswith("</html>")


def run_script(*arguments: object) -> subprocess.CompletedProcess[str]:
    script = str(ROOT / "scripts" / "report.py")
    command = [sys.executable, "-W", "ignore", script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


def test_the_script_writes_a_report_beside_another_model(
    ruler: Language, test_file: Path, log: Path, tmp_path: Path
) -> None:
    ruler.to_disk(tmp_path / "model")
    other = tmp_path / "other.json"
    other.write_text('{"ents_p": 0.5, "ents_r": 0.5, "ents_f": 0.5}')
    result = run_script(
        *(tmp_path / "model", test_file, tmp_path / "out"),
        *("--log", log, "--title", "Ruler", "--compare", f"spaCy ner={other}"),
    )
    assert result.returncode == 0, result.stderr
    assert "72.73" in result.stdout
    assert "| spaCy ner | 50.00 | 50.00 | 50.00 | +22.73 |" in report(tmp_path)


def test_the_script_refuses_a_model_that_is_not_there(test_file: Path, tmp_path: Path) -> None:
    result = run_script(tmp_path / "absent", test_file, tmp_path / "out")
    assert result.returncode == 1
    assert "absent" in result.stdout + result.stderr
