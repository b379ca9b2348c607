"""ComfyUI's own node types."""

from __future__ import annotations

from .node_type import ANY_FILE, NodeType

_LATENT = NodeType(
    widgets={"width": ("INT", 1024), "height": ("INT", 1024), "batch_size": ("INT", 1)},
    outputs={"LATENT": "LATENT"},
    size=(360, 106),
    tall=130,
)

CORE_TYPES: dict[str, NodeType] = {
    "CheckpointLoaderSimple": NodeType(
        widgets={"ckpt_name": (ANY_FILE, "")},
        outputs={"MODEL": "MODEL", "CLIP": "CLIP", "VAE": "VAE"},
        size=(340, 98),
        tall=115,
    ),
    "UNETLoader": NodeType(
        widgets={"unet_name": (ANY_FILE, ""), "weight_dtype": ("COMBO", "default")},
        outputs={"MODEL": "MODEL"},
        size=(340, 82),
        tall=95,
    ),
    "CLIPLoader": NodeType(
        widgets={
            "clip_name": (ANY_FILE, ""),
            "type": ("COMBO", "stable_diffusion"),
            "device": ("COMBO", "default"),
        },
        outputs={"CLIP": "CLIP"},
        size=(340, 106),
        tall=130,
    ),
    "DualCLIPLoader": NodeType(
        widgets={
            "clip_name1": (ANY_FILE, ""),
            "clip_name2": (ANY_FILE, ""),
            "type": ("COMBO", "flux"),
            "device": ("COMBO", "default"),
        },
        outputs={"CLIP": "CLIP"},
        size=(340, 130),
        tall=165,
    ),
    "VAELoader": NodeType(
        widgets={"vae_name": (ANY_FILE, "")},
        outputs={"VAE": "VAE"},
        size=(340, 58),
        tall=65,
    ),
    "FluxGuidance": NodeType(
        sockets={"conditioning": "CONDITIONING"},
        widgets={"guidance": ("FLOAT", 3.5)},
        outputs={"CONDITIONING": "CONDITIONING"},
        size=(360, 58),
        tall=80,
    ),
    "CLIPTextEncode": NodeType(
        sockets={"clip": "CLIP"},
        widgets={"text": ("STRING", "")},
        outputs={"CONDITIONING": "CONDITIONING"},
        size=(360, 170),
    ),
    "PrimitiveStringMultiline": NodeType(
        widgets={"value": ("STRING", "")},
        outputs={"STRING": "STRING"},
        size=(360, 150),
        tall=160,
    ),
    "EmptyLatentImage": _LATENT,
    "EmptySD3LatentImage": _LATENT,
    "PrimitiveInt": NodeType(
        widgets={"value": ("INT", 0)},
        outputs={"INT": "INT"},
        size=(320, 82),
        tall=95,
        seed="value",
    ),
    "KSampler": NodeType(
        sockets={
            "model": "MODEL",
            "positive": "CONDITIONING",
            "negative": "CONDITIONING",
            "latent_image": "LATENT",
        },
        widgets={
            "seed": ("INT", 0),
            "steps": ("INT", 20),
            "cfg": ("FLOAT", 8),
            "sampler_name": ("COMBO", "euler"),
            "scheduler": ("COMBO", "simple"),
            "denoise": ("FLOAT", 1),
        },
        outputs={"LATENT": "LATENT"},
        size=(300, 262),
        tall=285,
        seed="seed",
    ),
    "VAEDecode": NodeType(
        sockets={"samples": "LATENT", "vae": "VAE"},
        outputs={"IMAGE": "IMAGE"},
        size=(240, 46),
        tall=65,
    ),
    "SaveImage": NodeType(
        sockets={"images": "IMAGE"},
        widgets={"filename_prefix": ("STRING", "softrepa")},
        size=(460, 520),
    ),
}
