"""Gradients of the B x B loss, a few predictions at a time, against all of them at once."""

from __future__ import annotations

import functools
import itertools
from dataclasses import replace

import pytest
import torch
from comfyui_softrepa.injection import apply, make_application, model_options
from comfyui_softrepa.tests import golden_models
from comfyui_softrepa.tests.training.all_at_once import at_once, batch, soft_tokens
from comfyui_softrepa.training.model.denoiser import Denoiser
from comfyui_softrepa.training.model.graph.options import training_options
from comfyui_softrepa.training.model.soft_tokens import SoftTokens
from comfyui_softrepa.training.objectives import AGSM, DPO, SoftREPA
from comfyui_softrepa.training.step.engine import Engine, prepare

OBJECTIVES = {
    "softrepa": SoftREPA(temperature=2.0, own_weight=1.0),
    "normalised": SoftREPA(temperature=0.5, normalise=True),
    "agsm": AGSM(temperature=1.0),
}


@pytest.fixture(scope="module", params=["sd3_d2l2_128", "sd15_111"])
def golden(request) -> golden_models.Golden:
    return golden_models.load(request.param)


@functools.cache
def loaded(stem: str) -> golden_models.Golden:
    return golden_models.load(stem)


def gradients(engine: Engine, task, live: SoftTokens, average: SoftTokens):
    for tensor in live.tensors.values():
        tensor.grad = None
    outcome = engine.accumulate(task, live, average, range(len(task.candidates)))
    return {name: tensor.grad.clone() for name, tensor in live.tensors.items()}, outcome


CASES = [("sd3_d2l2_128", 4, micro_batch) for micro_batch in (1, 3, 4, 8, 64)]
CASES += [("sd15_111", 3, 2), ("sdxl_110", 2, 1)]  # U-Nets are slow: one case each


@pytest.mark.parametrize(("stem", "size", "micro_batch"), CASES)
@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_gradient_equals_that_of_all_at_once(
    stem: str, size: int, micro_batch: int, name: str
) -> None:
    golden = loaded(stem)
    objective, denoiser = OBJECTIVES[name], Denoiser(golden.patcher)
    live, average = soft_tokens(golden, objective.BANKS), soft_tokens(golden, objective.BANKS, 1)
    task = prepare(denoiser, *batch(golden, size))
    expected, loss, hits = at_once(denoiser, objective, task, live, average)
    engine = Engine(denoiser, objective, micro_batch, training_options(denoiser.model, False))
    found, outcome = gradients(engine, task, live, average)
    assert float(outcome.loss) == pytest.approx(float(loss), rel=1e-5)
    judged = hits if objective.BANKS == 1 else hits[:1] * size
    assert float(outcome.hits) == float(judged.sum())
    for key in expected:
        assert expected[key].norm() > 0
        assert golden_models.relative_error(found[key], expected[key]) < 1e-5


@pytest.mark.parametrize("micro_batch", [1, 3, 8])
def test_dpo_equals_that_of_all_at_once(micro_batch: int) -> None:
    """Three better and three worse pictures, two of the captions equal, in one graph."""
    golden = loaded("sd3_d2l2_128")
    objective, denoiser = DPO(beta=30.0), Denoiser(golden.patcher)
    live = soft_tokens(golden, 1)
    given, latents, texts = batch(golden, 6)
    captions = (0, 1, 0)
    given = replace(
        given,
        images=(0, 1, 2),
        captions=given.captions[:2],
        candidates=tuple((caption, caption) for caption in captions),
        worse=(3, 4, 5),
    )
    task = prepare(denoiser, given, latents, texts[:2])
    conditions = task.conditions.take([*captions, *captions])
    options = model_options(make_application(denoiser.model, live.adapter))
    u, x, sigma = task.noisy.target, task.noisy.x, task.noisy.sigma
    p = denoiser.predict(x, sigma, conditions, options)
    with torch.no_grad():
        bare = denoiser.predict(x, sigma, conditions, {})
    gained = ((p - u).square() - (bare - u).square()).mean(dim=(1, 2, 3))
    apart = gained[:3] - gained[3:]
    loss = -torch.nn.functional.logsigmoid(-15.0 * apart).mean()
    expected = torch.autograd.grad(loss, list(live.tensors.values()))
    loss = float(loss.detach())

    engine = Engine(denoiser, objective, micro_batch, training_options(denoiser.model, False))
    found, outcome = gradients(engine, task, live, None)
    judged = engine.evaluate(task, live, None, range(3))
    for one in (outcome, judged):
        assert float(one.loss) == pytest.approx(loss, rel=1e-5)
        assert float(one.hits) == float((apart < 0).sum())
    for key, tensor in zip(live.tensors, expected, strict=True):
        assert tensor.norm() > 0
        assert golden_models.relative_error(found[key], tensor) < 1e-4


@pytest.mark.parametrize("name", ["softrepa", "agsm"])
def test_train_weight_is_how_often_each_token_counts(golden, name) -> None:
    """Loss and gradient are those of tokens that are there twice."""
    objective, denoiser = OBJECTIVES[name], Denoiser(golden.patcher)
    live, average = soft_tokens(golden, objective.BANKS), soft_tokens(golden, objective.BANKS, 1)
    task = prepare(denoiser, *batch(golden, 3))
    expected, loss, hits = at_once(denoiser, objective, task, live, average, times=2)
    options = training_options(denoiser.model, checkpointing=golden.arch == "sd3")
    engine = Engine(denoiser, objective, 3, options, weight=2.0)
    found, outcome = gradients(engine, task, live, average)
    assert float(outcome.loss) == pytest.approx(float(loss), rel=1e-5)
    judged = hits if objective.BANKS == 1 else hits[:1] * 3
    assert float(outcome.hits) == float(judged.sum())
    for key in expected:
        assert golden_models.relative_error(found[key], expected[key]) < 1e-4
    ordinary, once = gradients(Engine(denoiser, objective, 3), task, live, average)
    assert golden_models.relative_error(ordinary["tokens"], expected["tokens"]) > 1e-2
    used = engine.evaluate(task, live, average, range(3), 1.0)
    if name == "softrepa":  # agsm's targets are made with the weight of training
        assert float(used.loss) == pytest.approx(float(once.loss), rel=1e-5)


def test_shards_of_rows_add_up(golden) -> None:
    denoiser, objective = Denoiser(golden.patcher), OBJECTIVES["softrepa"]
    live = soft_tokens(golden, 1)
    task = prepare(denoiser, *batch(golden, 4))
    engine = Engine(denoiser, objective, 3)
    whole, outcome = gradients(engine, task, live, None)
    parts, losses = [], []
    for shard in (range(0, 4, 2), range(1, 4, 2)):
        live.adapter.tokens.grad = None
        losses.append(engine.accumulate(task, live, None, shard).loss)
        parts.append(live.adapter.tokens.grad.clone())
    assert golden_models.relative_error(parts[0] + parts[1], whole["tokens"]) < 1e-5
    assert float(sum(losses)) == pytest.approx(float(outcome.loss), rel=1e-6)


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
@pytest.mark.parametrize("micro_batch", [1, 64])
def test_some_negatives_replayed_give_the_whole_gradient_on_average(name, micro_batch) -> None:
    """Over every possible draw, exactly: rows add up, so all may draw the same places at once."""
    golden = loaded("sd3_d2l2_128")
    denoiser, objective = Denoiser(golden.patcher), OBJECTIVES[name]
    live, average = soft_tokens(golden, objective.BANKS), soft_tokens(golden, objective.BANKS, 1)
    made, latents, texts = batch(golden, 4)
    engine = Engine(denoiser, objective, micro_batch)
    expected, whole = gradients(engine, prepare(denoiser, made, latents, texts), live, average)
    found, losses, seen = [], [], []
    for drawn in itertools.combinations((1, 2, 3), 2):
        task = prepare(denoiser, replace(made, replayed=(drawn,) * 4), latents, texts)
        gradient, outcome = gradients(engine, task, live, average)
        found.append(gradient)
        losses.append(float(outcome.loss))
        seen.append(float(outcome.hits))
    for key, gradient in expected.items():
        mean = sum(each[key] for each in found) / len(found)
        assert golden_models.relative_error(mean, gradient) < 1e-5
        assert golden_models.relative_error(found[0][key], gradient) > 1e-4
    assert sum(losses) / len(losses) == pytest.approx(float(whole.loss), rel=1e-5)
    if objective.SURVEY == "live":
        assert losses == pytest.approx([float(whole.loss)] * 3, rel=1e-5)
    assert seen == [float(whole.hits)] * 3


def test_what_is_not_replayed_is_not_predicted_again(monkeypatch) -> None:
    golden = loaded("sd3_d2l2_128")
    denoiser, live = Denoiser(golden.patcher), soft_tokens(golden, 1)
    made, latents, texts = batch(golden, 4)
    predict, counted = Denoiser.predict, []

    def counting(self, x, *rest):
        counted.append((len(x), torch.is_grad_enabled()))
        return predict(self, x, *rest)

    monkeypatch.setattr(Denoiser, "predict", counting)
    task = prepare(denoiser, replace(made, replayed=((1,), (3,), (2,), (1,))), latents, texts)
    gradients(Engine(denoiser, OBJECTIVES["softrepa"], 64), task, live, None)
    assert sum(count for count, graph in counted if not graph) == 16
    assert sum(count for count, graph in counted if graph) == 8


def test_texts_of_different_length_never_share_a_forward(golden) -> None:
    denoiser, objective = Denoiser(golden.patcher), OBJECTIVES["softrepa"]
    live = soft_tokens(golden, 1)
    task = prepare(denoiser, *batch(golden, 3, lengths=(7, 14)))
    one_by_one, _ = gradients(Engine(denoiser, objective, 1), task, live, None)
    together, _ = gradients(Engine(denoiser, objective, 64), task, live, None)
    error = golden_models.relative_error(together["tokens"], one_by_one["tokens"])
    assert error < 1e-5


def test_evaluate_gives_the_loss_of_accumulate(golden) -> None:
    for objective in OBJECTIVES.values():
        denoiser = Denoiser(golden.patcher)
        live = soft_tokens(golden, objective.BANKS)
        average = soft_tokens(golden, objective.BANKS, 1)
        task = prepare(denoiser, *batch(golden, 3))
        engine = Engine(denoiser, objective, 4)
        _, expected = gradients(engine, task, live, average)
        found = engine.evaluate(task, live, average, range(3))
        assert float(found.loss) == pytest.approx(float(expected.loss), rel=1e-5)
        _, _, hits = at_once(denoiser, objective, task, live, average)
        assert float(found.hits) == float(hits.sum())


class Counting:
    """A denoiser that counts predictions with and without a graph."""

    def __init__(self, denoiser: Denoiser) -> None:
        self._denoiser = denoiser
        self.with_graph = self.without = 0

    def __getattr__(self, name: str):
        return getattr(self._denoiser, name)

    def predict(self, x, *rest):
        if torch.is_grad_enabled():
            self.with_graph += len(x)
        else:
            self.without += len(x)
        return self._denoiser.predict(x, *rest)


@pytest.mark.parametrize(
    ("name", "micro_batch", "expected"),
    [
        ("softrepa", 3, (16, 16)),  # the survey, and the replay
        ("softrepa", 4, (16, 0)),  # a row fits: its graph is kept
        ("softrepa", 64, (16, 0)),
        ("agsm", 64, (16, 20)),  # the survey is the moving average's; one row as it is used
    ],
)
def test_nothing_is_predicted_twice_that_need_not_be(name, micro_batch, expected) -> None:
    golden = golden_models.load("sd3_d2l2_128")
    objective, denoiser = OBJECTIVES[name], Counting(Denoiser(golden.patcher))
    live = soft_tokens(golden, objective.BANKS)
    task = prepare(denoiser, *batch(golden, 4))
    Engine(denoiser, objective, micro_batch).accumulate(task, live, live, range(4))
    assert (denoiser.with_graph, denoiser.without) == expected


def test_replay_leaves_out_what_has_no_gradient() -> None:
    golden = golden_models.load("sd3_d2l2_128")
    denoiser = Counting(Denoiser(golden.patcher))
    live = soft_tokens(golden, 1)
    task = prepare(denoiser, *batch(golden, 4))
    # exp(-e / 1e-4) is zero in float32, and so is every gradient.
    Engine(denoiser, SoftREPA(temperature=1e-4), 3).accumulate(task, live, None, range(4))
    assert (denoiser.with_graph, denoiser.without) == (0, 16)


def test_checkpointing_changes_memory_only() -> None:
    golden = golden_models.load("sd3_d2l2_128")
    denoiser, objective = Denoiser(golden.patcher), OBJECTIVES["softrepa"]
    live = soft_tokens(golden, 1)
    task = prepare(denoiser, *batch(golden, 4))
    found, saved = [], []
    for checkpointing in (False, True):
        sizes: list[int] = []
        options = training_options(denoiser.model, checkpointing)
        engine = Engine(denoiser, objective, 4, options)
        pack = lambda tensor, sizes=sizes: (sizes.append(tensor.numel()), tensor)[1]  # noqa: E731
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            found.append(gradients(engine, task, live, None)[0])
        saved.append(sum(sizes))
    assert torch.equal(found[0]["tokens"], found[1]["tokens"])
    assert saved[1] < saved[0]


def test_the_loss_falls_when_its_gradient_is_followed() -> None:
    golden = loaded("sd3_d2l2_128")
    for name in ("softrepa", "normalised"):
        denoiser = Denoiser(golden.patcher)
        live = soft_tokens(golden, 1)
        task = prepare(denoiser, *batch(golden, 4))
        engine = Engine(denoiser, OBJECTIVES[name], 8)
        optimizer = torch.optim.AdamW(list(live.tensors.values()), 3e-2)
        losses = []
        for _ in range(20):
            optimizer.zero_grad()
            losses.append(float(engine.accumulate(task, live, None, range(4)).loss))
            optimizer.step()
        assert losses[-1] < losses[0] - 0.02


def test_training_sees_what_the_nodes_sample_with(golden) -> None:
    denoiser, live = Denoiser(golden.patcher), soft_tokens(golden, 1)
    task = prepare(denoiser, *batch(golden, 2))
    application = make_application(denoiser.model, live.adapter)
    conditions = task.conditions.take([0, 1])
    args = (task.noisy.x, task.noisy.sigma, conditions)
    plain = denoiser.predict(*args, {})
    trained = denoiser.predict(*args, model_options(application)).detach()
    patched = apply(golden.patcher, application)
    sampled = denoiser.predict(*args, patched.model_options["transformer_options"]).detach()
    assert torch.equal(trained, sampled)
    assert not torch.equal(trained, plain)


def test_autocast_keeps_tokens_and_their_gradients_in_float32() -> None:
    golden = loaded("sd3_d2l2_128")
    live = soft_tokens(golden, 1)
    found = []
    for precision in ("auto", "bf16"):
        denoiser = Denoiser(golden.patcher, precision)
        task = prepare(denoiser, *batch(golden, 4))
        objective = SoftREPA(temperature=2.0, own_weight=1.0)
        found.append(gradients(Engine(denoiser, objective, 4), task, live, None)[0]["tokens"])
    assert found[1].dtype == torch.float32
    # Different arithmetic, same gradient: bfloat16 has 8 bits.
    assert 0 < golden_models.relative_error(found[1], found[0]) < 0.1
