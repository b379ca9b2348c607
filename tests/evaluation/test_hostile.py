"""Files of a trial that somebody else made, and disks that fill: one sentence, nothing lost."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from pathlib import Path

import pytest
from comfyui_softrepa.evaluation import pilot
from comfyui_softrepa.evaluation.cli import main
from comfyui_softrepa.evaluation.pilot import looks
from comfyui_softrepa.evaluation.report import analyse
from comfyui_softrepa.evaluation.report.analysis.cost import costs
from comfyui_softrepa.evaluation.trial import Trial, open_trial
from comfyui_softrepa.tests.evaluation import made, voted
from comfyui_softrepa.tests.evaluation.plans import plan

HTML = '<img src=x onerror="alert(1)"><script>alert(2)</script>'


@pytest.fixture
def begun(tmp_path) -> Trial:
    found = made.painted(tmp_path / "trial", made.manifest(prompts=6, seeds=(1,)))
    voted.scored(found, "clip", lambda cell: cell.arm == "SoftREPA")
    return found


def painted(trial: Trial, *entries: object) -> None:
    lines = [entry if isinstance(entry, str) else json.dumps(entry) for entry in entries]
    (trial.folder / "painted.jsonl").write_text("\n".join(lines) + "\n")


def entry(arm: str, prompt: int, seconds: object, memory: object = None, device: object = "cpu"):
    return {"arm": arm, "prompt": f"{prompt:04d}", "seed": 1, "seconds": seconds,
            "memory": memory, "device": device, "picture_sha256": "d" * 64}  # fmt: skip


def test_what_a_picture_costs(begun):
    painted(
        begun,
        entry("bare", 1, 30.0, 1 << 30), entry("SoftREPA", 1, 9.0), entry("bare", 2, 2.0, 3 << 30),
        entry("SoftREPA", 2, 2.5), entry("bare", 3, 2.2, 2 << 30), entry("SoftREPA", 3, 2.3),
        entry("bare", 4, 2.1), entry("SoftREPA", 3, 2.6), entry("SoftREPA", 4, 4.0, device="gpu"),
    )  # fmt: skip
    bare, cpu, gpu = costs(begun)
    assert (bare.pictures, bare.seconds, bare.first, bare.memory) == (4, 2.1, 30.0, 3 << 30)
    # A picture that was painted anew counts once, as it is now.
    assert (cpu.pictures, cpu.seconds, cpu.memory, gpu.device, gpu.seconds) == (
        3, 2.55, None, "gpu", 4.0
    )  # fmt: skip
    assert main(["report", str(begun.folder)]) == 0
    page = (begun.folder / "report.html").read_text()
    assert "+21%" in page and "3.00 GiB" in page and "30.00" in page
    kept = json.loads((begun.folder / "report.json").read_text())["costs"]
    assert [each["seconds"] for each in kept] == [2.1, 2.55, 4.0]


def test_hostile_lines_of_painters_are_left_out(begun):
    good = entry("bare", 1, 1.5, device=HTML * 10)
    painted(
        begun, "[" * 100_000, '{"arm": "bare"' + " " * (10 << 20) + "}", "null", "[1]", "{}",
        entry("../../etc", 1, 1.0), entry("bare", 99, 1.0), entry("bare", 2, -1.0),
        entry("bare", 2, "1"), entry("bare", 2, True), entry("bare", 2, 1e300),
        '{"arm": "bare", "prompt": "0002", "seed": 1, "seconds": NaN, "memory": null}',
        '{"arm": "bare", "prompt": "0002", "seed": 1, "seconds": ' + "9" * 400 + "}",
        {**good, "memory": -5}, '{"arm": "bare", "prompt": "0001", "seed": 1, "seconds": 9}'[:-1],
    )  # fmt: skip
    (only,) = costs(begun)
    assert (only.pictures, only.seconds, only.memory) == (1, 1.5, None)
    assert len(only.device) == 100
    assert main(["report", str(begun.folder)]) == 0
    assert "<img src=x" not in (begun.folder / "report.html").read_text()


def test_nothing_in_a_plan_gets_out_of_its_place(begun, capsys):
    words = json.dumps(HTML)
    plan(
        begun.folder / "pilot.toml", ('"Does it help?"', words), ('"votes"', words),
        ("voters = []", f"voters = [{words}]"), ('decides = ""', f"decides = {words}"),
        ('kpi = ""', f"kpi = {words}"), ('target = ""', f"target = {words}"),
        ("suite-en", "../../../etc/passwd"),
    )  # fmt: skip
    (begun.folder / "pilot.md").write_text(f"- [ ] {HTML}\n" + "- [ ] **" * 100_000)
    (begun.folder / "looks.jsonl").write_text(
        "".join(
            f"{line}\n"
            for line in (json.dumps({"votes": 3, "measure": HTML, "time": 1.0}), "[]", "{",
                         '{"votes": 1, "measure": "", "time": NaN}', '{"votes": "1"}')
        )
    )  # fmt: skip
    assert [look.votes for look in looks.looks(begun)] == [3]
    for language in ("en", "ja"):
        assert main(["report", str(begun.folder), "--language", language]) == 0
        page = (begun.folder / "report.html").read_text()
        assert "&lt;script&gt;" in page and not re.search(r"<(script|img src=x)", page)
    assert main(["pilot", "check", str(begun.folder)]) == 0
    assert main(["pilot", "decide", str(begun.folder), "--json"]) == 0
    assert "root:" not in capsys.readouterr().out


@pytest.mark.parametrize("data", [b"\xff\xfe", b"a = " + b"[" * 60_000, b"x" * (10 << 20), b""])
def test_a_plan_that_is_none_does_not_keep_the_report_away(begun, data, capsys):
    (begun.folder / "pilot.toml").write_bytes(data)
    assert main(["pilot", "decide", str(begun.folder)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert main(["report", str(begun.folder)]) == 0
    assert "pilot.toml" in capsys.readouterr().out.splitlines()[0]


def test_a_full_disk_leaves_the_old_report_whole(begun, monkeypatch, capsys):
    assert main(["report", str(begun.folder)]) == 0
    before = {path.name: path.read_bytes() for path in begun.folder.glob("report.*")}
    voted.scored(begun, "clip", lambda cell: 1 - (cell.arm == "SoftREPA"))
    capsys.readouterr()
    fsync, room = os.fsync, iter([None] * 3)

    # A full disk cannot be provoked without rights: the call that reports it is made to.
    def fill(number: int) -> None:
        if next(room, "full"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(number)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fill)
        assert main(["report", str(begun.folder)]) == 2
    said = capsys.readouterr()
    assert said.out == "" and "free some space" in said.err and said.err.count("\n") == 1
    assert before == {path.name: path.read_bytes() for path in begun.folder.glob("report.*")}
    assert not list(begun.folder.glob(".*.tmp"))
    assert main(["report", str(begun.folder)]) == 0
    assert before["report.html"] != (begun.folder / "report.html").read_bytes()


def test_a_pilot_from_another_machine_says_the_same(tmp_path, capsys):
    folder = tmp_path / "trial"
    folder.mkdir()
    plan(folder / "pilot.toml")
    begun = pilot.begin(folder, made.manifest())
    for cell in begun.cells():
        begun.write(cell, made.png(cell))
    voted.scored(begun, "clip", lambda cell: cell.arm == "SoftREPA")
    painted(begun, entry("bare", 1, 1.5))
    copy = Path(shutil.copytree(folder, tmp_path / "elsewhere" / "copy"))
    said = []
    for place in (folder, copy):
        assert main(["report", str(place)]) == main(["pilot", "decide", str(place)]) == 0
        said.append(capsys.readouterr().out.replace(str(place), ""))
        texts = [path.read_bytes() for path in place.rglob("*.*") if path.suffix != ".png"]
        assert str(tmp_path).encode() not in b"".join(texts)
    assert said[0] == said[1]
    for suffix in ("html", "json", "csv", "png"):
        assert (folder / f"report.{suffix}").read_bytes() == (
            copy / f"report.{suffix}"
        ).read_bytes()


def test_a_trial_that_cannot_be_written_is_reported_elsewhere(begun, tmp_path, monkeypatch):
    plan(begun.folder / "pilot.toml")
    opened = open_trial(begun.folder)

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("comfyui_softrepa.evaluation.trial.records.append", denied)
    assert main(["report", str(begun.folder), "--output", str(tmp_path / "made")]) == 0
    assert (tmp_path / "made" / "report.html").is_file() and not list(looks.looks(opened))
    assert analyse(opened).comparisons[0].called == "gain"


@pytest.mark.parametrize("command", [["report"], ["compare"], ["pilot", "decide"]])
@pytest.mark.parametrize(
    ("file", "data"),
    [
        ("trial.json", b'{"format": 1, "name": "' + b"x" * (10 << 20)),
        ("trial.json", b"[" * 100_000),
        ("trial.json", b'{"format": 1, "name": "a", "arms": [{"name": "../../etc"}]}'),
        ("votes.sqlite", b"SQLite format 3\0" + b"\xff" * (1 << 20)),
        ("votes.sqlite", HTML.encode()),
    ],
)
def test_a_hostile_file_is_one_sentence_for_every_command(begun, file, data, command, capsys):
    plan(begun.folder / "pilot.toml")
    (begun.folder / file).write_bytes(data)
    trials = [str(begun.folder)] * (2 if command == ["compare"] else 1)
    assert main([*command, *trials]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and len(said.err) < 500
    assert file in said.err and "<script>" not in said.err
    assert not list(begun.folder.glob("report.*"))
