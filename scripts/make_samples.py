"""Write the synthetic sample corpora assets/sample_zh, with a lexicon, and assets/sample_en.

Everything comes from the hand-written frames, lexicons and sentence templates in assets/templates
and from one fixed seed, so that every run writes the same bytes.
"""

import configparser
import random
import re
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

ASSETS = Path(__file__).resolve().parent.parent / "assets"
SEED = 2022
ZH_SENTENCES = 210  # in each genre
ZH_PLAIN = 26  # of which without any entity
ZH_PAIRS = 0.9  # share of the others which are two sentences about the same thing
ZH_ONCE = {"ache", "aka", "lab", "mech", "opwith", "risk", "rx", "tip", "when", "who"}  # in a pair
ZH_LENGTHS = range(10, 81)  # characters
ZH_LEXICON = ("DISE", "DRUG", "EXAM", "TREAT")  # types whose names are in the lexicon
ZH_EXPONENT = 3.0  # the entity at rank r of a list has weight r ** -3: the last are rare
MAX_ROUNDS = 100  # through the templates of one genre or article
EN_EXPONENT = 0.7
TEXT_EXPONENT = 0.7  # the same for pieces of text
EN_TOPICS = ("sport", "business", "politics", "news")
EN_ARTICLES = {"train": 22, "dev": 4, "test": 4}

Frame = dict[str, list[str]]  # what may fill each slot of a sentence
Tagged = list[tuple[str, str]]  # pieces of text with their entity type, "" outside
Row = tuple[str, ...]  # one line of a corpus file

CHOICE = re.compile(r"\[([^\[\]]*)\]")  # [a|b]
SLOT = re.compile(r"\{([A-Za-z]+(?:\.[a-z]+)?)\}")  # {SYMP.pain}
ENTITY = re.compile(r"\{([A-Z]+):([^{}]+)\}")  # {SYMP:咳嗽}
EN_PIECE = re.compile(r"<[A-Z]+|>|\{[A-Z]+:[^{}]+\}|[^\s<>{}]+")


class UnfitFrame(Exception):
    """The frame lacks what the template asks for."""


def read_ini(*paths: Path) -> configparser.ConfigParser:
    """Read INI files, in this order, as one; [DEFAULT] serves the sections of all of them."""
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    for path in paths:
        parser.read_string(path.read_text(encoding="utf8"), source=str(path))
    return parser


def read_frames(*paths: Path) -> list[Frame]:
    """Read the frames of INI files; items are separated by " / " or by line ends."""
    parser = read_ini(*paths)
    return [
        {key: re.split(r" / |\n", text) for key, text in parser[name].items()}
        for name in parser.sections()
    ]


def read_lines(path: Path) -> list[str]:
    """Read a template file: one template a line, "#" opens a comment line."""
    lines = path.read_text(encoding="utf8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def share_of(frame: Frame) -> float:
    """How common the frame is: 1 unless it says otherwise."""
    return float(frame.get("share", ["1"])[0])


class Writer:
    """Turns templates into sentences, by chance but never twice into the same one."""

    def __init__(self, rng: random.Random, frames: list[Frame], exponent: float):
        self.rng = rng
        self.frames = frames
        self.exponent = exponent
        self.written: set[str] = set()

    def pick(self, items: list[str], exponent: float) -> str:
        """Draw an item: the first are common, the last rare."""
        weights = [(1 + rank) ** -exponent for rank in range(len(items))]
        return self.rng.choices(items, weights)[0]

    def fill(self, template: str, frame: Frame) -> str:
        """Settle choices and slots; only {TYPE:text} marks remain. Raises UnfitFrame."""
        while match := CHOICE.search(template):
            option = self.rng.choice(match[1].split("|"))
            template = template[: match.start()] + option + template[match.end() :]
        while match := SLOT.search(template):
            taken = {text for _, text in ENTITY.findall(template)}
            items = [item for item in frame.get(match[1], []) if item not in taken]
            if not items:
                raise UnfitFrame(match[1])
            is_entity = match[1][0].isupper()
            text = self.pick(items, self.exponent if is_entity else TEXT_EXPONENT)
            if is_entity:
                text = f"{{{match[1].split('.')[0]}:{text}}}"
            template = template[: match.start()] + text + template[match.end() :]
        return template

    def shuffled_frames(self) -> list[Frame]:
        """The frames in random order, those with a large share rather first.

        This is weighted sampling without replacement (Efraimidis and Spirakis, 2006).
        """
        keys = [self.rng.random() ** (1 / share_of(frame)) for frame in self.frames]
        order = sorted(range(len(keys)), key=lambda index: -keys[index])
        return [self.frames[index] for index in order]

    def write(self, *templates: str, fits: Callable[[str], bool] = bool) -> str | None:
        """A new text that `fits`, from one frame drawn by its share; None if no frame gives one."""
        for frame in self.shuffled_frames():
            if len(templates) > 1 and "DISE" not in frame:
                continue  # too little to say for two sentences
            try:
                text = join_zh([self.fill(part, frame) for part in templates])
            except UnfitFrame:
                continue
            if text not in self.written and fits(text):
                self.written.add(text)
                return text
        return None

    def rounds(self, templates: list[str]) -> Iterator[str]:
        """Every template once in random order, then again in another order, MAX_ROUNDS times."""
        for _ in range(MAX_ROUNDS):
            self.rng.shuffle(templates)
            yield from list(templates)
        raise RuntimeError("The templates give too few different sentences: write more of them.")


def join_zh(sentences: list[str]) -> str:
    """Put sentences together, with a mark between them where a colloquial one ends without."""
    text = sentences[0]
    for sentence in sentences[1:]:
        mark = "" if text[-1] in "。？?！." else "？" if text[-1] in "嗎呢啊" else "，"
        text += mark + sentence
    return text


def choose_parts(rng: random.Random, rounds: Iterator[str]) -> list[str]:
    """One template, or two which do not tell the same thing, the one with the speaker first."""
    parts = [next(rounds)]
    if rng.random() < ZH_PAIRS:
        second = next(rounds)
        if not set(SLOT.findall(parts[0])) & set(SLOT.findall(second)) & ZH_ONCE:
            parts.append(second)
    return sorted(parts, key=lambda part: "{who}" not in part)


def check_slots(templates: list[str], frames: list[Frame]) -> None:
    """Raise ValueError for a template with a slot which no frame has."""
    keys = {key for frame in frames for key in frame}
    for template in templates:
        if unknown := set(SLOT.findall(template)) - keys:
            raise ValueError(f"No frame has {sorted(unknown)}: correct the template {template!r}.")


def split_entities(text: str) -> Tagged:
    """Split "多因{SYMP:感染}" into [("多因", ""), ("感染", "SYMP")]."""
    parts = ENTITY.split(text)  # text, type, text, type, text ...
    pieces = [(parts[0], "")]
    for kind, entity, after in zip(parts[1::3], parts[2::3], parts[3::3]):
        pieces += [(entity, kind), (after, "")]
    return [piece for piece in pieces if piece[0]]


def bio_rows(text: str) -> list[Row]:
    """One (character, BIO tag) for each character of a filled template."""
    rows: list[Row] = []
    for piece, kind in split_entities(text):
        for position, character in enumerate(piece):
            tag = f"{'I' if position else 'B'}-{kind}" if kind else "O"
            rows.append((character, tag))
    return rows


def fits_zh(text: str) -> bool:
    """Whether a filled template is neither too short nor too long."""
    return len(ENTITY.sub(r"\2", text)) in ZH_LENGTHS


def write_zh(genre: str, writer: Writer, templates: list[str]) -> list[list[Row]]:
    """The sentences of one genre: fixed ones and the frames' own once each, then templates."""
    plain = [line for line in templates if "{" not in line][:ZH_PLAIN]
    fixed = [line for line in templates if "{" in line and not SLOT.search(line)]
    texts = [text for line in plain + fixed if (text := writer.write(line, fits=fits_zh))]
    for frame in (frame for frame in writer.frames if share_of(frame) == 1):
        texts += [writer.fill(line, frame) for line in frame.get(f"text.{genre}", [])]
    rounds = writer.rounds([line for line in templates if SLOT.search(line)])
    while len(texts) < ZH_SENTENCES:
        parts = choose_parts(writer.rng, rounds)
        if text := writer.write(*parts, fits=fits_zh) or writer.write(parts[0], fits=fits_zh):
            texts.append(text)
    writer.rng.shuffle(texts)
    return [bio_rows(text) for text in texts]


def iob1(kinds: list[tuple[str, int]]) -> list[str]:
    """IOB1 tags from (type, number of its span): B- only right after another span of that type."""
    tags, before = [], ("", -1)
    for kind, span in kinds:
        adjacent = kind == before[0] and span != before[1]
        tags.append(f"{'B' if adjacent else 'I'}-{kind}" if kind else "O")
        before = (kind, span)
    return tags


def part_of_speech(word: str, known: dict[str, str], in_entity: bool) -> str:
    """Penn tag of a word. Raises KeyError for a common word which the lexicon does not list."""
    if in_entity:
        return known.get(word, "NNP")
    if word in known or word.lower() in known:
        return known.get(word) or known[word.lower()]
    if re.fullmatch(r"[\d.,:-]*\d", word):
        return "CD"
    if not re.search(r"\w", word):
        return word if word in '.,:()"' else ":"
    raise KeyError(f"Give {word!r} a part of speech, in en_lexicon.ini or as {word}/TAG.")


def conll_rows(text: str, known: dict[str, str], capitals: bool = False) -> list[Row]:
    """One (word, POS, chunk, entity) for each word of a filled English template."""
    words: list[tuple[str, str]] = []
    chunks: list[tuple[str, int]] = []
    entities: list[tuple[str, int]] = []
    chunk = ""
    for number, piece in enumerate(EN_PIECE.findall(text)):
        if piece[0] in "<>":
            chunk, span = piece[1:], number
            continue
        entity = ENTITY.fullmatch(piece)
        for word in (entity[2] if entity else piece).split(" "):
            word, _, given = word.partition("/")
            tag = given or part_of_speech(word, known, entity is not None)
            words.append((word.upper() if capitals else word, tag))
            inner = "PP" if entity and tag == "IN" else chunk  # Bank [of] Halden
            chunks.append((inner, span if inner else 0))
            entities.append((entity[1] if entity else "", number))
    return [(*word, *tags) for word, *tags in zip(words, iob1(chunks), iob1(entities))]


def read_lexicon_en(path: Path, rng: random.Random) -> tuple[Frame, dict[str, str]]:
    """The English slots, with full names put together, and the part of speech of each word."""
    known = {word: tag for tag, words in read_ini(path)["pos"].items() for word in words.split()}
    frame = read_frames(path)[0]
    frame["PER"] = [" ".join(name) for name in product(frame["PER.first"], frame["PER.last"])]
    rng.shuffle(frame["PER"])
    known |= dict.fromkeys(frame["MISC.nat"], "JJ") | dict.fromkeys(frame["MISC.people"], "NNPS")
    return frame, known


def write_en(
    topic: str, writer: Writer, parts: dict[str, list[str]], known: dict[str, str]
) -> list[list[Row]]:
    """One article: document line, headline, date line and 7 to 9 sentences of one topic."""
    headlines = writer.rounds(parts[f"{topic} headline"])
    headline = next(text for line in headlines if (text := writer.write(line)))
    dateline = writer.fill("<NP {LOC.city}> <NP {date}>", writer.frames[0])
    rows: list[list[Row]] = [[("-DOCSTART-", "-X-", "O", "O")]]
    rows += [conll_rows(headline, known, capitals=True), conll_rows(dateline, known, capitals=True)]
    rounds = writer.rounds(parts[topic])
    while len(rows) < 10 + writer.rng.randrange(3):
        if text := writer.write(next(rounds)):
            rows.append(conll_rows(text, known))
    return rows


def lexicon_rows(frames: list[Frame]) -> list[Row]:
    """Each (name, type) of the frames that is in the lexicon, once, sorted by type."""
    slots = [(key.split(".")[0], names) for frame in frames for key, names in frame.items()]
    rows = {(name, kind) for kind, names in slots if kind in ZH_LEXICON for name in names}
    return sorted(rows, key=lambda row: (row[1], row[0]))


def save(path: Path, text: str) -> None:
    """Write text to a temporary name and rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_bytes(text.encode("utf8"))
    temporary.replace(path)


def corpus_text(sentences: list[list[Row]]) -> str:
    """A line for each row, a blank one after each sentence."""
    return "".join("".join(" ".join(row) + "\n" for row in rows) + "\n" for rows in sentences)


def make_zh(templates: Path, out: Path) -> None:
    """Write sample_FT.txt, sample_SM.txt, sample_WA.txt and lexicon.tsv."""
    frames = read_frames(*sorted((templates / "zh_frames").glob("*.ini")))
    writer = Writer(random.Random(SEED), frames, ZH_EXPONENT)
    for genre in tqdm(("FT", "SM", "WA"), desc="Chinese", disable=None):
        lines = read_lines(templates / f"zh_{genre}.txt")
        check_slots(lines, frames)
        save(out / f"sample_{genre}.txt", corpus_text(write_zh(genre, writer, lines)))
    save(out / "lexicon.tsv", "".join("\t".join(row) + "\n" for row in lexicon_rows(frames)))


def make_en(templates: Path, out: Path) -> None:
    """Write train.conll, dev.conll and test.conll."""
    rng = random.Random(SEED)
    frame, known = read_lexicon_en(templates / "en_lexicon.ini", rng)
    parts: dict[str, list[str]] = {}
    for line in read_lines(templates / "en_templates.txt"):
        if line.startswith("== "):
            part = parts.setdefault(line[3:], [])
        else:
            part.append(line)
    check_slots([line for lines in parts.values() for line in lines], [frame])
    writer = Writer(rng, [frame], EN_EXPONENT)
    for name, articles in tqdm(EN_ARTICLES.items(), desc="English", disable=None):
        topics = [EN_TOPICS[number % len(EN_TOPICS)] for number in range(articles)]
        rows = [row for topic in topics for row in write_en(topic, writer, parts, known)]
        save(out / f"{name}.conll", corpus_text(rows))


def main(
    out: Annotated[Path, typer.Argument(help="Folder for sample_zh/ and sample_en/.")] = ASSETS,
    templates: Annotated[Path, typer.Option(help="Folder of the templates.")] = ASSETS
    / "templates",
) -> None:
    """Write both synthetic sample corpora, and the Chinese one's lexicon."""
    make_zh(templates, out / "sample_zh")
    make_en(templates, out / "sample_en")


if __name__ == "__main__":
    typer.run(main)
