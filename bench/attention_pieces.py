"""Where the time of `attention_forward` and `attention_backward` goes, and where that of the textbook's forward.

A kernel that is one compiled loop cannot be profiled from outside. But it is made of a few pieces that are called
for every block of queries and keys; here each piece runs by itself on one such block, in the first-level cache, on
all threads at once, as often as the kernel calls it. What is left of the kernel's own time is what the pieces do
not show: copying Q, K and V out of qkv, fetching K and V from farther caches, hiding keys, and waiting for the
slower thread.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from attention_sides import Shape, array_side, inputs
from common import new_table, seconds_of
from numba import prange
from rich.table import Table

from scratchgpt import kernels
from scratchgpt.kernels import attention
from scratchgpt.kernels.attention import KEY_BLOCK, KEY_STEP, QUERY_BLOCK
from scratchgpt.kernels.matrix.register_tile import multiply, operand, round_up, tile_columns, turned
from scratchgpt.kernels.runtime.dispatch import parallel_loop

RUNS = 7
"""Runs of which the fastest counts: what disturbs one piece and not another would only blur the shares."""

SCORES, WEIGHTED_SUM, SOFTMAX, OTHER_GRADIENTS, PROBABILITIES = range(5)


def visited_pairs(time: int) -> int:
    """Pairs of query and key that the kernel computes for one head: whole blocks, so a few more than are visible."""
    firsts = range(0, time, QUERY_BLOCK)
    return sum(QUERY_BLOCK * round_up(min(time, first + QUERY_BLOCK), KEY_STEP) for first in firsts)


@parallel_loop
def _repeat(piece, times, workers, head_size):
    """Run one piece `times` times on a block of float32 scores, on every one of `workers` threads."""
    zero = np.float32(0)
    for _worker in prange(workers):
        keys = np.full((KEY_BLOCK, head_size), zero)
        width = round_up(head_size, tile_columns(keys))
        rows = np.full((KEY_BLOCK, width), zero)
        queries = np.full((QUERY_BLOCK, width), zero)
        queries_turned = np.full((width, QUERY_BLOCK), zero)
        sums = np.full((KEY_BLOCK, width), zero)
        scores = np.full((KEY_BLOCK, QUERY_BLOCK), zero)
        grads = np.full((KEY_BLOCK, QUERY_BLOCK), zero)
        top = np.full(QUERY_BLOCK, zero)
        total = np.full(QUERY_BLOCK, zero)
        decay = np.full(QUERY_BLOCK, zero)
        k, q, q_turned = operand(rows), operand(queries), operand(queries_turned)
        s, grad_s, o = operand(scores), operand(grads), operand(sums)
        for _ in range(times):
            if piece == SCORES:  # S = K Q^T, one key a row
                multiply(s, k, q_turned, KEY_BLOCK, QUERY_BLOCK, head_size, False)
            elif piece == WEIGHTED_SUM:  # O += P V
                multiply(o, turned(s), k, QUERY_BLOCK, width, KEY_BLOCK, True)
            elif piece == SOFTMAX:
                attention._online_softmax(scores, KEY_BLOCK, top, total, decay)
            elif piece == OTHER_GRADIENTS:  # dP = V dO^T, dV += P^T dO, dK += dS^T Q, dQ += dS K
                multiply(grad_s, k, q_turned, KEY_BLOCK, QUERY_BLOCK, head_size, False)
                multiply(o, s, q, KEY_BLOCK, width, QUERY_BLOCK, True)
                multiply(o, grad_s, q, KEY_BLOCK, width, QUERY_BLOCK, True)
                multiply(o, turned(grad_s), k, QUERY_BLOCK, width, KEY_BLOCK, True)
            else:
                attention._probabilities(scores, grads, KEY_BLOCK, top, total)


def least_seconds(run: Callable[[], object]) -> float:
    """The fastest of RUNS runs after one to warm up."""
    run()
    return min(seconds_of(run) for _ in range(RUNS))


def piece_seconds(shape: Shape) -> dict[int, float]:
    """Seconds that each piece takes in all of the kernel's blocks on an input of `shape` together."""
    batch, time, heads, head_size = shape
    workers = kernels.num_threads()
    blocks = batch * heads * visited_pairs(time) / (QUERY_BLOCK * KEY_BLOCK)
    times = max(1, round(blocks / workers))
    pieces = (SCORES, WEIGHTED_SUM, SOFTMAX, OTHER_GRADIENTS, PROBABILITIES)
    scale = blocks / workers / times
    return {piece: scale * least_seconds(lambda p=piece: _repeat(p, times, workers, head_size)) for piece in pieces}


def textbook_product_seconds(shape: Shape) -> float:
    """Seconds of the two products of the textbook's forward, Q K^T and P V, by NumPy's BLAS."""
    batch, time, heads, _ = shape
    qkv, _ = inputs(*shape)
    q, k, v = qkv.reshape(batch, time, 3, heads, -1).transpose(2, 0, 3, 1, 4)
    probabilities = q @ k.swapaxes(-1, -2)
    return least_seconds(lambda: q @ k.swapaxes(-1, -2)) + least_seconds(lambda: probabilities @ v)


class Breakdown:
    """Milliseconds of our forward, our backward and the textbook's forward on one input, and of their parts.

    `whole` is what each takes, `products` and `softmax` the parts measured by themselves; the textbook's softmax is
    everything but its products. `again` is what computing the scores a second time costs in our backward."""

    def __init__(self, shape: Shape) -> None:
        self.time = shape[1]
        ours, textbook = array_side("ours", shape), array_side("textbook", shape)
        forward, backward = least_seconds(ours.run_forward), least_seconds(ours.run_backward)
        pieces, theirs = piece_seconds(shape), least_seconds(textbook.run_forward)
        their_products = textbook_product_seconds(shape)
        self.whole = 1e3 * np.array([forward, backward, theirs])
        products = pieces[SCORES] + pieces[WEIGHTED_SUM], pieces[SCORES] + pieces[OTHER_GRADIENTS], their_products
        self.products = 1e3 * np.array(products)
        self.softmax = 1e3 * np.array([pieces[SOFTMAX], pieces[PROBABILITIES], theirs - their_products])
        self.again = 1e3 * pieces[SCORES]

    def table(self) -> Table:
        """Milliseconds and share of every part."""
        caption = f"fastest of {RUNS} runs; each piece of ours runs alone, on data in the first-level cache"
        heads = ("ours\nforward\nms", "%", "ours\nbackward\nms", "%", "textbook\nforward\nms", "%")
        table = new_table(f"where the time goes at T {self.time}", caption, "part", *heads)
        rest = (self.whole - self.products - self.softmax).clip(0)
        rest[2] = 0
        parts = {
            "matrix products": self.products,
            "softmax (backward: P, dS)": self.softmax,
            "copies, mask, memory, waiting": rest,
            "[bold]whole[/bold]": self.whole,
        }
        for name, milliseconds in parts.items():
            cells = []
            for part, whole in zip(milliseconds, self.whole, strict=True):
                cells += [f"{part:.1f}", f"{100 * part / whole:.0f}"] if part else ["", ""]
            table.add_row(name, *cells)
        return table

    def lesson(self) -> list[str]:
        """What a reader can take away from the table."""
        ours, theirs = (100 * self.softmax[i] / self.whole[i] for i in (0, 2))
        return [
            f"The textbook's forward spends {theirs:.0f}% of its time outside the products, going through a matrix "
            f"that no cache holds; in ours the same arithmetic takes {ours:.0f}%, because a block of {QUERY_BLOCK} "
            f"queries by {KEY_BLOCK} keys is {4e-3 * QUERY_BLOCK * KEY_BLOCK:.0f} KB and never leaves the core.",
            f"Computing the scores again costs {self.again:.1f} of the {self.whole[1]:.1f} ms of backward, "
            f"{100 * self.again / self.whole[1]:.0f}%: that is the price of not keeping the matrix.",
        ]
