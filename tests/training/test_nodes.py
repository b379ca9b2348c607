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
ALONE = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
"""With this torchrun takes back a machine that was started again by itself: PyTorch 2.14 otherwise
keeps where its processes meet from before, and does not tell who is new (training/README.md)."""


def test_what_was_killed_comes_back_and_the_run_goes_on(flags, tmp_path: Path) -> None:
    """Two of torchrun's agents, as on two machines, each with two processes and a cache of its own.
    Where a process dies, all are started again; where a machine does, the same command on it alone
    is enough. Both end in the bytes of a run that nothing broke.
    """
    common = ["--cpu", "--resume", f"--steps={STEPS}", "--batch-size=4", "--save-every=1"]
    common += ["--no-tensorboard"]
    caches = [tmp_path / "cache a", tmp_path / "cache b"]
    lines = {}
    for name in ("process", "machine", "whole"):
        (tmp_path / name).mkdir()
        lines[name] = [flags(tmp_path / name, *common, f"--cache={each}") for each in caches]
    with torchrun(lines["process"], free_port()) as (one, other):
        worker_of(after_steps(3, tmp_path / "process", one, other)).kill()
        assert (one.wait(1800), other.wait(1800)) == (0, 0)
    port = free_port()
    with torchrun(lines["machine"], port, **ALONE) as (one, other):
        kill(after_steps(3, tmp_path / "machine", one, other))
        with torchrun(lines["machine"][1:], port, host=False, **ALONE) as (again,):
            assert (one.wait(1800), again.wait(1800)) == (0, 0)
    with torchrun(lines["whole"], free_port()) as (one, other):
        assert (one.wait(1800), other.wait(1800)) == (0, 0)
    for name in ("process", "machine"):
        assert_same(tmp_path / "whole", tmp_path / name)
        entries = read_log(tmp_path / name / "adapter.log.jsonl")
        assert [entry["step"] for entry in entries] == list(range(1, STEPS + 1))
    for cache in caches:  # pictures and texts, by each of two processes
        assert len(shards.paths(cache)) == 4


def after_steps(
    steps: int, folder: Path, one: subprocess.Popen, other: subprocess.Popen
) -> psutil.Process:
    """The second agent, once so many steps are logged."""
    log = folder / "adapter.log.jsonl"
    while not log.is_file() or len(read_log(log)) < steps:
        assert one.poll() is None and other.poll() is None
        time.sleep(0.05)
    return psutil.Process(other.pid)


def worker_of(agent: psutil.Process) -> psutil.Process:
    """One of its processes that train."""
    return next(each for each in agent.children() if str(TRAIN) in each.cmdline())


def kill(agent: psutil.Process) -> None:
    """An agent with all that it started, as a machine that loses its power."""
    for each in [agent, *agent.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            each.kill()


def free_port() -> int:
    """One that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def torchrun(
    given: Sequence[list[str]], port: int, host: bool = True, **environment: str
) -> Iterator[list[subprocess.Popen]]:
    """An agent with two processes for each command line, of two machines.

    host: the first one keeps the meeting place. It has to be said: both are on `localhost`, so
    either would, whichever is there first, and where that one dies the other cannot go on.
    """
    command = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=2"]
    command += ["--max-restarts=3", "--rdzv-backend=c10d", f"--rdzv-endpoint=localhost:{port}"]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000", **environment}
    agents: list[subprocess.Popen] = []
    try:
        for line in given:
            keeps = f"--rdzv-conf=is_host={host and not agents}"
            agents.append(subprocess.Popen([*command, keeps, str(TRAIN), *line], env=environment))
        yield agents
    finally:
        for agent in agents:
            with suppress(psutil.NoSuchProcess):
                kill(psutil.Process(agent.pid))
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
