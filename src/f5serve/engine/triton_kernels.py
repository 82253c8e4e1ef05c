"""The element-wise work of a step as GPU kernels, in Triton. Importing this imports Triton.

kernels.py holds the same names as data, with the constants that each is compiled with; nothing
else knows of this file at run time. Each kernel computes in float32 and rounds once, when it
stores.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def norm_modulate(
    x_ptr,
    delta_ptr,
    gate_ptr,
    scale_ptr,
    shift_ptr,
    place_ptr,
    sum_ptr,
    out_ptr,
    row_stride,
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
    EPS: tl.constexpr,
    HAS_DELTA: tl.constexpr,
    HAS_PLACE: tl.constexpr,
):
    """One token: sum = x + gate * delta, out = layer_norm(sum) * scale + shift.

    x, delta, sum, out: [m WIDTH]. Without HAS_DELTA the sum is x and is not stored.
    gate, scale, shift: [WIDTH], or with HAS_PLACE [t WIDTH] whose rows lie row_stride apart.
    place: int64 [m], the row of each token.
    """
    token = tl.program_id(0).to(tl.int64) * WIDTH
    column = tl.arange(0, BLOCK)
    inside = column < WIDTH
    row = column
    if HAS_PLACE:
        row += tl.multiple_of(tl.load(place_ptr + tl.program_id(0)) * row_stride, 16)
    x = tl.load(x_ptr + token + column, mask=inside, other=0.0)
    if HAS_DELTA:
        delta = tl.load(delta_ptr + token + column, mask=inside, other=0.0).to(tl.float32)
        gate = tl.load(gate_ptr + row, mask=inside, other=0.0).to(tl.float32)
        x = (x.to(tl.float32) + gate * delta).to(x.dtype)
        tl.store(sum_ptr + token + column, x, mask=inside)
    y = x.to(tl.float32)
    centred = tl.where(inside, y - tl.sum(y) / WIDTH, 0.0)
    normed = centred * tl.rsqrt(tl.sum(centred * centred) / WIDTH + EPS)
    scale = tl.load(scale_ptr + row, mask=inside, other=0.0).to(tl.float32)
    shift = tl.load(shift_ptr + row, mask=inside, other=0.0).to(tl.float32)
    tl.store(out_ptr + token + column, (normed * scale + shift).to(x.dtype), mask=inside)


@triton.jit
def norm_rms(
    x_ptr,
    delta_ptr,
    weight_ptr,
    sum_ptr,
    out_ptr,
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
    EPS: tl.constexpr,
    HAS_DELTA: tl.constexpr,
):
    """One token: sum = x + delta, out = sum / rms(sum) * weight.

    x, delta, sum, out: [m WIDTH]; weight [WIDTH]. Without HAS_DELTA the sum is x and not stored.
    """
    token = tl.program_id(0).to(tl.int64) * WIDTH
    column = tl.arange(0, BLOCK)
    inside = column < WIDTH
    x = tl.load(x_ptr + token + column, mask=inside, other=0.0)
    if HAS_DELTA:
        delta = tl.load(delta_ptr + token + column, mask=inside, other=0.0).to(tl.float32)
        x = (x.to(tl.float32) + delta).to(x.dtype)
        tl.store(sum_ptr + token + column, x, mask=inside)
    y = x.to(tl.float32)
    normed = y * tl.rsqrt(tl.sum(y * y) / WIDTH + EPS)
    weight = tl.load(weight_ptr + column, mask=inside, other=0.0).to(tl.float32)
    tl.store(out_ptr + token + column, (normed * weight).to(x.dtype), mask=inside)


@triton.jit
def rotate(
    qkv_ptr,
    rotary_ptr,
    HEADS: tl.constexpr,
    TURNED: tl.constexpr,
    HALF: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """One token: its queries and keys times e^(i * angle), in place.

    qkv: [m 3 HEADS 2*HALF], channels in pairs of real and imaginary part.
    rotary: float32 [m HALF 2], cosine and sine. TURNED heads of BLOCK are turned, the first ones.
    """
    token = tl.program_id(0).to(tl.int64)
    channel = tl.arange(0, 2 * HALF)
    angle = tl.load(rotary_ptr + token * (2 * HALF) + channel)
    cos, sin = tl.split(tl.reshape(angle, (HALF, 2)))  # [HALF]
    head = tl.arange(0, BLOCK)
    place = head[:, None] * (2 * HALF) + channel[None, :]
    inside = (head < TURNED)[:, None] & (channel >= 0)[None, :]
    for part in tl.static_range(2):
        base = qkv_ptr + (token * 3 + part) * (HEADS * 2 * HALF)
        x = tl.load(base + place, mask=inside, other=0.0)
        re, im = tl.split(tl.reshape(x.to(tl.float32), (BLOCK, HALF, 2)))  # [BLOCK HALF]
        turned = tl.join(re * cos - im * sin, re * sin + im * cos)
        turned = tl.reshape(turned, (BLOCK, 2 * HALF))
        tl.store(base + place, turned.to(x.dtype), mask=inside)


@triton.jit(do_not_specialize=["tokens"])
def conv_mish(
    x_ptr,
    weight_ptr,
    bias_ptr,
    residual_ptr,
    sequence_ptr,
    starts_ptr,
    out_ptr,
    tokens,
    TAPS: tl.constexpr,
    GROUPS: tl.constexpr,
    INNER: tl.constexpr,
    BLOCK: tl.constexpr,
    TOKENS: tl.constexpr,
    HAS_RESIDUAL: tl.constexpr,
):
    """TOKENS tokens of one group: out = residual + mish(conv(x)), each sequence by itself.

    x, residual, out: [m GROUPS*INNER]. weight: [GROUPS TAPS INNER INNER], inputs before outputs.
    sequence: int64 [m], of each token; starts: int32 [b + 1]. BLOCK is a power of two >= INNER.
    """
    group = tl.program_id(1)
    token = tl.program_id(0) * TOKENS + tl.arange(0, TOKENS)
    there = token < tokens
    sequence = tl.load(sequence_ptr + token, mask=there, other=0)
    first = tl.load(starts_ptr + sequence, mask=there, other=0)
    end = tl.load(starts_ptr + sequence + 1, mask=there, other=0)
    channel = tl.arange(0, BLOCK)
    inside = channel < INNER
    both = inside[:, None] & inside[None, :]
    row = token[:, None].to(tl.int64) * (GROUPS * INNER) + group * INNER + channel[None, :]
    square = channel[:, None] * INNER + channel[None, :]
    total = tl.zeros((TOKENS, BLOCK), dtype=tl.float32)
    for tap in range(TAPS):
        near = token + tap - TAPS // 2
        own = (near >= first) & (near < end)
        far = (tap - TAPS // 2) * (GROUPS * INNER)
        x = tl.load(x_ptr + row + far, mask=own[:, None] & inside[None, :], other=0.0)
        taken = weight_ptr + (group * TAPS + tap) * (INNER * INNER) + square
        weight = tl.load(taken, mask=both, other=0.0)
        total = tl.dot(x, weight, total, input_precision="ieee")
    total += tl.load(bias_ptr + group * INNER + channel, mask=inside, other=0.0).to(tl.float32)
    # mish(x) = x * tanh(log(1 + e^x)) = x * n / (n + 2) with n = e^x * (e^x + 2)
    e = tl.exp(tl.minimum(total, 20.0))
    n = e * (e + 2.0)
    y = tl.where(total > 20.0, total, total * (n / (n + 2.0)))
    stored = there[:, None] & inside[None, :]
    if HAS_RESIDUAL:
        y += tl.load(residual_ptr + row, mask=stored, other=0.0).to(tl.float32)
    tl.store(out_ptr + row, y.to(out_ptr.dtype.element_ty), mask=stored)
