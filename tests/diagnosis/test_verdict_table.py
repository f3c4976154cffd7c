"""The regression table of verdicts, one seed of each fixture; `tests/benchmarks/verdicts.py` runs more and compares."""

from __future__ import annotations

import numpy as np
import pytest

import rnngraph as rg
from rnngraph.diagnosis.headline import VERDICTS
from tests.benchmarks.verdicts import FIXTURES, Fixture, endpoint_ratio


def test_the_table_covers_what_it_should() -> None:
    assert len({fixture.name for fixture in FIXTURES}) == len(FIXTURES) >= 25
    assert {fixture.truth for fixture in FIXTURES} <= {*VERDICTS, "healthy"}


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda fixture: fixture.name)
def test_the_verdict_is_the_truth(fixture: Fixture) -> None:
    with np.errstate(all="ignore"):
        assert rg.diagnose(fixture.make(11)).verdict == fixture.truth


def test_the_profile_alone_would_miss_it() -> None:
    # With a loss at every step the profile is flat although nothing is carried: why the verdict rests on lags.
    assert endpoint_ratio(FIXTURES[0].make(0)) == "healthy"
