"""What users see and do with the extension, in both node renderers."""

from __future__ import annotations

import re

import pytest
from comfyui_softrepa.tests.browser.graphs import PLACES, demo_graph
from comfyui_softrepa.tests.browser.widgets import choose, drag, field, value, write
from playwright.sync_api import expect

INFO, WARNING = ".softrepa-info", ".softrepa-warning"
TIMES = "\N{MULTIPLICATION SIGN}"
STRIP, BLOCK, HANDLE = ".softrepa-strip", ".softrepa-block", ".softrepa-handle"


def block(frontend, name):
    return frontend.page.locator(f"{BLOCK}[data-block='{name}']")


def pressed(frontend) -> list[str]:
    """The blocks that are shown as chosen."""
    frontend.settle()
    chosen = frontend.page.locator(f"{BLOCK}[aria-pressed='true']")
    return chosen.evaluate_all("all => all.map(one => one.dataset.block)")


def handle(frontend, label):
    return frontend.page.get_by_role("button", name=label, exact=True)


@pytest.fixture
def demo(both):
    both.load_api(demo_graph(), PLACES)
    both.page.locator(BLOCK).first.wait_for()
    return both


def test_the_info_follows_the_choice(demo):
    info = demo.page.locator(INFO)
    expect(info).to_contain_text("MMDiT of width 192")
    expect(info).to_contain_text(f"2 blocks {TIMES} 4 tokens, before the text")
    expect(info).to_contain_text("AGSM · on demo.safetensors · 400 steps · 2026-11-20")
    choose(demo, 2, "adapter", "sdxl.safetensors")
    expect(info).to_contain_text("SDXL (U-Net, width 2048)")
    expect(info).to_contain_text("4 tokens, shared by the input blocks")
    expect(info).to_contain_text("The file does not say how it was trained.")
    assert not demo.complaints()


def test_a_file_that_could_be_several_things_asks_for_a_choice(demo):
    choose(demo, 2, "adapter", "foreign.safetensors")
    expect(demo.page.locator(f"{INFO} {WARNING}")).to_contain_text("chroma for Chroma")
    choose(demo, 2, "architecture", "chroma")
    expect(demo.page.locator(INFO)).to_contain_text("Chroma (Chroma DiT, width 3072)")
    assert demo.prompt()["2"]["inputs"]["architecture"] == "chroma"
    # The model is an SD3: both panels say so.
    expect(demo.page.locator(f".softrepa-controls {WARNING}")).to_contain_text("for Chroma")
    # The console names the refusal of the file, and nothing else.
    assert {where.rpartition("?")[2] for _, _, where in demo.complaints()} == {
        "name=foreign.safetensors"
    }
    demo.messages.clear()


def test_one_click_takes_the_recommended_strength(demo):
    take = demo.page.locator(".softrepa-take")
    expect(take).to_have_text("recommended strength: 0.75")
    assert (value(demo, 3, "strength"), value(demo, 3, "strength_as")) == (1, "blend")
    take.click()
    demo.settle()
    assert (value(demo, 3, "strength"), value(demo, 3, "strength_as")) == (0.75, "attention")
    inputs = demo.prompt()["3"]["inputs"]
    assert (inputs["strength"], inputs["strength_as"]) == (0.75, "attention")
    expect(demo.page.locator(".softrepa-reading")).to_contain_text("0.75 all the way")
    choose(demo, 2, "adapter", "sd15.safetensors")
    expect(take).to_have_count(0)  # its file recommends nothing
    demo.screenshot("recommended")
    assert not demo.complaints()


def test_a_model_of_another_kind_is_warned_of(demo):
    warnings = demo.page.locator(WARNING)
    expect(warnings).to_have_count(0)
    choose(demo, 1, "ckpt_name", "sd15.safetensors")
    expect(warnings).to_have_count(2)  # at the loader and at the Apply node
    for index in (0, 1):
        expect(warnings.nth(index)).to_have_text(
            "This adapter is for MMDiT of width 192. sd15.safetensors is SD1.x (U-Net, width 768)."
        )
    choose(demo, 2, "adapter", "sd15.safetensors")
    expect(warnings).to_have_count(0)
    choose(demo, 1, "ckpt_name", "softrepa_demo.safetensors")
    expect(warnings).to_have_count(2)
    assert not demo.complaints()


def test_clicking_blocks_writes_layers(demo):
    assert pressed(demo) == ["0", "1"]
    block(demo, "1").click()
    assert (value(demo, 3, "layers"), pressed(demo)) == ("0", ["0"])
    block(demo, "0").click()
    assert pressed(demo) == ["0"], "an empty text would mean all blocks"
    block(demo, "1").press("Enter")
    assert (value(demo, 3, "layers"), pressed(demo)) == ("", ["0", "1"])
    block(demo, "1").dblclick()
    assert (value(demo, 3, "layers"), pressed(demo)) == ("1", ["1"])
    # However slow: what is clicked stays the same element, or the second click would be a first.
    kept = block(demo, "0").element_handle()
    block(demo, "0").click()
    demo.settle()
    assert kept.evaluate("button => button.isConnected")
    assert (value(demo, 3, "layers"), pressed(demo)) == ("", ["0", "1"])
    demo.page.locator(".softrepa-all").click()
    assert value(demo, 3, "layers") == ""
    if demo.page.evaluate("() => LiteGraph.vueNodesMode"):
        block(demo, "0").click()
        expect(field(demo, 3, "layers")).to_have_value("1")
    assert not demo.complaints()


def test_typed_layers_are_read_back(demo):
    choose(demo, 2, "adapter", "raw.safetensors")
    expect(demo.page.locator(BLOCK)).to_have_count(3)
    write(demo, 3, "layers", "0-1:0.5")
    assert pressed(demo) == ["0", "1"]
    fill = block(demo, "0").evaluate("e => e.style.getPropertyValue('--softrepa-weight')")
    assert fill == "0.5"
    block(demo, "2").click()
    assert value(demo, 3, "layers") == "0-1:0.5,2", "weights survive a click"
    write(demo, 3, "layers", "1, 7")
    assert pressed(demo) == []
    expect(demo.page.locator(STRIP)).to_contain_text("“7” is not among the blocks.")
    assert value(demo, 3, "layers") == "1, 7", "what was typed is not touched"
    assert not demo.complaints()


def test_blocks_of_a_u_net(demo):
    choose(demo, 2, "adapter", "sd15.safetensors")
    expect(block(demo, "output.3")).to_be_visible()
    choose(demo, 1, "ckpt_name", "sd15.safetensors")
    # This checkpoint has two levels of four: its own blocks are offered now.
    expect(block(demo, "output.11")).to_have_count(0)
    assert pressed(demo) == ["input.1", "input.3"]
    block(demo, "middle.0").click()
    assert value(demo, 3, "layers") == "input,middle"
    block(demo, "input.3").click()
    assert value(demo, 3, "layers") == "input.1,middle"
    demo.settle()
    first, last = (block(demo, name).bounding_box() for name in ("output.0", "output.3"))
    mouse = demo.page.mouse
    mouse.move(first["x"] + 8, first["y"] + 8)
    mouse.down()
    mouse.move(last["x"] + 8, last["y"] + 8, steps=20)
    mouse.up()
    assert value(demo, 3, "layers") == "input.1,middle,output", "one drag paints several"
    assert not demo.complaints()


def test_the_curve_writes_strength_and_range(demo):
    width = demo.page.locator(".softrepa-plot").first.bounding_box()["width"]
    drag(demo, handle(demo, "end of the range"), -width / 2, 0)
    assert value(demo, 3, "end_percent") == pytest.approx(0.5, abs=0.02)
    drag(demo, handle(demo, "start of the range"), width / 4, 0)
    assert value(demo, 3, "start_percent") == pytest.approx(0.25, abs=0.02)
    drag(demo, handle(demo, "start of the range"), width / 2, 0)
    start, end = (value(demo, 3, f"{name}_percent") for name in ("start", "end"))
    assert start == end, "a range cannot end before it starts"
    drag(demo, handle(demo, "strength"), 0, 20)
    assert 0 < value(demo, 3, "strength") < 1
    before = value(demo, 3, "strength")
    handle(demo, "strength").press("ArrowUp")
    assert value(demo, 3, "strength") == pytest.approx(before + 0.05)
    percent = round(start * 100)
    expect(demo.page.locator(".softrepa-reading")).to_contain_text(f"from {percent} to {percent} %")
    assert demo.prompt()["3"]["inputs"]["strength"] == pytest.approx(before + 0.05)
    assert not demo.complaints()


def test_the_curve_of_a_schedule_writes_keyframes(both):
    both.load_api(demo_graph(keyframes="1, 0"), PLACES)
    node = both.page.locator(".softrepa-chart.softrepa")
    points = node.locator(HANDLE)
    expect(points).to_have_count(2)
    plot = node.locator(".softrepa-plot").bounding_box()
    both.page.mouse.dblclick(plot["x"] + plot["width"] / 2, plot["y"] + plot["height"] / 3)
    expect(points).to_have_count(3)
    written = re.fullmatch(r"0:1, 0\.5:(0\.\d+), 1:0", value(both, 10, "keyframes"))
    assert written and float(written[1]) == pytest.approx(0.7, abs=0.15)
    drag(both, points.nth(1), -plot["width"], 0)
    assert value(both, 10, "keyframes").split(", ")[1].startswith("0.001:"), "stays in order"
    points.nth(1).press("Delete")
    assert value(both, 10, "keyframes") == "0:1, 1:0"
    write(both, 10, "keyframes", "0:1, 0.3:oops")
    expect(node).to_contain_text("These keyframes are not a curve.")
    expect(points).to_have_count(0)
    write(both, 10, "keyframes", "0:0.5, 0.3:2, 1:0")
    expect(points).to_have_count(3)
    # The Apply node shows what comes out of both, and says so.
    expect(both.page.locator(".softrepa-controls")).to_contain_text(f"{TIMES} schedule")
    assert both.prompt()["10"]["inputs"] == {
        "keyframes": "0:0.5, 0.3:2, 1:0",
        "interpolation": "smooth",
        "layers": "",
    }
    assert not both.complaints()
