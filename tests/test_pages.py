"""Everything that the README and the pages show is typed: programs run, commands end as said, transcripts are true."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

import rnngraph
from tests.page_blocks import PAGES, ROOT, blocks, compare, needs, run

RUN = [page for page in PAGES if any(block.kind in ("python", "sh") for block in blocks(page))]


@pytest.mark.parametrize("page", RUN, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = [name for name in needs(page) if find_spec(name) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    monkeypatch.chdir(tmp_path)
    run(page)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_says_what_it_is(page: Path) -> None:
    fences = re.findall(r"^ {0,4}```(.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert all(fences[::2])  # a block without a language is not typed
    assert not any(fences[1::2])


def test_a_transcript_that_is_not_true_is_found() -> None:
    compare("one\ntwo\nthree\n", "one\n...\nthree\n")
    with pytest.raises(AssertionError, match="the page shows"):
        compare("one\ntwo\n", "one\nthree\n")


def test_the_reference_names_all_that_is_public() -> None:
    text = (ROOT / "docs" / "reference" / "python.md").read_text(encoding="utf-8")
    missing = [name for name in rnngraph.__all__ if f"::: rnngraph.{name}\n" not in text]
    assert missing == ["integrations", "jax", "nn", "torch"]  # named by what they hold
    layers = set(rnngraph.nn.__all__) - {"functional"}
    assert not [name for name in layers if f"::: rnngraph.nn.{name}\n" not in text]
