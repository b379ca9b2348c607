"""Paired answers: what changed, by how much, and how sure that is."""

from __future__ import annotations

import pytest
from comfyui_softrepa.evaluation.statistics.rates import paired, rate
from scipy import stats


def test_paired_counts_the_answers_that_changed():
    before = [True] * 50 + [False] * 50
    after = [True] * 45 + [False] * 5 + [True] * 20 + [False] * 30
    result = paired(before, after)
    assert (result.gained, result.lost) == (20, 5)
    assert result.gain == pytest.approx(0.15)
    assert result.low > 0 and result.low < result.gain < result.high
    assert result.p == pytest.approx(stats.binomtest(20, 25).pvalue)


def test_no_change_is_no_evidence():
    same = [True, False] * 20
    result = paired(same, same)
    assert (result.gained, result.lost, result.gain, result.p) == (0, 0, 0.0, 1.0)
    assert result.low < 0 < result.high


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        rate([])
    with pytest.raises(ValueError, match="paired"):
        paired([True], [True, False])
