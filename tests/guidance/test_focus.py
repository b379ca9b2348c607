"""FOCUS on small SD3 models, held against plain computations of the tests' own."""

from __future__ import annotations

import math
from types import SimpleNamespace

import comfy.sample
import numpy
import pytest
import torch
from comfy.patcher_extension import WrappersMP
from comfy.text_encoders.sd3_clip import SD3Tokenizer
from comfyui_softrepa import guidance
from comfyui_softrepa.guidance import focus
from comfyui_softrepa.guidance.maps import call
from comfyui_softrepa.guidance.maps.mmdit import JointRecorder
from comfyui_softrepa.nodes.apply import SoftREPAApply
from comfyui_softrepa.nodes.guidance.focus import SoftREPAFocus
from comfyui_softrepa.tests import adapters, golden_models
from comfyui_softrepa.tests.golden_models import relative_error, seeded
from comfyui_softrepa.tests.guidance import small_unet as small

STEM = "sd3_d3l2_192_timed"


class Clip:
    """SD3's own tokenizers, and an embedding for each row; without T5's where `t5` is not set."""

    def __init__(self, t5=True):
        self._tokenizer, self._t5 = SD3Tokenizer(), t5
        there = torch.nn.Identity()
        self.cond_stage_model = SimpleNamespace(
            clip_l=there, clip_g=there, t5xxl=there if t5 else None
        )

    def tokenize(self, text):
        return self._tokenizer.tokenize_with_weights(text)

    def encode_from_tokens_scheduled(self, tokens):
        rows = [("l", token) for row in tokens["l"] for token, _ in row]
        if self._t5:
            rows += [("t5", token) for row in tokens["t5xxl"] for token, _ in row]
        text = [seeded(f"{each}.{at}", (4096,), 3, 0.5) for at, each in enumerate(rows)]
        return [[torch.stack(text)[None], {"pooled_output": seeded("pooled", (1, 2048), 3)}]]

    def prompt(self, text):
        return self.encode_from_tokens_scheduled(self.tokenize(text))


@pytest.fixture(scope="module")
def clip():
    return Clip()


@pytest.fixture(scope="module")
def patcher():
    return golden_models.load(STEM).patcher


def sample(model, clip, batch=1, noise=None, text=small.PROMPT):
    latent = torch.zeros(batch, 16, 10, 8)
    noise = comfy.sample.prepare_noise(latent, 5) if noise is None else noise
    positive, negative = clip.prompt(text), clip.prompt("blurred")
    return comfy.sample.sample(
        model, noise, 2, 4.0, "euler", "simple", positive, negative, latent,
        disable_pbar=True, seed=5,
    )  # fmt: skip


def focused(patcher, clip, strength=1.0, prompt=small.PROMPT, words=""):
    return SoftREPAFocus.execute(patcher, clip, prompt, words, strength).args[0]


def recorded(patcher, columns):
    recorder = JointRecorder(columns)
    model_options = {"transformer_options": patcher.model_options["transformer_options"]}
    options = call._options(model_options, recorder)["transformer_options"]
    with torch.no_grad(), pytest.raises(call.Complete):
        patcher.model.apply_model(*inputs(), **texts(), transformer_options=options)
    return recorder.mean()


def inputs():
    return seeded("focus.x", (1, 16, 10, 8), 1), torch.tensor([0.6])


def texts():
    return {"c_crossattn": seeded("focus.c", (1, 154, 4096), 1, 0.5),
            "y": seeded("focus.y", (1, 2048), 1, 0.5)}  # fmt: skip


def seen(patcher, columns, before=0):
    """The same from what an attention of the tests' own is given in an ordinary call."""
    found = []

    def look(attention, query, key, value, heads, *others, **named):
        if key.shape[1] > 154:
            size = query.shape[-1] // heads
            for head in range(heads):
                part = slice(head * size, (head + 1) * size)
                scores = (query[0, -20:, part] @ key[0, :, part].T).numpy() / math.sqrt(size)
                share = numpy.exp(scores - scores.max(-1, keepdims=True))
                share /= share.sum(-1, keepdims=True)
                found.append(share[:, [before + each for each in columns]])
        return attention(query, key, value, heads, *others, **named)

    options = {**patcher.model_options["transformer_options"]}
    options["optimized_attention_override"] = look
    with torch.no_grad():
        patcher.model.apply_model(*inputs(), **texts(), transformer_options=options)
    return torch.from_numpy(numpy.mean(found, 0)).reshape(5, 4, len(columns)).float()


def test_maps_are_the_mean_of_the_attentions(patcher):
    assert torch.allclose(recorded(patcher, (1, 80)), seen(patcher, (1, 80)), atol=1e-6)


@pytest.mark.parametrize("placement", ["prepend", "append"])
def test_soft_tokens_take_their_share_and_are_counted_out(patcher, placement):
    adapter = adapters.random_adapter("mmdit", 192, 3, scale=2.0, placement=placement)
    adapted = SoftREPAApply.execute(patcher, adapter, 1.0, 0.0, 1.0, "").args[0]
    expected = seen(adapted, (1, 80), before=4 if placement == "prepend" else 0)
    assert torch.allclose(recorded(adapted, (1, 80)), expected, atol=1e-6)


def test_its_cost_is_its_formula():
    maps = seeded("cost", (5, 4, 5), 2).exp()
    groups = ((0, 1), (2,), (3, 4))
    kernel = numpy.exp(-(numpy.arange(-1, 2) ** 2) / 2)
    kernel = numpy.outer(kernel, kernel) / kernel.sum() ** 2
    smooth = []
    for each in range(5):
        padded = numpy.pad(maps[..., each].numpy().astype(numpy.float64), 1, mode="reflect")
        smooth.append(
            [(padded[y : y + 3, x : x + 3] * kernel).sum() for y in range(5) for x in range(4)]
        )
    smooth = numpy.array(smooth)

    def divergence(part):
        part = part**3 / (part**3).sum(-1, keepdims=True)
        return (part * numpy.log(part / part.mean(0))).sum(-1).mean() / numpy.log(len(part))

    within = (divergence(smooth[:2]) + divergence(smooth[3:])) / 2
    things = numpy.stack([smooth[list(group)].mean(0) for group in groups])
    expected = (within + 1 - divergence(things)) / 2
    assert float(focus.cost(maps, groups)) == pytest.approx(expected, rel=1e-5)


def test_the_prediction_is_bent_by_the_gradient(patcher, clip):
    """Held against a difference quotient of the cost, and against the velocity's own formula."""
    seen_calls = []

    def keep(executor, x, sigma, *given, **named):
        found = executor(x, sigma, *given, **named)
        seen_calls.append((x.clone(), sigma.clone(), found.clone()))
        return found

    plain = patcher.clone()
    plain.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, "test", keep)
    sample(plain, clip)
    sample(focused(plain, clip, 2.0), clip)  # the earlier wrapper is the outer one
    half = len(seen_calls) // 2
    (x, sigma, before), (same, _, after) = seen_calls[0], seen_calls[half]
    assert torch.equal(x, same)  # the first step begins alike
    level = float(sigma)
    velocity = 2.0 * 2 * (level + 1e-3) / (1 - level + 1e-3) * level
    gradient = (before - after) / (level * velocity)
    plan = guidance.plan_focus(patcher.model, clip, small.PROMPT)
    direction = seeded("direction", tuple(x.shape), 1)
    values = []
    for step in (1e-2, -1e-2):
        recorder = JointRecorder(plan.columns)
        options = call._options({}, recorder)["transformer_options"]
        with torch.no_grad(), pytest.raises(call.Complete):
            patcher.model.apply_model(
                x + step * direction, sigma, c_crossattn=plan.text,
                y=clip.prompt(small.PROMPT)[0][1]["pooled_output"], transformer_options=options,
            )  # fmt: skip
        values.append(float(focus.cost(recorder.mean(), plan.groups)))
    quotient = (values[0] - values[1]) / 2e-2
    assert float((gradient * direction).sum()) == pytest.approx(quotient, rel=0.02)


def test_words_are_found_in_both_encoders_texts(patcher, clip):
    plan = guidance.plan_focus(patcher.model, clip, small.PROMPT)
    tokens = clip.tokenize(small.PROMPT)
    whole = [token for row in (*tokens["l"], *tokens["t5xxl"]) for token, _ in row]
    cat, dog = (
        [plan.columns[at] for at in group] for group in plan.groups
    )  # "red cat", "blue dog"
    assert plan.words == "red cat, blue dog"
    assert whole[cat[0]] == clip.tokenize("red")["l"][0][1][0]
    red = clip.tokenize("red")["t5xxl"][0][0][0]
    assert red in [whole[at] for at in cat if at >= 77]
    assert not set(cat) & set(dog)
    without = guidance.plan_focus(patcher.model, Clip(t5=False), small.PROMPT)
    assert without.columns == tuple(each for each in plan.columns if each < 77)


def test_in_inference_mode_with_a_batch_and_an_adapter(clip):
    plain = golden_models.load(STEM).patcher
    adapter = adapters.random_adapter("mmdit", 192, 3, scale=2.0)
    noise = seeded("batch", (2, 16, 10, 8), 1)
    with torch.inference_mode():
        for strength in (1.0, 0.5):
            adapted = SoftREPAApply.execute(plain, adapter, strength, 0.0, 1.0, "").args[0]
            model = focused(adapted, clip)
            found = sample(model, clip, 2, noise)
            assert torch.isfinite(found).all()
            assert relative_error(found, sample(adapted, clip, 2, noise)) > 1e-5
            alone = sample(model, clip, 1, noise[1:])
            assert relative_error(found[1:], alone) < 1e-3
    assert not any(each.requires_grad for each in plain.model.parameters() if each.grad is not None)
    bare = sample(plain, clip)
    assert torch.equal(sample(focused(plain, clip, 0.0), clip), bare)


def test_what_it_cannot_do_is_said_before_sampling(patcher, clip):
    with pytest.raises(guidance.GuidanceError, match="two or more"):
        focused(patcher, clip, words="cat")
    with pytest.raises(guidance.GuidanceError, match='"horse" is not in the prompt'):
        focused(patcher, clip, words="cat, horse")
    with pytest.raises(guidance.GuidanceError, match="SD3 and SD3.5"):
        focused(small.patcher(), clip)
    with pytest.raises(guidance.GuidanceError, match="connect one text"):
        sample(focused(patcher, clip), clip, text="a yellow hat")
