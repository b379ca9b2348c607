"""The newer architectures by names and shapes in a file's header: one row each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Transformer:
    """marks: beginnings of names that must all be there. absent: of names that must not.

    blocks: what stands before a block's number. width: the tensor and the dimension whose size is
    that of the tokens. only: where not empty, the parts that the network has at its top level, and
    no others.
    """

    architecture: str
    blocks: str
    width: tuple[str, int]
    marks: tuple[str, ...]
    absent: tuple[str, ...] = ()
    only: frozenset[str] = frozenset()

    def found_in(self, shapes: Shapes, prefix: str) -> tuple[int, list[str]] | None:
        """The width of the tokens and the names of the blocks, or None."""
        names = [name[len(prefix) :] for name in shapes if name.startswith(prefix)]

        def there(mark: str) -> bool:
            return any(name.startswith(mark) for name in names)

        key, dim = self.width
        shape = shapes.get(prefix + key, ())
        tops = {name.partition(".")[0] for name in names}
        if len(shape) < 2 or not all(map(there, self.marks)) or any(map(there, self.absent)):
            return None
        if self.only and not tops <= self.only:
            return None
        return shape[dim], numbered(names, self.blocks)


def numbered(names: list[str], prefix: str) -> list[str]:
    """The numbers that follow `prefix` in these names, as text and in order."""
    rest = (name[len(prefix) :].partition(".")[0] for name in names if name.startswith(prefix))
    return [str(number) for number in sorted({int(each) for each in rest if each.isdecimal()})]


_WAN_PARTS = frozenset(
    "head blocks patch_embedding text_embedding time_embedding time_projection".split()
)
"""Those of its text-to-video model; its many relatives have more."""
_IMAGE_IN = ("img_in.weight", 0)
TRANSFORMERS: tuple[Transformer, ...] = (
    Transformer(
        "flux",
        "double_blocks.",
        _IMAGE_IN,
        ("double_blocks.0.img_attn.qkv.", "vector_in.", "txt_in.weight"),
        ("distilled_guidance_layer.", "double_stream_modulation_img.", "nerf_blocks."),
    ),
    Transformer(
        "flux2",
        "double_blocks.",
        _IMAGE_IN,
        ("double_blocks.0.img_attn.qkv.", "double_stream_modulation_img."),
    ),
    Transformer(
        "chroma",
        "double_blocks.",
        _IMAGE_IN,
        ("double_blocks.0.img_attn.qkv.", "distilled_guidance_layer."),
        ("nerf_blocks.",),
    ),
    Transformer(
        "qwen_image",
        "transformer_blocks.",
        _IMAGE_IN,
        ("transformer_blocks.0.attn.add_q_proj.", "txt_norm.", "proj_out.", "time_text_embed."),
    ),
    Transformer(
        "lumina",
        "layers.",
        ("cap_embedder.1.weight", 0),
        ("noise_refiner.0.attention.k_norm.", "context_refiner.0."),
    ),
    Transformer(
        "anima",
        "blocks.",
        ("blocks.0.cross_attn.k_proj.weight", 1),
        ("blocks.0.mlp.layer1.", "x_embedder.proj.1.", "blocks.0.cross_attn.q_norm."),
    ),
    Transformer(
        "hunyuan_image",
        "double_blocks.",
        ("time_in.out_layer.weight", 0),
        ("txt_in.individual_token_refiner.blocks.0.",),
        ("vector_in.", "vision_in.", "cond_type_embedding."),
    ),
    Transformer(
        "wan",
        "blocks.",
        ("head.head.weight", 1),
        ("head.modulation", "blocks.0.cross_attn.k."),
        only=_WAN_PARTS,
    ),
    Transformer(
        "aura_flow",
        "double_layers.",
        ("cond_seq_linear.weight", 0),
        ("double_layers.0.attn.w1q.",),
    ),
)


def transformer(shapes: Shapes, prefix: str) -> tuple[str, int, list[str]] | None:
    """Architecture, width of the tokens and names of the blocks, where it is certain."""
    for row in TRANSFORMERS:
        found = row.found_in(shapes, prefix)
        if found is not None and _certain(row.architecture, shapes, prefix):
            return row.architecture, *found
    return None


def _certain(architecture: str, shapes: Shapes, prefix: str) -> bool:
    if architecture == "hunyuan_image":  # its refiner and the video models have patches in time
        return len(shapes.get(f"{prefix}img_in.proj.weight", ())) == 4
    if architecture == "qwen_image":  # Mage-Flow has its names and another text encoder
        return shapes.get(f"{prefix}txt_norm.weight") != (2560,)
    return True
