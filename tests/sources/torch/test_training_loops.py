"""Whole training loops: what is traced of several passes, and that nothing of the run changes."""

from __future__ import annotations

import concurrent.futures
import contextlib
import copy
import gc
import io
import weakref
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import rnngraph
from rnngraph.errors import InputError
from tests.sources.torch.truth import Trail, certified, check

torch = pytest.importorskip("torch")
patches = pytest.importorskip("rnngraph.sources.torch.capture.patches")
scan = pytest.importorskip("torch._higher_order_ops.scan")
nn = torch.nn
N, T, D, H = 3, 6, 4, 5


class Model(nn.Module):  # type: ignore[misc, name-defined]
    """A fused stack with dropout, a cell in a loop, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.cell, self.head = nn.LSTM(D, H, 2, dropout=0.3), nn.GRUCell(H, H), nn.Linear(H, 2)

    def forward(self, x: Any, state: Any = None) -> Any:
        output, state = self.rnn(x, state)
        h, found = None, []
        for one in output:
            h = self.cell(one, h)
            found.append(self.head(nn.functional.dropout(h, 0.1, self.training)))
        return torch.stack(found), state


def steps(model: Any, watch: Any = None, *, count: int = 3) -> list[Any]:
    """A loop of truncated BPTT with an optimiser, clipping and evaluation between; gives all that it left behind."""
    torch.manual_seed(0)
    x, state, seen = torch.randn(count * T, N, D), None, []
    optimiser = torch.optim.Adam(model.parameters(), lr=0.05)
    for window in x.split(T):
        optimiser.zero_grad()
        output, state = model(window, state)
        loss = output.square().mean()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        seen += [p.grad.clone() for p in model.parameters()]
        optimiser.step()
        state = tuple(one.detach() for one in state)
        with torch.no_grad():
            seen.append(model(window)[0].sum())
        seen.append(loss.detach())
    return [*seen, *(p.detach().clone() for p in model.parameters()), torch.get_rng_state()]


def same(one: list[Any], other: list[Any]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_nothing_changes_and_the_last_window_is_traced(dtype: Any) -> None:
    torch.set_default_dtype(dtype)
    try:
        model = Model()
        plain = steps(copy.deepcopy(model))
        own = copy.deepcopy(model)
        with rnngraph.torch.watch(own) as watch:
            seen = steps(own)
        trace = watch.trace()
        assert same(plain, seen)
        assert [one.name for one in trace.recurrences] == ["rnn", "rnn_l1", "cell"]
        assert certified(trace)
        assert watch.trace(backward=-2).states[0].grad.value[0] != trace.states[0].grad.value[0]
        assert same([p.detach() for p in own.parameters()], seen[-1 - len(list(own.parameters())) : -1])
    finally:
        torch.set_default_dtype(torch.float32)


def test_the_first_pass_is_kept_with_its_weights() -> None:
    torch.manual_seed(0)
    model = Model().double().eval()
    x = torch.randn(2, T, N, D).double()

    def once(part: Any) -> Any:
        with rnngraph.torch.watch(model) as watch:
            model(part)[0].square().sum().backward()
        return watch.trace()

    truth = once(x[0])
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    model.zero_grad()
    with rnngraph.torch.watch(model, backward="first") as watch:
        for part in x:
            model(part)[0].square().sum().backward()
            optimiser.step()
            optimiser.zero_grad()
    trace = watch.trace()
    for a, b in zip(trace.states, truth.states, strict=True):
        np.testing.assert_allclose(a.grad.value, b.grad.value, rtol=1e-12)
    for lag, known in zip(trace.lags, truth.lags, strict=True):
        np.testing.assert_allclose(lag.log, known.log, rtol=1e-10)


def test_passes_over_the_same_calls_count_together() -> None:
    model = Model().double().eval()
    x = torch.randn(T, N, D).double()
    with rnngraph.torch.watch(model) as once:
        output, _ = model(x)
        (output.sum() + output.square().sum()).backward()
    with rnngraph.torch.watch(model) as twice:
        output, _ = model(x)
        output.sum().backward(retain_graph=True)
        output.square().sum().backward()
    trace = twice.trace()
    for a, b in zip(once.trace().lags, trace.lags, strict=True):
        np.testing.assert_allclose(a.log, b.log, rtol=1e-9)
    assert certified(trace)


def test_accumulated_minibatches_are_passes_of_their_own() -> None:
    model = Model().double().eval()
    x = torch.randn(3, T, N, D).double()
    with rnngraph.torch.watch(model) as watch:
        for part in x:
            model(part)[0].square().sum().backward()
    with rnngraph.torch.watch(model) as last:
        model(x[-1])[0].square().sum().backward()
    np.testing.assert_allclose(watch.trace().states[0].grad.value, last.trace().states[0].grad.value, rtol=1e-12)
    with pytest.raises(InputError, match=r"backward is -3, and 2 are kept of 3: say so before"):
        watch.trace(backward=-3)
    with rnngraph.torch.watch(model, backward=-3) as watch:
        for part in x:
            model(part)[0].square().sum().backward()
    with rnngraph.torch.watch(model) as first:
        model(x[0])[0].square().sum().backward()
    np.testing.assert_allclose(watch.trace().states[0].grad.value, first.trace().states[0].grad.value, rtol=1e-12)


def test_truncated_windows_of_a_cell_with_an_optimiser() -> None:
    torch.manual_seed(0)
    cell, head = nn.LSTMCell(D, H).double(), nn.Linear(H, 2).double()
    model = nn.ModuleDict({"cell": cell, "head": head})
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    state: Any = None
    with rnngraph.torch.watch(model) as watch:
        for window in torch.randn(3, T, N, D).double():
            trail = Trail()
            for t, one in enumerate(window):
                state = cell(one, state)
                trail.add(h=state[0], c=state[1])
                trail.losses[t] = head(state[0]).square().sum()
            trail.total().backward()
            truth = [torch.autograd.grad(trail.total(), trail.states["h"], retain_graph=True)]
            optimiser.step()
            optimiser.zero_grad()
            state = tuple(one.detach() for one in state)
    trace = watch.trace()
    assert trace.timesteps == T
    np.testing.assert_allclose(trace.states[0].grad.value, [float(g.norm()) for g in truth[0]], rtol=1e-11)


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointed(reentrant: bool) -> None:
    from torch.utils.checkpoint import checkpoint

    class Saving(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.cell, self.head = nn.GRUCell(D, H), nn.Linear(H, 2)

        def step(self, x: Any, h: Any) -> Any:
            return self.cell(x, h)

        def forward(self, x: Any, trail: Trail) -> Any:
            h = torch.zeros(N, H).double().requires_grad_()
            for t, one in enumerate(x):
                h = checkpoint(self.step, one, h, use_reentrant=reentrant)
                trail.add(h=h)
                trail.losses[t] = self.head(h).square().sum()
            return trail.total()

    model, trail = Saving().double(), Trail()
    x = torch.randn(T, N, D).double()
    model(x, Trail()).backward()
    plain = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    with rnngraph.torch.watch(model) as watch:
        model(x, trail).backward()
        assert same(plain, [p.grad for p in model.parameters()])
    check(watch.trace(), "cell.h", trail, "h")


def test_autocast_and_a_gradient_scaler() -> None:
    torch.manual_seed(0)
    model = Model().eval()
    x = torch.randn(T, N, D)

    def run() -> list[Any]:
        model.zero_grad()
        scaler = torch.amp.GradScaler("cpu", init_scale=64.0)
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(x)[0].float().square().mean()
        scaler.scale(loss).backward()
        return [p.grad.clone() for p in model.parameters()]

    plain = run()
    with rnngraph.torch.watch(model) as watch:
        assert same(plain, run())
    trace = watch.trace()
    assert certified(trace)
    model.zero_grad()
    with rnngraph.torch.watch(model) as exact:
        model(x)[0].square().mean().backward()
    whole = exact.trace()
    np.testing.assert_allclose(trace.states[0].grad.value, whole.states[0].grad.value, rtol=0.1)


def test_compiled() -> None:
    model = Model().eval()
    x = torch.randn(T, N, D)
    compiled = torch.compile(model, backend="eager")
    with rnngraph.torch.watch(compiled) as watch:
        compiled(x)[0].square().sum().backward()
    assert [one.name for one in watch.trace(lags=False).recurrences] == ["rnn", "rnn_l1", "cell"]


def test_a_model_that_is_compiled_in_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch's compiler may come into the process only then."""
    monkeypatch.setattr(patches, "sys", SimpleNamespace(modules={}))
    model = Model().eval()
    with rnngraph.torch.watch(model) as watch:
        torch.compile(model, backend="eager")(torch.randn(T, N, D))[0].square().sum().backward()
    assert [one.name for one in watch.trace(lags=False).recurrences] == ["rnn", "rnn_l1", "cell"]


class Compiling(nn.Module):  # type: ignore[misc, name-defined]
    """A branch or a scan by a function of PyTorch's, which compiles what it is given, below a layer."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.first, self.rnn = kind, nn.Linear(D, D), nn.GRU(D, H)

    def forward(self, x: Any) -> Any:
        def step(h: Any, one: Any) -> Any:
            h = (h + self.first(one)).tanh()
            return h, h.clone()

        if self.kind == "cond":
            return self.rnn(torch.cond(x.sum() > 0, self.first, lambda one: 2 * self.first(one), (x,)))[0]
        return self.rnn(scan.scan(step, x[0], x)[1])[0]


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning", "ignore:Guards may run slower:RuntimeWarning")
@pytest.mark.parametrize("kind", ["cond", "scan"])
def test_what_pytorch_compiles_for_itself_has_its_gradients(kind: str) -> None:
    if kind == "scan" and torch.__version__ < "2.8":
        pytest.skip("scans have no gradients yet")
    found = []
    blocks: list[Any] = [lambda _: contextlib.nullcontext(), rnngraph.torch.watch]
    for block in blocks:
        torch.manual_seed(0)
        model, x = Compiling(kind), torch.randn(T, N, D)
        with block(model) as watch:
            model(x).square().sum().backward()
        found.append([one.grad for one in model.parameters()])
    assert same(*found)
    trace = watch.trace()
    assert trace.timesteps == T
    assert any("walks all its steps in one operation" in note for note in trace.notes) == (kind == "scan")


@pytest.mark.filterwarnings("ignore:Using backward:UserWarning")
def test_a_pass_whose_gradients_are_asked_about_is_one() -> None:
    """As of an optimizer that looks at the curvature: its products with a vector are no passes."""
    model, x = Model().double().eval(), torch.randn(T, N, D).double()
    weights, traces = list(model.parameters()), []
    for second in (False, True):
        with rnngraph.torch.watch(model) as watch:
            model.zero_grad()
            model(x)[0].square().sum().backward(create_graph=second)
            if second:
                torch.autograd.grad([one.grad for one in weights], weights, [torch.ones_like(one) for one in weights])
        traces.append(watch.trace())
    assert watch.passes.count == 1
    for one, other in zip(*(trace.lags for trace in traces), strict=True):
        np.testing.assert_allclose(one.log, other.log, rtol=1e-10)
    for weight in weights:
        weight.grad = None  # which holds the weight


def test_calls_in_several_threads_are_refused() -> None:
    model = Model()
    with rnngraph.torch.watch(model) as watch:
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            other = pool.submit(lambda: model(torch.randn(T, N, D))[0].sum()).result()
        (other + model(torch.randn(T, N, D))[0].sum()).backward()
    with pytest.raises(InputError, match="its modules were called in several threads"):
        watch.trace()


def test_everything_is_taken_off_also_after_an_exception() -> None:
    model = Model()
    own = {kind: vars(kind)["forward"] for kind in {type(one) for one in model.modules()} if "forward" in vars(kind)}
    backward, grad = torch.autograd.backward, torch.autograd.grad

    def stopped() -> None:
        with rnngraph.torch.watch(model):
            assert vars(nn.LSTM)["forward"] is not own[nn.LSTM]
            copied = copy.deepcopy(model)
            torch.save(copied, io.BytesIO())
            model(torch.randn(T, N, D))
            raise ValueError("the user's own")

    with pytest.raises(ValueError, match="the user's own"):
        stopped()
    assert all(vars(kind)["forward"] is forward for kind, forward in own.items())
    assert (torch.autograd.backward, torch.autograd.grad) == (backward, grad)


def test_nothing_is_left_of_many_blocks() -> None:
    model = nn.ModuleDict({"cell": nn.GRUCell(2, 2), "rnn": nn.GRU(2, 2)})
    nodes: list[Any] = []
    gc.disable()  # everything goes by reference counts
    try:
        for _ in range(300):
            with rnngraph.torch.watch(model) as watch:
                h: Any = None
                for one in torch.randn(3, 1, 2):
                    h = model["cell"](one, h)
                (h.sum() + model["rnn"](torch.randn(3, 1, 2))[0].sum()).backward()
            nodes.append(weakref.ref(watch))
        del watch
        assert sum(one() is not None for one in nodes) == 0
    finally:
        gc.enable()
    assert not any(p._backward_hooks for p in model.parameters())


def test_a_failure_of_the_watch_never_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    from rnngraph.sources.torch.capture import module_calls

    def broken(*args: Any) -> Any:
        raise KeyError("ours")

    monkeypatch.setattr(module_calls, "_layer", broken)
    model = Model()
    with rnngraph.torch.watch(model) as watch:
        model(torch.randn(T, N, D))[0].sum().backward()
    assert model.head.weight.grad is not None
    with pytest.raises(InputError, match=r"the run went on, but it could not be watched: KeyError: 'ours'"):
        watch.trace()


def test_a_question_of_the_users_own_is_no_pass() -> None:
    model = Model().double().eval()
    x = torch.randn(T, N, D).double().requires_grad_()
    with rnngraph.torch.watch(model) as watch:
        output, _ = model(x)
        (slope,) = torch.autograd.grad(output.sum(), x, create_graph=True)
        (output.square().sum() + slope.square().sum()).backward()
        torch.autograd.grad(model(x)[0].sum(), x)
    assert watch.passes.count == 1
    assert watch.trace(lags=False).states


def test_other_functions_of_optimisation() -> None:
    model = Model().double().eval()
    x = torch.randn(T, N, D).double()
    with rnngraph.torch.watch(model) as watch:
        torch.autograd.grad(model(x)[0].square().sum(), list(model.parameters()))
    with rnngraph.torch.watch(model) as plain:
        model(x)[0].square().sum().backward()
    np.testing.assert_allclose(watch.trace().states[0].grad.value, plain.trace().states[0].grad.value, rtol=1e-12)


def test_asking_again_gives_the_same() -> None:
    model = Model().double().eval()
    with rnngraph.torch.watch(model) as watch:
        model(torch.randn(T, N, D).double())[0].square().sum().backward()
    once, again = watch.trace(), watch.trace()
    for a, b in zip(once.parameters, again.parameters, strict=True):
        np.testing.assert_array_equal(a.steps.value, b.steps.value)
        np.testing.assert_array_equal(a.grad.value, b.grad.value)
    assert again.notes == once.notes


def test_a_gradient_that_is_retained_stays_the_users() -> None:
    model, x = nn.ModuleDict({"low": nn.GRU(D, H), "cell": nn.GRUCell(H, H)}), torch.randn(T, N, D)
    with rnngraph.torch.watch(model) as watch:
        between, last = model["low"](x)
        between.retain_grad()
        h = last[0]
        for one in between:
            h = model["cell"](one, h)
            h.retain_grad()
        h.square().sum().backward()
    kept = [between.grad.clone(), h.grad.clone()]
    watch.trace()
    for now, before in zip((between.grad, h.grad), kept, strict=True):
        assert torch.equal(now, before)
