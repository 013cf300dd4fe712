"""The projection with cross-entropy: equal to torch's in two steps, in bounded memory."""

import pytest
import torch
from torch.nn import functional as F

from textvae.layers import crossentropy
from textvae.layers.crossentropy import linear_cross_entropy


@pytest.fixture(params=["one chunk", "many chunks", "a row each"])
def chunk(request, monkeypatch):
    """Each way of cutting 23 rows of 31 logits."""
    chunk, states, block = {
        "one chunk": (10_000, 100, 100),
        "many chunks": (100, 10, 10),
        "a row each": (1, 1, 16),
    }[request.param]
    monkeypatch.setattr(crossentropy, "CHUNK", chunk)
    monkeypatch.setattr(crossentropy, "STATES", states)
    monkeypatch.setattr(crossentropy, "BLOCK", block)


def example(dtype=torch.float32, bias=True):
    states = torch.randn(23, 7, dtype=dtype, requires_grad=True)
    weight = torch.randn(31, 7, dtype=dtype, requires_grad=True)
    offset = torch.randn(31, dtype=dtype, requires_grad=True) if bias else None
    return states, weight, offset, torch.randint(31, (23,))


@pytest.mark.parametrize("bias", [True, False])
def test_equals_linear_then_cross_entropy(chunk, bias):
    *given, targets = example(bias=bias)
    parameters = [g for g in given if g is not None]
    scale = torch.randn(23)
    ours = linear_cross_entropy(*given, targets)
    theirs = F.cross_entropy(F.linear(*given), targets, reduction="none")
    torch.testing.assert_close(ours, theirs)
    for mine, other in zip(
        torch.autograd.grad((scale * ours).sum(), parameters),
        torch.autograd.grad((scale * theirs).sum(), parameters),
        strict=True,
    ):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("bias", [True, False])
def test_equals_the_same_without_a_gradient(chunk, bias):
    *given, targets = example(bias=bias)
    with torch.no_grad():
        ours = linear_cross_entropy(*given, targets)
        theirs = F.cross_entropy(F.linear(*given), targets, reduction="none")
    assert not ours.requires_grad
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("gradient", [True, False])
def test_logits_of_any_size(chunk, gradient):
    *given, targets = example()
    # exp of most of these logits is 0 or infinite in float32.
    states = (1000 * given[0]).detach().requires_grad_()
    with torch.set_grad_enabled(gradient):
        ours = linear_cross_entropy(states, *given[1:], targets)
        theirs = F.cross_entropy(F.linear(states, *given[1:]), targets, reduction="none")
    assert theirs.max() > 1000
    torch.testing.assert_close(ours, theirs)
    if gradient:
        mine, other = (torch.autograd.grad(loss.sum(), states)[0] for loss in (ours, theirs))
        torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("constant", [1, 2])
def test_a_weight_or_bias_that_is_constant(constant, chunk):
    *given, targets = example()
    rest = [g for number, g in enumerate(given) if number != constant]
    before = torch.autograd.grad(linear_cross_entropy(*given, targets).sum(), rest)
    given[constant].requires_grad_(False)
    after = torch.autograd.grad(linear_cross_entropy(*given, targets).sum(), rest)
    for one, other in zip(before, after, strict=True):
        torch.testing.assert_close(one, other, atol=0, rtol=0)


def test_gradient_in_double_precision(chunk):
    *given, targets = example(torch.float64)
    assert torch.autograd.gradcheck(lambda *parts: linear_cross_entropy(*parts, targets), given)


def test_second_backward_pass_gives_the_same_gradient(chunk):
    *given, targets = example()
    loss = linear_cross_entropy(*given, targets).sum()
    first = torch.autograd.grad(loss, given, retain_graph=True)
    second = torch.autograd.grad(loss, given)
    for one, other in zip(first, second, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_losses_of_two_batches_do_not_share_memory(chunk):
    first, second = example(), example()
    wanted = [
        torch.autograd.grad(linear_cross_entropy(*batch).sum(), batch[:3])
        for batch in (first, second)
    ]
    losses = [linear_cross_entropy(*batch).sum() for batch in (first, second)]
    # The memory of the second is free for the third while the first waits for its backward pass.
    torch.autograd.grad(losses[1], second[:3], retain_graph=True)
    third = linear_cross_entropy(*example()).sum()
    for loss, batch, gradients in zip(losses, (first, second), wanted, strict=True):
        for one, other in zip(torch.autograd.grad(loss, batch[:3]), gradients, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=0)
    third.backward()


def test_memory_of_a_backward_pass_is_used_again():
    places = []
    for _ in range(2):
        *given, targets = example()
        loss = linear_cross_entropy(*given, targets).sum()
        assert crossentropy.SPARE == []
        loss.backward()
        places += [memory.data_ptr() for memory in crossentropy.SPARE]
    assert len(places) == 2 and places[0] == places[1]


def test_bfloat16_under_autocast(chunk):
    *given, targets = example()
    exact = linear_cross_entropy(*given, targets)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = linear_cross_entropy(*given, targets)
    assert rounded.dtype == torch.float32
    assert not torch.equal(rounded, exact), "the products are in bfloat16"
    # bfloat16 has 8 bits: logits of size 10 move by 0.04.
    torch.testing.assert_close(rounded, exact, rtol=0.02, atol=0.15)
    wanted = torch.autograd.grad(exact.sum(), given)
    for one, other in zip(torch.autograd.grad(rounded.sum(), given), wanted, strict=True):
        assert one.dtype == torch.float32
        torch.testing.assert_close(one, other, rtol=0.1, atol=0.2)


@pytest.mark.parametrize("rows", [1, 63, 64, 65])
def test_bfloat16_products_have_few_shapes(monkeypatch, rows):
    seen, project = [], crossentropy.project

    def counted(states, *given):
        seen.append(len(states))
        return project(states, *given)

    monkeypatch.setattr(crossentropy, "project", counted)
    states, weight, bias, _ = example()
    states = states[:1].expand(rows, -1)
    with torch.autocast("cpu", torch.bfloat16):
        losses = linear_cross_entropy(states, weight, bias, torch.zeros(rows, dtype=torch.int64))
    assert losses.shape == (rows,) and bool((losses == losses[0]).all())
    assert seen == [-(-rows // crossentropy.ROWS) * crossentropy.ROWS]


def test_no_row_at_all(chunk):
    *given, _ = example()
    losses = linear_cross_entropy(given[0][:0], *given[1:], torch.zeros(0, dtype=torch.int64))
    assert losses.shape == (0,)
    losses.sum().backward()
    assert given[1].grad is not None and not given[1].grad.any()


def test_frozen_projection_gets_no_gradient(chunk):
    states, weight, bias, targets = example()
    assert bias is not None
    linear_cross_entropy(states, weight.detach(), bias.detach(), targets).sum().backward()
    assert states.grad is not None
    assert weight.grad is None and bias.grad is None


def test_never_more_logits_than_a_chunk(monkeypatch):
    seen, places = [], set()
    project = crossentropy.project

    def counted(*given):
        out = project(*given)
        seen.append(out.numel())
        places.add(out.data_ptr())
        return out

    monkeypatch.setattr(crossentropy, "CHUNK", 100)
    monkeypatch.setattr(crossentropy, "project", counted)
    *given, targets = example()
    losses = linear_cross_entropy(*given, targets)
    assert max(seen) <= 100 and sum(seen) == 23 * 31
    assert len(places) == 1, "one chunk is written over the one before"
    losses.sum().backward()
    assert max(seen) <= 100 and sum(seen) == 2 * 23 * 31
