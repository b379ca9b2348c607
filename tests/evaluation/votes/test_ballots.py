"""Which pair comes next, and which picture on which side."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

from comfyui_softrepa.evaluation.votes.ballots import Ballot, count_pairs, next_ballot

SECRET = b"s" * 32
ARMS = ("a", "b", "c")


def painted(prompts: int, seeds: int = 2, arms: tuple[str, ...] = ARMS):
    return {f"{index:04}": dict.fromkeys(range(seeds), arms) for index in range(prompts)}


def walk(there, count: int, voter: str = "Ann", secret: bytes = SECRET, votes=None) -> list[Ballot]:
    """A voter who answers everything, one after another. votes: counts of all, changed here."""
    votes = Counter() if votes is None else votes
    shown: list[Ballot] = []
    for _ in range(count):
        answered = {ballot.token for ballot in shown}
        ballot = next_ballot(secret, voter, shown, answered, votes, there)
        if ballot is None:
            break
        shown.append(ballot)
        votes[ballot.prompt] += 1
    return shown


def test_a_restart_goes_on_with_the_same():
    there = painted(20)
    whole = walk(there, 60)
    votes = Counter(ballot.prompt for ballot in whole[:30])
    again = next_ballot(SECRET, "Ann", whole[:30], {b.token for b in whole[:30]}, votes, there)
    assert again == whole[30]


def test_voters_and_trials_differ():
    there = painted(20)
    tokens = set()
    for voter, secret in (("Ann", SECRET), ("Bob", SECRET), ("Ann", b"t" * 32)):
        walked = walk(there, 40, voter, secret)
        tokens |= {ballot.token for ballot in walked}
    assert len(tokens) == 120
    first, other = walk(there, 40), walk(there, 40, "Bob")
    assert [b.prompt for b in first] != [b.prompt for b in other]
    assert [b.left_arm for b in first] != [b.left_arm for b in other]


def test_every_pair_comes_once_and_some_come_again_with_the_sides_swapped():
    there = painted(10)
    walked = walk(there, 1000)
    fresh = [ballot for ballot in walked if ballot.repeats is None]
    repeats = [ballot for ballot in walked if ballot.repeats is not None]
    assert len({ballot.pair for ballot in fresh}) == len(fresh) == count_pairs(there) == 60
    assert 3 <= len(repeats) <= 14  # 6 or 7 are expected
    by_token = {ballot.token: ballot for ballot in walked}
    for ballot in repeats:
        first = by_token[ballot.repeats]
        assert (ballot.left_arm, ballot.right_arm) == (first.right_arm, first.left_arm)
        assert ballot.pair == first.pair and ballot.number - first.number > 8
    assert len({ballot.repeats for ballot in repeats}) == len(repeats)


def test_about_a_tenth_is_repeated():
    walked = [ballot for voter in range(40) for ballot in walk(painted(30), 60, f"voter {voter}")]
    share = sum(ballot.repeats is not None for ballot in walked) / len(walked)
    assert 0.06 < share < 0.11  # of 2400; none can be among a voter's first nine


def test_a_voter_goes_through_all_prompts_before_one_comes_again():
    fresh = [ballot for ballot in walk(painted(12), 60) if ballot.repeats is None]
    for start in range(0, 48, 12):
        assert len({ballot.prompt for ballot in fresh[start : start + 12]}) == 12


def test_prompts_are_covered_evenly_by_voters_who_leave_early():
    votes: Counter = Counter()
    there = painted(30)
    for voter in range(20):
        walk(there, 3 + voter % 5, f"voter {voter}", votes=votes)
    counts = [votes[prompt] for prompt in there]
    assert max(counts) - min(counts) <= 2  # a repeat may add one


def test_arms_seeds_and_sides_are_drawn_uniformly():
    there = painted(10)
    walked = [ballot for voter in range(120) for ballot in walk(there, 10, f"voter {voter}")]
    pairs = Counter(frozenset((ballot.left_arm, ballot.right_arm)) for ballot in walked)
    assert all(320 < pairs[frozenset(pair)] < 480 for pair in combinations(ARMS, 2))
    assert all(520 < Counter(ballot.seed for ballot in walked)[seed] < 680 for seed in (0, 1))
    first = sum(ballot.left_arm < ballot.right_arm for ballot in walked)
    assert 530 < first < 670  # of 1200


def test_a_pair_without_both_pictures_never_comes():
    there = {"0000": {5: ("a", "b")}, "0001": {5: ("a", "c"), 6: ("b", "c")}}
    fresh = {ballot.pair for ballot in walk(there, 50) if ballot.repeats is None}
    assert fresh == {
        ("0000", 5, frozenset("ab")),
        ("0001", 5, frozenset("ac")),
        ("0001", 6, frozenset("bc")),
    }
    assert next_ballot(SECRET, "Ann", [], set(), {}, {}) is None
