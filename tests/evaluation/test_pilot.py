"""A pilot from its plan to its answer, by the command and by what it rests on."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from comfyui_softrepa.evaluation import pilot
from comfyui_softrepa.evaluation.cli import main
from comfyui_softrepa.evaluation.errors import TrialError
from comfyui_softrepa.evaluation.pilot import looks
from comfyui_softrepa.evaluation.pilot.decision import counted_votes, decided
from comfyui_softrepa.evaluation.pilot.plan import spread
from comfyui_softrepa.evaluation.pilot.wording import FOLDER, pilot_answer
from comfyui_softrepa.evaluation.prompts import read_prompts, suite
from comfyui_softrepa.evaluation.report.texts import languages
from comfyui_softrepa.evaluation.trial import Trial
from comfyui_softrepa.evaluation.votes import voting
from comfyui_softrepa.evaluation.votes.store import Store
from comfyui_softrepa.evaluation.votes.trial import read_trial
from comfyui_softrepa.tests.evaluation import made, voted
from comfyui_softrepa.tests.evaluation.plans import plan

IDENTITIES = count(1)


@pytest.fixture(autouse=True)
def no_comfyui(monkeypatch) -> None:
    """Trials are named by folders."""
    monkeypatch.delenv("COMFYUI_PATH")


def paint(folder: Path) -> Trial:
    """The plan's trial in its folder, painted."""
    read = pilot.read_plan(folder / "pilot.toml")
    manifest = replace(made.manifest(arms=read.arms), seeds=read.seeds)
    prompts = pilot.planned_prompts(read, folder)
    begun = pilot.begin(folder, replace(manifest, prompts=prompts))
    for cell in begun.cells():
        begun.write(cell, made.png(cell, 8))
    return begun


def vote(folder: Path, voter: str, votes: int, arm: str) -> None:
    """Votes for that arm, kept as the page keeps them."""
    opened = read_trial(folder)
    for _ in range(votes):
        token = voting.state(opened, voter)["ballots"][0]["ballot"]
        side = "left" if Store(opened.votes).ballot(token).left_arm == arm else "right"
        voting.give(opened, voter, f"{next(IDENTITIES):032x}", token, side)


def said(capsys, *arguments: str) -> str:
    assert main(["pilot", *arguments]) == 0
    return capsys.readouterr().out


def test_from_the_plan_to_the_answer(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    told = said(capsys, "init", "./mine", "--base", "bare", "--voter", "Ann", "--expected", "0.8",
                "--question", 'Is "it" {worth} it?')  # fmt: skip
    assert "32 prompts" not in told and "64 pictures to paint" in told
    assert "28 for each of 1 people" in told and told.count("Not ticked") == 9
    folder = tmp_path / "mine"
    assert pilot.read_plan(folder / "pilot.toml").question == 'Is "it" {worth} it?'
    assert "Nothing has been painted" in said(capsys, "decide", "mine")
    begun = paint(folder)
    assert begun.manifest.pilot and len(begun.manifest.prompts) == 32
    checklist = folder / "pilot.md"
    checklist.write_text(checklist.read_text().replace("[ ] **Data bias", "[X] **Data bias"))

    assert said(capsys, "decide", "mine").startswith("Not yet. 0 of the 23 planned")
    vote(folder, "Ann", 5, "SoftREPA")
    told = said(capsys, "decide", "mine")
    assert "5 of the 23" in told and "Everything went as planned" in told
    assert "Data bias" not in told and "Model compatibility" in told
    found = json.loads(said(capsys, "decide", "mine", "--json"))
    assert (found["value"], found["counted"]) == (None, 5) and not list(looks.looks(begun))
    assert main(["report", "mine"]) == 0  # this shows who is ahead
    capsys.readouterr()
    vote(folder, "bo", 2, "SoftREPA")
    vote(folder, "ann ", 18, "SoftREPA")
    found = json.loads(said(capsys, "decide", "mine", "--json"))
    assert (found["called"], found["value"], found["planned"]) == ("go", 1.0, 23)
    assert {d["kind"] for d in found["deviations"]} >= {"looked", "others"}
    assert "bo" in str(found["deviations"]) and "Data bias" not in found["unticked"]

    for language, begins in (("en", "Go. SoftREPA won"), ("ja", "採用\uff1aSoftREPAは")):
        assert main(["report", "mine", "--language", language]) == 0
        assert capsys.readouterr().out.startswith(begins)
        page = (folder / "report.html").read_text()
        assert begins in page and page.index(begins) < page.index("<h2>SoftREPA" if language == "en"
                                                                  else "<h2>bare")  # fmt: skip
        assert "Is &quot;it&quot; {worth} it?" in page
    kept = json.loads((folder / "report.json").read_text())
    assert kept["pilot"]["called"] == "go" and kept["comparisons"][0]["votes"]["planned"] == 23
    # A look at the same votes is the same look.
    assert [look.votes for look in looks.looks(begun)] == [5, 25]


def test_a_plan_changed_or_gone_afterwards_is_told(tmp_path, capsys):
    plan(tmp_path / "pilot.toml")
    begun = paint(tmp_path)
    (tmp_path / "pilot.toml").write_text(
        (tmp_path / "pilot.toml").read_text().replace("planned = 54", "planned = 5")
    )
    told = said(capsys, "decide", str(tmp_path))
    assert f"it was {begun.manifest.pilot[:10]}" in told and "no checklist" in told
    (tmp_path / "pilot.toml").unlink()
    assert main(["pilot", "decide", str(tmp_path)]) == 2
    assert "is gone" in capsys.readouterr().err
    # The report of its pictures is there all the same, and says so.
    assert main(["report", str(tmp_path)]) == 0
    assert "is gone" in (tmp_path / "report.html").read_text()


def test_a_trial_that_is_no_pilot_has_no_answer(tmp_path, capsys):
    begun = made.painted(tmp_path)
    assert pilot_answer(begun, []) is None
    assert main(["pilot", "decide", str(tmp_path)]) == 2
    assert "no pilot" in capsys.readouterr().err
    plan(tmp_path / "pilot.toml", ("count = 4", "count = 9"))
    assert [d.kind for d in decided(begun, pilot.plan_of(begun), []).deviations] == [
        "unfixed", "count"
    ]  # fmt: skip


def changed_trial(folder: Path, change: str) -> Trial:
    """A trial that keeps to its plan in all but one thing."""
    manifest, written = made.manifest(), plan(folder / "pilot.toml")
    listed = manifest.prompts
    if change == "seeds":
        manifest = replace(manifest, seeds=(1, 3))
    elif change == "arms":
        manifest = made.manifest(arms=("bare", "SoftREPA", "LoRA"))
    elif change == "count":
        manifest = made.manifest(prompts=5)
    elif change in ("prompts", "same prompts"):
        if change == "prompts":
            manifest = replace(manifest, prompts=(replace(listed[0], text="x"), *listed[1:]))
        digest = pilot.fingerprint(listed)
        plan(written, ("count = 4", f'count = 4\nsha256 = "{digest}"'))
    elif change in ("adapter", "same adapter"):
        digest = ("b" if change == "same adapter" else "c") * 64
        plan(written, ("others = []", f'others = []\nadapter_sha256 = "{digest}"'))
    return pilot.begin(folder, manifest)


@pytest.mark.parametrize(
    "change", ["seeds", "arms", "count", "prompts", "adapter", "same prompts", "same adapter", ""]
)
def test_every_deviation_of_the_trial_is_named(tmp_path, change):
    begun = changed_trial(tmp_path, change)
    found = decided(begun, pilot.plan_of(begun), [])
    named = [each.kind for each in found.deviations]
    assert named == ([] if change.startswith("same") or not change else [change])
    for language in languages():
        pilot_answer(begun, [], language)


def test_an_arm_of_the_plan_that_is_missing_is_one_sentence(tmp_path):
    plan(tmp_path / "pilot.toml")
    begun = pilot.begin(tmp_path, made.manifest(arms=("bare", "another")))
    with pytest.raises(TrialError, match="decides on the arm 'SoftREPA'"):
        pilot_answer(begun, [])


def test_votes_after_the_planned_number_count_for_nothing(tmp_path):
    begun = made.painted(tmp_path, made.manifest(prompts=80, seeds=(1,)))
    plan(tmp_path / "pilot.toml", ("count = 4", "count = 80"), ("[1, 2]", "[1]"))
    votes = list(voted.votes(begun, "bare", "SoftREPA", lambda _: 0.5, voters=2))
    for_all = [replace(vote, answer="left" if vote.left_arm == "SoftREPA" else "right")
               for vote in votes]  # fmt: skip
    counted, _ = counted_votes(votes, "bare", "SoftREPA", 54)
    more = [*counted, *for_all[len(counted) :]]
    one, other = (decided(begun, pilot.plan_of(begun), each) for each in (counted, more))
    assert (one.verdict, one.votes.decision) == (other.verdict, other.votes.decision)
    assert one.votes.decision.decisive == 54 and one.verdict.called == "no-go"
    assert {d.kind: d.values for d in other.deviations}["more"]["count"] == len(more) - len(counted)
    elsewhere = [replace(votes[0], right_arm="third"), replace(votes[0], prompt="nowhere")]
    assert decided(begun, pilot.plan_of(begun), elsewhere).votes is None


def test_a_pilot_by_a_scorer(tmp_path):
    plan(tmp_path / "pilot.toml", ('"votes"', '"clip"'), ("count = 4", "count = 24"),
         ("planned = 54", "planned = 24"), ("go = 0.6\nno_go = 0.5", "go = 3\nno_go = -1"),
         )  # fmt: skip
    begun = paint(tmp_path)
    answered = pilot_answer(begun, [])
    assert answered.answer.startswith("Not yet. clip has scored 0 of 48 pairs")
    last = list(begun.cells())[-1]
    png = begun.path(last).read_bytes()
    begun.path(last).unlink()
    better = {p.id: 4 + at % 3 for at, p in enumerate(begun.manifest.prompts)}
    voted.scored(begun, "clip", lambda c: better[c.prompt] * (c.arm == "SoftREPA"))
    assert "47 of 48 pairs" in pilot_answer(begun, []).answer
    begun.write(last, png)
    voted.scored(begun, "clip", lambda c: better[c.prompt] * (c.arm == "SoftREPA"))
    answered = pilot_answer(begun, [])
    assert (
        answered.called == "go" and "+5.0" in answered.answer and not answered.values["deviations"]
    )
    looks.looked(begun, 0, "votes")
    begun.add_scores([replace(begun.scores()[0], weights="f" * 64)])
    begun.path(last).unlink()
    answered = pilot_answer(begun, [], "ja")
    assert [d["kind"] for d in answered.values["deviations"]] == ["measure", "weights", "stale"]
    assert answered.called == "not yet" and "47" in answered.answer


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["init", "old"], "is there already"),
        (["init", "./new", "--expected", "0.5"], "cannot be told from a half"),
        (["init", "./new", "--measure", "clip", "--expected", "0.0001"], "more than 20000 prompts"),
        (["init", "./new", "--prompts", "suite-fr"], "no suite"),
        (["init", "./new", "--count", "999"], "holds 240 prompts"),
        (["init", "./new", "--base", "a/b"], "base cannot be the name of a folder"),
        (["init", "./new", "--base", "SoftREPA"], "twice"),
        (["init", "./new", "--seeds", "-1"], "seeds"),
        (["init", "./new", "--adapter", "nowhere"], "name the adapter's file"),
        (["check", "./nowhere"], "pilot init"),
        (["decide", "./nowhere"], "There is no trial"),
        (["decide"], "trial"),
        ([], "STEP"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path, monkeypatch, capsys, arguments, told):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old").mkdir()
    plan(tmp_path / "old" / "pilot.toml")
    assert main(["pilot", *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and told in said.err
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("language", languages())
@pytest.mark.parametrize("measure", ["votes", "clip"])
def test_a_draft_is_a_plan_that_checks_out(tmp_path, monkeypatch, capsys, language, measure):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "adapter").write_bytes(b"tokens")
    told = said(capsys, "init", "./mine", "--language", language, "--measure", measure,
                "--adapter", "adapter", "--expected", "0.8")  # fmt: skip
    read = pilot.read_plan(tmp_path / "mine" / "pilot.toml")
    assert (read.language, read.measure, len(read.adapter)) == (language, measure, 64)
    assert read.count >= read.planned and read.prompts_sha256 in told
    again = said(capsys, "check", "mine")
    assert told.startswith(again)
    path = tmp_path / "mine" / "pilot.toml"
    path.write_text(path.read_text().replace('"prompts.jsonl"', '"own.txt"'))
    (tmp_path / "mine" / "own.txt").write_text("\n".join(f"{n} cats" for n in range(40)))
    assert "own.txt" in said(capsys, "check", "mine", "--language", language)


def test_the_prompts_lie_beside_the_plan(tmp_path, capsys):
    folder = tmp_path / "mine"
    said(capsys, "init", str(folder), "--count", "16")
    listed = spread(suite("en"), 16, "suite")
    assert read_prompts(folder / "prompts.jsonl") == listed
    read = pilot.read_plan(folder / "pilot.toml")
    assert read.prompts_sha256 == pilot.fingerprint(read_prompts(folder / "prompts.jsonl"))
    # Prompts that somebody wrote there stay as they are.
    (folder / "pilot.toml").unlink()
    own = folder / "prompts.jsonl"
    own.write_text("".join(f'{{"prompt": "{n} cats"}}\n' for n in range(20)))
    before = own.read_bytes()
    assert main(["pilot", "init", str(folder)]) == 2
    assert "name it with --prompts" in capsys.readouterr().err
    said(capsys, "init", str(folder), "--prompts", str(own), "--count", "20")
    assert own.read_bytes() == before
    assert pilot.read_plan(folder / "pilot.toml").count == 20


def test_a_plan_that_cannot_work_is_told(tmp_path, capsys):
    plan(tmp_path / "pilot.toml", ("planned = 54", "planned = 54\nexpected = 0.6"),
         ("go = 0.6\n", "go = 0.7\n"))  # fmt: skip
    told = said(capsys, "check", str(tmp_path))
    for sentence in ("less than 80 %", "fewer prompts (4)", "go asks for 70.0%", "Nobody is named"):
        assert sentence in told


def test_the_languages_have_equal_sentences_with_equal_values():
    tables = {
        lang: json.loads((FOLDER / f"{lang}.json").read_text("utf-8")) for lang in languages()
    }
    source = "".join(p.read_text() for p in FOLDER.parent.glob("*.py"))
    built = re.compile("votes_|scores_|deviation_|(go|no-go|not yet)$")
    for language, table in tables.items():
        assert list(table) == list(tables["en"]), language
        for key, sentence in table.items():
            english = tables["en"][key]
            assert set(re.findall(r"{\w+}", sentence)) == set(re.findall(r"{\w+}", english)), key
            assert f'"{key}"' in source or built.match(key), key
    drafts = [(FOLDER / f"{language}.toml").read_text("utf-8") for language in tables]
    assert len({tuple(re.findall(r"{\w+}", draft)) for draft in drafts}) == 1
    lists = [(FOLDER / f"{language}.md").read_text("utf-8") for language in tables]
    assert len({text.count("- [ ] **") for text in lists}) == 1
