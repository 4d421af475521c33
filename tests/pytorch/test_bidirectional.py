"""The bidirectional encoder: batches, padding, blocks, mirrors and dropout."""

import pytest
import torch
from torch import nn

from spacy_mamba_crf.pytorch.bidirectional import BidirectionalEncoder, BidirectionalLayer
from spacy_mamba_crf.pytorch.mamba import Mamba
from spacy_mamba_crf.pytorch.mamba2 import Mamba2
from spacy_mamba_crf.pytorch.padding import flip_index, mirror, pad, step_mask
from spacy_mamba_crf.pytorch.s4d import S4D

WIDTH = 8
MAKERS = {
    "mamba1": lambda: Mamba(WIDTH, d_state=3),
    "mamba2": lambda: Mamba2(WIDTH, d_state=3, headdim=4, chunk_size=4),
    "s4d": lambda: S4D(WIDTH, d_state=4),
}
LENGTHS = [5, 0, 1, 12, 3, 0]


@pytest.fixture(params=MAKERS)
def make_mixer(request):
    return MAKERS[request.param]


def make_encoder(make_mixer, **options) -> BidirectionalEncoder:
    torch.manual_seed(2)
    return BidirectionalEncoder(WIDTH, 2, make_mixer, input_width=5, **options).double()


def random_texts(lengths=LENGTHS, width=5) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(8)
    return [torch.randn(n, width, generator=generator, dtype=torch.float64) for n in lengths]


def encode(encoder, texts) -> list[torch.Tensor]:
    lengths = torch.tensor([len(text) for text in texts])
    return list(encoder(torch.cat(texts), lengths).split(lengths.tolist()))


def assert_close(got, expected):
    torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-10)


def test_a_text_encodes_the_same_alone_and_in_any_batch(make_mixer):
    encoder, texts = make_encoder(make_mixer), random_texts()
    for text, together in zip(texts, encode(encoder, texts)):
        if len(text):
            assert_close(encode(encoder, [text])[0], together)


def test_the_order_of_the_batch_does_not_matter(make_mixer):
    encoder, texts = make_encoder(make_mixer), random_texts()
    assert_close(encode(encoder, texts[::-1])[::-1], encode(encoder, texts))


@torch.no_grad()
def test_what_stands_in_the_padding_never_reaches_a_real_step(make_mixer):
    encoder = make_encoder(make_mixer)
    lengths = torch.tensor(LENGTHS)
    padded, index = pad(torch.cat(random_texts()), lengths)
    dirty = torch.where(step_mask(lengths, 12)[..., None], padded, torch.tensor(50.0).double())
    clean_y = encoder.encode_padded(padded, lengths).flatten(0, 1)[index]
    dirty_y = encoder.encode_padded(dirty, lengths).flatten(0, 1)[index]
    assert_close(dirty_y, clean_y)


@pytest.mark.parametrize("block_size", [1, 2, 5, 11, 12])
@torch.no_grad()
def test_running_in_blocks_equals_the_unbroken_run(make_mixer, block_size):
    texts = random_texts()
    whole = encode(make_encoder(make_mixer), texts)
    assert_close(encode(make_encoder(make_mixer, block_size=block_size), texts), whole)


def test_gradients_see_the_whole_text_whatever_the_block_size(make_mixer):
    results = []
    for block_size in (3, 4096):
        encoder = make_encoder(make_mixer, block_size=block_size)
        x = torch.cat(random_texts()).requires_grad_()
        encoder(x, torch.tensor(LENGTHS)).square().sum().backward()
        results.append([x.grad, *(p.grad for p in encoder.parameters())])
    assert_close(*results)


def test_a_layer_with_the_same_weights_both_ways_mirrors_a_mirrored_text(make_mixer):
    torch.manual_seed(4)
    layer = BidirectionalLayer(WIDTH, make_mixer).double()
    layer.backward_mixer.load_state_dict(layer.forward_mixer.state_dict())
    lengths = torch.tensor([6, 3])
    flip = flip_index(lengths, 6)
    x, _ = pad(torch.cat(random_texts([6, 3], WIDTH)), lengths)
    there = layer(x, flip)
    back = mirror(layer(mirror(x, flip), flip), flip)
    mask = step_mask(lengths, 6)
    assert_close(back[mask], there[mask])


@torch.no_grad()
def test_tied_directions_are_two_with_the_same_weights(make_mixer):
    texts = random_texts()
    tied = make_encoder(make_mixer, tied=True)
    untied = make_encoder(make_mixer)
    found = untied.load_state_dict(tied.state_dict(), strict=False)
    assert not found.unexpected_keys and all("backward_mixer" in key for key in found.missing_keys)
    for layer in untied.layers:
        layer.backward_mixer.load_state_dict(layer.forward_mixer.state_dict())
    expected = encode(untied, texts)
    assert_close(encode(tied, texts), expected)
    tied.block_size = 5
    assert_close(encode(tied, texts), expected)


def test_every_step_sees_the_whole_text(make_mixer):
    encoder = make_encoder(make_mixer)
    x = random_texts([7])[0]
    y = encode(encoder, [x])[0]
    for t in (0, 3, 6):
        changed = x.clone()
        changed[t] += 5
        moved = (encode(encoder, [changed])[0] - y).abs().amax(-1)
        assert (moved > 1e-9).all()


def test_set_dropout_reaches_every_dropout(make_mixer):
    encoder = make_encoder(make_mixer)
    encoder.set_dropout(0.3)
    dropouts = [module for module in encoder.modules() if isinstance(module, nn.Dropout)]
    assert len(dropouts) == 2 + 2  # before, after, and one a layer
    assert all(module.p == 0.3 for module in dropouts)


def test_dropout_acts_in_training_only(make_mixer):
    encoder, texts = make_encoder(make_mixer), random_texts()
    plain = torch.cat(encode(encoder, texts))
    encoder.set_dropout(0.5)
    assert not torch.allclose(torch.cat(encode(encoder, texts)), plain)
    encoder.eval()
    assert torch.equal(torch.cat(encode(encoder, texts)), plain)


def test_the_input_is_projected_only_where_its_width_differs():
    make_mixer = MAKERS["mamba1"]
    assert isinstance(BidirectionalEncoder(WIDTH, 1, make_mixer).input, nn.Identity)
    same = BidirectionalEncoder(WIDTH, 1, make_mixer, input_width=WIDTH)
    assert isinstance(same.input, nn.Identity)
    assert isinstance(make_encoder(make_mixer).input, nn.Linear)


def test_no_layer_still_projects_and_normalises():
    encoder = BidirectionalEncoder(WIDTH, 0, MAKERS["mamba1"], input_width=5)
    y = encoder(torch.randn(4, 5), torch.tensor([3, 1]))
    torch.testing.assert_close(y.mean(-1), torch.zeros(4), atol=1e-6, rtol=0)


def test_step_mask_marks_the_real_steps():
    expected = [[True, True, False], [False, False, False], [True, True, True]]
    assert step_mask(torch.tensor([2, 0, 3]), 3).tolist() == expected


def test_flip_index_mirrors_each_sequence_and_leaves_the_padding():
    expected = [[1, 0, 2, 3], [0, 1, 2, 3], [3, 2, 1, 0]]
    assert flip_index(torch.tensor([2, 0, 4]), 4).tolist() == expected


def test_mirror_is_its_own_inverse():
    flip = flip_index(torch.tensor([2, 4]), 4)
    x = torch.arange(16.0).reshape(2, 4, 2)
    mirrored = mirror(x, flip)
    assert mirrored[0, :, 0].tolist() == [2, 0, 4, 6]
    assert mirrored[1, :, 0].tolist() == [14, 12, 10, 8]
    assert torch.equal(mirror(mirrored, flip), x)


def test_pad_puts_each_text_in_its_row_and_says_where_each_token_went():
    x = torch.tensor([[1.0], [2.0], [3.0]])
    padded, index = pad(x, torch.tensor([2, 0, 1]))
    assert padded[..., 0].tolist() == [[1, 2], [0, 0], [3, 0]]
    assert index.tolist() == [0, 1, 4]
    assert torch.equal(padded.flatten(0, 1)[index], x)
