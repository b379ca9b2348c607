"""The report says what scores and votes say, and nothing in a trial gets out of its place."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from comfyui_softrepa.evaluation import trial
from comfyui_softrepa.evaluation.errors import EvaluationError, TrialError
from comfyui_softrepa.evaluation.report import analyse, write_report
from comfyui_softrepa.evaluation.report.analysis.votes import compare_votes
from comfyui_softrepa.evaluation.report.texts import CATEGORIES, FOLDER, Texts, languages
from comfyui_softrepa.evaluation.report.wording import answer
from comfyui_softrepa.host.chromium import FLAGS, locate
from comfyui_softrepa.tests.evaluation import made, voted
from comfyui_softrepa.tests.evaluation.voted import Vote
from playwright.sync_api import sync_playwright


@pytest.fixture(scope="module")
def helped(tmp_path_factory) -> trial.Trial:
    """A trial in which SoftREPA helps by every scorer, but not with numbers."""
    begun = made.painted(tmp_path_factory.mktemp("helped"), made.manifest(prompts=80))
    category = {prompt.id: prompt.category for prompt in begun.manifest.prompts}
    rng = np.random.default_rng(0)

    def clip(cell):
        gain = -0.3 if category[cell.prompt] == "number" else 1.0
        return rng.normal(20, 0.5) + gain * (cell.arm == "SoftREPA")

    def judge(cell):
        return rng.random() < (0.75 if cell.arm == "SoftREPA" else 0.4)

    voted.scored(begun, "clip", clip)
    voted.scored(begun, "judge", judge)
    return begun


def test_scores_answer_where_nobody_has_voted(helped):
    (comparison,) = analyse(helped).comparisons
    assert (comparison.primary, comparison.called) == ("clip", "gain")
    clip, judge = comparison.scorers
    assert not clip.share and judge.share and judge.overall.rises
    assert clip.categories["number"].falls and clip.categories["colour"].rises
    assert [(w.kind, w.values["category"]) for w in comparison.warnings] == [("falls", "number")]
    said = answer(comparison, Texts("en"))
    assert said.startswith("By clip, SoftREPA is better than bare: +") and "80 prompts" in said


def test_votes_answer_before_scores(helped):
    votes = list(voted.votes(helped, "bare", "SoftREPA", lambda _: 0.25, voters=2))
    (comparison,) = analyse(helped, votes, planned=97).comparisons
    assert (comparison.primary, comparison.called) == ("votes", "loss")
    assert "worse than bare" in answer(comparison, Texts("en"))
    assert [w.values["scorer"] for w in comparison.warnings if w.kind == "apart"] == [
        "clip", "judge"
    ]  # fmt: skip
    result = comparison.votes
    counted = result.decision.decisive + result.ties + result.both_bad
    assert counted == len(votes) == 2 * 160 and result.voters == 2
    assert -1 <= result.agreement <= 1 and result.consistency is None
    by_primary = analyse(helped, votes, primary="judge").comparisons[0]
    assert (by_primary.primary, by_primary.called) == ("judge", "gain")


def test_the_largest_wins_and_losses_are_the_extremes(helped):
    (comparison,) = analyse(helped).comparisons
    by_pair = comparison.scorers[0].by_pair
    ordered = sorted(by_pair, key=by_pair.get)
    assert list(comparison.losses) == ordered[:6]
    assert list(comparison.wins) == ordered[::-1][:6]


@pytest.mark.parametrize("language", sorted(languages()))
def test_votes_without_a_winner_are_told_without_numbers(helped, language: str):
    prompts = helped.manifest.prompts[:2]
    answers = zip(prompts, ("tie", "both_bad"), strict=True)
    votes = [Vote("a", prompt.id, 1, "bare", "SoftREPA", given) for prompt, given in answers]
    (comparison,) = analyse(helped, votes, primary="votes").comparisons
    said = answer(comparison, Texts(language))
    assert "SoftREPA" in said and not re.search(r"\d| - ", said)


def test_which_side_an_arm_was_on_does_not_count():
    one, other = made.manifest(prompts=2).prompts
    votes = [
        Vote("a", one.id, 1, "SoftREPA", "bare", "left"),
        Vote("a", other.id, 1, "bare", "SoftREPA", "right"),
    ]
    result = compare_votes(votes, (one, other), "bare", "SoftREPA", None)
    assert (result.decision.won, result.decision.lost) == (2, 0)


def test_a_pair_shown_again_counts_for_consistency_only():
    prompts = made.manifest(prompts=2).prompts
    first = [Vote("a", p.id, 1, "bare", "SoftREPA", "left") for p in prompts]
    again = [
        Vote("a", prompts[0].id, 1, "SoftREPA", "bare", "right", repeat=True),
        Vote("a", prompts[1].id, 1, "SoftREPA", "bare", "left", repeat=True),
        Vote("b", prompts[1].id, 1, "SoftREPA", "bare", "left", repeat=True),
    ]
    result = compare_votes([*first, *again], prompts, "bare", "SoftREPA", None)
    assert (result.decision.won, result.decision.lost) == (0, 2)
    assert (result.consistency.right, result.consistency.count) == (1, 2)
    other = [Vote("a", prompts[0].id, 1, "bare", "another", "left")]
    assert compare_votes(other, prompts, "bare", "SoftREPA", None) is None


def test_a_score_of_another_picture_does_not_count(tmp_path):
    begun = made.painted(tmp_path, made.manifest(prompts=6))
    voted.scored(begun, "clip", lambda cell: cell.arm == "SoftREPA")
    first, second, *_ = begun.cells()
    begun.path(first).write_bytes(made.png(second))
    begun.path(second).unlink()
    analysis = analyse(begun)
    assert {w.kind: w.values["count"] for w in analysis.warnings} == {"missing": 1, "stale": 2}
    assert len(analysis.comparisons[0].scorers[0].by_pair) == 11
    page = write_report(analysis, begun, tmp_path).read_text()
    assert "missing: 1" in page and "have changed or are gone" in page


def test_a_measure_that_is_not_there_is_refused(helped):
    with pytest.raises(TrialError, match="votes, clip, judge"):
        analyse(helped, primary="beauty")
    with pytest.raises(EvaluationError, match="en, ja"):
        write_report(analyse(helped), helped, helped.folder, "xx")


@pytest.mark.parametrize("scored", [False, True])
@pytest.mark.parametrize("language", languages())
def test_a_trial_of_hardly_anything_claims_nothing(tmp_path, scored: bool, language: str):
    begun = made.painted(tmp_path, made.manifest(prompts=1, seeds=(1,)))
    if scored:
        voted.scored(begun, "clip", lambda cell: cell.arm == "SoftREPA")
    analysis = analyse(begun)
    assert analysis.comparisons[0].called == ("undecided" if scored else "none")
    assert write_report(analysis, begun, tmp_path, language).is_file()
    json.loads((tmp_path / "report.json").read_text(), parse_constant=pytest.fail)


def test_the_same_trial_gives_the_same_report(helped, tmp_path):
    votes = list(voted.votes(helped, "bare", "SoftREPA", lambda _: 0.6))
    for name in ("one", "two"):
        write_report(analyse(helped, votes), helped, tmp_path / name)
    for suffix in ("html", "json", "csv", "png"):
        one, two = ((tmp_path / n / f"report.{suffix}").read_bytes() for n in ("one", "two"))
        assert one == two


def test_tables_hold_what_the_analysis_does(helped, tmp_path):
    votes = list(voted.votes(helped, "bare", "SoftREPA", lambda _: 0.6))
    analysis = analyse(helped, votes, planned=54)
    write_report(analysis, helped, tmp_path)
    found = json.loads((tmp_path / "report.json").read_text(), parse_constant=pytest.fail)
    (comparison,) = found["comparisons"]
    clip = analysis.comparisons[0].scorers[0]
    assert comparison["scorers"]["clip"]["overall"]["difference"] == clip.overall.difference.mean
    assert comparison["votes"]["planned"] == 54
    rows = list(csv.DictReader(io.StringIO((tmp_path / "report.csv").read_text("utf-8-sig"))))
    assert [(r["measure"], r["category"]) for r in rows] == [
        (measure, category)
        for measure in ("clip", "judge", "votes")
        for category in ("", "number", "colour")
    ]
    assert float(rows[0]["difference"]) == clip.overall.difference.mean


HOSTILE = '</td><script>alert(1)</script><img src="https://example.com/x.png" onerror="x">'


def hostile(folder) -> trial.Trial:
    """A trial whose every text tries to get out."""
    manifest = made.manifest(prompts=4)
    prompts = tuple(
        replace(p, text=HOSTILE + p.id, category="=cmd|' /C calc'!A0" if at % 2 else HOSTILE[:60])
        for at, p in enumerate(manifest.prompts)
    )
    model = replace(manifest.arms[1].models[1], name=HOSTILE, details={"note": HOSTILE})
    arms = (manifest.arms[0], replace(manifest.arms[1], models=(model,), details={"x": HOSTILE}))
    begun = made.painted(
        folder,
        replace(manifest, prompts=prompts, arms=arms, name=HOSTILE, host={HOSTILE: HOSTILE}),
    )
    voted.scored(begun, f"={HOSTILE}{{0}}", lambda cell: len(cell.arm))
    return begun


@pytest.mark.parametrize("language", languages())
def test_nothing_gets_out_of_its_place(tmp_path, language: str):
    begun = hostile(tmp_path)
    votes = list(voted.votes(begun, "bare", "SoftREPA", lambda _: 0.9))
    page = write_report(analyse(begun, votes), begun, tmp_path, language).read_text()
    assert "<script" not in page and "&lt;script&gt;" in page
    tags = re.findall(r"<([a-zA-Z]+)([^>]*)>", page)
    assert all(not re.search(r"\son\w+=", attributes) for _, attributes in tags)
    sources = [re.search(r'src="([^"]*)"', a).group(1) for name, a in tags if name == "img"]
    assert sources and all(source.startswith("data:image/jpeg;base64,") for source in sources)
    assert not {"link", "iframe", "object", "form", "base", "a"} & {name for name, _ in tags}
    table = (tmp_path / "report.csv").read_text("utf-8-sig")
    cells = [cell for row in csv.reader(io.StringIO(table)) for cell in row]
    assert not [c for c in cells if c[:1] in "=@" and c]


def test_the_languages_have_equal_sentences_with_equal_values():
    tables = {
        lang: json.loads((FOLDER / f"{lang}.json").read_text("utf-8")) for lang in languages()
    }
    assert {"en", "ja"} <= set(tables)
    for language, table in tables.items():
        assert list(table) == list(tables["en"]), language
        for key, sentence in table.items():
            assert set(re.findall(r"{\w+}", sentence)) == set(
                re.findall(r"{\w+}", tables["en"][key])
            ), (language, key)
        assert set(CATEGORIES) <= set(table)


def test_every_sentence_is_used():
    source = "".join(p.read_text() for p in FOLDER.parent.rglob("*.py"))
    called = {f"{m}_{c}" for m in ("votes", "score") for c in ("gain", "loss", "undecided", "none")}
    called |= {"votes_gain_planned", "votes_loss_planned"}
    for key in json.loads((FOLDER / "en.json").read_text()):
        assert f'"{key}"' in source or f"'{key}'" in source or key in called, key


@pytest.fixture(scope="module")
def longest(tmp_path_factory) -> trial.Trial:
    """A trial whose names are as long as they may be, without a space."""
    base, arm = "W" * 80, "M" * 80
    manifest = made.manifest(prompts=4, seeds=(1,), arms=(base, arm))
    prompts = tuple(replace(p, category="W" * 60, text="W" * 900) for p in manifest.prompts)
    named = replace(manifest, prompts=prompts, name="W" * 200, seeds=(2**64 - 1, 2**63))
    begun = made.painted(tmp_path_factory.mktemp("longest"), named)
    voted.scored(begun, "W" * 80, lambda cell: 12345.678 * (cell.arm == arm))
    return begun


def test_long_names_stay_on_the_page(longest, tmp_path):
    base, arm = (each.name for each in longest.manifest.arms)
    votes = list(voted.votes(longest, base, arm, lambda _: 0.6))
    written = write_report(analyse(longest, votes), longest, tmp_path)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(locate()), args=list(FLAGS))
        page = browser.new_page(viewport={"width": 688, "height": 900})
        page.goto(written.as_uri())
        page.emulate_media(media="print")
        assert page.evaluate("document.documentElement.scrollWidth") <= 688
        browser.close()


@pytest.mark.parametrize("language", languages())
def test_the_page_in_a_browser(helped, tmp_path, language: str):
    votes = list(voted.votes(helped, "bare", "SoftREPA", lambda _: 0.7, voters=2))
    written = write_report(analyse(helped, votes, planned=54), helped, tmp_path, language)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(locate()), args=list(FLAGS))
        page = browser.new_page()
        said, asked = [], []
        page.on("console", lambda message: said.append(message.text))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(written.as_uri())
        # A screen, a phone, and the width that A4 leaves between its margins.
        for width, media in ((1280, "screen"), (390, "screen"), (688, "print")):
            page.emulate_media(media=media)
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (width, media)
        broken = "[...document.images].filter(i => !i.naturalWidth).length"
        assert page.evaluate(broken) == 0 and page.evaluate("document.images.length") == 24
        narrow = "Math.min(...[...document.querySelectorAll('svg')].map(s => s.clientWidth))"
        assert page.evaluate(narrow) >= 100
        assert page.pdf(prefer_css_page_size=True).startswith(b"%PDF")
        browser.close()
    assert said == [] and [u for u in asked if not u.startswith("data:")] == [written.as_uri()]
