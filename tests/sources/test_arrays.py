"""NumPy functions on the command line: arguments by name from a file, or returned by the target; pairs to check."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnngraph.errors import FileError, InputError
from rnngraph.sources.target.importing import find_function
from rnngraph.sources.target.run import opened
from tests import programs

MODEL = """
import numpy as np

def forward(x, params, steps=3, *, scale=1.0):
    print("said on the way")
    h = np.zeros((len(x), len(params["b"])))
    for t in range(int(steps)):
        h = np.tanh(x[:, t] @ params["Wx"] + h @ params["Wh"] + params["b"])
    return scale * np.sum(h * h)

def arrays():
    draw = np.random.default_rng(0).normal
    return draw(size=(2, 6, 3)), {"Wx": draw(size=(3, 4)), "Wh": draw(size=(4, 4)), "b": np.zeros(4)}

def target():
    return (forward, *arrays())

def product(x, w):
    return x @ w, (x, w)

def right():
    return product, lambda d, cache: (d @ cache[1].T, cache[0].T @ d), np.ones((2, 3)), np.ones((3, 2))

def wrong():
    return product, lambda d, cache: (d @ cache[1].T, 2 * cache[0].T @ d), np.ones((2, 3)), np.ones((3, 2))

def empty(x):
    return None

def plain(*arrays):
    return arrays[0].sum()
"""


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "numpy_model.py").write_text(MODEL, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    draw = np.random.default_rng(0).normal
    arrays: dict[str, Any] = {
        "x": draw(size=(2, 6, 3)), "params.Wx": draw(size=(3, 4)), "params.Wh": draw(size=(4, 4)),
        "params.b": np.zeros(4)
    }  # fmt: skip
    np.savez("arrays.npz", **arrays)
    np.savez("more.npz", steps=np.array(6), **arrays)
    np.savez("less.npz", x=arrays["x"])
    np.savez("other.npz", y=arrays["x"], **arrays)
    return "numpy_model.py"


def test_arguments_come_by_name_and_a_dict_from_dotted_names(model: str) -> None:
    trace = opened(f"{model}:forward", data="arrays.npz").run(lags=True)[0]
    assert trace.timesteps == 3
    assert trace.notes[-1].startswith("forward: found a recurrence: Wh (state h, 3 steps, 4 units, 2 samples)")
    assert opened(f"{model}:forward", data="more.npz").run()[0].timesteps == 6
    assert opened(f"{model}:forward", {"steps": 5}, data="arrays.npz").run()[0].timesteps == 5
    doubled = opened(f"{model}:forward", {"scale": 2.0}, data="arrays.npz").loss().value
    assert float(doubled) == pytest.approx(2 * float(opened(f"{model}:target").loss().value))


@pytest.mark.parametrize(
    ("name", "data", "error", "message"),
    [("forward", "none.npz", FileError, "there is no data file none.npz"),
     ("forward", "less.npz", InputError, "forward needs a value for params, which less.npz does not hold; it takes x"),
     ("forward", "other.npz", InputError, "forward has no parameter 'y', which other.npz gives; it takes x, params"),
     ("empty", "less.npz", InputError, "the function returned nothing that is recorded"),
     ("plain", "less.npz", InputError, "plain has no parameter 'x', which less.npz gives; it takes nothing")],
)  # fmt: skip
def test_what_does_not_fit_is_one_sentence(model: str, name: str, data: str, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        opened(f"{model}:{name}", data=data).run()


def command(*arguments: str) -> programs.Ended:
    return programs.run(*arguments, folder=Path.cwd())


def test_every_command_takes_a_numpy_function(model: str, tmp_path: Path) -> None:
    found = "forward: found a recurrence: Wh (state h, 3 steps, 4 units, 2 samples)"
    done = command("render", f"{model}:forward", "--data", "arrays.npz", "-o", "picture.svg")
    assert done.returncode == 0, done.stderr
    assert found in done.stderr
    assert "<svg" in (tmp_path / "picture.svg").read_text(encoding="utf-8")
    for name in ("norms", "lags", "diagnose", "check"):
        done = command(name, f"{model}:target", "--json")
        assert done.returncode == 0, done.stderr
        assert found in done.stderr
        assert json.loads(done.stdout)


def test_a_pair_is_checked_and_located(model: str) -> None:
    done = command("check", f"{model}:right")
    assert (done.returncode, done.stderr) == (0, "")
    done = command("check", f"{model}:wrong", "--json")
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert report["where"] == ["wrong: w; right: x.", "w: it is 2 times the right one."]
    assert "w: it is 2 times the right one." in command("check", f"{model}:wrong").stdout


ENDLESS = """
import numpy as np
W = np.eye(3) * 0.5
trained = 0
while True:
    trained += 1
    if trained == 3:
        break
def loss(xs):
    h = np.zeros(3)
    for x in xs:
        h = np.tanh(x + W @ h)
    return (h ** 2).sum()
while 1:
    for step in range(10):
        if step == 3:
            break
    W += loss(np.ones((2, 3)))
words, count = iter("abc"), 0
while True:
    try:
        count += len(next(words))
    except StopIteration:
        break
while True:
    try:
        W += loss(np.ones((2, 3)))
    except KeyboardInterrupt:
        break
"""


def test_a_script_that_trains_for_ever_is_imported_without_its_loop(tmp_path: Path) -> None:
    script = tmp_path / "for_ever.py"
    script.write_text(ENDLESS)
    np.savez(tmp_path / "data.npz", xs=np.ones((4, 3)))
    trace = opened(f"{script}:loss", data=str(tmp_path / "data.npz")).run()[0]
    assert trace.timesteps == 4
    assert "the loops without an end at lines 14, 25 of for_ever.py were not run" in trace.notes
    assert find_function(f"{script}:loss").__globals__["trained"] == 3  # a loop that ends is run
    assert find_function(f"{script}:loss").__globals__["count"] == 3


def test_what_a_loss_is_made_of_is_said(tmp_path: Path) -> None:
    script = tmp_path / "states.py"
    script.write_text(ENDLESS.partition("while 1")[0].replace("(h ** 2).sum()", "[h, h], h"))
    np.savez(tmp_path / "data.npz", xs=np.ones((4, 3)))
    trace = opened(f"{script}:loss", data=str(tmp_path / "data.npz")).run()[0]
    said = (
        "loss: no scalar is returned: the loss is output[0], times fixed random weights and summed, all 2 arrays of it"
    )
    assert said in trace.notes


LOSS_AND_GRADIENTS = """
import numpy as np
W, U, V = (np.random.default_rng(k).normal(size=shape) * 0.4 for k, shape in enumerate([(4, 3), (4, 4), (2, 4)]))

def loss(xs, h0):
    hs, total = {-1: h0}, 0.0
    for t, x in enumerate(xs):
        hs[t] = np.tanh(W @ x + U @ hs[t - 1])
        total += ((V @ hs[t]) ** 2).sum()
    dW, dU, dV, carried = np.zeros_like(W), np.zeros_like(U), np.zeros_like(V), np.zeros_like(h0)
    for t in reversed(range(len(xs))):
        dy = 2 * V @ hs[t]
        dV += np.outer(dy, hs[t])
        da = (V.T @ dy + carried) * (1 - hs[t] ** 2)
        dW += np.outer(da, xs[t])
        dU += np.outer(da, hs[t - 1])
        carried = U.T @ da
    return total, dW, dU, dV, hs[len(xs) - 1]

def in_a_dict(xs, h0):
    total, dW, dU, dV, last = loss(xs, h0)
    return total, {"W": dW, "U": dU, "V": dV, "other": last}
"""


@pytest.mark.parametrize("name", ["loss", "in_a_dict"])
def test_gradients_that_a_function_returns_beside_its_loss_are_checked(tmp_path: Path, name: str) -> None:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "data.npz", xs=rng.normal(size=(5, 3)), h0=rng.normal(size=4))
    script = tmp_path / "by_hand.py"
    script.write_text(LOSS_AND_GRADIENTS)
    data = ["--data", str(tmp_path / "data.npz")]
    own = {"loss": ["dW", "dU", "dV"], "in_a_dict": ["W", "U", "V"]}[name]
    done = command("check", f"{script}:{name}", *data, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert {row["name"] for row in report["rows"]} == {"xs", "h0", *own}
    script.write_text(LOSS_AND_GRADIENTS.replace("V.T @ dy + carried", "V.T @ dy"))
    done = command("check", f"{script}:{name}", *data, "--json")
    assert done.returncode == 1
    first, second, third = own
    assert json.loads(done.stdout)["where"] == [
        f"wrong: {first}, {second}; right: {third}.",
        f"{first}, {second}: what is carried from step t+1 to t is not added.",
    ]
