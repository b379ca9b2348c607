"""SoftREPASchedule: strength over time and blocks, as data, and under torch.compile."""

from __future__ import annotations

import math

import pytest
import torch
from comfy.ldm.modules.attention import attention_pytorch
from comfy_api.torch_helpers import set_torch_compile_wrapper
from comfyui_softrepa.nodes.schedule import SoftREPASchedule
from comfyui_softrepa.softrepa.errors import AdapterError
from comfyui_softrepa.softrepa.schedule import RESOLUTION, parse_curve, read_table, table
from comfyui_softrepa.tests.control.studio import differs
from comfyui_softrepa.tests.golden_models import relative_error


def schedule(keyframes, interpolation="linear", layers="", earlier=None):
    return SoftREPASchedule.execute(keyframes, interpolation, layers, earlier).args[0]


@pytest.mark.parametrize(
    ("text", "interpolation", "expected"),
    [
        ("0:1, 1:0", "linear", {0.0: 1.0, 0.25: 0.75, 1.0: 0.0}),
        ("0:1, 1:0", "smooth", {0.0: 1.0, 0.5: 0.5, 0.25: (1 + math.cos(math.pi / 4)) / 2}),
        ("0:1\n0.5:0.2", "step", {0.0: 1.0, 0.499: 1.0, 0.5: 0.2, 1.0: 0.2}),
        ("0.25:2, 0.75:-1", "linear", {0.0: 2.0, 0.5: 0.5, 1.0: -1.0}),
        ("1, 0.5, 0", "linear", {0.25: 0.75, 0.5: 0.5, 1.0: 0.0}),
        ("0.7", "linear", {0.0: 0.7, 1.0: 0.7}),
    ],
)
def test_curves_run_through_their_keyframes(text, interpolation, expected):
    curve = parse_curve(text, interpolation)
    for percent, strength in expected.items():
        assert curve.at(percent) == pytest.approx(strength)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("0:1, half", "lacks its share"),
        ("0:1, 0.5:x", "is not a keyframe"),
        ("0:1, 1.5:0", "outside the schedule"),
        ("0.5:1, 0:0", "follow one another"),
        ("0:1, 0:0", "follow one another"),
        ("nan", "is not a keyframe"),
    ],
)
def test_unreadable_schedules_are_refused(text, message):
    with pytest.raises(AdapterError, match=message) as refused:
        schedule(text)
    assert str(refused.value).endswith(".")
    with pytest.raises(AdapterError, match="no interpolation"):
        schedule("0:1", "wavy")


def test_curves_are_read_where_comfyui_stands_in_its_schedule(art):
    sampling = art.model.get_model_object("model_sampling")
    ramp = table([parse_curve("0:0, 1:1")])
    for percent in (0.001, 0.1, 0.25, 0.5, 0.75, 0.9, 0.999):
        sigma = torch.tensor([sampling.percent_to_sigma(percent)] * 2)
        found = read_table(ramp, sigma, sampling.sigmas)
        assert found.item() == pytest.approx(percent, abs=2 / RESOLUTION)
    for sigma, percent in ((sampling.sigma_max * 1.5, 0.0), (torch.tensor(0.0), 1.0)):
        assert read_table(ramp, sigma.reshape(1), sampling.sigmas).item() == percent


def test_a_constant_schedule_is_the_plain_strength(art):
    full, half = art.sample(art.on_model()), art.sample(art.on_model(strength=0.5))
    for keyframes, expected in (("0:1, 1:1", full), ("0.5", half), ("0", art.sample())):
        found = art.sample(art.on_model(schedule=schedule(keyframes)))
        assert torch.equal(found.latent, expected.latent)


def test_a_curve_that_stays_at_0_or_1_for_a_while_gives_those_bits(art):
    plain, full = art.sample(), art.sample(art.on_model())
    falling = art.sample(art.on_model(schedule=schedule("0:1, 0.2:1, 0.9:0")))
    rising = art.sample(art.on_model(schedule=schedule("0:0, 0.2:0, 0.9:1")))
    assert torch.equal(falling.cond, full.cond)
    assert torch.equal(rising.cond, plain.cond)
    for curve in (falling, rising):
        assert differs(curve.latent, full.latent)
        assert differs(curve.latent, plain.latent)


def test_each_step_has_the_strength_of_the_curve(art):
    """Each step equals a model of that constant strength, at the same noise."""
    sampling = art.model.get_model_object("model_sampling")
    curve = parse_curve("0:1, 1:0")
    curved = art.on_model(schedule=schedule("0:1, 1:0"))
    for percent in (0.2, 0.5, 0.8):
        sigma = torch.tensor([sampling.percent_to_sigma(percent)])
        constant = art.on_model(strength=curve.at(percent))
        found, expected, full = (
            _predict(art, model, sigma) for model in (curved, constant, art.on_model())
        )
        assert relative_error(found, expected) < 0.02 * relative_error(full, expected) + 1e-5
        assert relative_error(full, expected) > 1e-4


def _predict(art, model, sigma):
    context, extra = art.positive[0]
    x = torch.full_like(art.latent, 0.3) * sigma
    y = model.model.encode_adm(
        pooled_output=extra["pooled_output"], noise=x, device="cpu", width=64, height=64
    )
    options = model.model_options["transformer_options"]
    with torch.no_grad():
        denoised = model.model.apply_model(
            x, sigma, c_crossattn=context, y=y, transformer_options=options
        )
    return (x - denoised) / sigma


def test_blocks_follow_curves_of_their_own(art):
    one, other = ("0", "1") if art.arch == "sd3" else ("input", "middle")
    layers = f"{one},{other}"
    chosen = schedule("0", layers=one)
    off = art.sample(art.on_model(layers=layers, schedule=chosen))
    assert torch.equal(off.latent, art.sample(art.on_model(layers=other)).latent)
    both = schedule("0:1, 1:0", layers=f"{other}:0.5", earlier=chosen)
    curved = art.sample(art.on_model(layers=layers, schedule=both))
    assert torch.equal(curved.cond, art.sample(art.on_model(layers=f"{other}:0.5")).cond) or (
        relative_error(curved.cond, art.sample(art.on_model(layers=f"{other}:0.5")).cond) < 1e-3
    )
    assert differs(curved.latent, off.latent)


def test_curves_for_blocks_without_tokens_are_refused(sd3):
    with pytest.raises(AdapterError, match='layers "2" are not all there: choose among 0, 1'):
        sd3.on_model(schedule=schedule("0:1, 1:0", layers="2"))


def test_both_apply_nodes_take_it(art):
    curve = schedule("0:1, 0.9:0")
    on_prompts = art.sample(
        positive=art.on_prompt(art.positive, schedule=curve),
        negative=art.on_prompt(art.negative, schedule=curve),
    )
    on_model = art.sample(art.on_model(schedule=curve))
    assert relative_error(on_prompts.latent, on_model.latent) < 1e-5
    assert differs(on_model.latent, art.sample(art.on_model()).latent)


def test_shift_after_the_node_moves_the_curve_with_it(sd3):
    """The curve is read from the model_sampling that samples, not the one at the node."""
    from comfy_extras.nodes_model_advanced import ModelSamplingSD3

    curve = schedule("0:1, 0.5:0", "step")
    before = ModelSamplingSD3().patch(sd3.on_model(schedule=curve), 6.0)[0]
    after = sd3.on_model(ModelSamplingSD3().patch(sd3.model, 6.0)[0], schedule=curve)
    assert torch.equal(sd3.sample(before).latent, sd3.sample(after).latent)
    assert differs(sd3.sample(before).latent, sd3.sample(sd3.on_model(schedule=curve)).latent)


@pytest.mark.parametrize("arch", ["sd15", "sd3"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"schedule": "0:1, 0.3:1, 1:0"},
        {"schedule": "0:1, 0.3:1, 1:0", "strength_as": "attention"},
    ],
)
def test_torch_compile_gives_one_graph_for_all_steps(studios, arch, settings):
    art = studios[arch]
    if "schedule" in settings:
        settings = {**settings, "schedule": schedule(settings["schedule"])}
    model = art.on_model(**settings)
    expected = art.sample(model).latent
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    compiled = model.clone()
    # The attention that ComfyUI picks for a CPU asks how much memory is free.
    options = compiled.model_options["transformer_options"]
    options["optimized_attention_override"] = _pytorch_attention
    set_torch_compile_wrapper(compiled, backend="aot_eager", fullgraph=True)
    found = art.sample(compiled).latent
    assert relative_error(found, expected) < 1e-5
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
    assert differs(found, art.sample().latent)
    torch._dynamo.reset()


def _pytorch_attention(_, *args, **kwargs):
    return attention_pytorch(*args, **kwargs)
