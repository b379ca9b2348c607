"""The extension reads and writes the nodes' texts exactly as the server does.

Its modules for that know nothing of the front-end, so they run in an empty page, once.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from comfyui_softrepa.softrepa.errors import AdapterError
from comfyui_softrepa.softrepa.layers import choose_layers, parse_layers
from comfyui_softrepa.softrepa.schedule import INTERPOLATIONS, parse_curve
from playwright.sync_api import Browser, Page, Route

WEB = Path(__file__).resolve().parents[2] / "web"
MODULES = "http://extension.test"
MMDIT = tuple(map(str, range(5)))
UNET = ("input.1", "input.2", "input.4", "middle.0", "output.3", "output.4", "output.5")
LAYERS = ["", "3-9", "0-2,4", "input", "input.4", "0-1:0.5", "0-1:1.0,2-4:.5", "INPUT",
          "input.2-9:2e-1", "4-0", "7",
          "middle,output.3", "a", "1-", " 3 - 4 : -1 ", "1:", "1,1:0.5", "input:0",
          "middle.1", "0-4,", ":1", "1.5", "output.4-5,output.3:0.25"]  # fmt: skip
KEYFRAMES = ["0:1, 0.5:1, 1:0", "1, 0.8, 0", "0.3", "0:1,0:2", "0.5:1,0.2:1", "1:", ":1", "",
             "0:1,1", "-0.1:1", "1.1:1", "0:1e0\n0.5:.5", "0:nan", "0:1:2",
             "0.2:-3, 0.7:2"]  # fmt: skip


@pytest.fixture(scope="module")
def page(chromium: Browser) -> Iterator[Page]:
    """An empty page that can import the extension's modules."""

    def answer(route: Route) -> None:
        name = route.request.url.removeprefix(f"{MODULES}/")
        if name:
            route.fulfill(path=WEB / name, content_type="text/javascript")
        else:
            route.fulfill(body="", content_type="text/html")

    context = chromium.new_context()
    context.route(f"{MODULES}/**", answer)
    opened = context.new_page()
    opened.goto(f"{MODULES}/")
    yield opened
    context.close()


def in_page(page: Page, script: str, argument):
    return page.evaluate(
        f"async argument => {{ const text = await import('{MODULES}/notation/layers.js')\n"
        f"const frames = await import('{MODULES}/notation/keyframes.js')\n{script} }}",
        argument,
    )


def on_server(text: str, blocks: tuple[str, ...]) -> dict[str, float] | None:
    try:
        return choose_layers(parse_layers(text), blocks)
    except AdapterError:
        return None


def test_layers_and_keyframes_mean_the_same_in_both(page):
    script = """return argument.map(([text_, blocks]) => {
        try { return Object.fromEntries(text.readLayers(text_, blocks)) } catch { return null }
    })"""
    cases = list(itertools.product(LAYERS, (MMDIT, UNET)))
    expected = [on_server(*case) for case in cases]
    assert in_page(page, script, [list(map(list_, case)) for case in cases]) == expected
    assert any(expected) and None in expected
    places = [place / 20 for place in range(21)]
    script = """const [texts, kinds, places] = argument
    return texts.flatMap(text_ => kinds.map(kind => {
        const points = frames.readKeyframes(text_)
        return points && places.map(place => frames.strengthAt(points, kind, place))
    }))"""
    found = in_page(page, script, [KEYFRAMES, list(INTERPOLATIONS), places])
    for (text, kind), values in zip(
        itertools.product(KEYFRAMES, INTERPOLATIONS), found, strict=True
    ):
        try:
            curve = parse_curve(text, kind)
        except AdapterError:
            assert values is None, text
        else:
            assert values == pytest.approx([curve.at(place) for place in places]), text


def test_every_choice_of_blocks_is_written_and_read_back(page):
    generator = random.Random(1)
    choices = []
    for blocks in (MMDIT, UNET):
        for _ in range(150):
            taken = [block for block in blocks if generator.random() < 0.6] or [blocks[0]]
            weights = {block: generator.choice((1, 1, 1, 0.5, -0.25, 0)) for block in taken}
            choices.append([list(weights.items()), list(blocks)])
    script = "return argument.map(([w, blocks]) => text.writeLayers(new Map(w), blocks))"
    for (weights, blocks), written in zip(choices, in_page(page, script, choices), strict=True):
        assert on_server(written, tuple(blocks)) == dict(weights), written


def test_every_language_has_every_sentence(page):
    script = f"""const {{ textsFor }} = await import('{MODULES}/texts.js')
    const source = await (await fetch('{MODULES}/texts.js')).text()
    const keys = [...source.split('const ja')[0].matchAll(/^  (\\w+): '/gm)].map(m => m[1])
    return Object.fromEntries(['en', 'ja', 'zh', 'zh-TW', 'ko', 'xx'].map(locale =>
        [locale, keys.map(key => textsFor(locale)(key))]))"""
    found = in_page(page, script, None)
    assert found["xx"] == found["en"] and found["zh-TW"] == found["zh"]
    assert len(found["en"]) > 20
    for locale in ("ja", "zh", "ko"):
        same = [
            text for text, other in zip(found[locale], found["en"], strict=True) if text == other
        ]
        assert not same, f"{locale} lacks {same}"


def list_(value):
    return list(value) if isinstance(value, tuple) else value
