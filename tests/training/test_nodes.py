"""Several machines: who works first, and who shares a cache."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from comfyui_softrepa.training.step import processes as joining
from comfyui_softrepa.training.step.processes import Processes


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
