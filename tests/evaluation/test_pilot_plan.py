"""A pilot's plan: read with care, fixed with the first picture."""

from __future__ import annotations

import hashlib

import pytest
from comfyui_softrepa.evaluation import pilot, trial
from comfyui_softrepa.evaluation.errors import PromptsError, TrialError
from comfyui_softrepa.evaluation.pilot import plan as plans
from comfyui_softrepa.evaluation.prompts import suite
from comfyui_softrepa.tests.evaluation import made
from comfyui_softrepa.tests.evaluation.plans import PLAN, plan


def test_a_plan_is_fixed_with_the_first_picture(tmp_path):
    path, folder = plan(tmp_path / "mine.toml"), tmp_path / "trial"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    begun = pilot.begin(folder, made.manifest(), path)
    assert begun.manifest.pilot == trial.open_trial(folder).manifest.pilot == digest
    assert (folder / "pilot.toml").read_bytes() == path.read_bytes()
    # Until there is a picture, another plan may take its place; the folder's own is gone on with.
    plan(folder / "pilot.toml", ("54", "97"))
    begun = pilot.begin(folder, made.manifest())
    assert begun.manifest.pilot != digest and pilot.plan_of(begun).planned == 97
    pilot.begin(folder, made.manifest(), path)
    cell = next(begun.cells())
    assert trial.open_trial(folder).write(cell, made.png(cell))
    for changed in (plan(tmp_path / "other.toml", ("54", "35")), None):
        if changed is None:
            plan(folder / "pilot.toml", ("54", "35"))
        with pytest.raises(TrialError, match="differs in pilot"):
            pilot.begin(folder, made.manifest(), changed)
    (folder / "pilot.toml").unlink()
    with pytest.raises(TrialError, match=f"is gone.*{digest}"):
        pilot.plan_of(trial.open_trial(folder))
    pilot.begin(folder, made.manifest(), path)
    assert (folder / "pilot.toml").read_bytes() == path.read_bytes()


def test_a_trial_without_a_plan_is_no_pilot(tmp_path):
    begun = pilot.begin(tmp_path, made.manifest())
    assert begun.manifest.pilot is None and pilot.plan_of(begun) is None


def test_prompts_are_spread_over_all_categories(tmp_path):
    read = pilot.read_plan(plan(tmp_path / "p.toml", ("count = 4", "count = 80")))
    found = pilot.planned_prompts(read, tmp_path)
    categories = [prompt.category for prompt in found]
    assert len({p.id for p in found}) == 80 and {categories.count(c) for c in set(categories)} == {
        10
    }
    assert pilot.fingerprint(found) != pilot.fingerprint(suite("en")[:80])
    (tmp_path / "few.txt").write_text("a cat\na dog\n")
    for name, told in (("few.txt", "holds 2 prompts"), ("suite-xx", "no suite")):
        read = pilot.read_plan(plan(tmp_path / "p.toml", ("suite-en", name)))
        with pytest.raises(PromptsError, match=told):
            pilot.planned_prompts(read, tmp_path)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("format = 1", "format = 9", "format 9"),
        ("format = 1", "", "format is missing"),
        ('question = "Does it help?"', 'question = "\\u0000"', "question"),
        ('question = "Does it help?"', "question = 2026-11-25", "question cannot be"),
        ('question = "Does it help?"', f"question = 0x{'f' * 9000}", "question cannot be"),
        ('"bare"', '"../bare"', "base cannot be the name of a folder"),
        ("others = []", 'others = ["a/b"]', "others cannot be"),
        ("others = []", 'others = ["BARE"]', "twice"),
        ("others = []", f"others = {[f'a{n}' for n in range(7)]}", "9 arms"),
        ("others = []", 'others = []\nadapter_sha256 = "x"', "no SHA-256"),
        ("others = []", "others = []\nanother = 1", "another is not known"),
        ("go = 0.6\n", "go = nan\n", "go must be from 0 to 1"),
        ("go = 0.6\n", "go = 60\n", "go must be from 0 to 1"),
        ("go = 0.6\n", "go = 0.4\n", "both"),
        ("go = 0.6\nno_go = 0.5", "go = 0.4\nno_go = 0.3", "less than half"),
        ("54", "0", "planned"),
        ("54", "true", "planned"),
        ("[people]", "[people", "no sound TOML"),
        ("[people]", "[people]\nx = " + "[" * 20_000, "pilot.toml"),
        ("voters = []", "voters = [1]", "voters must be a list of names"),
        ("format = 1", "#" * 70_000, "larger than 64 KB"),
    ],
)
def test_a_plan_that_is_not_sound_is_one_sentence(tmp_path, before, after, told):
    with pytest.raises(TrialError, match=told) as caught:
        plans.read_plan(plan(tmp_path / "pilot.toml", (before, after)))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


def test_a_plan_of_another_encoding_or_behind_a_link_is_not_read(tmp_path):
    (tmp_path / "utf16.toml").write_text(PLAN, encoding="utf-16")
    with pytest.raises(TrialError, match="UTF-8"):
        plans.read_plan(tmp_path / "utf16.toml")
    (tmp_path / "bom.toml").write_text(PLAN.replace("\n", "\r\n"), encoding="utf-8-sig")
    assert plans.read_plan(tmp_path / "bom.toml").planned == 54
    outside = plan(tmp_path / "outside.toml")
    folder = tmp_path / "trial"
    folder.mkdir()
    (folder / "pilot.toml").symlink_to(outside)
    with pytest.raises(TrialError, match="is a link"):
        pilot.begin(folder, made.manifest())
    with pytest.raises(TrialError, match="cannot be read"):
        pilot.begin(folder, made.manifest(), tmp_path / "nowhere.toml")
