"""What a model file's header tells the page is what the loaded model is."""

from __future__ import annotations

import pytest
from comfyui_softrepa.injection.architectures import architecture_of
from comfyui_softrepa.nodes.routes import model
from comfyui_softrepa.nodes.routes.transformers import TRANSFORMERS, transformer
from comfyui_softrepa.softrepa.adapter import PLACEMENTS
from comfyui_softrepa.tests import small_models
from safetensors.torch import save_file


def shapes_of(small, prefix=""):
    state = small.patcher.model.diffusion_model.state_dict()
    return {prefix + name: tuple(tensor.shape) for name, tensor in state.items()}


@pytest.mark.parametrize("name", sorted(small_models.KINDS))
@pytest.mark.parametrize("prefix", ["", "model.diffusion_model.", "net."])
def test_the_header_tells_what_the_model_is(name, prefix):
    if not small_models.there(name):
        pytest.skip("this ComfyUI has no such model")
    small = small_models.load(name)
    loaded = small.patcher.model
    architecture = architecture_of(loaded)
    assert transformer(shapes_of(small, prefix), prefix) == (
        architecture.NAME, small.kind.width, list(architecture.blocks(loaded))
    )  # fmt: skip


def test_every_architecture_has_a_row():
    assert {row.architecture for row in TRANSFORMERS} == set(PLACEMENTS) - {"mmdit", "unet"}


def test_a_file_is_read(tmp_path):
    small = small_models.load("z_image")
    path = tmp_path / "z.safetensors"
    state = small.patcher.model.diffusion_model.state_dict()
    save_file({f"model.diffusion_model.{name}": t for name, t in state.items()}, path)
    facts = model._facts(path, 0, path.stat().st_size)
    assert facts["architecture"] == "lumina" and facts["blocks"] == ["0", "1"]
    assert facts["widths"] == [256] and facts["offset_width"] == 256


def test_relatives_are_unknown():
    wan = shapes_of(small_models.load("wan"))
    assert transformer({**wan, "img_emb.proj.0.weight": (8,)}, "") is None
    qwen = shapes_of(small_models.load("qwen_image"))
    assert transformer({**qwen, "txt_norm.weight": (2560,)}, "") is None
    hunyuan = shapes_of(small_models.load("hunyuan_image"))
    assert transformer({**hunyuan, "img_in.proj.weight": (64, 16, 1, 1, 1)}, "") is None
    assert transformer({**hunyuan, "vision_in.proj.0.weight": (8,)}, "") is None
    flux = shapes_of(small_models.load("flux"))
    without = {name: shape for name, shape in flux.items() if not name.startswith("vector_in.")}
    assert transformer(without, "") is None  # LongCat and Ovis count their text's positions
    assert transformer({**without, "nerf_blocks.0.norm.weight": (8,)}, "") is None
