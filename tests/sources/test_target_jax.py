"""Python targets that return a JAX loss and its arguments, through every command."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from rnngraph.errors import InputError, MissingToolError
from rnngraph.sources.target.run import opened
from tests.reliability.commands import run_here

TARGET = """
import jax
import jax.numpy as jnp
W, x = 0.2 * jnp.eye(4), jnp.ones((9, 2, 4))
def loss(p, x):
    print("traced")
    def step(h, x):
        h = jnp.tanh(h @ p["W"] + x)
        return h, h
    return jnp.mean(jax.lax.scan(step, jnp.zeros((2, 4)), x)[1] ** 2)
class Callable(dict):
    def __call__(self):
        pass
jax.tree_util.register_pytree_node(Callable, lambda one: ((one["W"],), None), lambda _, some: Callable(W=some[0]))
def build(gain: float = 1.0):
    return loss, {"W": gain * W}, x
def module():
    return loss, Callable(W=W), x
def with_aux():
    return jax.jit(lambda p, x: (loss(p, x), {"more": 1})), {"W": W}, x
def nothing():
    return (lambda p, x: jnp.sum(p["W"] * x.sum())), {"W": W}, x
def fails():
    def wrong(p, x):
        raise ValueError("no such layer")
    return wrong, {"W": W}, x
"""


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    pytest.importorskip("jax")
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a_jax_model.py").write_text(TARGET, encoding="utf-8")
    return "a_jax_model.py"


def test_every_command_takes_a_jax_loss_or_says_why_not(target: str, tmp_path: Path) -> None:
    said = run_here("diagnose", f"{target}:build", "--json", "--fail-on", "vanishing")
    found = json.loads(said.stdout)  # what the function prints goes elsewhere
    assert (said.status, found["verdict"]) == (1, "vanishing")
    assert "traced" in said.stderr
    assert "the recurrent weight" in str(found["findings"])
    assert "is left" in str(found["findings"])
    untried = run_here("diagnose", f"{target}:build", "--no-try", "--set", "gain=4.0")
    assert untried.status == 0
    for arguments in (("norms",), ("lags",), ("trace", "-o", "run.npz"), ("render", "-o", "u.svg")):
        done = run_here(arguments[0], f"{target}:build", *arguments[1:])
        assert done.status == 0, done
    assert (tmp_path / "run.npz").exists()
    for command in ("check", "context"):
        for name in ("build", "module"):
            refused = run_here(command, f"{target}:{name}")
            assert refused.status == 2
            assert "returned a JAX loss, and this command needs a loss on a tape" in refused.stderr
    spectrum = run_here("diagnose", f"{target}:build", "--spectrum")
    assert spectrum.status == 2
    assert "leave --spectrum out" in spectrum.stderr
    layer = run_here("norms", f"{target}:build", "--layer", "cell")
    assert layer.status == 2
    assert "--layer means nothing here" in layer.stderr


def test_what_a_target_may_return(target: str) -> None:
    plain, module, aux = (opened(f"{target}:{name}").run()[0] for name in ("build", "module", "with_aux"))
    assert plain.source == f"{target}:build"
    assert plain.loss == module.loss == aux.loss
    h, known = np.zeros((2, 4)), 0.0
    for _ in range(9):
        h = np.tanh(0.2 * h + 1)
        known += float((h**2).mean()) / 9
    np.testing.assert_allclose(plain.loss, known, rtol=3e-6)
    assert opened(f"{target}:build", {"gain": 2.0}).run()[0].loss > plain.loss
    with pytest.raises(InputError, match="no recurrence was found in <lambda>"):
        opened(f"{target}:nothing").run()
    with pytest.raises(InputError, match="raised ValueError: no such layer"):
        opened(f"{target}:fails").run()
    with pytest.raises(InputError, match=r"jax\.test_util\.check_grads checks"):
        opened(f"{target}:build").loss()


def test_a_target_that_needs_jax_where_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setitem(sys.modules, "jax", None)  # import finds nothing
    (tmp_path / "a_model_without_jax.py").write_text(TARGET, encoding="utf-8")
    with pytest.raises(MissingToolError, match=r"needs JAX, which is not installed; pip install 'rnngraph\[jax\]'"):
        opened(f"{tmp_path}/a_model_without_jax.py:build").run()
    for name in [name for name in sys.modules if name.startswith("rnngraph.sources.jax")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(MissingToolError, match=r"JAX is not installed; pip install 'rnngraph\[jax\]' brings it"):
        import rnngraph.sources.jax  # noqa: F401


def test_an_older_jax_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    jax = pytest.importorskip("jax")
    monkeypatch.setattr(jax, "__version_info__", (0, 7, 2))
    monkeypatch.setattr(jax, "__version__", "0.7.2")
    monkeypatch.delitem(sys.modules, "rnngraph.sources.jax", raising=False)
    with pytest.raises(MissingToolError, match=r"JAX 0\.7\.2 is installed, and rnngraph\.jax needs 0\.8 or newer"):
        import rnngraph.sources.jax  # noqa: F401
