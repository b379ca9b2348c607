"""Scorers' real architectures, small and of random weights, saved as the hub has them."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import comfy.sd1_clip
import numpy as np
import torch
from safetensors.torch import save_file
from transformers import (
    BertTokenizerFast,
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPTokenizer,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    GroundingDinoImageProcessor,
    GroundingDinoProcessor,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    Owlv2Config,
    Owlv2ForObjectDetection,
    Owlv2ImageProcessor,
    Owlv2Processor,
    PreTrainedTokenizerFast,
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
    template = (
        "{% for turn in messages %}USER : {% for part in turn.content %}"
        "{% if part.type == 'image' %}<image> {% else %}{{ part.text }} {% endif %}{% endfor %}"
        "{% endfor %}ASSISTANT :"
    )
    LlavaProcessor(
        CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}),
        words, patch_size=8, vision_feature_select_strategy="default",
        num_additional_image_tokens=1, chat_template=template,
    ).save_pretrained(folder)  # fmt: skip
    return model


def owl(folder: Path) -> Owlv2ForObjectDetection:
    """For pictures of 32, 16 boxes."""
    config = Owlv2Config(
        text_config={**SMALL, "max_position_embeddings": 16},
        vision_config={**SMALL, "image_size": 32, "patch_size": 8},
        projection_dim=32,
    )
    model = randomised(Owlv2ForObjectDetection(config))
    model.save_pretrained(folder)
    images = Owlv2ImageProcessor(size={"height": 32, "width": 32})
    beside = Path(comfy.sd1_clip.__file__).parent / "sd1_tokenizer"
    words = CLIPTokenizer.from_pretrained(beside, model_max_length=16)
    Owlv2Processor(images, words).save_pretrained(folder)
    return model


def bert_words(path: Path) -> Path:
    """A vocab.txt with the five tokens that BERT has besides words."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys(map(str.lower, WORDS))]
    path.write_text("\n".join(words) + "\n")
    return path


def dino(folder: Path) -> GroundingDinoForObjectDetection:
    """A Swin and a BERT of the smallest shape, 20 queries."""
    folder.mkdir(exist_ok=True)
    words = BertTokenizerFast(str(bert_words(folder / "vocab.txt")))
    config = GroundingDinoConfig(
        backbone_config={"model_type": "swin", "embed_dim": 8, "depths": [1, 1, 1, 1],
                         "num_heads": [1, 1, 2, 2], "window_size": 4, "image_size": 64,
                         "out_features": ["stage2", "stage3", "stage4"],
                         "out_indices": [2, 3, 4]},
        text_config={"model_type": "bert", **SMALL, "vocab_size": len(words)},
        d_model=64, encoder_layers=1, decoder_layers=2, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, num_queries=20,
        max_text_len=64,
    )  # fmt: skip
    model = GroundingDinoForObjectDetection(config).eval()
    model.save_pretrained(folder)
    images = GroundingDinoImageProcessor(size={"shortest_edge": 64, "longest_edge": 96})
    GroundingDinoProcessor(images, words).save_pretrained(folder)
    return model


def image_reward(folder: Path) -> dict[str, torch.Tensor]:
    """ImageReward.pt as its authors' code names it, two layers deep, and vocab.txt beside it."""
    folder.mkdir(exist_ok=True)
    bert_words(folder / "vocab.txt")
    count = len((folder / "vocab.txt").read_text().split())
    wide, inner, layers = 64, 128, 2
    shapes: dict[str, tuple[int, ...]] = {"cls_token": (1, 1, wide), "pos_embed": (1, 17, wide),
        "patch_embed.proj.weight": (wide, 3, 8, 8), "patch_embed.proj.bias": (wide,),
        "norm.weight": (wide,), "norm.bias": (wide,)}  # fmt: skip
    for at in range(layers):
        shapes |= _linear(f"blocks.{at}.attn.qkv", 3 * wide, wide)
        shapes |= _linear(f"blocks.{at}.attn.proj", wide, wide)
        shapes |= _linear(f"blocks.{at}.mlp.fc1", inner, wide)
        shapes |= _linear(f"blocks.{at}.mlp.fc2", wide, inner)
        shapes |= _norm(f"blocks.{at}.norm1", wide) | _norm(f"blocks.{at}.norm2", wide)
    shapes = {f"blip.visual_encoder.{key}": shape for key, shape in shapes.items()}
    text: dict[str, tuple[int, ...]] = {"embeddings.word_embeddings.weight": (count, wide),
        "embeddings.position_embeddings.weight": (64, wide)}  # fmt: skip
    text |= _norm("embeddings.LayerNorm", wide)
    for at in range(layers):
        layer = f"encoder.layer.{at}."
        for part in ("attention", "crossattention"):
            for name in ("query", "key", "value"):
                text |= _linear(f"{layer}{part}.self.{name}", wide, wide)
            text |= _linear(f"{layer}{part}.output.dense", wide, wide)
            text |= _norm(f"{layer}{part}.output.LayerNorm", wide)
        text |= _linear(f"{layer}intermediate.dense", inner, wide)
        text |= _linear(f"{layer}output.dense", wide, inner)
        text |= _norm(f"{layer}output.LayerNorm", wide)
    shapes |= {f"blip.text_encoder.{key}": shape for key, shape in text.items()}
    shapes |= _linear("blip.vision_proj", 16, wide) | _linear("blip.text_proj", 16, wide)
    sizes = (wide, 32, 24, 16, 8, 1)
    for place, (of, to) in zip((0, 2, 4, 6, 7), itertools.pairwise(sizes), strict=True):
        shapes |= _linear(f"mlp.layers.{place}", to, of)
    generator = torch.Generator().manual_seed(0)
    state = {}
    for key, shape in shapes.items():
        numbers = torch.randn(shape, generator=generator)
        norm = "norm" in key.lower() and key.endswith("weight")
        scale = numbers[0].numel() ** -0.5 if len(shape) > 1 else 0.1
        state[key] = (1.0 if norm else 0.0) + scale * numbers
    state["blip.text_encoder.embeddings.position_ids"] = torch.arange(64)[None]
    torch.save(state, folder / "ImageReward.pt")
    return state


def _linear(name: str, to: int, of: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (to, of), f"{name}.bias": (to,)}


def _norm(name: str, wide: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (wide,), f"{name}.bias": (wide,)}


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
