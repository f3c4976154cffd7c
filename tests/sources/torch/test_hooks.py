"""Hooks of the user's own: those that look are called as often as without a watch, those that change go on acting."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest

import rnngraph
from rnngraph.sources.torch.description import HOOKS
from rnngraph.trace.change import SCALE, Change
from tests.sources.torch.stepwise import D, H, Own, Stepwise, T, data
from tests.sources.torch.truth import Trail, certified

torch = pytest.importorskip("torch")
nn = torch.nn
Answer = Callable[[Any], Any]  # what a hook gives back of what it is given


class Seen:
    """Hooks of one kind, and how often they were called."""

    def __init__(self, kind: str, answer: Answer) -> None:
        self.kind, self.answer, self.calls, self.handles = kind, answer, 0, list[Any]()

    def one(self, gradient: Any) -> Any:
        self.calls += 1
        return self.answer(gradient)

    def some(self, gradients: Any) -> Any:
        found = [None if one is None else self.one(one) for one in gradients]
        return None if all(one is None for one in found) else tuple(found)

    def before(self, model: Any) -> None:
        """Put on what stands before the block."""
        match self.kind:
            case "weight":
                self.handles = [one.register_hook(self.one) for one in model.cell.parameters()]
            case "weights":
                some = list(model.cell.parameters())
                self.handles = [torch.autograd.graph.register_multi_grad_hook(some, lambda grads: self.some(grads))]
            case "module":
                self.handles = [model.cell.register_full_backward_hook(lambda one, to, of: self.some(to))]
            case "module before":
                self.handles = [model.cell.register_full_backward_pre_hook(lambda one, of: self.some(of))]
            case "old":
                self.handles = [model.cell.register_backward_hook(lambda one, to, of: self.some(to))]
            case "modules":
                put = nn.modules.module.register_module_full_backward_hook
                self.handles = [put(lambda one, to, of: self.some(to))]

    def step(self, h: Any) -> Any:
        """Put on what stands at a step."""
        match self.kind:
            case "state":
                self.handles.append(h.register_hook(self.one))
            case "node":
                self.handles.append(h.grad_fn.register_hook(lambda to, of: self.some(to)))
            case "node before":
                self.handles.append(h.grad_fn.register_prehook(self.some))
            case "retained":
                h.retain_grad()
        return h


KINDS = (
    "weight", "weights", "module", "module before", "old", "modules", "state", "node", "node before", "retained",
)  # fmt: skip


def seeded() -> Any:
    torch.manual_seed(0)
    return Stepwise(Own()).double()


def ran(seen: Seen, *, watched: bool, trained: bool = True) -> tuple[Any, Trail, list[Any], Any]:
    """Run a step of training, and ask all there is to ask; x needs a gradient, so that every hook has one."""
    model, trail = seeded(), Trail()
    step = model.step
    model.step = lambda x, h: seen.step(step(x, h))
    seen.before(model)
    x = data().requires_grad_(trained)
    with rnngraph.torch.watch(model) if watched else contextlib.nullcontext() as watch:
        model(x, trail)
        trail.total().backward()
    calls = seen.calls
    if watch is not None:
        watch.trace(spectrum=1)
        watch.state("cell.h", 2)
        watch.row(T - 1)
    assert seen.calls == calls or seen.answer is not looks
    given = [one.grad for one in (*model.parameters(), *(trail.states["h"] if seen.kind == "retained" else ()))]
    return watch, trail, given, model


def looks(gradient: Any) -> None:
    """Give nothing."""


def same(gradient: Any) -> Any:
    return gradient


def halves(gradient: Any) -> Any:
    return gradient * 0.5


def halves_where_it_stands(gradient: Any) -> None:
    gradient.mul_(0.5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("answer", [looks, same])
@pytest.mark.parametrize("trained", [True, False])
@pytest.mark.filterwarnings("ignore:Full backward hook is firing:UserWarning")
@pytest.mark.filterwarnings("ignore:Using a non-full backward hook:FutureWarning")
def test_a_hook_that_looks_is_called_as_often_as_without(kind: str, answer: Answer, trained: bool) -> None:
    if kind == "weights" or (kind in ("module", "modules") and not trained):
        answer = looks  # what they answer is not allowed, or not looked at
    alone, along = Seen(kind, answer), Seen(kind, answer)
    _, _, plain, _ = ran(alone, watched=False, trained=trained)
    for one in alone.handles:
        one.remove()
    watch, _, watched, _ = ran(along, watched=True, trained=trained)
    assert alone.calls == along.calls
    assert (alone.calls > 0) == (kind != "retained")
    assert all(torch.equal(a, b) for a, b in zip(plain, watched, strict=True))
    assert HOOKS not in watch.trace().notes
    assert certified(watch.trace())
    for one in along.handles:
        one.remove()
    assert along.calls == alone.calls


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("weights", "retained")])
@pytest.mark.parametrize("answer", [halves, halves_where_it_stands])
@pytest.mark.parametrize("taken_off", [False, True])
@pytest.mark.filterwarnings("ignore:Using a non-full backward hook:FutureWarning")
def test_a_hook_that_changes_a_gradient_acts_in_every_number(kind: str, answer: Answer, taken_off: bool) -> None:
    model, trail, seen = seeded(), Trail(), Seen(kind, answer)
    step = model.step
    model.step = lambda x, h: seen.step(step(x, h))
    seen.before(model)
    with rnngraph.torch.watch(model) as watch:
        x = data().requires_grad_()
        model(x, trail)
        # PyTorch gives what reaches a tensor before its hooks, where the walk goes on below it.
        asked = torch.autograd.grad(trail.total(), [*trail.states["h"], x], retain_graph=True)
        trail.total().backward()
    if taken_off:
        for one in seen.handles:
            one.remove()
    trace = watch.trace(lags=False)
    # The state is what `forward` returns, behind that hook; where the gradient stands, PyTorch's is that as well.
    behind = 0.5 if kind == "module before" and answer is halves else 1
    expected = [float(one.norm()) * behind for one in asked[:-1]]
    assert trace.states[0].grad.value == pytest.approx(expected, rel=1e-12)
    assert HOOKS in trace.notes
    named = {one.name: one.grad.value for one in trace.parameters}
    for name, one in model.cell.named_parameters():
        assert named[f"cell.{name}"] == pytest.approx(float(one.grad.norm()), rel=1e-12)
    for one in seen.handles:
        one.remove()


def test_of_two_hooks_of_a_module_the_one_that_looks_is_silent() -> None:
    model, looking, changing = seeded(), Seen("module", looks), Seen("module before", halves)
    for one in (looking, changing):
        one.before(model)
    with rnngraph.torch.watch(model) as watch:
        trail = Trail()
        model(data().requires_grad_(), trail)
        trail.total().backward()
    calls = looking.calls, changing.calls
    watch.trace()
    assert looking.calls == calls[0]
    assert changing.calls > calls[1]


def test_what_is_computed_before_the_block_has_hooks_too() -> None:
    model, calls = seeded(), list[int]()
    x = data().requires_grad_() * 2
    x.register_hook(lambda g: calls.append(1))
    x.retain_grad()
    with rnngraph.torch.watch(model) as watch:
        trail = Trail()
        model(x, trail)
        trail.total().backward()
    kept = x.grad.clone()
    trace = watch.trace()
    assert any(one.name == "input of cell" for one in trace.inputs)
    assert calls == [1]
    assert torch.equal(x.grad, kept)


def test_nothing_of_hooks_is_left_also_after_an_error() -> None:
    names = [
        (torch.Tensor, "register_hook"), (torch.Tensor, "retain_grad"), (torch.utils.hooks.BackwardHook, "__init__"),
        (torch.autograd.function._HookMixin, "_register_hook"), (torch.amp.GradScaler, "scale"),
    ]  # fmt: skip
    own = [vars(owner).get(name) for owner, name in names]
    model, trail = seeded(), Trail()

    def fails(gradient: Any) -> None:
        raise ValueError("a hook of the user's own")

    def looking(gradient: Any) -> None:
        pass

    model.head.weight.register_hook(looking)
    model.cell.gain.register_hook(fails)

    def run() -> None:
        with rnngraph.torch.watch(model):
            model(data(), trail)
            trail.total().backward()

    with pytest.raises(ValueError, match="the user's own"):
        run()
    assert [vars(owner).get(name) for owner, name in names] == own
    assert list(model.head.weight._backward_hooks.values()) == [looking]
    assert list(model.cell.gain._backward_hooks.values()) == [fails]


def test_a_question_that_fails_leaves_hooks_as_they_were() -> None:
    model, trail = seeded(), Trail()
    with rnngraph.torch.watch(model) as watch:
        model(data(), trail)
        for one in trail.states["h"]:
            one.register_hook(looks)
        trail.total().backward()
    with torch.no_grad():
        trail.states["h"][2].zero_()
    with pytest.raises(rnngraph.errors.InputError, match="changed in place"):
        watch.trace()
    assert all(list(one._backward_hooks.values()) == [looks] for one in trail.states["h"])


def test_a_hook_that_fails_when_it_is_asked_again_is_a_sentence() -> None:
    model, trail, calls = seeded(), Trail(), list[Any]()

    def once(gradient: Any) -> Any:
        calls.append(gradient)
        if len(calls) > 1:
            raise ValueError("only once")
        return 2 * gradient

    with rnngraph.torch.watch(model) as watch:
        model(data(), trail)
        trail.states["h"][2].register_hook(once)
        trail.total().backward()
    with pytest.raises(rnngraph.errors.InputError, match="failed when asked again: ValueError: only once"):
        watch.trace()


def test_hooks_may_come_and_go_during_a_pass() -> None:
    def run(watched: bool) -> list[str]:
        model, trail, said = seeded(), Trail(), list[str]()
        handles: dict[int, Any] = {}
        with rnngraph.torch.watch(model) if watched else contextlib.nullcontext():
            model(data(), trail)
            states = trail.states["h"]

            def once(gradient: Any) -> None:
                said.append("once")
                handles[T - 1].remove()
                states[T - 2].register_hook(lambda g: said.append("late"))

            handles[T - 1] = states[T - 1].register_hook(once)
            trail.total().backward(retain_graph=True)
            trail.total().backward()
        return said

    assert run(True) == run(False) == ["once", "late", "late"]


class Alone(nn.Module):  # type: ignore[misc, name-defined]
    """A cell in a loop that can be copied."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.cell = nn.RNNCell(D, H)

    def forward(self, x: Any) -> Any:
        h = x.new_zeros(x.shape[1], H)
        for one in x:
            h = self.cell(one, h)
        return h


@pytest.mark.parametrize("answer", [looks, halves])
def test_a_remedy_is_tried_with_the_hooks_that_change(answer: Answer) -> None:
    model, seen = Alone().double(), Seen("module", answer)
    seen.before(model)
    with rnngraph.torch.watch(model) as watch:
        model(data().requires_grad_()).square().sum().backward()
    calls = seen.calls
    assert watch.trial().lags([Change(SCALE, 2.0)]) is not None
    assert (seen.calls == calls) == (answer is looks)


def test_a_hook_where_a_question_has_one_of_its_own() -> None:
    def row(hooked: bool) -> list[Any]:
        torch.manual_seed(0)
        model = nn.ModuleDict({"cell": nn.RNNCell(D, H), "rnn": nn.LSTM(H, H), "top": nn.GRU(H, H)}).double()
        with rnngraph.torch.watch(model) as watch:
            h, below = torch.zeros(3, H).double(), []
            for one in data():
                h = model["cell"](one, h)
                below.append(h)
            out, _ = model["rnn"](torch.stack(below))
            if hooked:
                out.grad_fn.register_prehook(lambda gradients: None)
            model["top"](out)[0].square().sum().backward()
        return list(watch.row(3)["cell.h"])

    for one, other in zip(row(True), row(False), strict=True):
        assert one is other is None or torch.equal(one, other)


def test_weights_of_a_fused_layer_with_hooks_are_certified() -> None:
    rnn, calls = nn.LSTM(D, H, 2).double(), list[int]()
    for one in rnn.parameters():
        one.register_hook(lambda g: calls.append(1))
    with rnngraph.torch.watch(rnn) as watch:
        rnn(data())[0].square().sum().backward()
    checks = watch.trace().checks
    assert len(calls) == 8
    assert any("weight gradients" in one for one in checks)
