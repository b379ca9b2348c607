"""Several machines: who works first, who shares a cache, and one that dies and comes back."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from comfyui_softrepa.softrepa import files
from comfyui_softrepa.tests.training.command import TRAIN
from comfyui_softrepa.training.cache import shards
from comfyui_softrepa.training.run.output.log import read_log
from comfyui_softrepa.training.step import processes as joining
from comfyui_softrepa.training.step.processes import Processes

STEPS = 40


def start(port: int, given: Sequence[list[str]]) -> list[subprocess.Popen]:
    """Two processes for each node's command line, as torchrun would start them."""
    common = {"WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
    processes = []
    for rank in range(4):
        own = {"RANK": str(rank), "LOCAL_RANK": str(rank % 2), "MASTER_PORT": str(port)}
        command = [sys.executable, str(TRAIN), *given[rank // 2]]
        processes.append(subprocess.Popen(command, env={**os.environ, **common, **own}))
    return processes


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_killed_node_comes_back_and_the_run_goes_on(flags, tmp_path: Path) -> None:
    """Each node has a cache of its own. Where one dies, the other's processes end, and the same command goes on."""
    common = ["--cpu", "--resume", f"--steps={STEPS}", "--batch-size=4", "--save-every=1"]
    common += ["--no-tensorboard", "--val-fraction=0"]
    caches = [tmp_path / "cache a", tmp_path / "cache b"]
    given = [flags(tmp_path, *common, f"--cache={cache}") for cache in caches]
    log = tmp_path / "adapter.log.jsonl"
    processes = start(free_port(), given)
    try:
        while not log.is_file() or len(read_log(log)) < 3:
            assert [each.poll() for each in processes] == [None] * 4
            time.sleep(0.05)
        for each in processes[2:]:
            each.kill()
        # The others do not wait for ever for those who are gone.
        assert all(each.wait(1800) not in (0, 2) for each in processes)
        done = len(read_log(log))
        assert 3 <= done < STEPS
        processes = start(free_port(), given)
        assert [each.wait(1800) for each in processes] == [0] * 4
    finally:
        for each in processes:
            each.kill()
    assert [entry["step"] for entry in read_log(log)] == list(range(1, STEPS + 1))
    assert files.read(tmp_path / "adapter.safetensors").metadata["softrepa.steps"] == str(STEPS)
    for cache in caches:  # pictures and texts, by each of two processes
        assert len(shards.paths(cache)) == 4


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
