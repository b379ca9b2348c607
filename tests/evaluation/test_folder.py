"""A trial's folder: filled once, by any number of writers, killed at any moment, moved anywhere."""

from __future__ import annotations

import errno
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from comfyui_softrepa.evaluation import trial
from comfyui_softrepa.evaluation.errors import TrialError
from comfyui_softrepa.evaluation.trial import Cell, Score, files
from comfyui_softrepa.tests.evaluation import made

WRITER = Path(__file__).with_name("writer.py")


def pictures(of: Path) -> dict[str, bytes]:
    return {str(p.relative_to(of)): p.read_bytes() for p in sorted(of.rglob("pictures/*/*"))}


def whole(of: trial.Trial, side: int = 64) -> dict[str, bytes]:
    return {f"pictures/{c.arm}/{c.prompt}-{c.seed}.png": made.png(c, side) for c in of.cells()}


def test_pictures_are_missing_until_written_and_in_one_order(tmp_path):
    begun = trial.start(tmp_path / "a", made.manifest())
    cells = begun.missing()
    assert cells == list(begun.cells()) and len(cells) == 4 * 2 * 2
    assert cells[:3] == [
        Cell("bare", "0001", 1),
        Cell("SoftREPA", "0001", 1),
        Cell("bare", "0001", 2),
    ]
    for cell in cells[::2]:
        assert begun.write(cell, made.png(cell))
    assert begun.missing() == cells[1::2] == trial.open_trial(tmp_path / "a").missing()


def test_painters_share_by_prompt_and_seed(tmp_path):
    begun = trial.start(tmp_path, made.manifest())
    shares = [begun.missing(rank, 3) for rank in range(3)]
    assert sorted(repr(cell) for share in shares for cell in share) == sorted(
        map(repr, begun.cells())
    )
    for share in shares:
        pairs = {(cell.prompt, cell.seed) for cell in share}
        assert len(share) == 2 * len(pairs)


def test_a_picture_is_never_written_over(tmp_path):
    begun = trial.start(tmp_path, made.manifest())
    cell = next(begun.cells())
    assert begun.write(cell, made.png(cell))
    assert not begun.write(cell, made.png(Cell("bare", "0002", 1)))
    assert begun.read(cell) == made.png(cell)


@pytest.mark.parametrize("spoil", ["delete", "cut", "empty", "text"])
def test_a_picture_spoilt_by_hand_is_missing_and_is_painted_again(tmp_path, spoil: str):
    begun = made.painted(tmp_path)
    cell = list(begun.cells())[3]
    path = begun.path(cell)
    if spoil == "delete":
        path.unlink()
    else:
        path.write_bytes({"cut": made.png(cell)[:-20], "empty": b"", "text": b"gone"}[spoil])
    assert begun.missing() == [cell]
    with pytest.raises(TrialError, match="missing or damaged"):
        begun.read(cell)
    assert begun.write(cell, made.png(cell))
    assert pictures(tmp_path) == whole(begun)


def test_what_is_no_picture_is_not_written(tmp_path):
    begun = trial.start(tmp_path, made.manifest())
    with pytest.raises(TrialError, match="no PNG"):
        begun.write(next(begun.cells()), b"GIF89a")
    assert pictures(tmp_path) == {}


@pytest.mark.parametrize(
    "cell", [Cell("..", "0001", 1), Cell("bare", "../x", 1), Cell("bare", "0001", 3)]
)
def test_only_pictures_of_the_trial_have_a_path(tmp_path, cell: Cell):
    begun = trial.start(tmp_path, made.manifest())
    with pytest.raises(TrialError, match="no picture of this trial"):
        begun.path(cell)


def test_a_manifest_may_change_until_the_first_picture(tmp_path):
    trial.start(tmp_path, made.manifest(seeds=(1,)))
    begun = trial.start(tmp_path, made.manifest(seeds=(1, 2)))
    assert trial.open_trial(tmp_path).manifest.seeds == (1, 2)
    cell = next(begun.cells())
    begun.write(cell, made.png(cell))
    before = (tmp_path / "trial.json").read_bytes()
    with pytest.raises(TrialError, match="seeds") as caught:
        trial.start(tmp_path, made.manifest(seeds=(1,)))
    assert str(tmp_path) in str(caught.value)
    later = replace(made.manifest(), created="2027-01-01T00:00:00+00:00")
    assert trial.start(tmp_path, later).manifest.created == made.manifest().created
    assert (tmp_path / "trial.json").read_bytes() == before


def test_a_changed_adapter_is_named(tmp_path):
    made.painted(tmp_path)
    arms = made.manifest().arms
    adapter = replace(arms[1].models[1], sha256="c" * 64)
    other = replace(
        made.manifest(), arms=(arms[0], replace(arms[1], models=(arms[1].models[0], adapter)))
    )
    with pytest.raises(TrialError, match="the adapter adapter.safetensors of SoftREPA"):
        trial.start(tmp_path, other)


def test_a_painter_stops_where_another_began_a_different_trial(tmp_path):
    mine = trial.start(tmp_path, made.manifest())
    trial.start(tmp_path, made.manifest(seeds=(7,)))
    cell = next(mine.cells())
    with pytest.raises(TrialError, match="was changed"):
        mine.write(cell, made.png(cell))
    assert pictures(tmp_path) == {}


def test_a_trial_that_cannot_be_read_back_is_not_begun(tmp_path):
    arm = replace(made.manifest().arms[0], name="../x")
    with pytest.raises(TrialError, match="name"):
        trial.start(tmp_path / "t", replace(made.manifest(), arms=(arm, made.manifest().arms[1])))
    assert not (tmp_path / "t").exists()


def test_a_trial_from_another_machine_is_whole(tmp_path):
    made.painted(tmp_path / "here").add_scores([score(Cell("bare", "0001", 1), 0.5)])
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    shutil.rmtree(tmp_path / "here")
    moved = trial.open_trial(tmp_path / "there")
    assert moved.missing() == [] and len(moved.scores()) == 1
    assert str(tmp_path).encode() not in (tmp_path / "there" / "trial.json").read_bytes()


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
@pytest.mark.parametrize("what", ["picture", "folder"])
def test_nothing_outside_is_read_or_written_through_links(tmp_path, what: str):
    outside = tmp_path / "outside"
    outside.mkdir()
    begun = trial.start(tmp_path / "t", made.manifest())
    cell = next(begun.cells())
    path = begun.path(cell)
    (outside / path.name).write_bytes(made.png(cell))
    if what == "picture":
        path.parent.mkdir(parents=True)
        path.symlink_to(outside / path.name)
    else:
        path.parent.parent.mkdir(parents=True)
        path.parent.symlink_to(outside, target_is_directory=True)
    with pytest.raises(TrialError, match="outside"):
        begun.read(cell)
    other = Cell("bare", "0002", 1)
    if what == "folder":
        with pytest.raises(TrialError, match="outside"):
            begun.write(other, made.png(other))
    assert [p.name for p in outside.iterdir()] == [path.name]


def test_a_full_disk_loses_nothing(tmp_path, monkeypatch):
    begun = trial.start(tmp_path, made.manifest())
    first, second, *_ = begun.cells()
    begun.write(first, made.png(first))
    begun.add_scores([score(first, 1.0)])
    before = (tmp_path / "scores.jsonl").read_bytes()

    # A full disk cannot be provoked without rights: the call that reports it is made to.
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            begun.write(second, made.png(second))
        with pytest.raises(OSError, match="No space"):
            begun.add_scores([score(second, 2.0)])
    assert list(pictures(tmp_path)) == ["pictures/bare/0001-1.png"]
    assert (tmp_path / "scores.jsonl").read_bytes() == before
    assert begun.write(second, made.png(second))


def test_without_hard_links_pictures_are_exclusive_too(tmp_path, monkeypatch):
    def none(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", none)
    begun = made.painted(tmp_path)
    cell = next(begun.cells())
    assert not begun.write(cell, made.png(Cell("bare", "0002", 1)))
    assert pictures(tmp_path) == whole(begun)


def score(cell: Cell, value: float, scorer: str = "clip") -> Score:
    return Score(cell.arm, cell.prompt, cell.seed, scorer, value, "d" * 64)


def test_the_last_score_counts_and_a_torn_line_is_repaired(tmp_path):
    begun = trial.start(tmp_path, made.manifest())
    first, second, *_ = begun.cells()
    begun.add_scores([score(first, 1.0), score(second, 2.0)])
    begun.add_scores([score(first, 3.0)])
    path = tmp_path / "scores.jsonl"
    with path.open("ab") as file:
        file.write(b'{"arm": "bare", "prompt": "00')
    assert {s.key: s.value for s in begun.scores()} == {
        score(first, 0).key: 3.0,
        score(second, 0).key: 2.0,
    }
    begun.add_scores([score(second, 4.0, "judge")])
    assert len(path.read_bytes().splitlines()) == 4 and path.read_bytes().endswith(b"}\n")
    assert len(begun.scores()) == 3


def test_lines_that_are_no_scores_of_this_trial_are_left_out(tmp_path):
    begun = trial.start(tmp_path, made.manifest())
    cell = next(begun.cells())
    (tmp_path / "scores.jsonl").write_bytes(
        b"\n".join(
            [
                b"nonsense",
                b"[1, 2]",
                b'{"arm": "bare"}',
                b'{"arm":"../x","prompt":"0001","seed":1,"scorer":"s","value":1,"picture":"p"}',
                b'{"arm":"bare","prompt":"0001","seed":1,"scorer":"s","value":NaN,"picture":"p"}',
                b'{"arm":"bare","prompt":"0001","seed":true,"scorer":"s","value":1,"picture":"p"}',
                b'{"arm":"bare","prompt":"0001","seed":1,"scorer":"s","value":"<b>","picture":"p"}',
                b"[" * 60_000,
                b'{"arm": "' + b"x" * (10 << 20) + b'"}',
                b"\xff\xfe\x00",
                b"",
            ]
        )
    )
    begun.add_scores([score(cell, 1.0)])
    assert begun.scores() == [score(cell, 1.0)]


def test_two_writers_paint_and_score_everything_once(tmp_path):
    begun = trial.start(tmp_path, made.manifest(prompts=20))
    context = multiprocessing.get_context("fork" if os.name == "posix" else "spawn")
    wins = context.Queue()
    painters = [context.Process(target=_paint, args=(tmp_path, wins)) for _ in range(3)]
    for painter in painters:
        painter.start()
    won = [wins.get(timeout=120) for _ in painters]
    for painter in painters:
        painter.join()
    assert sum(won) == 80 == len(pictures(tmp_path))
    assert pictures(tmp_path) == whole(begun)
    lines = (tmp_path / "scores.jsonl").read_text().splitlines()
    assert len(lines) == 3 * 80 and len(begun.scores()) == 80


def _paint(where: Path, wins) -> None:
    mine = trial.open_trial(where)
    won = 0
    for cell in mine.cells():
        won += mine.write(cell, made.png(cell))
        mine.add_scores([score(cell, 1.0)])
    wins.put(won)


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_killed_at_twenty_moments_and_gone_on_with(tmp_path):
    manifest = made.manifest(prompts=60, seeds=(1, 2, 3))
    begun = trial.start(tmp_path, manifest)
    moments = random.Random(0)
    for _ in range(20):
        process = subprocess.Popen(
            [sys.executable, str(WRITER), str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        # The writer says each thing it did: killed a moment after some of them.
        for _ in range(moments.randint(1, 14)):
            if not process.stdout.readline():
                break
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    left = len(begun.missing())
    assert 0 < left < 360
    subprocess.run([sys.executable, str(WRITER), str(tmp_path)], check=True, capture_output=True)
    assert pictures(tmp_path) == whole(begun, side=256)
    assert len(begun.scores()) == 360
    assert {p.name for p in tmp_path.iterdir()} == {
        "trial.json", "pictures", "scores.jsonl", ".lock"
    }  # fmt: skip


def test_a_picture_in_the_way_of_a_late_writer_stays(tmp_path):
    place = tmp_path / "a.png"
    mine, other = files.temporary(place, b"mine"), files.temporary(place, b"other")
    assert files.put(other, place) and not files.put(mine, place)
    mine.unlink()
    assert not files.put(mine, place), "its remains were cleared away by the winner"
    assert place.read_bytes() == b"other"
