"""Blocks and position codes, beside what encoders and decoders say of them."""

import torch

from textvae.layers.transformer import Block, sinusoids

N, T, H = 2, 5, 8


def test_a_block_adds_to_what_it_reads():
    block = Block(H, heads=2, dropout=0.0)
    for layer in (block.attention_out, block.mlp_out):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    x = torch.randn(N, T, H)
    assert torch.equal(block(x)[0], x)


def test_a_block_without_order_treats_all_places_alike():
    block, x = Block(H, heads=2, dropout=0.0).eval(), torch.randn(N, T, H)
    turned = torch.tensor([3, 1, 4, 0, 2])
    torch.testing.assert_close(block(x[:, turned])[0], block(x)[0][:, turned])


def test_position_codes_are_sines_and_cosines_of_falling_rates():
    codes = sinusoids(0, T, H, torch.zeros(1))
    assert torch.equal(codes[0], torch.tensor([0.0] * 4 + [1.0] * 4))
    rate = 10000.0 ** -(torch.arange(4) / 4)
    torch.testing.assert_close(codes[3], torch.cat([(3 * rate).sin(), (3 * rate).cos()]))
    assert torch.equal(sinusoids(2, 3, H, torch.zeros(1)), codes[2:5])
