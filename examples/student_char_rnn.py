"""A student's character RNN, unchanged: a backward that forgets a gradient is found and mended; pictures show both.

Nothing in the student's part knows of rnngraph. The check says which step is wrong, and the pictures what it costs.
"""

# mypy: ignore-errors
# A student writes no types.
import numpy as np

import rnngraph as rg

# ---- the student's code -------------------------------------------------------------------------------------------
TEXT = "hello recurrent world "
CHARS = sorted(set(TEXT))
INDEX = {char: place for place, char in enumerate(CHARS)}
MENDED = False


def forward(Wxh, Whh, Why, bh, by, inputs, targets):
    """Read characters and predict the next ones."""
    xs, hs, ps, loss = {}, {-1: np.zeros((len(bh), 1))}, {}, 0
    for t in range(len(inputs)):
        xs[t] = np.zeros((len(CHARS), 1))
        xs[t][inputs[t]] = 1
        hs[t] = np.tanh(Wxh @ xs[t] + Whh @ hs[t - 1] + bh)
        scores = Why @ hs[t] + by
        ps[t] = np.exp(scores) / np.sum(np.exp(scores))
        loss += -np.log(ps[t][targets[t], 0])
    return loss, (xs, hs, ps, targets, Wxh, Whh, Why)


def backward(dloss, cache):
    """Go back through time."""
    xs, hs, ps, targets, Wxh, Whh, Why = cache
    dWxh, dWhh, dWhy = np.zeros_like(Wxh), np.zeros_like(Whh), np.zeros_like(Why)
    dbh, dby = np.zeros((len(Whh), 1)), np.zeros((len(Why), 1))
    dhnext = np.zeros((len(Whh), 1))
    for t in reversed(range(len(targets))):
        dy = dloss * ps[t].copy()
        dy[targets[t]] -= dloss
        dWhy += dy @ hs[t].T
        dby += dy
        dh = Why.T @ dy + (dhnext if MENDED else 0)  # the bug: what comes from the next step is forgotten
        draw = (1 - hs[t] ** 2) * dh
        dbh += draw
        dWxh += draw @ xs[t].T
        dWhh += draw @ hs[t - 1].T
        dhnext = Whh.T @ draw
    return dWxh, dWhh, dWhy, dbh, dby


# ---- one line around it --------------------------------------------------------------------------------------------
def weights(size=24):
    """Draw the weights."""
    draw, width = np.random.default_rng(0).normal, len(CHARS)
    return [
        draw(size=(size, width)) * 0.3, draw(size=(size, size)) * 0.2, draw(size=(width, size)) * 0.3,
        np.zeros((size, 1)), np.zeros((width, 1)),
    ]  # fmt: skip


def train(steps=150, rate=0.1):
    """Descend with the student's own backward; give the weights."""
    learned, words = weights(), [INDEX[char] for char in TEXT]
    for _ in range(steps):
        loss, cache = forward(*learned, words[:-1], words[1:])
        for one, gradient in zip(learned, backward(1.0, cache), strict=True):
            one -= rate * np.clip(gradient, -1, 1)
    return learned, loss


WORDS = [INDEX[char] for char in TEXT]
for mended, picture in ((False, "before.svg"), (True, "after.svg")):
    MENDED = mended
    report = rg.check(forward, backward, *weights(8), WORDS[:5], WORDS[1:6])
    print(*(report.where or ("the backward is right",)), sep="\n")
    learned, loss = train()
    traced = rg.trace_function(forward, *learned, WORDS[:-1], WORDS[1:])
    rg.render(traced, picture, title=f"student's RNN, loss {loss:.2f}", force=True)
    print(f"trained: loss {loss:.3f}; {traced.found}; see {picture}")
