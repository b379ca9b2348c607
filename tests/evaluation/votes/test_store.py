"""Votes are kept the moment they are given, none lost, none doubled."""

from __future__ import annotations

import functools
import http.client
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from comfyui_softrepa.evaluation.votes import database, voting
from comfyui_softrepa.evaluation.votes.errors import VotingError
from comfyui_softrepa.evaluation.votes.store import Store, read_votes
from comfyui_softrepa.evaluation.votes.trial import VotedTrial, read_trial
from comfyui_softrepa.evaluation.votes.vote import Vote, consistency
from comfyui_softrepa.tests.evaluation.votes.served import Client, start, trial_id
from comfyui_softrepa.tests.evaluation.votes.trials import write_trial

KILLS = 20


def identity(number: int) -> str:
    return f"{number:032x}"


@pytest.fixture
def opened(trial: Path) -> VotedTrial:
    return read_trial(trial)


def first_ballot(opened: VotedTrial, voter: str = "Ann") -> str:
    return voting.state(opened, voter)["ballots"][0]["ballot"]


def rows(path: Path, table: str) -> int:
    with sqlite3.connect(path) as connection:
        return connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


def test_a_vote_is_kept_with_its_pair_and_sides(opened):
    before = time.time()
    ballot = first_ballot(opened)
    voting.give(opened, "  Ann ", identity(1), ballot, "left")
    (vote,) = read_votes(opened.votes)
    assert (vote.voter, vote.answer, vote.repeat, vote.seed) == ("Ann", "left", False, 7)
    assert {vote.left_arm, vote.right_arm} == set(opened.arms)
    assert vote.prompt in opened.prompts and before <= vote.time <= time.time()


def test_sent_again_it_is_the_same_vote(opened):
    ballot = first_ballot(opened)
    for _ in range(3):
        voting.give(opened, "Ann", identity(1), ballot, "tie")
    assert len(read_votes(opened.votes)) == 1
    for other in (identity(1), identity(2)):  # another answer under the same id, or another vote
        with pytest.raises(VotingError, match="already"):
            voting.give(opened, "Ann", other, ballot, "left")
    assert [vote.answer for vote in read_votes(opened.votes)] == ["tie"]


def test_undo_keeps_what_was_and_shows_the_pair_again(opened):
    ballot = first_ballot(opened)
    voting.give(opened, "Ann", identity(1), ballot, "left")
    assert voting.state(opened, "Ann")["last"] == identity(1)
    for _ in range(2):
        voting.undo(opened, "Ann", identity(1))
    voting.give(opened, "Ann", identity(1), ballot, "left")  # arrives late: it stays undone
    assert read_votes(opened.votes) == [] and first_ballot(opened) == ballot
    voting.give(opened, "Ann", identity(2), ballot, "right")
    assert [vote.answer for vote in read_votes(opened.votes)] == ["right"]
    assert (rows(opened.votes, "votes"), rows(opened.votes, "undone")) == (2, 1)


def test_nobody_votes_or_undoes_for_another(opened):
    ballot = first_ballot(opened)
    with pytest.raises(VotingError):
        voting.give(opened, "Bob", identity(1), ballot, "left")
    voting.give(opened, "Ann", identity(1), ballot, "left")
    with pytest.raises(VotingError):
        voting.undo(opened, "Bob", identity(1))
    assert len(read_votes(opened.votes)) == 1


def test_rows_are_only_added(opened):
    voting.give(opened, "Ann", identity(1), first_ballot(opened), "left")
    with sqlite3.connect(opened.votes) as connection:
        for change in ("DELETE FROM votes", "UPDATE votes SET answer = 'right'"):
            with pytest.raises(sqlite3.IntegrityError, match="only ever added"):
                connection.execute(change)


def test_seeds_as_large_as_comfyuis(tmp_path):
    write_trial(tmp_path / "trial", prompts=1, seeds=(2**64 - 1,))
    opened = read_trial(tmp_path / "trial")
    voting.give(opened, "Ann", identity(1), first_ballot(opened), "left")
    assert read_votes(opened.votes)[0].seed == 2**64 - 1


def test_a_reload_shows_the_same_pair(opened):
    seen = [voting.state(opened, "Ann")["ballots"] for _ in range(3)]
    assert seen[0] == seen[1] == seen[2] and len(seen[0]) == voting.AHEAD


def test_damaged_and_missing_pictures_are_passed_over(opened):
    kept = voting.state(opened, "Ann")["ballots"]
    arm = opened.arms[0]
    for prompt in list(opened.prompts)[:2]:
        opened.picture(arm, prompt, 7).unlink()
    for prompt in list(opened.prompts)[2:4]:
        path = opened.picture(arm, prompt, 7)
        data = bytearray(path.read_bytes())
        data[-30] ^= 255
        path.write_bytes(data)
    cut = opened.picture(arm, list(opened.prompts)[4], 7)
    cut.write_bytes(cut.read_bytes()[:-8])
    for voter in ("Ann", "Bob"):
        (only,) = voting.state(opened, voter)["ballots"]
        assert only["prompt"] == list(opened.prompts.values())[5]
        assert voting.picture(opened, only["ballot"], "left")
    assert len(kept) == 3


@pytest.mark.parametrize("content", [b"no database at all" * 100, None])
def test_a_file_that_is_not_ours_is_refused_and_left_alone(opened, content):
    if content is None:
        with sqlite3.connect(opened.votes) as connection:
            connection.execute("CREATE TABLE votes (id)")
        content = opened.votes.read_bytes()
    else:
        opened.votes.write_bytes(content)
    for call in (lambda: voting.state(opened, "Ann"), lambda: read_votes(opened.votes)):
        with pytest.raises(VotingError, match="move it out"):
            call()
    assert opened.votes.read_bytes()[:16] == content[:16]


def test_a_trigger_that_was_slipped_in_never_runs(opened):
    voting.give(opened, "Ann", identity(1), first_ballot(opened), "left")
    with sqlite3.connect(opened.votes) as connection:
        connection.execute(
            "CREATE TRIGGER bad AFTER INSERT ON votes BEGIN INSERT INTO undone (vote, time)"
            " VALUES (new.id, 0); END"
        )
    with pytest.raises(VotingError, match="not made by this version"):
        voting.state(opened, "Ann")


PRELUDE = """
import importlib.util, os, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("host_pack", sys.argv[1])
pack = importlib.util.module_from_spec(spec)
spec.loader.exec_module(pack)
pack.import_pack()
from comfyui_softrepa.evaluation.votes import errors, store, trial, voting
"""


def run_apart(code: str, path: Path) -> str:
    """What code prints in a process of its own; path is its sys.argv[2]."""
    pack = Path(__file__).resolve().parents[3] / "host" / "pack.py"
    return subprocess.run(
        [sys.executable, "-c", PRELUDE + code, str(pack), str(path)],
        stdout=subprocess.PIPE, text=True, check=True,
    ).stdout  # fmt: skip


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on the size of a file")
def test_where_there_is_no_room_it_is_said_and_nothing_is_lost(opened):
    """A limit on the size of files stands for a full disk."""
    voting.give(opened, "Ann", identity(1), first_ballot(opened), "left")
    code = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    voting.state(trial.read_trial(Path(sys.argv[2])), "Bob")
except errors.VotingError as error:
    print(error.status, error)
"""
    said = run_apart(code, opened.folder)
    assert said.startswith("50") and said.endswith(".\n") and "Traceback" not in said
    assert len(read_votes(opened.votes)) == 1
    assert len(voting.state(opened, "Bob")["ballots"]) == voting.AHEAD


def write_lock(path: Path) -> sqlite3.Connection:
    """A second program that is writing."""
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    return other


def test_a_vote_waits_for_another_writer(opened):
    ballot = first_ballot(opened)
    other = write_lock(opened.votes)
    try:
        assert read_votes(opened.votes) == []  # who only reads does not wait
        with ThreadPoolExecutor(1) as pool:
            given = pool.submit(voting.give, opened, "Ann", identity(1), ballot, "left")
            with pytest.raises(TimeoutError):
                given.result(0.2)
            other.execute("ROLLBACK")
            given.result(60)
    finally:
        other.close()
    assert [vote.answer for vote in read_votes(opened.votes)] == ["left"]


def test_a_vote_is_tried_anew_where_sqlite_itself_does_not_wait(opened, monkeypatch):
    """SQLite's own patience is taken away: each attempt is refused at once."""
    ballot, tried, connect = first_ballot(opened), [], sqlite3.connect

    def impatient(*arguments, **options) -> sqlite3.Connection:
        tried.append(arguments)
        if len(tried) == 5:
            other.execute("ROLLBACK")
        return connect(*arguments, **{**options, "timeout": 0})

    other = write_lock(opened.votes)
    try:
        monkeypatch.setattr(sqlite3, "connect", impatient)
        voting.give(opened, "Ann", identity(1), ballot, "left")
        assert len(tried) == 5
        other.execute("BEGIN IMMEDIATE")
        monkeypatch.setattr(database, "PATIENCE", 0.1)
        with pytest.raises(VotingError, match="in use by another program") as refused:
            voting.give(opened, "Ann", identity(2), first_ballot_of(opened), "left")
        assert refused.value.status == 503
        other.execute("ROLLBACK")
    finally:
        other.close()
    assert len(read_votes(opened.votes)) == 1


def first_ballot_of(opened: VotedTrial) -> str:
    """A ballot that has no vote yet, read without writing."""
    query = "SELECT token FROM ballots WHERE token NOT IN (SELECT ballot FROM votes)"
    with sqlite3.connect(opened.votes) as connection:
        return connection.execute(query).fetchone()[0]


@pytest.mark.parametrize(
    "row", ["'Ann', 'p', 'x', 'a', 'b', 'left', 0, 1.0", "x'00', 'p', '1', 'a', 'b', 'tie', 0, 1.0"]
)
def test_votes_that_no_page_gave_are_told(opened, row):
    ballot = first_ballot(opened)
    with sqlite3.connect(opened.votes) as connection:
        connection.execute(
            "INSERT INTO votes (id, ballot, voter, prompt, seed, left_arm, right_arm, answer,"
            f" repeat, time) VALUES ('{identity(1)}', '{ballot}', {row})"
        )
    with pytest.raises(VotingError, match="damaged"):
        read_votes(opened.votes)


@pytest.mark.skipif(os.name == "nt", reason="folders have no such rights on Windows")
def test_a_trial_that_cannot_be_written_is_still_read(opened):
    voting.give(opened, "Ann", identity(1), first_ballot(opened), "left")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "votes.sqlite"
        copy.write_bytes(opened.votes.read_bytes())
        copy.chmod(0o444)
        copy.parent.chmod(0o555)
        code = """
if os.getuid() == 0:
    os.setuid(65534)
try:
    Path(sys.argv[2]).with_name("new").touch()
except PermissionError:
    print([vote.answer for vote in store.read_votes(Path(sys.argv[2]))])
"""
        assert run_apart(code, copy) == "['left']\n"
        copy.parent.chmod(0o755)
    assert read_votes(copy) == []  # none where there is no file


def test_a_file_that_is_just_being_made_has_no_votes(opened):
    for _ in range(2):
        assert read_votes(opened.votes) == []
        with pytest.raises(VotingError, match="no such pair"):
            voting.picture(opened, "0" * 32, "left")
        opened.votes.touch()
    assert len(voting.state(opened, "Ann")["ballots"]) == voting.AHEAD


def test_a_link_is_not_followed(opened, tmp_path):
    opened.votes.symlink_to(tmp_path / "elsewhere.sqlite")
    with pytest.raises(VotingError, match="link"):
        voting.state(opened, "Ann")
    assert not (tmp_path / "elsewhere.sqlite").exists()


def test_many_threads_begin_at_once(opened):
    """The first moments of the file, where SQLite itself does not wait."""
    barrier = threading.Barrier(12)

    def begin(number: int) -> bytes:
        barrier.wait()
        voting.state(opened, f"voter {number % 4}")
        return Store(opened.votes).secret()

    with ThreadPoolExecutor(12) as pool:
        assert len(set(pool.map(begin, range(12)))) == 1
    assert rows(opened.votes, "ballots") == 4 * voting.AHEAD


def test_two_servers_and_six_voters_at_once(tmp_path):
    write_trial(tmp_path / "trial", prompts=12)
    servers = [start(tmp_path / "trial", "--port", "0") for _ in range(2)]
    try:

        def vote(number: int) -> Client:
            client = Client(servers[number % 2][1], f"voter {number // 2}", number)
            state = client.state()
            while state["ballots"]:
                vote = client.new_vote(state["ballots"][0]["ballot"])
                try:
                    state = client.send(vote)
                except AssertionError:  # the same voter, on the other server, was first
                    state = client.state()
            return client

        with ThreadPoolExecutor(6) as pool:
            clients = list(pool.map(vote, range(6)))
    finally:
        for process, _ in servers:
            process.kill()
            process.wait()
    votes = read_votes(tmp_path / "trial" / "votes.sqlite")
    assert len(votes) == sum(len(client.given) for client in clients)
    fresh = [vote for vote in votes if not vote.repeat]
    assert len(fresh) == len({(vote.voter, vote.prompt) for vote in fresh}) == 36


class Mortal:
    """A server that is killed at random moments, and started again when it is missed."""

    def __init__(self, trial: Path, kills: int) -> None:
        self.trial, self.kills, self.chance = trial, kills, random.Random(5)
        self.process, self.address = start(trial, "--port", "0")
        self.timer: threading.Timer | None = None

    def insist(self, call: Callable[[], dict]) -> dict:
        """What the call gives, once it gets through. One in four is when the end draws near."""
        if self.timer is None and self.chance.random() < 0.25:
            self.timer = threading.Timer(self.chance.uniform(0, 0.02), self.process.kill)
            self.timer.start()
        while True:
            try:
                return call()
            except (OSError, http.client.HTTPException):  # not there, or broken off
                self.process.wait()
                self.kills -= 1
                port = self.address.rstrip("/").rsplit(":", 1)[1]
                self.process, _ = start(self.trial, "--port", port)
                self.timer = None

    def end(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
        self.process.kill()
        self.process.wait()


def test_killed_at_random_moments_no_vote_is_lost_or_doubled(tmp_path):
    """The client does what the page does: it sends a vote until it hears that it is kept."""
    write_trial(tmp_path / "trial", prompts=40)
    process, address = start(tmp_path / "trial", "--port", "0")
    trial = trial_id(address)
    process.kill()
    process.wait()
    server = Mortal(tmp_path / "trial", KILLS)
    client = Client(server.address, "voter 0", trial=trial)
    voters = 1
    try:
        state = server.insist(client.state)
        while server.kills > 0:
            if not state["ballots"]:
                client.voter, voters = f"voter {voters}", voters + 1
                state = server.insist(client.state)
            vote = client.new_vote(state["ballots"][0]["ballot"])
            state = server.insist(functools.partial(client.send, vote))
    finally:
        server.end()
    with sqlite3.connect(tmp_path / "trial" / "votes.sqlite") as connection:
        kept = {
            identity: (ballot, answer)
            for identity, ballot, answer in connection.execute(
                "SELECT id, ballot, answer FROM standing"
            )
        }
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert len(kept) > KILLS and kept == client.given
    assert len({ballot for ballot, _ in kept.values()}) == len(kept)


def vote(left: str, right: str, answer: str, repeat: bool = False, voter: str = "Ann") -> Vote:
    return Vote(voter, "0001", 7, left, right, answer, repeat, 0.0)


def test_how_far_a_voter_agrees_with_themselves():
    found = consistency([
        vote("a", "b", "left"), vote("b", "a", "right", True),
        vote("a", "c", "left"), vote("c", "a", "left", True),
        vote("b", "c", "tie"), vote("c", "b", "tie", True),
        vote("c", "d", "both_bad"), vote("d", "c", "tie", True),
        vote("d", "e", "left", True),  # its first vote was taken back
        vote("b", "a", "left", voter="Bob"),
    ])  # fmt: skip
    assert (found["Ann"].same, found["Ann"].repeats, found["Ann"].share) == (2, 4, 0.5)
    assert found["Bob"].share is None
