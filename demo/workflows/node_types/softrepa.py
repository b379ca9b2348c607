"""The node types of this pack."""

from __future__ import annotations

from .node_type import ANY_FILE, PACK, NodeType

_APPLY = {
    "strength": ("FLOAT", 1),
    "start_percent": ("FLOAT", 0),
    "end_percent": ("FLOAT", 1),
    "layers": ("STRING", ""),
}
_STRENGTH_AS = {"strength_as": ("COMBO", "blend")}
_ARMS = range(1, 9)
"""SoftREPATrial's."""

SOFTREPA_TYPES: dict[str, NodeType] = {
    "SoftREPALoader": NodeType(
        widgets={"adapter": (ANY_FILE, ""), "architecture": ("COMBO", "auto")},
        outputs={"adapter": "SOFTREPA"},
        size=(340, 204),
        tall=215,
        pack=PACK,
    ),
    "SoftREPAApply": NodeType(
        sockets={"model": "MODEL", "adapter": "SOFTREPA", "schedule": "SOFTREPA_SCHEDULE"},
        widgets={**_APPLY, **_STRENGTH_AS, "negative_share": ("FLOAT", 1.0)},
        outputs={"MODEL": "MODEL"},
        size=(340, 478),
        tall=494,
        optional=frozenset({"schedule"}),
        pack=PACK,
    ),
    "SoftREPAApplyConditioning": NodeType(
        sockets={
            "conditioning": "CONDITIONING",
            "adapter": "SOFTREPA",
            "schedule": "SOFTREPA_SCHEDULE",
            "hook_kf": "HOOK_KEYFRAMES",
        },
        widgets={**_APPLY, "bank": ("COMBO", "positive"), **_STRENGTH_AS},
        outputs={"CONDITIONING": "CONDITIONING"},
        size=(340, 504),
        tall=520,
        optional=frozenset({"schedule", "hook_kf"}),
        pack=PACK,
    ),
    "SoftREPASchedule": NodeType(
        sockets={"schedule": "SOFTREPA_SCHEDULE"},
        widgets={
            "keyframes": ("STRING", "0:1, 0.5:1, 1:0"),
            "interpolation": ("COMBO", "linear"),
            "layers": ("STRING", ""),
        },
        outputs={"schedule": "SOFTREPA_SCHEDULE"},
        size=(340, 330),
        tall=340,
        optional=frozenset({"schedule"}),
        pack=PACK,
    ),
    "SoftREPAAttendAndExcite": NodeType(
        sockets={"model": "MODEL", "clip": "CLIP"},
        widgets={
            "prompt": ("STRING", ""),
            "words": ("STRING", ""),
            "loss": ("COMBO", "published"),
            "step_size": ("FLOAT", 20),
            "share_of_steps": ("FLOAT", 0.5),
            "thresholds": ("STRING", "0:0.05, 0.2:0.5, 0.4:0.8"),
            "tries": ("INT", 20),
        },
        outputs={"MODEL": "MODEL", "words": "STRING"},
        size=(340, 340),
        tall=460,
        pack=PACK,
    ),
    "SoftREPAFlowEdit": NodeType(
        sockets={
            "model": "MODEL",
            "source": "CONDITIONING",
            "target": "CONDITIONING",
            "negative": "CONDITIONING",
            "latent_image": "LATENT",
        },
        widgets={
            "seed": ("INT", 0),
            "steps": ("INT", 50),
            "scheduler": ("COMBO", "normal"),
            "n_min": ("INT", 0),
            "n_max": ("INT", 33),
            "n_avg": ("INT", 1),
            "source_cfg": ("FLOAT", 3.5),
            "target_cfg": ("FLOAT", 13.5),
            "target_guidance": ("COMBO", "uncond + s (cond - uncond)"),
            "method": ("COMBO", "FlowEdit"),
            "zeta": ("FLOAT", 0.01),
        },
        outputs={"LATENT": "LATENT"},
        size=(340, 424),
        tall=520,
        seed="seed",
        pack=PACK,
    ),
    "SoftREPATrial": NodeType(
        sockets={
            "model_1": "MODEL",
            "model_2": "MODEL",
            "vae": "VAE",
            "clip": "CLIP",
            **{f"model_{at}": "MODEL" for at in _ARMS if at > 2},
            **{f"text_{at}": "CLIP,CONDITIONING" for at in _ARMS},
            **{f"negative_{at}": "CONDITIONING" for at in _ARMS},
        },
        widgets={
            "name": ("STRING", "does it help"),
            "prompts": ("STRING", ""),
            "negative_prompt": ("STRING", ""),
            "seeds": ("STRING", "1-2"),
            "steps": ("INT", 20),
            "cfg": ("FLOAT", 7),
            "sampler_name": ("COMBO", "euler"),
            "scheduler": ("COMBO", "normal"),
            "width": ("INT", 1024),
            "height": ("INT", 1024),
            "arm_names": ("STRING", ""),
        },
        outputs={"trial": "SOFTREPA_TRIAL"},
        size=(420, 1080),
        tall=1165,
        optional=frozenset(
            {"clip", *(f"{kind}_{at}" for kind in ("model", "text", "negative") for at in _ARMS)}
            - {"model_1", "model_2"}
        ),
        pack=PACK,
    ),
    "SoftREPATrain": NodeType(
        sockets={
            "model": "MODEL",
            "clip": "CLIP",
            "vae": "VAE",
            "images": "IMAGE",
            "captions": "STRING",
            "settings": "SOFTREPA_TRAIN_SETTINGS",
        },
        widgets={
            "name": ("STRING", "my_adapter"),
            "folder": ("STRING", "my_pictures"),
            "objective": ("COMBO", "softrepa"),
            "recipe": ("COMBO", "recommended"),
            "steps": ("INT", 400),
            "batch_size": ("INT", 8),
            "learning_rate": ("FLOAT", 0.001),
            "resolution": ("INT", 0),
            "seed": ("INT", 0),
            "validation": ("FLOAT", 0.05),
            "preview_every": ("INT", 100),
            "preview_prompts": ("STRING", ""),
        },
        outputs={"adapter": "SOFTREPA", "curve": "IMAGE", "previews": "IMAGE"},
        size=(480, 1080),
        tall=1180,
        optional=frozenset({"images", "captions", "settings"}),
        pack=PACK,
    ),
    "SoftREPADataset": NodeType(
        widgets={
            "folder": ("STRING", "my_pictures"),
            "first": ("INT", 1),
            "count": ("INT", 24),
        },
        outputs={"images": "IMAGE", "captions": "STRING", "sheet": "IMAGE", "report": "STRING"},
        size=(400, 560),
        tall=600,
        pack=PACK,
    ),
    "SoftREPALoadScorer": NodeType(
        widgets={"scorer": ("COMBO", "clip"), "file": ("COMBO", "auto")},
        outputs={"scorer": "SOFTREPA_SCORER"},
        size=(340, 82),
        tall=115,
        pack=PACK,
    ),
    "SoftREPAScoreTrial": NodeType(
        sockets={"trial": "SOFTREPA_TRIAL", "scorer": "SOFTREPA_SCORER"},
        outputs={"trial": "SOFTREPA_TRIAL"},
        size=(340, 110),
        tall=160,
        pack=PACK,
    ),
    "SoftREPAReport": NodeType(
        sockets={"trial": "SOFTREPA_TRIAL"},
        widgets={
            "language": ("COMBO", "en"),
            "primary": ("STRING", ""),
            "planned": ("INT", 0),
        },
        outputs={"path": "STRING", "picture": "IMAGE"},
        size=(560, 520),
        tall=560,
        pack=PACK,
    ),
}
