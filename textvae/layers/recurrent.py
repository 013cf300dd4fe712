"""LSTMs under mixed precision and regularised, shared by encoders and decoders."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.func import functional_call
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence


class LSTM(nn.LSTM):
    """An `nn.LSTM`, batch first, that has bfloat16 products on a CPU too, under autocast.

    torch 2.13 has no bfloat16 LSTM for CPUs that it can train: it raises, or packs and casts back.
    A bidirectional one stays in float32 there.
    """

    def forward(self, input: Any, hx: tuple[Tensor, Tensor] | None = None) -> Any:
        """Output states, (N, T, F) or packed, and the last state, two of (layers, N, F).

        Args:
            input: (N, T, I) or packed.
            hx: state before the first input, two of (layers, N, F).
        """
        device = input.data.device.type
        if device == "cuda" and not self.training and needs_gradient(input, hx):
            with self.training_without_dropout():
                return super().forward(input, hx)
        if device != "cpu" or not torch.is_autocast_enabled("cpu"):
            return super().forward(input, hx)
        with torch.autocast("cpu", enabled=False):
            if self.bidirectional or isinstance(input, PackedSequence):
                return super().forward(input, hx)
            return self.run_half(input, hx)

    @contextmanager
    def training_without_dropout(self) -> Iterator[None]:
        """Training mode that computes the same function as evaluation mode.

        cuDNN computes no gradient of an LSTM in evaluation mode. A frozen decoder needs one: its
        encoder is trained through it.
        """
        mode = self.training, self.dropout
        self.training, self.dropout = True, 0.0
        try:
            yield
        finally:
            self.training, self.dropout = mode

    def run_half(self, x: Tensor, before: tuple[Tensor, Tensor] | None) -> Any:
        """What `forward` gives, with bfloat16 products."""
        if before is None:
            zero = x.new_zeros(self.num_layers, len(x), self.hidden_size)
            before = zero, zero
        x, last = x.transpose(0, 1), []
        for number, (h, c) in enumerate(zip(*before, strict=True)):
            if number:
                x = dropout(x, self.dropout, self.training)
            weights = self.all_weights[number]
            x, *after = HalfLayer.apply(x, h.float(), c.float(), *weights)  # type: ignore[misc]
            last.append(after)
        h, c = (torch.stack(parts) for parts in zip(*last, strict=True))
        return x.transpose(0, 1), (h, c)


@torch.no_grad()
def run_samples(lstm: LSTM, inputs: Tensor, added: Tensor | None, h: Tensor, c: Tensor) -> Tensor:
    """Output states of an LSTM of one layer under K contexts of each text, (K, B, T, F).

    The product with a word's embedding is computed once for all K contexts, and the product with a
    context once for all words: half of the arithmetic of a layer as wide as its embeddings. There
    is no gradient.

    Args:
        lstm: of one layer, in one direction.
        inputs: embeddings, (B, T, I).
        added: what each step reads beside them, (K, B, J), or None.
        h: state before, (K, B, F).
        c: cell before, (K, B, F).
    """
    (K, B, width), T = h.shape, inputs.shape[1]
    of_inputs, of_states, *biases = lstm.all_weights[0]
    of_words, of_added = of_inputs.split([inputs.shape[2], of_inputs.shape[1] - inputs.shape[2]], 1)
    words = F.linear(inputs, of_words, biases[0] + biases[1]).transpose(0, 1).contiguous()
    constant = words.new_zeros(K, B, 1) if added is None else F.linear(added, of_added)
    h, c = h.flatten(0, 1), c.flatten(0, 1).clone()
    states, gates = h.new_empty(K * B, T, width), h.new_empty(K * B, 4 * width)
    for t in range(T):
        torch.add(words[t], constant, out=gates.view(K, B, -1))
        gates.addmm_(h, of_states.t())
        gates[:, : 2 * width].sigmoid_()
        gates[:, 2 * width : 3 * width].tanh_()
        gates[:, 3 * width :].sigmoid_()
        i, f, g, o = gates.chunk(4, 1)
        c.mul_(f).addcmul_(i, g)
        h = c.tanh().mul_(o)
        states[:, t] = h
    return states.view(K, B, T, width)


def needs_gradient(input: Any, hx: tuple[Tensor, Tensor] | None) -> bool:
    """Whether a gradient has to pass through an LSTM to its inputs or its first state."""
    tensors = (input.data, *(hx or ()))
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)


class HalfLayer(torch.autograd.Function):
    """One layer of an LSTM: products in bfloat16; gates, cells and sums of gradients in float32.

    Time comes first. The products of all tokens that need no state are one: with the inputs, and
    both gradients of the weights.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, h: Tensor, c: Tensor, *weights: Tensor) -> Any:
        """Output states, (T, N, H), and the last h and c, (N, H), float32.

        Args:
            ctx: of the function.
            x: inputs, (T, N, I), float32.
            h: state before, (N, H), float32.
            c: cell before, (N, H), float32.
            weights: of the inputs, (4H, I), and the states, (4H, H), and their biases, (4H,); rows
                in the order of torch: input gate, forget gate, new cell, output gate.
        """
        T, N, _ = x.shape
        H = h.shape[1]
        x, of_inputs, of_states = (m.bfloat16() for m in (x, *weights[:2]))
        bias = (weights[2] + weights[3]).bfloat16()
        from_inputs = torch.addmm(bias, x.flatten(0, 1), of_inputs.t()).view(T, N, 4 * H)
        gates = h.new_empty(T, N, 4 * H)
        cells, tanh_cells = h.new_empty(T + 1, N, H), h.new_empty(T, N, H)
        states = x.new_empty(T + 1, N, H)
        cells[0], states[0] = c, h
        for t in range(T):
            gate = gates[t].copy_(torch.addmm(from_inputs[t], states[t], of_states.t()))
            gate[:, : 2 * H].sigmoid_()
            gate[:, 2 * H : 3 * H].tanh_()
            gate[:, 3 * H :].sigmoid_()
            i, f, g, o = gate.chunk(4, 1)
            torch.mul(f, cells[t], out=cells[t + 1]).addcmul_(i, g)
            torch.tanh(cells[t + 1], out=tanh_cells[t])
            torch.mul(o, tanh_cells[t], out=states[t + 1])
        ctx.save_for_backward(x, of_inputs, of_states, gates, cells, tanh_cells, states)
        return states[1:].float(), states[-1].float(), cells[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients for what `forward` was given, float32."""
        x, of_inputs, of_states, gates, cells, tanh_cells, states = ctx.saved_tensors
        to_states, to_h, to_c = upstream
        i, f, g, o = gates.chunk(4, 2)
        # What a gradient for the cell, or for the state, is multiplied by for each gate before its
        # sigmoid or tanh.
        by_cell = torch.stack([g * i * (1 - i), cells[:-1] * f * (1 - f), i * (1 - g * g)], 2)
        by_state = tanh_cells * o * (1 - o)
        from_state_to_cell = o * (1 - tanh_cells * tanh_cells)
        to_gates = x.new_empty(*by_state.shape[:2], 4, by_state.shape[2])
        for t in reversed(range(len(x))):
            to_h = to_h + to_states[t]
            to_c = torch.addcmul(to_c, to_h, from_state_to_cell[t])
            torch.mul(to_c[:, None], by_cell[t], out=to_gates[t, :, :3])
            torch.mul(to_h, by_state[t], out=to_gates[t, :, 3])
            to_h = (to_gates[t].flatten(1) @ of_states).float()
            to_c = to_c * f[t]
        flat = to_gates.flatten(2).flatten(0, 1)
        to_bias = flat.sum(0, dtype=torch.float32)
        to_x = (flat @ of_inputs).view_as(x).float()
        to_of_inputs = to_of_states = None
        if ctx.needs_input_grad[3]:
            to_of_inputs = (flat.t() @ x.flatten(0, 1)).float()
        if ctx.needs_input_grad[4]:
            to_of_states = (flat.t() @ states[:-1].flatten(0, 1)).float()
        return to_x, to_h, to_c, to_of_inputs, to_of_states, to_bias, to_bias


def dropout(states: Tensor, rate: float, training: bool) -> Tensor:
    """What `F.dropout` does; a CPU, slow at Bernoulli numbers, needs less than half its time."""
    if not (training and rate) or states.device.type != "cpu":
        return F.dropout(states, rate, training)
    kept = torch.rand(states.shape) >= rate
    return states * (kept / (1 - rate)).to(states.dtype)


def drop_features(states: Tensor, rate: float, training: bool, locked: bool) -> Tensor:
    """Dropout of states, (N, T, F); when locked, of the same features at every token of a text.

    Source: Gal & Ghahramani 2016, section 4, arXiv:1512.05287 (variational dropout).
    """
    if not (locked and training and rate):
        return dropout(states, rate, training)
    kept = torch.empty_like(states[:, :1]).bernoulli_(1 - rate)
    return states * kept / (1 - rate)


def make_lstm(
    inputs: int,
    hidden: int,
    layers: int,
    dropout: float,
    locked: bool,
    layer_norm: bool,
    bidirectional: bool = False,
    weight_dropout: float = 0.0,
) -> "LSTM | LSTMStack":
    """An `LSTM`, or an `LSTMStack` for what it lacks."""
    if layer_norm or weight_dropout or (locked and layers > 1):
        return LSTMStack(inputs, hidden, layers, dropout, locked, layer_norm, weight_dropout)
    return LSTM(
        inputs,
        hidden,
        layers,
        batch_first=True,
        bidirectional=bidirectional,
        dropout=dropout if layers > 1 else 0.0,
    )


class LSTMStack(nn.Module):
    """LSTMs of one layer each, with dropout between them and layer norm of each one's output.

    It is called as an `nn.LSTM`, batch first. Layer norm is of the output states alone, so that
    each layer runs in one fused kernel.

    Args:
        inputs: size of an input.
        hidden: state size.
        layers: number of layers.
        dropout: rate between layers.
        locked: whether the same features are dropped at every token of a text.
        layer_norm: whether output states are normalised.
        weight_dropout: share of the weights between states that are zero for a training batch, at
            all of its tokens.

    Source: Ba et al. 2016, arXiv:1607.06450 (layer norm; there inside the cell); Merity et al.
    2018, section 2, arXiv:1708.02182 (dropped weights).
    """

    def __init__(
        self,
        inputs: int,
        hidden: int,
        layers: int,
        dropout: float,
        locked: bool,
        layer_norm: bool,
        weight_dropout: float,
    ):
        super().__init__()
        self.weight_dropout = weight_dropout
        self.num_layers, self.hidden_size, self.bidirectional = layers, hidden, False
        self.dropout = dropout
        self.locked = locked
        self.layers = nn.ModuleList(
            LSTM(hidden if number else inputs, hidden, batch_first=True) for number in range(layers)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(hidden) for _ in range(layers * layer_norm))

    def forward(
        self, x: Tensor, before: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Output states, (N, T, F), and the last state, two of (layers, N, F)."""
        last = []
        for number, lstm in enumerate(self.layers):
            if number:
                x = drop_features(x, self.dropout, self.training, self.locked)
            state = None if before is None else tuple(m[number : number + 1] for m in before)
            weights = {}
            if self.training and self.weight_dropout:
                weights["weight_hh_l0"] = F.dropout(
                    lstm.get_parameter("weight_hh_l0"), self.weight_dropout
                )
            x, after = functional_call(lstm, weights, (x, state))
            last.append(after)
            if self.norms:
                x = self.norms[number](x)
        h, c = (torch.cat(parts) for parts in zip(*last, strict=True))
        return x, (h, c)
