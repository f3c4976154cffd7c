"""The Graphviz of pygraphviz draws without a word on stderr, as `dot -q` does, and stderr works afterwards."""

from __future__ import annotations

import os

import pytest

from rnngraph.render.picture.graphviz import run_in_process

# The label is far wider than its box, of which Graphviz warns.
SOURCE = 'digraph { a [label="a label that is much too long" width=0.1 height=0.1 fixedsize=true pos="9,9"] }'


def test_nothing_is_written_to_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pygraphviz")
    assert run_in_process(SOURCE, "svg").startswith(b"<?xml")
    assert capfd.readouterr().err == ""
    os.write(2, b"heard")
    assert capfd.readouterr().err == "heard"
