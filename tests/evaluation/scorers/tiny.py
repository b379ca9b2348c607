"""Scorers' real architectures, small and of random weights, saved as the hub has them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from safetensors.torch import save_file
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2TokenizerFast,
    Qwen2VLImageProcessor,
    SiglipConfig,
    SiglipImageProcessor,
    SiglipModel,
    SiglipProcessor,
)

SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
         "num_attention_heads": 2}  # fmt: skip
WORDS = (
    "a photo of and in the this picture figure show describe one sentence please answer yes no "
    "Yes No red orange yellow green blue purple pink brown black white apple dog cup two three . ? "
    'Does " Please Describe USER ASSISTANT :'
).split()

LLAVA_TEMPLATE = (
    "{% for turn in messages %}USER : {% for part in turn.content %}"
    "{% if part.type == 'image' %}<image> {% else %}{{ part.text }} {% endif %}{% endfor %}"
    "{% endfor %}ASSISTANT :"
)


def pictures(count: int, height: int = 48, width: int = 48, seed: int = 0) -> list[np.ndarray]:
    """Random ones, (H, W, 3) bytes, with structure larger than a pixel."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 6, 6, 3), dtype=np.uint8)
    down, across = np.linspace(0, 5.99, height).astype(int), np.linspace(0, 5.99, width).astype(int)
    return [np.ascontiguousarray(each[down][:, across]) for each in coarse]


def randomised(model: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Weights large enough for every part to tell in the output; as initialised many do not."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("logit_scale"):
                continue
            scale = parameter[0].numel() ** -0.5 if parameter.dim() > 1 else 0.1
            offset = 1.0 if "norm" in name.lower() and name.endswith("weight") else 0.0
            numbers = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(offset + scale * numbers)
    return model.eval()


def clip(folder: Path, **text: Any) -> CLIPModel:
    """A whole CLIP for pictures of 32, with CLIP's vocabulary."""
    config = CLIPConfig(
        text_config={**SMALL, "eos_token_id": 49407, "bos_token_id": 49406, **text},
        vision_config={**SMALL, "image_size": 32, "patch_size": 8, "num_attention_heads": 4},
        projection_dim=32,
    )
    model = randomised(CLIPModel(config))
    model.save_pretrained(folder)
    return model


def as_open_clip(model: CLIPModel) -> dict[str, torch.Tensor]:
    """The same weights as open_clip names them."""
    state, made = model.state_dict(), {}
    places = {
        "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
        "text_model.embeddings.position_embedding.weight": "positional_embedding",
        "text_model.final_layer_norm.": "ln_final.",
        "vision_model.embeddings.class_embedding": "visual.class_embedding",
        "vision_model.embeddings.patch_embedding.weight": "visual.conv1.weight",
        "vision_model.embeddings.position_embedding.weight": "visual.positional_embedding",
        "vision_model.pre_layrnorm.": "visual.ln_pre.",
        "vision_model.post_layernorm.": "visual.ln_post.",
        "logit_scale": "logit_scale",
    }
    parts = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc",
             "mlp.fc2": "mlp.c_proj", "self_attn.out_proj": "attn.out_proj"}  # fmt: skip
    for key, value in state.items():
        for ours, theirs in places.items():
            if key.startswith(ours):
                made[key.replace(ours, theirs)] = value
    for ours, theirs in (("text_model.", ""), ("vision_model.", "visual.")):
        for layer in range(SMALL["num_hidden_layers"]):
            source, target = (
                f"{ours}encoder.layers.{layer}.", f"{theirs}transformer.resblocks.{layer}."
            )  # fmt: skip
            for end in ("weight", "bias"):
                for part, name in parts.items():
                    made[f"{target}{name}.{end}"] = state[f"{source}{part}.{end}"]
                three = [state[f"{source}self_attn.{p}_proj.{end}"] for p in "qkv"]
                made[f"{target}attn.in_proj_{end}"] = torch.cat(three)
    made["text_projection"] = state["text_projection.weight"].T.contiguous()
    made["visual.proj"] = state["visual_projection.weight"].T.contiguous()
    return {key: value.contiguous() for key, value in made.items()}


def tokenizer(*special: str) -> PreTrainedTokenizerFast:
    """A word a token, told apart by case."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    listed = ["<pad>", "<unk>", "<eos>", *special, *WORDS]
    words = {word: at for at, word in enumerate(dict.fromkeys(listed))}
    made = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", unk_token="<unk>", eos_token="<eos>",
        additional_special_tokens=list(special),
    )  # fmt: skip


def siglip(folder: Path) -> SiglipModel:
    """Its vocabulary ends with "</s>", which the text part pools at the last place."""
    words = tokenizer()
    config = SiglipConfig(
        text_config={**SMALL, "vocab_size": len(words), "max_position_embeddings": 64},
        vision_config={**SMALL, "image_size": 32, "patch_size": 8},
    )
    model = randomised(SiglipModel(config))
    model.logit_scale.data.fill_(4.0)
    model.logit_bias.data.fill_(-6.0)
    model.save_pretrained(folder)
    images = SiglipImageProcessor(size={"height": 32, "width": 32})
    SiglipProcessor(images, words).save_pretrained(folder)
    return model


def llava(folder: Path) -> LlavaForConditionalGeneration:
    """A CLIP that looks, and a Llama that reads and answers."""
    words = tokenizer("<image>")
    image = words.convert_tokens_to_ids("<image>")
    config = LlavaConfig(
        vision_config={"model_type": "clip_vision_model", **SMALL, "image_size": 32,
                       "patch_size": 8, "projection_dim": 32},
        text_config={"model_type": "llama", **SMALL, "vocab_size": len(words),
                     "num_key_value_heads": 2, "max_position_embeddings": 256},
        image_token_index=image, image_token_id=image, vision_feature_layer=-1,
        image_seq_length=16,
    )  # fmt: skip
    model = randomised(LlavaForConditionalGeneration(config))
    model.save_pretrained(folder)
    LlavaProcessor(
        CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}),
        words, patch_size=8, vision_feature_select_strategy="default",
        num_additional_image_tokens=1, chat_template=LLAVA_TEMPLATE,
    ).save_pretrained(folder)  # fmt: skip
    return model


def qwen(folder: Path) -> None:
    """A Qwen2.5-VL, which cuts each picture into as many tokens as it is large."""
    kinds = ("<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>")
    words = tokenizer(*kinds)
    text = {**SMALL, "num_key_value_heads": 2, "vocab_size": len(words),
            "rope_scaling": {"type": "mrope", "rope_type": "default",
                             "mrope_section": [2, 3, 3]}}  # fmt: skip
    vision = {"depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2,
              "out_hidden_size": 32, "patch_size": 8, "window_size": 32,
              "fullatt_block_indexes": [1]}  # fmt: skip
    names = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
    ids = {name: words.convert_tokens_to_ids(kind) for name, kind in zip(names, kinds, strict=True)}
    parts = [Qwen2VLImageProcessor(patch_size=8, min_pixels=32 * 32, max_pixels=64 * 64)]
    if int(transformers.__version__.split(".")[0]) >= 5:
        config = Qwen2_5_VLConfig(text_config=text, vision_config=vision, **ids)
        parts += [words, transformers.Qwen2VLVideoProcessor(patch_size=8)]
    else:
        config = Qwen2_5_VLConfig(vision_config=vision, **text, **ids)
        kept = words.backend_tokenizer
        words = Qwen2TokenizerFast(tokenizer_object=kept, pad_token="<pad>", unk_token="<unk>")
        parts += [words]
    words.image_token, words.video_token = kinds[:2]
    randomised(Qwen2_5_VLForConditionalGeneration(config)).save_pretrained(folder)
    picture = "<|vision_start|><|image_pad|><|vision_end|> "
    template = LLAVA_TEMPLATE.replace("<image> ", picture)
    Qwen2_5_VLProcessor(*parts, chat_template=template).save_pretrained(folder)


def without(folder: Path, key: str) -> Path:
    """A copy of a CLIP's folder whose file lacks a weight."""
    from safetensors.torch import load_file

    made = folder.with_name(f"{folder.name}_without")
    made.mkdir()
    (made / "config.json").write_text(json.dumps(json.loads((folder / "config.json").read_text())))
    state = load_file(folder / "model.safetensors")
    del state[key]
    save_file(state, made / "model.safetensors")
    return made
