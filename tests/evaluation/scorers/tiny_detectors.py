"""Detectors' real architectures, small and of random weights, saved as the hub has them."""

from __future__ import annotations

from pathlib import Path

import comfy.sd1_clip
from comfyui_softrepa.tests.evaluation.scorers import reward
from comfyui_softrepa.tests.evaluation.scorers.tiny import SMALL, randomised
from transformers import (
    BertTokenizerFast,
    CLIPTokenizer,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    GroundingDinoImageProcessor,
    GroundingDinoProcessor,
    Owlv2Config,
    Owlv2ForObjectDetection,
    Owlv2ImageProcessor,
    Owlv2Processor,
)


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


def dino(folder: Path) -> GroundingDinoForObjectDetection:
    """A Swin and a BERT of the smallest shape, 20 queries."""
    folder.mkdir(exist_ok=True)
    words = BertTokenizerFast(str(reward.bert_words(folder / "vocab.txt")))
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
