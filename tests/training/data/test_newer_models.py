"""Newer models from separate files: what they are is read off headers of their real shapes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import comfy.ldm.chroma.model
import comfy.ldm.flux.model
import comfy.ops
import folder_paths
import pytest
import torch
from comfyui_softrepa.tests import outlines
from comfyui_softrepa.training.errors import BadInput
from comfyui_softrepa.training.model import headers
from comfyui_softrepa.training.model.base_model import find
from comfyui_softrepa.training.model.design import distilled, family
from comfyui_softrepa.training.settings.families import FAMILIES
from comfyui_softrepa.training.settings.text_encoders import (
    DETECTED,
    KNOWN_NAMES,
    OPTIONAL,
    TEXT_ENCODERS,
    clip_type,
)
from torch import Tensor

META = {"device": "meta", "dtype": torch.float16, "operations": comfy.ops.disable_weight_init}


def flux(guidance: bool = True) -> dict[str, Tensor]:
    """Flux.1, two blocks of each kind."""
    return comfy.ldm.flux.model.Flux(
        image_model="flux", in_channels=16, out_channels=16, vec_in_dim=768, context_in_dim=4096,
        hidden_size=3072, mlp_ratio=4.0, num_heads=24, depth=2, depth_single_blocks=2,
        axes_dim=[16, 56, 56], theta=10000, patch_size=2, qkv_bias=True, guidance_embed=guidance,
        **({"txt_ids_dims": []} if "txt_ids_dims" in FLUX_FIELDS else {}), **META,
    ).state_dict()  # fmt: skip


FLUX_FIELDS = comfy.ldm.flux.model.FluxParams.__dataclass_fields__


def chroma() -> dict[str, Tensor]:
    return comfy.ldm.chroma.model.Chroma(
        image_model="chroma", in_channels=64, out_channels=64, in_dim=64, out_dim=64, n_layers=5,
        hidden_dim=5120, context_in_dim=4096, hidden_size=3072, mlp_ratio=4.0, num_heads=24,
        depth=2, depth_single_blocks=2, axes_dim=[16, 56, 56], theta=10000, patch_size=2,
        qkv_bias=True, **META,
        **{name: value for name, value in NEWER_CHROMA.items() if name in CHROMA_FIELDS},
    ).state_dict()  # fmt: skip


CHROMA_FIELDS = comfy.ldm.chroma.model.ChromaParams.__dataclass_fields__
NEWER_CHROMA = {"txt_ids_dims": [], "vec_in_dim": None}


def part(name: str, *shape: int) -> dict[str, Tensor]:
    return {name: torch.empty(shape, device="meta")}


OF_ENCODERS: dict[str, dict[str, Tensor]] = {
    "clip_l": outlines.clip(*outlines.CLIP_L),
    "t5xxl": outlines.t5xxl(),
    "umt5xxl": {**outlines.t5xxl(), **part("shared.weight", 256384, 4096)},
    "t5xxl_old": part("encoder.block.23.layer.1.DenseReluDense.wi.weight", 65536, 1024),
    "pile_t5xl": part("encoder.block.23.layer.1.DenseReluDense.wi_1.weight", 5120, 2048),
    "byt5_small": part("encoder.block.0.layer.0.SelfAttention.k.weight", 384, 1472),
    "gemma2_2b": part("model.layers.0.post_feedforward_layernorm.weight", 2304),
    "qwen25_7b": part("model.layers.0.self_attn.k_proj.bias", 512),
    "qwen3_4b": {
        **part("model.layers.0.post_attention_layernorm.weight", 2560),
        **part("model.layers.0.self_attn.q_norm.weight", 128),
    },
    "mistral3_24b": {
        **part("model.layers.0.post_attention_layernorm.weight", 5120),
        **part("model.layers.39.post_attention_layernorm.weight", 5120),
    },
}
VAES = {
    16: outlines.vae(16),
    64: part("decoder.conv_in.weight", 1024, 64, 3, 3),
    128: {
        **part("decoder.conv_in.weight", 512, 32, 3, 3),
        "bn.running_mean": torch.zeros(128),
    },
}
VIDEO = "decoder.middle.0.residual.0.gamma"


@pytest.fixture
def models(tmp_path, monkeypatch) -> Path:
    """ComfyUI's model folders, all empty."""
    names = ("checkpoints", "diffusion_models", "text_encoders", "vae", "embeddings")
    known = {name: ([str(tmp_path / name)], {".safetensors"}) for name in names}
    for name in names:
        (tmp_path / name).mkdir()
    monkeypatch.setattr(folder_paths, "folder_names_and_paths", known)
    return tmp_path


def written(path: Path, tensors: dict[str, Tensor]) -> str:
    return str(outlines.write(path, tensors))


def test_flux_1_from_separate_files(models, tmp_path) -> None:
    model = written(tmp_path / "flux1-dev.safetensors", flux())
    vae = written(models / "vae" / "ae.safetensors", VAES[16])
    with pytest.raises(BadInput, match=r"no clip_l or t5xxl text encoder.*clip_l\.safetensors"):
        find(None, model, [], vae)
    for name, kind in (("clip_l", "clip_l"), ("t5xxl_fp16", "t5xxl")):
        written(models / "text_encoders" / f"{name}.safetensors", OF_ENCODERS[kind])
    with pytest.raises(BadInput, match="no VAE: name Flux.1's with --vae"):
        find(None, model, [], None)
    found = find(None, model, [], "ae.safetensors")
    assert family(found.outline) == "Flux.1"
    assert [kind for kind, _ in found.files.text_encoders] == ["clip_l", "t5xxl"]
    assert found.files.vae == Path(vae)
    assert any("trained at guidance 1" in note for note in found.notes)
    wrong = written(tmp_path / "klein.safetensors", VAES[128])
    with pytest.raises(BadInput, match="128 channels, and Flux.1 has 16"):
        find(None, model, [], wrong)


def test_chroma_takes_t5_alone(models, tmp_path) -> None:
    model = written(tmp_path / "chroma.safetensors", chroma())
    text = written(tmp_path / "t5.safetensors", OF_ENCODERS["t5xxl"])
    vae = written(tmp_path / "ae.safetensors", VAES[16])
    found = find(None, model, [text], vae)
    assert family(found.outline) == "Chroma" and not found.notes
    with pytest.raises(BadInput, match="holds clip_l, and Chroma takes t5xxl"):
        find(None, model, [written(tmp_path / "l.safetensors", OF_ENCODERS["clip_l"])], vae)


@pytest.mark.parametrize("kind", OF_ENCODERS)
def test_each_text_encoder_is_told_from_its_header(tmp_path, kind) -> None:
    path = outlines.write(tmp_path / "a.safetensors", OF_ENCODERS[kind])
    assert headers.contents(path).text_encoders == (kind,)


def test_channels_of_latents_are_told_from_the_header(tmp_path) -> None:
    later = part("decoder.upsamples.0.upsamples.0.residual.2.weight", 1, 1, 3, 3, 3)
    of_video = {16: part(VIDEO, 384, 1, 1, 1), 48: {**part(VIDEO, 384, 1, 1, 1), **later}}
    for channels, tensors in [*VAES.items(), *of_video.items()]:
        path = outlines.write(tmp_path / f"{channels}{len(tensors)}.safetensors", tensors)
        assert headers.contents(path).latent_channels == channels


def test_distilled_models_are_told(models, tmp_path) -> None:
    outline = {
        guided: headers.outline(outlines.write(tmp_path / f"{guided}.safetensors", flux(guided)))
        for guided in (False, True)
    }

    def said(name: str, guided: bool = False) -> str:
        return " ".join(distilled(outline[guided], name))

    assert "schnell" in said("flux1-schnell.safetensors")
    assert "turbo" in said("z_image_turbo_bf16.safetensors")
    assert "klein without base" in said("flux-2-klein-4b.safetensors")
    assert "guidance 1" in said("flux1-dev.safetensors", guided=True)
    for name in ("flux-2-klein-base-4b", "Chroma1-Base", "anima-preview"):
        assert said(f"{name}.safetensors") == ""


def test_every_family_has_all_its_rows() -> None:
    assert set(TEXT_ENCODERS) == set(FAMILIES)
    kinds = {kind for wanted in TEXT_ENCODERS.values() for kind in wanted}
    assert kinds == set(DETECTED.values()) | {"umt5xxl"} == set(KNOWN_NAMES)
    assert kinds >= OPTIONAL
    named: dict[str, Any] = {name: clip_type(name).name for name in FAMILIES}
    assert named["Flux.1"] == "FLUX" and named["SD3"] == "SD3" and named["Wan"] == "WAN"
