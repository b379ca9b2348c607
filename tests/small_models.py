"""Small random models of ComfyUI's own classes, one of each architecture beside SD's."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import comfy.ldm.chroma.model
import comfy.ldm.flux.model
import comfy.ldm.hunyuan_video.model
import comfy.model_patcher
import comfy.supported_models
import torch
from comfyui_softrepa.tests.adapters import random_adapter
from torch import Tensor

TEXT = 7
"""Rows of text."""


@dataclass(frozen=True)
class Kind:
    """How to build and feed a model.

    config: the class in `comfy.supported_models`. network: its configuration. context: width of
    the raw text. width: that of the tokens. latent: channels, and frames where it has them. blocks:
    attribute with the blocks that take tokens. final: the module that the last block's output goes
    to, after nothing that is not linear. more: other inputs, by the number of samples. params: the
    class that lists what the network may be given, which differs between cores. size: height and
    width of the latents; odd, where the network pads them to its patches.
    """

    config: str
    network: Mapping[str, Any]
    context: int
    width: int
    latent: tuple[int, ...]
    blocks: str
    final: str
    more: Callable[[int], dict[str, Any]] = lambda samples: {}
    params: type | None = None
    size: tuple[int, int] = (7, 9)


_ROTARY = {"num_heads": 2, "axes_dim": [8, 12, 12], "theta": 10000, "patch_size": 2}
_FLUX = {
    **_ROTARY, "in_channels": 16, "out_channels": 16, "vec_in_dim": 24, "context_in_dim": 40,
    "hidden_size": 64, "mlp_ratio": 2.0, "depth": 2, "depth_single_blocks": 1, "qkv_bias": True,
    "guidance_embed": True, "txt_ids_dims": [], "image_model": "flux",
}  # fmt: skip
_FLUX_2 = {
    **_FLUX, "vec_in_dim": None, "axes_dim": [8, 8, 8, 8], "patch_size": 1, "in_channels": 32,
    "out_channels": 32, "guidance_embed": False, "global_modulation": True, "mlp_silu_act": True,
    "qkv_bias": False, "ops_bias": False, "txt_ids_dims": [3], "image_model": "flux2",
}  # fmt: skip
_CHROMA = {
    **_FLUX, "in_channels": 64, "out_channels": 64, "in_dim": 64, "out_dim": 64, "hidden_dim": 32,
    "n_layers": 1, "image_model": "chroma",
}  # fmt: skip
_QWEN_IMAGE = {
    "patch_size": 2, "in_channels": 64, "out_channels": 16, "num_layers": 2,
    "attention_head_dim": 32, "num_attention_heads": 2, "joint_attention_dim": 40,
    "axes_dims_rope": (8, 12, 12), "image_model": "qwen_image",
}  # fmt: skip
_LUMINA = {
    "patch_size": 2, "in_channels": 16, "dim": 64, "n_layers": 2, "n_refiner_layers": 1,
    "n_heads": 2, "n_kv_heads": 1, "multiple_of": 16, "ffn_dim_multiplier": 1.0, "qk_norm": True,
    "cap_feat_dim": 40, "axes_dims": [8, 12, 12], "axes_lens": [64, 64, 64],
    "image_model": "lumina2",
}  # fmt: skip
_Z_IMAGE = {
    **_LUMINA, "dim": 256, "n_heads": 8, "n_kv_heads": 8, "z_image_modulation": True,
    "pad_tokens_multiple": 8,
}  # fmt: skip
_PREDICT_2 = {
    "max_img_h": 32, "max_img_w": 32, "max_frames": 4, "in_channels": 16, "out_channels": 16,
    "patch_spatial": 2, "patch_temporal": 1, "model_channels": 64, "num_blocks": 2, "num_heads": 2,
    "mlp_ratio": 2.0, "crossattn_emb_channels": 48, "pos_emb_cls": "rope3d",
    "use_adaln_lora": True, "adaln_lora_dim": 8, "image_model": "cosmos_predict2",
}  # fmt: skip
_HUNYUAN_IMAGE = {
    **_FLUX, "vec_in_dim": None, "patch_size": [1, 1], "axes_dim": [16, 16], "byt5": False,
    "meanflow": False, "meanflow_sum": False, "use_cond_type_embedding": False,
    "vision_in_dim": None, "guidance_embed": False, "image_model": "hunyuan_video",
}  # fmt: skip
_WAN = {
    "model_type": "t2v", "patch_size": (1, 2, 2), "text_len": 64, "in_dim": 16, "dim": 64,
    "ffn_dim": 96, "freq_dim": 32, "text_dim": 40, "out_dim": 16, "num_heads": 2, "num_layers": 2,
    "image_model": "wan2.1",
}  # fmt: skip
_AURA_FLOW = {
    "dim": 64, "n_layers": 3, "n_double_layers": 2, "n_heads": 2, "global_conddim": 64,
    "cond_seq_dim": 40, "max_seq": 256,
}  # fmt: skip


def _pooled(samples: int) -> dict[str, Any]:
    return {"y": _normal((samples, 24), 9), "guidance": torch.full((samples,), 3.5)}


def _guidance(samples: int) -> dict[str, Any]:
    return {"guidance": torch.zeros(samples)}


def _number(samples: int) -> dict[str, Any]:
    return {"num_tokens": TEXT}


KINDS: Mapping[str, Kind] = {
    "flux": Kind("Flux", _FLUX, 40, 64, (16,), "double_blocks", "single_blocks.0", _pooled,
                 comfy.ldm.flux.model.FluxParams),
    "flux2": Kind("Flux2", _FLUX_2, 40, 64, (32,), "double_blocks", "single_blocks.0",
                  params=comfy.ldm.flux.model.FluxParams),
    "chroma": Kind("Chroma", _CHROMA, 40, 64, (16,), "double_blocks", "single_blocks.0", _guidance,
                   comfy.ldm.chroma.model.ChromaParams),
    "qwen_image": Kind("QwenImage", _QWEN_IMAGE, 40, 64, (16, 1), "transformer_blocks", "norm_out"),
    "lumina": Kind("Lumina2", _LUMINA, 40, 64, (16,), "layers", "final_layer", _number),
    "z_image": Kind("ZImage", _Z_IMAGE, 40, 256, (16,), "layers", "final_layer", _number),
    "predict2": Kind("CosmosT2IPredict2", _PREDICT_2, 48, 48, (16, 1), "blocks", "final_layer",
                     size=(8, 10)),
    "anima": Kind("Anima", {**_PREDICT_2, "image_model": "anima"}, 48, 48, (16, 1), "blocks",
                  "final_layer"),
    "hunyuan_image": Kind("HunyuanImage21", _HUNYUAN_IMAGE, 40, 64, (16,), "double_blocks",
                          "single_blocks.0",
                          params=comfy.ldm.hunyuan_video.model.HunyuanVideoParams),
    "wan": Kind("WAN21_T2V", _WAN, 40, 64, (16, 1), "blocks", "head"),
    "aura_flow": Kind("AuraFlow", _AURA_FLOW, 40, 64, (4,), "double_layers", "single_layers.0"),
}  # fmt: skip
"""By architecture, with a second model where one architecture serves two."""

ARCHITECTURES: Mapping[str, str] = {"z_image": "lumina", "predict2": "anima"}
"""Kinds whose architecture has another name."""


def there(name: str) -> bool:
    """Whether this ComfyUI has the model at all."""
    return hasattr(comfy.supported_models, KINDS[name].config)


@dataclass(frozen=True, eq=False)
class SmallModel:
    """A model on the CPU, and something to feed it: two samples at different times."""

    name: str
    kind: Kind
    patcher: comfy.model_patcher.ModelPatcher
    sigma: Tensor

    @property
    def architecture(self) -> str:
        return ARCHITECTURES.get(self.name, self.name)

    @property
    def blocks(self) -> list[torch.nn.Module]:
        """What runs once a block: for Anima the block's cross-attention, all that has tokens."""
        found = list(getattr(self.patcher.model.diffusion_model, self.kind.blocks))
        return [block.cross_attn for block in found] if self.architecture == "anima" else found

    def x(self, samples: int = 2) -> Tensor:
        return _normal((samples, *self.kind.latent, *self.kind.size), 1)

    def context(self, samples: int = 2, rows: int = TEXT) -> Tensor:
        """Raw text; Anima's ends in rows of zeros, more of them in the later samples."""
        text = _normal((samples, rows, self.kind.context), 2)
        if self.architecture != "anima":
            return text
        padded = torch.nn.functional.pad(text, (0, 0, 0, 9))
        for sample in range(samples):
            padded[sample, rows - sample :] = 0.0
        return padded

    def adapter(self, **shape: Any) -> Any:
        """A random one that fits, for both blocks."""
        return random_adapter(self.architecture, self.kind.width, **shape)

    def predict(
        self,
        patcher: comfy.model_patcher.ModelPatcher | None = None,
        *,
        x: Tensor | None = None,
        context: Tensor | None = None,
        sigma: Tensor | None = None,
        **more: Any,
    ) -> Tensor:
        """What the model gives for these inputs, through apply_model."""
        patcher = patcher or self.patcher
        x = self.x() if x is None else x
        samples = x.shape[0]
        sigma = self.sigma[:samples] if sigma is None else sigma
        inputs = {**self.kind.more(samples), **more}
        with torch.no_grad():
            return patcher.model.apply_model(
                x,
                sigma,
                c_crossattn=self.context(samples) if context is None else context,
                transformer_options=patcher.model_options["transformer_options"],
                **inputs,
            ).float()


@functools.cache
def load(name: str) -> SmallModel:
    """The model of this name, shared by all tests, so to be left as it was."""
    return build(name)


def build(name: str, dtype: torch.dtype = torch.float32, **changes: Any) -> SmallModel:
    """The model of this name with random weights of this type, computing in float32."""
    kind = KINDS[name]
    shape = {**kind.network, **changes}
    if kind.params is not None:
        known = {field.name for field in dataclasses.fields(kind.params)}
        shape = {key: value for key, value in shape.items() if key in {*known, "image_model"}}
    config = getattr(comfy.supported_models, kind.config)(dict(shape))
    config.unet_config = {**shape, "dtype": dtype}
    if dtype != torch.float32:
        config.set_inference_dtype(dtype, torch.float32)
    model = config.get_model({}, device=None)
    _fill(model.diffusion_model)
    cpu = torch.device("cpu")
    sigma = torch.tensor([0.71, 0.34, 0.93, 0.12])
    patcher = comfy.model_patcher.ModelPatcher(model, cpu, cpu)
    return SmallModel(name, kind, patcher, sigma)


def _fill(network: torch.nn.Module) -> None:
    """Random weights at which every part of a network matters."""
    for index, parameter in enumerate(network.parameters()):
        scale = 1.0 if parameter.dim() == 1 else parameter[0].numel() ** -0.5
        filled = _normal(tuple(parameter.shape), 100 + index) * (0.3 if scale == 1.0 else scale)
        parameter.data = (filled + (0.7 if parameter.dim() == 1 else 0.0)).to(parameter.dtype)


def _normal(shape: tuple[int, ...], seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))
