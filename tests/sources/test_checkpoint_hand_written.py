"""Checkpoints with the names that people give weights by hand: rows and columns, states called h or a."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.errors import FileError, InputError
from rnngraph.sources.checkpoint import load
from rnngraph.sources.checkpoint.files import StoredArray
from rnngraph.sources.checkpoint.hand_written.gate_by_gate import with_usual_names
from rnngraph.sources.options import ModelOptions
from tests.draws import draw
from tests.numpy.plain_networks import char_rnn

V, H, T = 6, 4, 9


WEIGHTS = {"Wxh": draw(H, V), "Whh": draw(H, H), "Why": draw(V, H), "bh": draw(H, 1), "by": draw(V, 1)}
NAMES = {
    "min-char-rnn": {name: name for name in WEIGHTS},
    "underscores": {"Wxh": "W_xh", "Whh": "W_hh", "Why": "W_hy", "bh": "b_h", "by": "b_y"},
    "activations": {"Wxh": "Wax", "Whh": "Waa", "Why": "Wya", "bh": "ba", "by": "by"},
    "one bias without a name": {"Wxh": "Wax", "Whh": "Waa", "Why": "Wya", "bh": "b", "by": "by"},
    "in a dict": {name: f"params.{name}" for name in WEIGHTS},
}


def saved(path: Path, arrays: dict[str, Any]) -> str:
    np.savez(path / "weights.npz", **arrays)
    words = np.random.default_rng(1).integers(0, V, T + 1)
    np.savez(path / "data.npz", x=np.eye(V)[words[:-1]][None], targets=words[None, 1:])
    return str(path / "weights.npz")


def gradients(path: Path, arrays: dict[str, Any]) -> Any:
    weights = saved(path, arrays)
    return rg.gradients(load(ModelOptions(weights, str(path / "data.npz"), None, None, None, None, None)).loss)


@pytest.mark.parametrize("names", list(NAMES))
@pytest.mark.parametrize("rows", [False, True])
def test_the_gradients_are_those_of_the_function_itself(names: str, rows: bool, tmp_path: Path) -> None:
    arrays = {NAMES[names][key]: (value.T if rows else value) for key, value in WEIGHTS.items()}
    found = gradients(tmp_path, arrays)
    data = np.load(tmp_path / "data.npz")
    words, targets = data["x"][0].argmax(axis=1).tolist(), data["targets"][0].tolist()
    w = WEIGHTS
    traced = rg.trace_function(
        char_rnn, words, targets, np.zeros((H, 1)), w["Wxh"], w["Whh"], w["Why"], w["bh"], w["by"]
    )
    prefix = "params." if names == "in a dict" else ""
    for name, key in (("Wxh", "Wx"), ("Whh", "Wh"), ("bh", "b")):
        expected = traced.gradients[name].T
        mine = next(value for label, value in found.items() if label.endswith(f"rnn.{key}"))
        np.testing.assert_allclose(mine, expected.reshape(mine.shape), rtol=1e-9, err_msg=prefix + name)


def test_weights_of_which_the_side_cannot_be_told_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"Wxh has shape \(4, 4\), so that it cannot be told whether it multiplies rows"
    ):
        gradients(tmp_path, {"Wxh": draw(4, 4), "Whh": draw(4, 4), "bh": draw(4)})


@pytest.mark.parametrize("rows", [False, True])
def test_the_output_tells_the_side_of_square_weights(rows: bool, tmp_path: Path) -> None:
    arrays = {"Wxh": draw(H, H), "Whh": draw(H, H, seed=2), "bh": draw(H), "Why": draw(V, H), "by": draw(V)}
    x, targets = draw(T, H), np.arange(T) % V
    h, expected = np.zeros(H), 0.0
    for one, target in zip(x, targets.tolist(), strict=True):
        h = np.tanh(arrays["Wxh"] @ one + arrays["Whh"] @ h + arrays["bh"])
        scores = arrays["Why"] @ h + arrays["by"]
        expected += np.log(np.exp(scores).sum()) - scores[target]
    np.savez(tmp_path / "weights.npz", **{k: one.T if rows else one for k, one in arrays.items()})
    np.savez(tmp_path / "data.npz", x=x[None], targets=targets[None])
    options = ModelOptions(str(tmp_path / "weights.npz"), str(tmp_path / "data.npz"))
    assert float(load(options).loss.value) in (pytest.approx(expected), pytest.approx(expected / T))


@pytest.mark.parametrize(
    "shapes",
    [{"W_ih": (8, 3), "W_hh": (8, 2)}, {"Wxh": (2, 3), "Wih": (2, 3), "Whh": (2, 2)}, {"W_hh": (2, 2), "b_h": (2,)}],
)
def test_other_arrays_keep_their_names(shapes: dict[str, Any]) -> None:
    arrays = {name: StoredArray(name, shape, Path(), lambda: np.zeros(())) for name, shape in shapes.items()}
    assert with_usual_names(arrays) == arrays


@pytest.mark.parametrize("kind", ["LSTMCell", "GRUCell"])
def test_the_biases_of_equinox(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One bias for both products, and a GRU's for its new state; equinox itself and JAX's gradient are the truth."""
    eqx, jax = pytest.importorskip("equinox"), pytest.importorskip("jax")
    x, cell = draw(T, V, scale=1.0).astype(np.float32), getattr(eqx.nn, kind)(V, H, key=jax.random.key(0))
    names = ["weight_ih", "weight_hh", "bias", *["bias_n"] * (kind == "GRUCell")]
    drawn = {name: draw(*getattr(cell, name).shape, seed=k).astype(np.float32) for k, name in enumerate(names)}
    cell = eqx.tree_at(lambda one: [getattr(one, name) for name in names], cell, [*drawn.values()])

    def loss(cell: Any) -> Any:
        state, total = jax.numpy.zeros((2, H)) if kind == "LSTMCell" else jax.numpy.zeros(H), 0.0
        for now in x:
            state = cell(now, tuple(state) if kind == "LSTMCell" else state)
            total += ((state[0] if kind == "LSTMCell" else state) ** 2).sum() / 2
        return total

    monkeypatch.chdir(tmp_path)
    np.savez("data.npz", x=x[None])
    eqx.tree_serialise_leaves("weights.eqx", cell)
    with pytest.raises(FileError, match="holds arrays without names: load it into its model") as refused:
        load(ModelOptions("weights.eqx", "data.npz"))
    model = {"cell": eqx.tree_deserialise_leaves("weights.eqx", cell)}
    eval(str(refused.value).partition("Then write ")[2], {"np": np, "jax": jax, "model": model})
    files = "weights.npz", "data.npz"
    loaded = load(ModelOptions(*files, loss="every"))
    assert not loaded.findings
    assert float(loaded.loss.value) == pytest.approx(float(loss(cell)), rel=1e-5)
    wanted = jax.grad(loss)(cell).weight_hh
    found = next(one for name, one in rg.gradients(loaded.loss).items() if name.endswith("Wh"))
    assert np.linalg.norm(found) == pytest.approx(float(jax.numpy.linalg.norm(wanted)), rel=1e-5)


@pytest.mark.parametrize("kind", ["LSTMCell", "OptimizedLSTMCell", "GRUCell", "SimpleCell"])
@pytest.mark.parametrize("face", ["linen", "nnx", "state"])
def test_the_gates_of_flax(face: str, kind: str, tmp_path: Path) -> None:
    """A dense layer a gate, or one for all; flax itself and JAX's gradient are the truth. The input is as wide as H.

    The state of a training run holds every weight thrice, of which two are moments.
    """
    pytest.importorskip("flax")
    optax = pytest.importorskip("optax")
    import jax
    from flax import linen, nnx, serialization, traverse_util
    from flax.training import train_state

    x, start = draw(T, H, scale=1.0).astype(np.float32), np.zeros(H, np.float32)
    first = (start, start) if "LSTM" in kind else start
    if face != "nnx":
        cell = getattr(linen, kind)(H)
        weights = cell.init(jax.random.key(0), first, x[0])
        step, names = cell.apply, ["/".join(path) for path in sorted(traverse_util.flatten_dict(weights))]
    else:
        form, weights, rest = nnx.split(getattr(nnx, kind)(H, H, rngs=nnx.Rngs(0)), nnx.Param, ...)
        names = [".".join(path) for path, _ in nnx.to_flat_state(weights)]

        def step(weights: Any, state: Any, now: Any) -> Any:
            return nnx.merge(form, weights, rest)(state, now)

    def loss(weights: Any) -> Any:
        state, total = first, 0.0
        for now in x:
            state, output = step(weights, state, now)
            total += (output**2).sum() / 2
        return total

    leaves, tree = jax.tree.flatten(weights)
    drawn = [draw(*one.shape, seed=k).astype(np.float32) for k, one in enumerate(leaves)]
    file = tmp_path / ("weights.npz" if face == "nnx" else "weights.msgpack")
    if face == "nnx":
        np.savez(file, **dict(zip(names, drawn, strict=True)))
    else:
        kept = jax.tree.unflatten(tree, drawn)
        if face == "state":
            run = train_state.TrainState.create(apply_fn=cell.apply, params=kept["params"], tx=optax.adam(0.0))
            kept = run.apply_gradients(grads=kept["params"])
        file.write_bytes(serialization.to_bytes(kept))
    np.savez(tmp_path / "data.npz", x=x[None])
    loaded = load(ModelOptions(str(file), str(tmp_path / "data.npz"), loss="every"))
    value, gradients = jax.value_and_grad(loss)(jax.tree.unflatten(tree, drawn))
    assert not loaded.findings
    assert float(loaded.loss.value) == pytest.approx(float(value), rel=1e-5)
    parts = zip(names, jax.tree.leaves(gradients), strict=True)
    wanted = [np.linalg.norm(one) for name, one in parts if one.ndim == 2 and re.search(r"\bh|_h", name)]
    found = next(one for name, one in rg.gradients(loaded.loss).items() if name.endswith("Wh"))
    assert np.linalg.norm(found) == pytest.approx(float(np.linalg.norm(wanted)), rel=1e-5)
