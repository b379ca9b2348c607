"""The statistics against scipy's, published and independently computed values, and simulation."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from comfyui_softrepa.evaluation.statistics import agreement, anytime, means, multiple, planning
from comfyui_softrepa.evaluation.statistics.decision import decide
from comfyui_softrepa.evaluation.statistics.rates import paired, rate, sign_test, wilson
from scipy import stats

TRIALS = 2_000


@pytest.mark.parametrize(
    ("right", "count", "low", "high"),
    # Newcombe (1998), table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611),
     (1, 29, 0.0061, 0.1718)],
)  # fmt: skip
def test_wilson_against_published_intervals(right: int, count: int, low: float, high: float):
    ours = wilson(right, count)
    assert (round(ours.low, 4), round(ours.high, 4)) == (low, high)
    assert rate([True] * right + [False] * (count - right)) == ours
    assert ours.share == right / count


@pytest.mark.parametrize(("won", "lost"), [(0, 0), (5, 5), (1, 9), (60, 30), (300, 250)])
def test_the_sign_test_is_a_fair_coin(won: int, lost: int):
    n, fewer = won + lost, min(won, lost)
    tail = sum(math.comb(n, k) for k in range(fewer + 1)) / 2**n
    assert sign_test(won, lost) == pytest.approx(min(1.0, 2 * tail), rel=1e-9)


def test_paired_counts_the_answers_that_changed():
    before = [True] * 50 + [False] * 50
    after = [True] * 45 + [False] * 5 + [True] * 20 + [False] * 30
    result = paired(before, after)
    assert (result.gained, result.lost) == (20, 5)
    assert result.gain == pytest.approx(0.15)
    assert 0 < result.low < result.gain < result.high
    assert result.p == pytest.approx(stats.binomtest(20, 25).pvalue)


def test_seeds_of_a_prompt_are_averaged_before_anything_else():
    before = {("a", 1): 1.0, ("a", 2): 3.0, ("b", 1): 0.0, ("c", 1): 9.0}
    after = {("a", 1): 2.0, ("a", 2): 6.0, ("b", 1): 1.0, ("d", 1): 9.0}
    assert means.differences(before, after) == {"a": 2.0, "b": 1.0}
    # The same prompts painted at ten times the seeds, alike, say no more than at one.
    rng = np.random.default_rng(0)
    effect = rng.normal(0.2, 1, 40)
    one = {(str(p), 0): e for p, e in enumerate(effect)}
    ten = {(str(p), s): e for p, e in enumerate(effect) for s in range(10)}
    narrow, wide = (means.difference(list(means.by_prompt(each).values())) for each in (one, ten))
    assert (narrow.low, narrow.high) == pytest.approx((wide.low, wide.high))
    assert (narrow.prompts, narrow.p) == (wide.prompts, wide.p)


def test_the_bootstrap_covers_a_skewed_mean():
    rng, hits, trials = np.random.default_rng(1), 0, 200
    for values in rng.exponential(1.0, (trials, 60)):
        low, high = means.bootstrap(values)
        hits += low <= 1.0 <= high
    # 95 % less three standard errors, and less the known shortfall at 60 skewed values.
    assert hits / trials > 0.95 - 3 * math.sqrt(0.95 * 0.05 / trials) - 0.02


def test_random_signs_are_exact_for_few_and_agree_for_many():
    values = np.array([1.5, -0.5, 2.0, 3.0, 0.7])
    sums = [abs(np.dot(s, values)) for s in product((-1, 1), repeat=5)]
    expected = np.mean([s >= values.sum() - 1e-9 for s in sums])
    assert means.random_signs(values) == pytest.approx(expected)
    many = np.random.default_rng(0).normal(0.3, 1, 80)
    assert means.random_signs(many) == pytest.approx(stats.ttest_1samp(many, 0).pvalue, abs=0.02)
    assert means.random_signs(np.zeros(9)) == 1.0


def test_differences_of_few_prompts_claim_nothing():
    one = means.difference([0.5])
    assert (one.low, one.high, one.p) == (-math.inf, math.inf, 1.0)
    same = means.difference([0.25] * 5)
    assert (same.mean, same.low, same.high) == (0.25, 0.25, 0.25) and same.p == 2 / 2**5
    with pytest.raises(ValueError, match="at least one"):
        means.difference([])


def test_holm_against_its_definition():
    # Worked through by hand: 4 * .005, 3 * .01, 2 * .03, then no lower than before.
    assert multiple.holm({"d": 0.005, "a": 0.01, "c": 0.03, "b": 0.04}) == pytest.approx(
        {"d": 0.02, "a": 0.03, "c": 0.06, "b": 0.06}
    )
    assert list(multiple.holm({"z": 0.5, "a": 0.9}).values()) == [1.0, 1.0]
    assert multiple.holm({}) == {}


def test_cohens_kappa_of_the_textbook_example():
    # 20 both yes, 5 and 10 apart, 15 both no: kappa 0.4.
    pairs = [("y", "y")] * 20 + [("y", "n")] * 5 + [("n", "y")] * 10 + [("n", "n")] * 15
    assert agreement.cohen(*zip(*pairs, strict=True)) == pytest.approx(0.4)
    assert math.isnan(agreement.cohen(["y"], ["y"]))


def test_krippendorffs_alpha_of_his_own_example():
    # Krippendorff (2011), example C: four observers, twelve units, some missing; alpha 0.743.
    rows = ["1 2 3 3 2 1 4 1 2 . . .", "1 2 3 3 2 2 4 1 2 5 . 3", ". 3 3 3 2 3 4 2 2 5 1 .",
            "1 2 3 3 2 4 4 1 2 5 1 ."]  # fmt: skip
    columns = zip(*(row.split() for row in rows), strict=True)
    units = [[answer for answer in column if answer != "."] for column in columns]
    assert agreement.krippendorff(units) == pytest.approx(0.743, abs=5e-4)
    assert math.isnan(agreement.krippendorff([["a", "a"], ["a", "a"]]))
    assert math.isnan(agreement.krippendorff([["a"], ["b"]]))


def test_how_a_scorer_follows_the_voters():
    votes = {"a": 1.0, "b": -1.0, "c": 0.0, "d": 1.0}
    score = {"a": 0.3, "b": -0.1, "c": 0.2, "d": -0.2, "e": 5.0}
    followed, tau = agreement.follows(score, votes)
    assert (followed.right, followed.count) == (2, 3) and -1 <= tau <= 1
    assert agreement.follows(votes, votes)[1] == pytest.approx(1.0)
    assert agreement.follows({}, votes)[0] is None


@pytest.mark.parametrize(("share", "votes"), [(0.6, 210), (0.65, 97), (0.7, 54), (0.75, 35)])
def test_planned_votes_are_the_exact_tests(share: float, votes: int):
    assert planning.votes_needed(share) == votes == planning.votes_needed(1 - share)


@pytest.mark.parametrize("count", [1, 5, 6, 7, 54, 97, 210, 1000])
def test_the_critical_number_is_the_tests_own(count: int):
    critical = int(planning.critical(count))
    called = [
        won for won in range(count // 2 + 1, count + 1) if sign_test(won, count - won) <= 0.05
    ]
    assert critical == (called[0] if called else count + 1)


def test_alike_votes_on_one_prompt_need_more():
    assert planning.votes_needed(0.6, per_prompt=3, alike=0.5) == 420
    assert planning.votes_needed(0.6, per_prompt=3) == 210
    for share in (0.5, 0.0, 1.0, 0.5001):
        with pytest.raises(ValueError, match="share"):
            planning.votes_needed(share)


def test_the_capital_is_a_fair_game_on_coins():
    # The expected capital after n tosses of a coin of share m is 1: summed over all outcomes.
    for m, n in product((0.2, 0.5, 0.7), (1, 5, 40)):
        won = np.arange(n + 1)
        capital = np.exp(anytime.log_capital(won, n, m))
        assert np.dot(stats.binom.pmf(won, n, m), capital) == pytest.approx(1.0)


def test_the_interval_is_where_the_capital_is_small():
    low, high = anytime.interval(70, 100)
    for edge in (low, high):
        assert anytime.log_capital(70, 100, edge) == pytest.approx(math.log(20), abs=1e-6)
    assert 0.5 < low < 0.7 < high
    assert anytime.interval(0, 0) == (0.0, 1.0)
    low, high = anytime.interval(0, 30)
    assert low == 0.0 and 0 < high < 0.5
    assert anytime.interval(30, 30) == pytest.approx((1 - high, 1.0))


@pytest.mark.parametrize("share", [0.5, 0.6, 0.9])
def test_the_interval_holds_the_share_at_every_look_at_once(share: float):
    rng = np.random.default_rng(3)
    votes = rng.random((TRIALS, 600)) < share
    won, count = votes.cumsum(axis=1), np.arange(1, 601)
    ever_out = (anytime.log_capital(won, count, share) >= math.log(20)).any(axis=1)
    assert ever_out.mean() <= 0.05 + 0.01


def test_the_interval_holds_a_mean_of_answers_between_zero_and_one():
    rng = np.random.default_rng(4)
    answers = rng.beta(0.6, 0.9, (TRIALS, 400))
    ever_out = (
        anytime.log_capital(answers.cumsum(axis=1), np.arange(1, 401), 0.4) >= math.log(20)
    ).any(axis=1)
    assert ever_out.mean() <= 0.05


def simulated(rng: np.random.Generator, share: float, prompts: int, votes: int, spread: float):
    """Votes in random order over prompts; spread: how much prompts differ (Beta, 0: not at all)."""
    p = np.full(prompts, share)
    if spread:
        p = rng.beta(share / spread, (1 - share) / spread, prompts)
    order = rng.permutation(np.resize(np.arange(prompts), votes))
    return [str(i) for i in order], list(rng.random(votes) < p[order])


@pytest.mark.parametrize(
    ("prompts", "votes", "spread"), [(420, 420, 0.0), (70, 420, 0.5), (70, 420, 3.0)]
)
def test_a_null_trial_is_seldom_called_a_gain_however_often_one_looks(prompts, votes, spread):
    rng, gains = np.random.default_rng(prompts + int(spread)), 0
    for at in range(TRIALS):
        named, won = simulated(rng, 0.5, prompts, votes, spread)
        called = decide(named, won, planned=210).called
        gains += called == "gain"
        if called == "gain":
            continue
        # Once called it stands, so whoever looks after every ten votes sees no gain either.
        looks = range(10, votes, 10) if at < 20 else ()
        assert not any(decide(named[:n], won[:n], planned=210).called == "gain" for n in looks)
    assert gains / TRIALS <= 0.05 + 0.01


def test_the_planned_number_finds_a_true_sixty_percent():
    rng, planned = np.random.default_rng(6), planning.votes_needed(0.6)
    found = sum(
        decide(*simulated(rng, 0.6, planned, planned, 0.0), planned=planned).called == "gain"
        for _ in range(TRIALS)
    )
    assert found / TRIALS >= 0.80 - 0.02


def test_a_decision_says_what_it_rests_on():
    named, won = [str(i) for i in range(100)], [i % 10 < 8 for i in range(100)]
    made = decide(named, won, planned=54)
    assert (made.called, made.won, made.lost, made.decisive, made.prompts) == (
        "gain", 80, 20, 100, 100
    )  # fmt: skip
    assert made.share == pytest.approx(0.8) and made.p < 1e-4
    assert made.anytime.first < 54 and made.anytime.interval[0] > 0.5
    assert decide(named, [not w for w in won]).called == "loss"
    assert decide(named[:20], won[:20], planned=54).p is None
    none = decide([], [])
    assert none.called == "undecided" and math.isnan(none.share) and none.anytime.interval == (0, 1)


def test_votes_on_one_prompt_are_no_evidence_by_their_number():
    made = decide(["a"] * 500, [True] * 500, planned=210)
    assert (made.called, made.prompts, made.p) == ("undecided", 1, 1.0)
