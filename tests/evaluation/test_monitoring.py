"""Daily work: nothing kept is lost, a stranger's file is refused, only real shifts are marked."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from comfyui_softrepa.evaluation import monitoring
from comfyui_softrepa.evaluation.cli import main
from comfyui_softrepa.evaluation.monitoring import Entry, MonitorError
from comfyui_softrepa.evaluation.monitoring.series import series
from comfyui_softrepa.evaluation.statistics.change import shifts
from comfyui_softrepa.evaluation.trial import Model

BASE = Model("checkpoint", "sd3.safetensors", "a" * 64)
FIRST = Model("adapter", "house.safetensors", "b" * 64, 1.0)
SECOND = Model("adapter", "house.safetensors", "c" * 64, 0.5)
LORA = Model("lora", "=ink<b>.safetensors", "d" * 64, 0.8)
DAY = 86400.0


def entry(at: int, value: float, *added: Model, text: str | None = None) -> Entry:
    words = f"<i>picture</i> {at}" if text is None else text
    return Entry(
        1.79e9 + at * DAY / 20, f"{at:064x}", words, "clip", "e" * 64, value, (BASE, *added)
    )


def work(count: int, *added: Model, mean: float = 25.0, begin: int = 0) -> Iterator[Entry]:
    """Values of a scorer on work that does not change."""
    drawn = np.random.default_rng(begin).normal(mean, 1.5, count)
    return (entry(begin + at, float(value), *added) for at, value in enumerate(drawn))


@pytest.fixture
def kept(tmp_path) -> Path:
    return tmp_path / "output" / "softrepa" / "monitor.sqlite"


def test_what_is_added_is_read_back(kept):
    given = [entry(1, 25.5), entry(2, 26.0, FIRST), entry(3, 1e-3, SECOND, LORA)]
    monitoring.add(kept, given[:1])
    monitoring.add(kept, given[1:])
    found, unsound = monitoring.read(kept)
    assert unsound == 0
    plain = [(e.time, e.picture, e.text, e.scorer, e.weights, e.value) for e in given]
    assert [(e.time, e.picture, e.text, e.scorer, e.weights, e.value) for e in found] == plain
    assert [e.added for e in found] == [(), (FIRST,), (SECOND, LORA)]
    assert {(e.base.name, e.base.sha256) for e in found} == {(BASE.name, BASE.sha256)}
    monitoring.add(kept, [entry(4, 1.0, text="long \ud83d" * 3000)])
    assert len(monitoring.read(kept)[0][-1].text) == monitoring.store.LONGEST


def _add_many(path: Path, begin: int) -> None:
    for at in range(25):
        monitoring.add(path, [entry(begin + at, 1.0), entry(begin + at, 2.0)])


def test_several_processes_add_at_once(kept):
    context = multiprocessing.get_context("fork" if os.name == "posix" else "spawn")
    writers = [context.Process(target=_add_many, args=(kept, 100 * at)) for at in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * 4
    found, _ = monitoring.read(kept)
    assert len(found) == 4 * 25 * 2 == len({(e.picture, e.value) for e in found})


def _without_room(path: Path, told) -> None:
    import resource
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
    try:
        monitoring.add(path, [entry(2, 1.0)])
    except MonitorError as error:
        told.send(str(error))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on the size of a file")
def test_a_full_disk_is_one_sentence(kept):
    """A limit on the size of files stands for it."""
    monitoring.add(kept, [entry(1, 1.0)])
    context = multiprocessing.get_context("fork")
    told, ours = context.Pipe()
    writer = context.Process(target=_without_room, args=(kept, ours))
    writer.start()
    writer.join()
    assert told.poll() and re.fullmatch(r"[^\n]+\.", told.recv())
    assert len(monitoring.read(kept)[0]) == 1


def test_a_strangers_file_is_refused_and_left_alone(kept, tmp_path):
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"no database at all" * 100)
    with pytest.raises(MonitorError, match="damaged: move it away"):
        monitoring.add(kept, [entry(1, 1.0)])
    kept.unlink()
    monitoring.add(kept, [entry(1, 1.0)])
    (tmp_path / "link").symlink_to(kept)
    with pytest.raises(MonitorError, match="is a link"):
        monitoring.add(tmp_path / "link", [entry(1, 1.0)])
    with sqlite3.connect(kept) as connection:
        connection.execute("CREATE TRIGGER bad AFTER INSERT ON scores BEGIN SELECT 1; END")
    for call in (lambda: monitoring.read(kept), lambda: monitoring.add(kept, [entry(2, 1.0)])):
        with pytest.raises(MonitorError, match="not made by this version"):
            call()
    with pytest.raises(MonitorError, match="There is no "):
        monitoring.read(tmp_path / "nowhere.sqlite")


@pytest.mark.parametrize(
    "change",
    ["time = 'now'", "value = 'much'", "value = 1e999", "text = x'00'", "scorer = ''",
     "others = '[[1, 2]]'", "others = '{'", "strength = 'all'", "time = -1",
     "adapter = printf('%.*c', 5000, 'x')"],
)  # fmt: skip
def test_rows_that_make_no_sense_are_left_out(kept, change):
    monitoring.add(kept, [entry(1, 1.0, FIRST), entry(2, 2.0, FIRST)])
    with sqlite3.connect(kept) as connection:
        (trigger,) = connection.execute(
            "SELECT sql FROM sqlite_master WHERE name = 'scores_UPDATE'"
        ).fetchone()
        connection.execute("DROP TRIGGER scores_UPDATE")
        connection.execute(f"UPDATE scores SET {change} WHERE value = 1.0")
        connection.execute(trigger)
    found, unsound = monitoring.read(kept)
    assert ([e.value for e in found], unsound) == ([2.0], 1)


def test_of_series_without_a_shift_few_are_ever_marked():
    """2,000 of them, also of values that are only right or wrong: looked at after every value."""
    drawn = np.random.default_rng(1)
    runs, length = 2000, 150
    for name, values in (
        ("spread out", drawn.standard_normal((runs, length))),
        ("right or wrong", (drawn.random((runs, length)) < 0.3).astype(float)),
    ):
        marked = sum(bool(shifts(list(row), 0.05, f"{at}")) for at, row in enumerate(values))
        print(f"{name}: {marked / runs:.2%} of series without a shift are marked at 5 %")
        assert marked <= (0.05 + 0.01) * runs, name


def test_a_shift_is_found_where_it_was():
    drawn = np.random.default_rng(2)
    found = 0
    for at in range(200):
        values = np.concatenate([drawn.normal(0, 1, 100), drawn.normal(1, 1, 100)])
        seen = shifts(list(values), seed=f"{at}")
        found += bool(seen) and abs(seen[0].at - 100) <= 20
    print(f"a shift by one standard deviation is found in {found / 2} % within 100 values")
    assert found >= 160
    twice = [*drawn.normal(0, 1, 100), *drawn.normal(2, 1, 100), *drawn.normal(0, 1, 100)]
    assert [round(shift.at / 10) for shift in shifts(twice)] == [10, 20]
    assert shifts(twice) == shifts(twice), "told the same each time"
    assert shifts([]) == shifts([1.0]) == shifts([3.0] * 500) == []


def test_pictures_of_one_text_are_one_point():
    entries = [entry(at, float(at), text="a cat") for at in range(4)]
    entries += [entry(9, 9.0, FIRST, text="a cat"), entry(10, 1.0, FIRST)]
    (one,) = series(entries)
    assert [(p.value, p.pictures, p.version) for p in one.points] == [
        (1.5, 4, 0), (9.0, 1, 1), (1.0, 1, 1),
    ]  # fmt: skip
    assert [stretch.points for stretch in one.versions] == [1, 2]
    other = Entry(2e9, "f" * 64, "a cat", "pickscore", "e" * 64, 0.2, (BASE,))
    assert [each.scorer for each in series([*entries, other])] == ["pickscore", "clip"]


@pytest.fixture
def fell(kept) -> Path:
    """An adapter that was replaced by a worse one of the same name."""
    monitoring.add(kept, work(120, FIRST))
    monitoring.add(kept, work(80, SECOND, LORA, mean=22.5, begin=120))
    return kept


@pytest.mark.parametrize(("language", "word"), [("en", "shifted about"), ("ja", "変化しました")])
def test_the_page_says_what_shifted(fell, tmp_path, capsys, language, word):
    comfyui = str(tmp_path)
    assert main(["report", "--monitor", "--comfyui", comfyui, "--language", language]) == 0
    said = capsys.readouterr().out
    assert word in said and f"house.safetensors {'b' * 10}" in said
    page = (fell.parent / "monitor.html").read_text(encoding="utf-8")
    assert word in page and page.count("<circle") == 200
    assert "<script" not in page and "http" not in page.replace("http-equiv", "")
    assert "ink<b>" not in page and "ink&lt;b&gt;" in page.replace("<wbr>", "")
    told = json.loads((fell.parent / "monitor.json").read_text(encoding="utf-8"))
    (one,) = told["series"]
    (shift,) = one["shifts"]
    assert (shift["version_before"], shift["version_after"]) == (0, 1)
    assert abs(shift["at"] - 120) <= 5
    assert [v["added"][0]["sha256"][0] for v in one["versions"]] == ["b", "c"]
    lines = (fell.parent / "monitor.csv").read_text(encoding="utf-8-sig").splitlines()
    assert len(lines) == 201 and all(",'=ink" not in line for line in lines[:121])


def test_the_page_when_nothing_changed(kept, tmp_path, capsys):
    monitoring.add(kept, work(60, FIRST))
    assert main(["report", "--monitor", str(kept), "--output", str(tmp_path / "made")]) == 0
    page = (tmp_path / "made" / "monitor.html").read_text(encoding="utf-8")
    assert "No shift is seen." in page
    shutil.rmtree(kept.parent)
    assert main(["report", "--monitor", str(kept)]) == 2
    assert main(["report"]) == main(["report", "trial", "--monitor"]) == 2
    assert "Name a trial, or --monitor" in capsys.readouterr().err
