"""Several machines: who works first, who shares a cache, and one that dies and comes back."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
import torch.distributed as distributed
from comfyui_softrepa.tests.training.command import TRAIN
from comfyui_softrepa.tests.training.test_run import assert_same
from comfyui_softrepa.training.cache import shards
from comfyui_softrepa.training.run.output.log import read_log
from comfyui_softrepa.training.step import processes as joining
from comfyui_softrepa.training.step.processes import Processes, round_of

STEPS = 16


def test_a_killed_process_comes_back_and_the_run_goes_on(flags, tmp_path: Path) -> None:
    """Two of torchrun's agents, as on two machines, each with two processes and a cache of its own.
    Where a process dies, all are started again, and end in the bytes of a run that nothing broke.
    """
    common = ["--cpu", "--resume", f"--steps={STEPS}", "--batch-size=4", "--save-every=1"]
    common += ["--no-tensorboard"]
    caches = [tmp_path / "cache a", tmp_path / "cache b"]
    (tmp_path / "broken").mkdir(), (tmp_path / "whole").mkdir()
    with torchrun([flags(tmp_path / "broken", *common, f"--cache={each}") for each in caches]) as (
        one,
        other,
    ):
        log = tmp_path / "broken" / "adapter.log.jsonl"
        while not log.is_file() or len(read_log(log)) < 3:
            assert one.poll() is None and other.poll() is None
            time.sleep(0.05)
        workers = psutil.Process(other.pid).children()
        next(each for each in workers if str(TRAIN) in each.cmdline()).kill()
        assert (one.wait(1800), other.wait(1800)) == (0, 0)
    with torchrun([flags(tmp_path / "whole", *common, f"--cache={each}") for each in caches]) as (
        one,
        other,
    ):
        assert (one.wait(1800), other.wait(1800)) == (0, 0)
    assert_same(tmp_path / "whole", tmp_path / "broken")
    assert [entry["step"] for entry in read_log(log)] == list(range(1, STEPS + 1))
    for cache in caches:  # pictures and texts, by each of two processes
        assert len(shards.paths(cache)) == 4


@contextmanager
def torchrun(given: Sequence[list[str]]) -> Iterator[list[subprocess.Popen]]:
    """An agent with two processes for each command line."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "torch.distributed.run", f"--nnodes={len(given)}"]
    command += ["--nproc-per-node=2", "--max-restarts=3", "--rdzv-backend=c10d"]
    command += [f"--rdzv-endpoint=localhost:{port}", str(TRAIN)]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}
    agents = [subprocess.Popen([*command, *each], env=environment) for each in given]
    try:
        yield agents
    finally:
        for agent in agents:
            with suppress(psutil.NoSuchProcess):
                for each in psutil.Process(agent.pid).children(recursive=True):
                    each.kill()
            agent.kill()
            agent.wait()


def test_processes_started_again_do_not_meet_the_dead() -> None:
    """In one store, as torchrun keeps it: those of a round find each other, and nobody else."""
    store, rounds = distributed.HashStore(), []
    for count in (3, 3, 2):
        found = meet(store, count)
        found[0].set("here", str(len(rounds)))
        assert [each.get("here") for each in found] == [str(len(rounds)).encode()] * count
        rounds.append(found)
        store.set("softrepa/1", "half a greeting")  # of one that died before it was answered
    assert rounds[0][0].get("here") == b"0"


def meet(store: distributed.Store, count: int) -> list[distributed.Store]:
    """What so many processes, as threads, take for their part; the first comes last."""
    found: list[distributed.Store] = []

    def come(rank: int) -> None:
        found.append(round_of(store, rank, count))

    threads = [threading.Thread(target=come, args=(rank,)) for rank in reversed(range(count))]
    [thread.start() for thread in threads]
    [thread.join(600) for thread in threads]
    assert len(found) == count
    return found


class Meeting(Processes):
    """One process in a thread, with others in other threads."""

    def meet(self, barrier: threading.Barrier) -> Meeting:
        object.__setattr__(self, "_barrier", barrier)
        return self

    def wait(self) -> None:
        self._barrier.wait(20)


@pytest.mark.parametrize("fails", [None, 0, 2, 3])
def test_the_first_process_works_first_then_one_of_each_machine(fails) -> None:
    order: list[int] = []
    found: dict[int, object] = {}
    barrier, lock = threading.Barrier(4), threading.Lock()

    def run(rank: int) -> None:
        def work() -> str:
            with lock:
                order.append(rank)
            if rank == fails:
                raise ValueError(rank)
            return f"of {rank}"

        each = Meeting(rank, 4, local_rank=rank % 2, local_count=2).meet(barrier)
        try:
            found[rank] = each.in_turn(work)
        except ValueError as error:
            found[rank] = error.args[0]

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert order[:2] == [0, 2] and sorted(order[2:]) == [1, 3]
    assert found == {rank: rank if rank == fails else f"of {rank}" for rank in range(4)}


def test_alone_there_is_nothing_to_wait_for(tmp_path: Path) -> None:
    assert Processes().in_turn(lambda: 7) == 7 and Processes().all_see(tmp_path)
    assert Processes().sharing(tmp_path) == Processes()


@pytest.mark.parametrize(("seen", "share"), [(4, (3, 4)), (2, (1, 2))])
def test_a_cache_is_shared_by_those_who_see_it(seen, share, tmp_path, monkeypatch) -> None:
    """seen: processes to which the first one's mark appears."""
    monkeypatch.setattr(joining.distributed, "broadcast_object_list", lambda marks: None)
    monkeypatch.setattr(joining.distributed, "get_backend", lambda: "gloo")
    monkeypatch.setattr(Processes, "wait", lambda self: None)
    monkeypatch.setattr(Processes, "sum", lambda self, tensor: tensor.fill_(seen))
    monkeypatch.setattr(joining, "_LATE", 1)
    found = Processes(3, 4, local_rank=1, local_count=2).sharing(tmp_path / "cache")
    assert (found.rank, found.count) == share and not list((tmp_path / "cache").iterdir())
