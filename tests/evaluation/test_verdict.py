"""How often a pilot ends in go where it should, and where it should not, by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from comfyui_softrepa.evaluation.statistics import means, planning
from comfyui_softrepa.evaluation.statistics.decision import decide
from comfyui_softrepa.evaluation.statistics.means import Difference
from comfyui_softrepa.evaluation.statistics.rates import sign_test
from comfyui_softrepa.evaluation.statistics.verdict import by_scores, by_votes
from comfyui_softrepa.tests.evaluation.test_statistics import TRIALS, simulated


def called(named: list[str], won: list[bool], planned: int, go: float) -> str:
    """What the pilot ends in by these votes."""
    return by_votes(decide(named, won, planned), go, 0.5).called


@pytest.mark.parametrize(("prompts", "spread"), [(97, 0.0), (40, 0.5)])
def test_a_null_pilot_seldom_ends_in_go_with_a_look_after_every_ten_votes(prompts, spread):
    rng, planned, go = np.random.default_rng(prompts), 97, 0.575
    gone = 0
    for _ in range(TRIALS):
        named, won = simulated(rng, 0.5, prompts, planned, spread)
        # A go at a look needs a gain that was called by then, and what is called stands: only
        # where there is one at the end need the looks be taken.
        if decide(named, won, planned).called != "gain":
            continue
        looks = (*range(10, planned, 10), planned)
        gone += any(called(named[:n], won[:n], planned, go) == "go" for n in looks)
    assert gone / TRIALS <= 0.05 + 0.01


def test_the_planned_votes_find_what_was_hoped_for():
    rng, planned = np.random.default_rng(7), planning.votes_needed(0.6)
    simulations = (simulated(rng, 0.6, planned, planned, 0.0) for _ in range(TRIALS))
    ends = [called(*each, planned, 0.55) for each in simulations]
    assert ends.count("go") / TRIALS >= 0.80 - 0.02
    assert ends.count("not yet") / TRIALS < 0.05


@pytest.mark.parametrize("share", [0.55, 0.6, 0.65, 0.7, 0.75, 0.8])
def test_the_drafted_threshold_costs_no_power(share: float):
    votes = planning.votes_needed(share)
    assert planning.critical(votes) / votes >= 0.5 + (share - 0.5) / 2


def ends_in_go(values: np.ndarray) -> bool:
    """By a scorer with these differences of prompts. A go needs the test, which is the quicker."""
    if means.random_signs(values) >= 0.05:
        return False
    return by_scores(means.difference(values), True, 0.0, 0.0).called == "go"


def test_a_null_pilot_by_a_scorer_seldom_ends_in_go():
    rng, alike, skewed, judged = np.random.default_rng(8), 0, 0, 0
    for _ in range(TRIALS):
        one, other = rng.exponential(1.0, (2, 12))
        alike += ends_in_go(one - other)
        # The candidate is mostly a little better, and now and then far worse.
        skewed += ends_in_go(1 - rng.exponential(1.0, 30))
        rose = int(rng.binomial(30, 0.5))
        found = Difference((2 * rose - 30) / 60, 0.01, 1.0, 30, rose, 30 - rose,
                           sign_test(rose, 30 - rose))  # fmt: skip
        judged += by_scores(found, True, 0.0, 0.0).called == "go"
    assert max(alike, skewed, judged) / TRIALS <= 0.05 + 0.01


def test_the_planned_prompts_find_what_was_hoped_for_by_a_scorer():
    # Cohen's tables: 199, 34 and 15 pairs for small, medium and large effects.
    assert [planning.prompts_needed(effect) for effect in (0.2, 0.5, 0.8)] == [199, 34, 15]
    assert planning.prompts_needed(-0.5) == 34
    rng, trials = np.random.default_rng(9), 500
    found = sum(ends_in_go(rng.normal(0.5, 1, 34)) for _ in range(trials))
    # Two standard errors of fewer trials.
    assert found / trials >= 0.80 - 0.02 - 2 * np.sqrt(0.16 / trials)
    with pytest.raises(ValueError, match="effect"):
        planning.prompts_needed(0.0)


def test_how_likely_a_plan_ends_in_go_is_the_tests_own():
    exact = float(planning.power(97, 0.65))
    assert planning.chance_of_go(0.65, 97, 97, 0.575) >= exact - 3 * np.sqrt(0.16 / 400)
    assert planning.chance_of_go(0.5, 97, 97, 0.575) <= 0.05 + 3 * np.sqrt(0.05 / 400)
    # Votes heaped on few prompts tell less.
    assert planning.chance_of_go(0.65, 20, 97, 0.575) < 0.7


def votes(won: int, lost: int, planned: int | None = 54, go: float = 0.6, no_go: float = 0.5):
    """The verdict on votes each on a prompt of its own, spread evenly."""
    order = np.argsort([*np.linspace(0, 1, won), *np.linspace(0, 1, lost)], kind="stable")
    answers = [bool(at < won) for at in order]
    made = decide([str(at) for at in range(won + lost)], answers, planned)
    said = by_votes(made, go, no_go)
    return said.called, said.reason


def test_what_votes_end_in():
    assert votes(0, 0) == ("not yet", "few")
    assert votes(30, 10) == ("go", "gain")  # Before the planned number, by the anytime interval.
    assert votes(20, 10) == ("not yet", "few")
    assert votes(40, 14) == ("go", "gain")
    assert votes(30, 24) == ("no-go", "nothing")
    assert votes(10, 30) == ("no-go", "loss")
    assert votes(40, 14, go=0.8) == ("not yet", "between")
    assert votes(40, 14, go=0.8, no_go=0.76) == ("no-go", "small")
    assert votes(20, 20, planned=400, go=0.9) == ("no-go", "beyond")
    with pytest.raises(ValueError, match="planned"):
        votes(3, 3, planned=None)


def test_what_scores_end_in():
    def said(mean: float, p: float, complete: bool = True, wide: float = 0.01):
        found = Difference(mean, mean - wide, mean + wide, 50, 30, 20, p)
        verdict = by_scores(found, complete, 0.1, 0.05)
        return verdict.called, verdict.reason

    assert said(0.2, 0.01) == ("go", "gain")
    assert said(0.2, 0.01, complete=False) == ("not yet", "few")
    assert said(0.2, 0.05) == said(0.2, 0.01, wide=0.3) == ("no-go", "nothing")
    assert said(-0.2, 0.01) == ("no-go", "loss")
    assert said(0.04, 0.01) == ("no-go", "small")
    assert said(0.07, 0.01) == ("not yet", "between")
