"""Networks with a loss, and their backward passes, written by hand as courses have them. They are right."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.check.hand_written import sigmoid


def softmax(scores: Any) -> Any:
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def characters_forward(Wxh: Any, Whh: Any, Why: Any, bh: Any, by: Any, h0: Any, words: Any, targets: Any) -> Any:
    """A character RNN of columns, whose loss is summed over the steps."""
    xs, hs, ps, loss = {}, {-1: h0}, {}, 0.0
    for t in range(len(words)):
        xs[t] = np.zeros((Wxh.shape[1], 1))
        xs[t][words[t]] = 1
        hs[t] = np.tanh(Wxh @ xs[t] + Whh @ hs[t - 1] + bh)
        ys = Why @ hs[t] + by
        ps[t] = np.exp(ys) / np.sum(np.exp(ys))
        loss += -np.log(ps[t][targets[t], 0])
    return loss, (xs, hs, ps, targets, Wxh, Whh, Why)


def characters_backward(dloss: Any, cache: Any) -> Any:
    xs, hs, ps, targets, Wxh, Whh, Why = cache
    dWxh, dWhh, dWhy = np.zeros_like(Wxh), np.zeros_like(Whh), np.zeros_like(Why)
    dbh, dby, dhnext = np.zeros((len(Whh), 1)), np.zeros((len(Why), 1)), np.zeros((len(Whh), 1))
    for t in reversed(range(len(targets))):
        dy = np.copy(ps[t])
        dy[targets[t]] -= 1
        dy = dy * dloss
        dWhy += dy @ hs[t].T
        dby += dy
        dh = Why.T @ dy + dhnext
        draw = (1 - hs[t] * hs[t]) * dh
        dbh += draw
        dWxh += draw @ xs[t].T
        dWhh += draw @ hs[t - 1].T
        dhnext = Whh.T @ draw
    return dWxh, dWhh, dWhy, dbh, dby, dhnext


def truncated_backward(dloss: Any, cache: Any, *, steps: int) -> Any:
    """As a well-known tutorial has it: from each loss, so many steps back."""
    xs, hs, ps, targets, Wxh, Whh, Why = cache
    dWxh, dWhh, dWhy = np.zeros_like(Wxh), np.zeros_like(Whh), np.zeros_like(Why)
    dbh, dby, dh0 = np.zeros((len(Whh), 1)), np.zeros((len(Why), 1)), np.zeros((len(Whh), 1))
    for t in range(len(targets))[::-1]:
        delta_o = np.copy(ps[t])
        delta_o[targets[t]] -= 1
        delta_o = delta_o * dloss
        dWhy += np.outer(delta_o, hs[t])
        dby += delta_o
        delta_t = Why.T.dot(delta_o) * (1 - hs[t] ** 2)
        for step in range(max(0, t - steps), t + 1)[::-1]:
            dWhh += np.outer(delta_t, hs[step - 1])
            dWxh += np.outer(delta_t, xs[step])
            dbh += delta_t
            back = Whh.T.dot(delta_t)
            dh0 += back if step == 0 and t < steps else 0
            delta_t = back * (1 - hs[step - 1] ** 2)
    return dWxh, dWhh, dWhy, dbh, dby, dh0


def gates_forward(x: Any, Wf: Any, Wi: Any, Wo: Any, Wg: Any, bf: Any, bi: Any, bo: Any, bg: Any) -> Any:
    """An LSTM with a weight of [h, x] a gate."""
    n, time, _ = x.shape
    h, c, cache, out = np.zeros((n, len(bf))), np.zeros((n, len(bf))), [], []
    for t in range(time):
        z = np.concatenate([h, x[:, t]], axis=1)
        f, i, o = sigmoid(z @ Wf + bf), sigmoid(z @ Wi + bi), sigmoid(z @ Wo + bo)
        g = np.tanh(z @ Wg + bg)
        before, c = c, f * c + i * g
        h = o * np.tanh(c)
        cache.append((z, f, i, o, g, before, c))
        out.append(h)
    return np.stack(out, axis=1), (cache, Wf, Wi, Wo, Wg)


def gates_backward(dout: Any, kept: Any) -> Any:
    cache, Wf, Wi, Wo, Wg = kept
    n, time, size = dout.shape
    dx = np.zeros((n, time, len(Wf) - size))
    dWf, dWi, dWo, dWg = (np.zeros_like(one) for one in (Wf, Wi, Wo, Wg))
    dbf, dbi, dbo, dbg = (np.zeros(size) for _ in range(4))
    dh_next, dc_next = np.zeros((n, size)), np.zeros((n, size))
    for t in reversed(range(time)):
        z, f, i, o, g, before, c = cache[t]
        dh = dout[:, t] + dh_next
        dc = dh * o * (1 - np.tanh(c) ** 2) + dc_next
        do = dh * np.tanh(c) * o * (1 - o)
        df = dc * before * f * (1 - f)
        di = dc * g * i * (1 - i)
        dg = dc * i * (1 - g**2)
        dWf += z.T @ df
        dWi += z.T @ di
        dWo += z.T @ do
        dWg += z.T @ dg
        dbf += df.sum(axis=0)
        dbi += di.sum(axis=0)
        dbo += do.sum(axis=0)
        dbg += dg.sum(axis=0)
        dz = df @ Wf.T + di @ Wi.T + do @ Wo.T + dg @ Wg.T
        dh_next, dx[:, t] = dz[:, :size], dz[:, size:]
        dc_next = dc * f
    return dx, dWf, dWi, dWo, dWg, dbf, dbi, dbo, dbg


def coupled_forward(x: Any, Wf: Any, Wo: Any, Wg: Any) -> Any:
    """An LSTM whose input gate is what the forget gate leaves."""
    n, time, _ = x.shape
    size = Wf.shape[1]
    h, c, cache, out = np.zeros((n, size)), np.zeros((n, size)), [], []
    for t in range(time):
        z = np.concatenate([h, x[:, t]], axis=1)
        f, o, g = sigmoid(z @ Wf), sigmoid(z @ Wo), np.tanh(z @ Wg)
        before, c = c, f * c + (1 - f) * g
        h = o * np.tanh(c)
        cache.append((z, f, o, g, before, c))
        out.append(h)
    return np.stack(out, axis=1), (cache, Wf, Wo, Wg)


def coupled_backward(dout: Any, kept: Any) -> Any:
    cache, Wf, Wo, Wg = kept
    n, time, size = dout.shape
    dx = np.zeros((n, time, len(Wf) - size))
    dWf, dWo, dWg = (np.zeros_like(one) for one in (Wf, Wo, Wg))
    dh_next, dc_next = np.zeros((n, size)), np.zeros((n, size))
    for t in reversed(range(time)):
        z, f, o, g, before, c = cache[t]
        dh = dout[:, t] + dh_next
        dc = dh * o * (1 - np.tanh(c) ** 2) + dc_next
        do = dh * np.tanh(c) * o * (1 - o)
        df = dc * (before - g) * f * (1 - f)
        dg = dc * (1 - f) * (1 - g**2)
        dWf += z.T @ df
        dWo += z.T @ do
        dWg += z.T @ dg
        dz = df @ Wf.T + do @ Wo.T + dg @ Wg.T
        dh_next, dx[:, t] = dz[:, :size], dz[:, size:]
        dc_next = dc * f
    return dx, dWf, dWo, dWg


def update_forward(x: Any, h0: Any, Wxz: Any, Whz: Any, Wxr: Any, Whr: Any, Wxn: Any, Whn: Any) -> Any:
    """A GRU that resets the state before its product."""
    h, cache, out = h0, [], []
    for t in range(x.shape[1]):
        z, r = sigmoid(x[:, t] @ Wxz + h @ Whz), sigmoid(x[:, t] @ Wxr + h @ Whr)
        n = np.tanh(x[:, t] @ Wxn + (r * h) @ Whn)
        cache.append((x[:, t], h, z, r, n))
        h = z * h + (1 - z) * n
        out.append(h)
    return np.stack(out, axis=1), (cache, Wxz, Whz, Wxr, Whr, Wxn, Whn)


def update_backward(dout: Any, kept: Any) -> Any:
    cache, Wxz, Whz, Wxr, Whr, Wxn, Whn = kept
    n_samples, time, size = dout.shape
    dx, dh_next = np.zeros((n_samples, time, len(Wxz))), np.zeros((n_samples, size))
    dWxz, dWhz, dWxr, dWhr, dWxn, dWhn = (np.zeros_like(one) for one in (Wxz, Whz, Wxr, Whr, Wxn, Whn))
    for t in reversed(range(time)):
        x, h, z, r, n = cache[t]
        dh = dout[:, t] + dh_next
        dn = dh * (1 - z) * (1 - n**2)
        drh = dn @ Whn.T
        dr = drh * h * r * (1 - r)
        dz = dh * (h - n) * z * (1 - z)
        dWxz += x.T @ dz
        dWhz += h.T @ dz
        dWxr += x.T @ dr
        dWhr += h.T @ dr
        dWxn += x.T @ dn
        dWhn += (r * h).T @ dn
        dx[:, t] = dz @ Wxz.T + dr @ Wxr.T + dn @ Wxn.T
        dh_next = dh * z + drh * r + dz @ Whz.T + dr @ Whr.T
    return dx, dh_next, dWxz, dWhz, dWxr, dWhr, dWxn, dWhn


def stack_forward(x: Any, Wx1: Any, Wh1: Any, Wx2: Any, Wh2: Any, Wy: Any, mask: Any, targets: Any) -> Any:
    """Two layers, padded samples that keep their state, and a squared loss, the mean of the steps that count."""
    n, time, _ = x.shape
    h1, h2, cache, loss = np.zeros((n, len(Wh1))), np.zeros((n, len(Wh2))), [], 0.0
    for t in range(time):
        m = mask[:, t : t + 1]
        new1 = np.tanh(x[:, t] @ Wx1 + h1 @ Wh1)
        old1, h1 = h1, m * new1 + (1 - m) * h1
        new2 = np.tanh(h1 @ Wx2 + h2 @ Wh2)
        old2, h2 = h2, m * new2 + (1 - m) * h2
        error = (h2 @ Wy - targets[:, t]) * m
        loss += np.sum(error**2) / mask.sum()
        cache.append((x[:, t], m, new1, old1, h1, new2, old2, h2, error))
    return loss, (cache, Wx1, Wh1, Wx2, Wh2, Wy, mask)


def stack_backward(dloss: Any, kept: Any) -> Any:
    cache, Wx1, Wh1, Wx2, Wh2, Wy, mask = kept
    dx = np.zeros((len(mask), len(cache), len(Wx1)))
    dWx1, dWh1, dWx2, dWh2, dWy = (np.zeros_like(one) for one in (Wx1, Wh1, Wx2, Wh2, Wy))
    dnext1, dnext2 = np.zeros((len(mask), len(Wh1))), np.zeros((len(mask), len(Wh2)))
    for t in reversed(range(len(cache))):
        x, m, new1, old1, h1, new2, old2, h2, error = cache[t]
        dy = dloss * 2 * error * m / mask.sum()
        dWy += h2.T @ dy
        dh2 = dy @ Wy.T + dnext2
        da2 = dh2 * m * (1 - new2**2)
        dWx2 += h1.T @ da2
        dWh2 += old2.T @ da2
        dnext2 = da2 @ Wh2.T + dh2 * (1 - m)
        dh1 = da2 @ Wx2.T + dnext1
        da1 = dh1 * m * (1 - new1**2)
        dWx1 += x.T @ da1
        dWh1 += old1.T @ da1
        dnext1 = da1 @ Wh1.T + dh1 * (1 - m)
        dx[:, t] = da1 @ Wx1.T
    return dx, dWx1, dWh1, dWx2, dWh2, dWy


def attended_forward(table: Any, Wx: Any, Wh: Any, q: Any, Wy: Any, words: Any, labels: Any) -> Any:
    """Embedded words, a recurrence, attention over its states by one query, and the mean cross-entropy of labels."""
    x = table[words]
    hs = [np.zeros((len(words), len(Wh)))]
    for t in range(words.shape[1]):
        hs.append(np.tanh(x[:, t] @ Wx + hs[-1] @ Wh))
    H = np.stack(hs[1:], axis=1)
    scale = np.sqrt(len(q))
    alpha = softmax(H @ q / scale)
    context = np.sum(alpha[:, :, None] * H, axis=1)
    p = softmax(context @ Wy)
    loss = -np.log(p[np.arange(len(p)), labels]).mean()
    return loss, (words, labels, x, hs, H, alpha, context, p, scale, table, Wx, Wh, q, Wy)


def attended_backward(dloss: Any, cache: Any) -> Any:
    words, labels, x, hs, H, alpha, context, p, scale, table, Wx, Wh, q, Wy = cache
    dtable, dWx, dWh, dx = np.zeros_like(table), np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(x)
    ds = p.copy()
    ds[np.arange(len(p)), labels] -= 1
    ds = ds / len(p) * dloss
    dWy = context.T @ ds
    dcontext = ds @ Wy.T
    dalpha = np.sum(H * dcontext[:, None, :], axis=2)
    dscores = alpha * (dalpha - np.sum(alpha * dalpha, axis=1, keepdims=True)) / scale
    dq = np.einsum("nth,nt->h", H, dscores)
    dstates = alpha[:, :, None] * dcontext[:, None, :] + dscores[:, :, None] * q
    dh_next = np.zeros_like(hs[0])
    for t in reversed(range(words.shape[1])):
        da = (dstates[:, t] + dh_next) * (1 - hs[t + 1] ** 2)
        dx[:, t] = da @ Wx.T
        dWx += x[:, t].T @ da
        dWh += hs[t].T @ da
        dh_next = da @ Wh.T
    np.add.at(dtable, words, dx)
    return dtable, dWx, dWh, dq, dWy
