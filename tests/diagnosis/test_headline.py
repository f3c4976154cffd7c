"""The three lines at the top: what, why, what to try, for every verdict."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import rnngraph as rg
from rnngraph import nn
from rnngraph.diagnosis.headline import headline
from tests.diagnosis.path_networks import D, H, each, gate, keeping, last, reset_before_the_last_losses, wild
from tests.diagnosis.verdict_networks import linear, recorded
from tests.linear_cells import orthogonal


def lines(trace: Any, **options: Any) -> tuple[str, str, str]:
    return headline(rg.diagnose(trace, **options))


def of_loss(loss: rg.Tensor, *, tries: bool = False, **options: Any) -> tuple[str, str, str]:
    trace = rg.record(loss, lags=True)
    return headline(rg.diagnose(trace, trial=rg.trial(loss) if tries else None, **options))


def test_a_gradient_that_dies() -> None:
    # A half a step, from lag 1 on: 0.5 ** 6 is 1.6 %, and 0.5 ** 7 less than 1 %.
    title, why, attempt = lines(linear(0.5 * orthogonal(4), time=40))
    assert title == "The gradient dies within 7 steps: further back, under 1 % of it is left."
    assert why.startswith("Each step back keeps half of it (×0.50).")
    assert attempt.startswith("Where a gate or a decay keeps the state, bring it nearer to 1; else start the recurrent")


def test_a_gate_that_forgets() -> None:
    layer = nn.LSTM(D, H, forget_bias=-1.0)
    layer.parameter("Wh").value[...] *= 0.1
    _, why, _ = of_loss(last(layer, 0))
    share = re.search(r"the forget gate is at (0\.\d+), where 1 would keep everything", why)
    assert share is not None
    assert float(share[1]) == pytest.approx(1 / (1 + np.e), abs=0.03)  # sigmoid(-1)


def test_what_was_tried_is_said_with_before_and_after() -> None:
    _, _, attempt = of_loss(last(nn.LSTM(D, H), 0), tries=True, horizon=89)
    assert re.fullmatch(
        r"(Set the bias of the forget gate to 3\.64|Start the gates by chrono for lag 89)\. Tried on this batch: "
        r".* at lag 89; before, it was next to nothing \(\de-\d+\)\. "
        r"That is needed to learn from there, but may not be enough\.",
        attempt,
    )


def test_a_network_that_remembers() -> None:
    title, why, attempt = lines(linear(orthogonal(4), time=40))
    assert title == "It remembers: a state 39 steps back gets all of the gradient that one a step back gets."
    assert why == "A step back takes next to nothing from it."
    assert attempt == ""
    title, why, _ = lines(linear(0.98 * orthogonal(4), time=41), horizon=40)
    # 0.98 ** 39 = 0.455
    assert title == (
        "It remembers: a state 40 steps back, which the task needs, gets 45 % of the gradient that one a step back "
        "gets."
    )
    assert why == "Each step back keeps 98 % of it; half is left after 34 steps."


def test_one_step_back_there_is_nothing_to_compare_with() -> None:
    title, _, _ = lines(linear(orthogonal(4), time=3), horizon=1)
    assert (
        title
        == "It remembers: a state 1 step back, which the task needs, gets its gradient; further back, none is judged."
    )


def test_a_gradient_that_explodes() -> None:
    title, why, attempt = lines(linear(1.25 * orthogonal(4), time=40))
    # 1.25 ** 21 = 108, and 1.25 ** 39 = 6019
    assert title == "The gradient explodes: ×100 within 21 steps, ×6 thousand within 39."
    assert why == "Each step back makes it ×1.25, again and again."
    assert attempt.startswith(
        "Start the recurrent weight orthogonal or smaller; where a decay keeps the state, hold it"
    )
    assert attempt.count("Clip") == 1
    assert "explodes" in of_loss(wild(5.0)(0))[0]


def test_nothing_is_written() -> None:
    title, why, _ = of_loss(last(gate(keeping(0), "i", -20.0), 0), horizon=89)
    assert title == "It remembers, but nothing is written into what it remembers: its input is not heard."
    assert re.search(r"the gradient is \de-(9|10) of what its weights would allow", why)  # sigmoid(-20) is 2e-9


def test_a_gate_that_shuts_once_is_where_it_is_lost() -> None:
    # The gate is sigmoid(8 - 60) at t = 84, and open at every other step.
    title, why, attempt = of_loss(reset_before_the_last_losses(0), tries=True)
    assert title.startswith("The gradient dies within 5 steps")
    assert re.fullmatch(r"It is lost at t=84: that step back alone keeps \de-2[234] of it\.", why)
    assert attempt == "Look at what the network is fed there, and at which gate or units it shuts."


def test_saturated_units_are_not_to_blame_for_what_the_gate_takes() -> None:
    # A forget gate of sigmoid(4) keeps 0.982 of a cell that grows until tanh is flat: 0.982 ** 500 is 1e-4.
    diagnosis = rg.diagnose(recorded(nn.LSTM(6, 12, forget_bias=4.0), time=700, batch=2))
    assert float(str(diagnosis.findings[0].evidence["saturated"])) > 0.5
    assert headline(diagnosis)[1].endswith("the forget gate is at 0.98, where 1 would keep everything.")


def test_losses_that_reach_too_short() -> None:
    weights = np.where(np.arange(90) < 6, 1.0, 1e-8)
    _, why, attempt = of_loss(each(keeping(0), 0, weights), horizon=80, tries=True)  # no weight is to blame
    assert "does not reach lag 80" in why
    assert attempt.startswith("Give the losses that have so many steps before them more weight")


@pytest.mark.parametrize(
    ("trace", "words"),
    [
        (lambda: recorded(nn.RNN(6, 24), scale=0.0), "No loss reaches the recurrence"),
        (lambda: linear(orthogonal(3), time=1), "too short to tell"),
        (lambda: linear(np.eye(2) * 8, time=60, dtype=np.float32), "NaN or infinity"),
    ],
)
def test_other_verdicts(trace: Any, words: str) -> None:
    title, why, attempt = lines(trace())
    assert words in title
    assert why
    assert attempt


def test_a_branch_that_no_loss_reaches_is_said_of_itself_and_not_of_what_learns() -> None:
    """It reads the same input, and is first; the other keeps what it is given."""
    tape = rg.Tape()
    fed = tape.input(np.random.default_rng(0).normal(size=(3, 30, D)))
    branch = nn.RNN(D, 5, seed=1, name="aux")(fed)
    main = keeping(0, name="main")(fed)
    diagnosis = rg.diagnose(rg.record(0.0 * (branch**2).sum() + (main * main.value).sum(), lags=True))
    said = [(one.severity, one.text, one.advice) for one in diagnosis.findings if one.rule == "no_signal"]
    assert diagnosis.flags == ("healthy", "no_signal")
    assert [one.verdict for one in diagnosis.by_layer] == ["no_signal", "healthy"]
    ((severity, text, advice),) = said
    assert (severity, text) == ("warning", "No loss reaches aux: its gradient is exactly zero at every step.")
    title, why, attempt = headline(diagnosis)
    assert title.startswith("It remembers: the input 2")
    assert (why, attempt) == (text, advice)


def test_no_line_is_a_riddle() -> None:
    for trace in (recorded(nn.RNN(6, 24)), recorded(nn.LSTM(6, 24)), linear(1.2 * orthogonal(3))):
        for line in lines(trace):
            assert not re.search(r"nan|inf|None|nats|\{|\}", line)
            assert line == "" or line.endswith(".")
            assert line == "" or line[0].isupper()


def encoder_decoder(rate: float, rate_of_decoder: float = 1.0) -> rg.Tensor:
    """Make a linear encoder of 40 steps, whose last state begins a linear decoder of 8, which alone has losses."""
    tape, x = rg.Tape(), np.zeros((2, 40, 4))
    encoder, decoder = (nn.RNN(4, 4, name=name) for name in ("encoder", "decoder"))
    for layer, kept in ((encoder, rate), (decoder, rate_of_decoder)):
        for key, value in (("Wx", np.eye(4)), ("Wh", kept * np.eye(4)), ("b", 0.0)):
            layer.parameter(key).value[...] = value
    return decoder(tape.input(x[:, :8]), encoder(tape.input(x))[:, 39]).sum()


def test_steps_into_an_encoder_are_said_to_be_its_own() -> None:
    # A half a step from the encoder's last input on, which is lag 1: 0.5 ** 6 is 1.6 %, and 0.5 ** 7 less than 1 %.
    # The decoder is heard to its beginning, eight steps or seven lags, and does not end anything.
    loss = encoder_decoder(0.5)
    diagnosis = rg.diagnose(rg.record(loss, lags=True))
    assert (
        of_loss(loss)[0]
        == "The gradient dies 7 steps into the encoder: further back, under 1 % of what enters is left."
    )
    assert (diagnosis.reach, diagnosis.whole) == (7, False)
    assert "at lag 39 in the encoder:" in str(diagnosis)
    assert rg.diagnose(rg.record(encoder_decoder(0.8), lags=True)).reach == 21  # 0.8 ** 20 is 1.15 %; the decoder has 7
    assert of_loss(encoder_decoder(1.0))[0].endswith(
        "the input 39 steps into the encoder gets all of the gradient that one a step into the encoder gets."
    )
    # Where the decoder ends it, its own steps count, which are those from the loss.
    assert of_loss(encoder_decoder(1.0, 0.1))[0].startswith("The gradient dies within 3 steps: ")


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
def test_no_clause_is_said_twice(kind: Any) -> None:
    for one in of_loss(last(kind(D, H), 0), horizon=60):
        clauses = re.split(r"[,;:.] ", one)
        assert len(clauses) == len(set(clauses)), one
