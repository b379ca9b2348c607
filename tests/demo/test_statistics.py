"""The statistics against published and independently computed values."""

from __future__ import annotations

import pytest
from comfyui_softrepa.demo.statistics import mcnemar, paired, rate
from scipy import stats


@pytest.mark.parametrize(("right", "count"), [(0, 10), (3, 10), (10, 10), (281, 500)])
def test_the_interval_is_wilsons(right: int, count: int):
    ours = rate([True] * right + [False] * (count - right))
    theirs = stats.binomtest(right, count).proportion_ci(0.95, method="wilson")
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert ours.share == right / count


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (5, 5), (1, 9), (60, 30), (300, 250)])
def test_mcnemar_is_a_binomial_test(gained: int, lost: int):
    expected = stats.binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert mcnemar(gained, lost) == pytest.approx(expected, rel=1e-9)
    assert mcnemar(lost, gained) == mcnemar(gained, lost)


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
