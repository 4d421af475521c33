"""Every registered name resolves, and bad values in a config are clear errors."""

import configparser
import inspect
from pathlib import Path

import pytest
import spacy
from spacy import registry
from thinc.api import Config

from spacy_mamba_crf.architectures import MambaEncoder

# What a config may rely on: (registry, name). Once here, a name stays.
NAMES = [
    ("factories", "crf_ner"),
    ("architectures", "spacy_mamba_crf.MambaEncoder.v1"),
    ("architectures", "spacy_mamba_crf.RecurrentEncoder.v1"),
    ("architectures", "spacy_mamba_crf.CharNgramEmbed.v1"),
    ("architectures", "spacy_mamba_crf.LexiconEmbed.v1"),
    ("architectures", "spacy_mamba_crf.CRFTagger.v1"),
    ("callbacks", "spacy_mamba_crf.add_labels.v1"),
    ("callbacks", "spacy_mamba_crf.calibrate.v1"),
    ("readers", "spacy_mamba_crf.BIOCorpus.v1"),
    ("readers", "spacy_mamba_crf.HealthNERCorpus.v1"),
    ("readers", "spacy_mamba_crf.CoNLLCorpus.v1"),
    ("scorers", "spacy_mamba_crf.ner_scorer.v1"),
]


def entry_points() -> list[tuple[str, str]]:
    """(registry, name) of each spaCy entry point in setup.cfg."""
    parser = configparser.ConfigParser(delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(Path(__file__).parents[1] / "setup.cfg", encoding="utf-8")
    return [
        (group.removeprefix("spacy_"), line.split("=")[0].strip())
        for group, lines in parser["options.entry_points"].items()
        for line in lines.strip().splitlines()
        if group.startswith("spacy_")
    ]


@pytest.mark.parametrize(["group", "name"], sorted({*NAMES, *entry_points()}))
def test_each_name_resolves_through_spacys_registry(group, name):
    spacy.blank("xx")  # a pipeline makes factories known
    assert registry.has(group, name)
    assert callable(registry.get(group, name))


@pytest.mark.parametrize(["group", "name"], NAMES)
def test_each_name_that_configs_rely_on_is_an_entry_point(group, name):
    assert (group, name) in entry_points()


@pytest.mark.parametrize(
    "name", [name for group, name in entry_points() if group == "architectures"]
)
def test_every_argument_of_an_architecture_is_explained_in_its_docstring(name):
    function = registry.get("architectures", name)
    for argument in inspect.signature(function).parameters:
        assert argument in function.__doc__, argument


def encoder_from(settings: str):
    text = f'[encode]\n@architectures = "spacy_mamba_crf.MambaEncoder.v1"\n{settings}'
    return registry.resolve(Config().from_str(text))["encode"]


@pytest.mark.parametrize("variant", ["mamba1", "mamba2", "s4d"])
def test_a_config_makes_an_encoder_of_each_variant(variant):
    encoder = encoder_from(f'width = 64\ndepth = 1\nvariant = "{variant}"')
    assert encoder.get_dim("nO") == encoder.get_dim("nI") == 64


def test_mamba2_of_state_32_and_expansion_1_is_the_default():
    (shim,) = MambaEncoder(64, 2).shims
    assert len(shim._model.layers) == 2
    shapes = {n: tuple(p.shape) for n, p in shim._model.layers[0].forward_mixer.named_parameters()}
    # z and x of 64, B and C of 32, dt of one head of 64
    assert shapes["in_proj.weight"] == (64 + 64 + 32 + 32 + 1, 64)


def test_an_input_of_another_width_is_projected():
    encoder = encoder_from("width = 64\ndepth = 1\ninput_width = 24")
    assert (encoder.get_dim("nI"), encoder.get_dim("nO")) == (24, 64)


@pytest.mark.parametrize(
    ["settings", "message"],
    [
        ('variant = "mamba3"', r"variant = 'mamba3' is unknown; .* mamba1, mamba2, s4d\."),
        (
            'cpu_precision = "float16"',
            r"cpu_precision = 'float16' is unknown; choose one of auto, float32, bfloat16",
        ),
        ("headdim = 48", r"headdim = 48 does not divide the inner width 64"),
        ('variant = "s4d"\nd_state = 5', r"5 is not an even size"),
        ('variant = "s4d"\ns4d_init = "legs"', r"S4D init is 'legs'; choose one of hippo, real"),
        (
            'variant = "s4d"\ns4d_discretization = "euler"',
            r"discretization is 'euler'; choose one of zoh, bilinear",
        ),
    ],
)
def test_a_bad_value_in_the_config_is_an_error_that_says_what_to_choose(settings, message):
    with pytest.raises(ValueError, match=message):
        encoder_from(f"width = 64\ndepth = 1\n{settings}")


def test_a_value_of_the_wrong_type_is_refused_by_the_config():
    with pytest.raises(ValueError, match="width"):
        encoder_from('width = "wide"\ndepth = 1')


def test_an_unknown_scheme_is_an_error_when_the_config_is_read():
    config = {"model": {"@architectures": "spacy_mamba_crf.CRFTagger.v1", "scheme": "IOB1"}}
    config["model"]["tok2vec"] = {  # type: ignore[assignment]
        "@architectures": "spacy_mamba_crf.CharNgramEmbed.v1",
        "width": 8,
    }
    with pytest.raises(ValueError, match=r"scheme is 'IOB1'; choose one of BIO, BIOES\."):
        spacy.blank("zh").add_pipe("crf_ner", config=config)
