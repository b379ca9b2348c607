"""What the command line says of arms, prompts and seeds, and the graph that it becomes."""

from __future__ import annotations

import hashlib
import json

import pytest
from comfyui_softrepa.evaluation.errors import EvaluationError, PromptsError, TrialError
from comfyui_softrepa.evaluation.painting import recipe
from comfyui_softrepa.evaluation.painting.sources import graph as graphs
from comfyui_softrepa.evaluation.prompts import chosen_prompts, suite
from comfyui_softrepa.evaluation.trial import Sampling
from comfyui_softrepa.evaluation.trial.seeds import chosen_seeds
from comfyui_softrepa.injection import STRENGTH_AS
from comfyui_softrepa.nodes.apply import SoftREPAApply


def test_an_arm_in_words():
    arm = recipe.read_arm(
        'both: adapter="my file.safetensors" strength=0.5 layers=0-1:1.0,2 end=0.8 lora=a/b.pt '
        "strength=-1"
    )
    adapter, lora = arm.parts
    assert (arm.name, adapter.file, lora.file) == ("both", "my file.safetensors", "a/b.pt")
    assert adapter.settings == {"strength": 0.5, "layers": "0-1:1.0,2", "end": 0.8}
    assert lora.settings == {"strength": -1.0}
    assert recipe.read_arm("bare") == recipe.read_arm("bare:") == recipe.ArmRecipe("bare")


@pytest.mark.parametrize(
    "text",
    ["", ": adapter=x", "../a", "a: strength=1", "a: adapter=", "a: adapter=x strenght=1",
     "a: adapter=x strength=many", "a: adapter=x strength=nan", "a: adapter=x end=2",
     "a: lora=x layers=1", 'a: adapter="x', "a: adapter=x negative_share=-1",
     "a: adapter=x strength_as=half", "a: lora=x negative_share=1"],
)  # fmt: skip
def test_what_is_no_arm_is_told(text):
    with pytest.raises(EvaluationError, match="--arm"):
        recipe.read_arm(text)


def test_loras_chain_model_and_clip():
    arms = [recipe.read_arm("bare"), recipe.read_arm("l: lora=a.pt lora=b.pt adapter=c.pt")]
    made = recipe.graph(recipe.Base("x.safetensors"), arms, {})
    trial = made[recipe.TRIAL]["inputs"]
    assert trial["model_1"] == ["checkpoint", 0] and "text_1" not in trial
    assert trial["model_2"] == ["adapter_2_3", 0] and trial["text_2"] == ["lora_2_2", 1]
    assert made["lora_2_2"]["inputs"]["model"] == ["lora_2_1", 0]
    assert made["adapter_2_3"]["inputs"]["model"] == ["lora_2_2", 0]


def test_an_adapters_other_settings_are_the_nodes_where_they_are_given():
    assert recipe.CHOICES["strength_as"] == STRENGTH_AS
    told = "strength=0.8 negative_share=0.6 strength_as=attention"
    arms = [recipe.read_arm("plain: adapter=c.pt"), recipe.read_arm(f"apart: adapter=c.pt {told}")]
    made = recipe.graph(recipe.Base("x.safetensors"), arms, {})
    inputs = [made[f"adapter_{at}_1"]["inputs"] for at in (1, 2)]
    assert inputs[1].keys() - inputs[0].keys() == {"negative_share", "strength_as"}
    assert (inputs[1]["negative_share"], inputs[1]["strength_as"]) == (0.6, "attention")
    assert inputs[1].keys() - {"model"} <= {
        each.id for each in SoftREPAApply.define_schema().inputs
    }


def test_one_picture_has_the_arm_that_a_trial_has():
    base, arm = recipe.Base("x.safetensors"), recipe.read_arm("l: lora=a.pt adapter=c.pt start=0.2")
    sampling = Sampling("euler", "simple", 7, 4.5, 64, 32, denoise=0.8)
    made = recipe.picture(base, arm, "a cat", "a dog", 3, sampling)
    of_trial = recipe.graph(base, [arm, recipe.read_arm("bare")], {})
    shared = made.keys() & of_trial.keys()
    assert {"checkpoint", "lora_1_1", "adapter_1_2", "adapter_1_2_file"} == shared
    assert all(made[name] == of_trial[name] for name in shared)
    sampler = made["sampler"]["inputs"]
    assert sampler["model"] == of_trial[recipe.TRIAL]["inputs"]["model_1"]
    assert made["positive"]["inputs"] == {"clip": ["lora_1_1", 1], "text": "a cat"}
    assert made["negative"]["inputs"] == {"clip": ["lora_1_1", 1], "text": "a dog"}
    assert (sampler["seed"], sampler["steps"], sampler["cfg"], sampler["denoise"]) == (
        3,
        7,
        4.5,
        0.8,
    )


def test_parts_apart_take_the_place_of_the_checkpoints():
    base = recipe.Base(None, "m.safetensors", ("l.pt", "g.pt"), "v.pt", "sdxl")
    made = recipe.graph(base, [recipe.read_arm("a"), recipe.read_arm("b")], {})
    assert made["clip"]["class_type"] == "DualCLIPLoader"
    assert made[recipe.TRIAL]["inputs"]["vae"] == ["vae", 0]
    with pytest.raises(EvaluationError, match="Name the base"):
        recipe.graph(recipe.Base(None, "m.safetensors"), [recipe.ArmRecipe("a")] * 2, {})
    with pytest.raises(EvaluationError, match="2 to 8 arms"):
        recipe.graph(base, [recipe.ArmRecipe("a")], {})


def test_only_what_lies_upstream_makes_an_arm():
    arms = [recipe.read_arm(f"a{at}: adapter=no.safetensors strength={at}") for at in (1, 2)]
    made = recipe.graph(recipe.Base("no.safetensors"), arms, {})
    one, two = (graphs.made(made, [made[recipe.TRIAL]["inputs"][f"model_{at}"]]) for at in (1, 2))
    assert "strength=1.0" in one.settings and "strength=2.0" not in one.settings
    assert "strength=2.0" in two.settings and one.models == ()


def test_long_settings_differ_where_their_ends_do():
    def told(last: str) -> str:
        nodes = {"1": {"class_type": "N", "inputs": {"text": "x" * 5000 + last}}}
        return graphs.made(nodes, [["1", 0]]).settings

    assert len(told("a")) <= 2000 and told("a") != told("b")


def test_a_picture_that_guides_is_hashed(base):
    (base / "input" / "guide.png").write_bytes(b"one")
    nodes = {"1": {"class_type": "LoadImage", "inputs": {"image": "guide.png"}}}
    (found,) = graphs.made(nodes, [["1", 0]]).models
    assert (found.kind, found.name) == ("input", "guide.png")
    assert found.sha256 == hashlib.sha256(b"one").hexdigest()
    (base / "outside.png").write_bytes(b"two")
    nodes = {"1": {"class_type": "LoadImage", "inputs": {"image": "../outside.png"}}}
    assert graphs.made(nodes, [["1", 0]]).models == ()


def test_graphs_that_circle_or_lead_nowhere_end():
    nodes = {
        "1": {"class_type": "A", "inputs": {"x": ["2", 0], "y": ["gone", 0]}},
        "2": {"class_type": "B", "inputs": {"x": ["1", 0]}},
    }
    assert graphs.made(nodes, [["1", 0], None, "text"]).settings == "B; A"


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("1", (1,)), ("1-4, 7", (1, 2, 3, 4, 7)), ("3 1;3", (3, 1)), ("0 - 2", (0, 1, 2)),
     (str(2**64 - 1), (2**64 - 1,))],
)  # fmt: skip
def test_seeds_in_words(text, seeds):
    assert chosen_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "1-", "-1", "4-1", "1-9999", str(2**64), "1.5", "٣"])
def test_what_are_no_seeds_is_told(text):
    with pytest.raises(TrialError, match="seeds "):
        chosen_seeds(text)


def test_prompts_in_words(tmp_path):
    typed = chosen_prompts("a cat\n\n[ two things ]\na cat and a dog\n[number]\n3 cats\n3 cats")
    assert [(p.text, p.category) for p in typed] == [
        ("a cat", ""), ("a cat and a dog", "two things"), ("3 cats", "number"),
    ]  # fmt: skip
    assert chosen_prompts("suite-ja") == suite("ja")
    file = tmp_path / "p.jsonl"
    file.write_text(json.dumps({"prompt": "a cat", "include": [{"class": "cat", "count": 1}]}))
    (found,) = chosen_prompts(" p.jsonl ", tmp_path)
    assert (
        found.expected == ({"class": "cat", "count": 1},) == chosen_prompts(str(file))[0].expected
    )
    with pytest.raises(PromptsError, match="lies outside"):
        chosen_prompts(str(file), tmp_path / "below")
