"""The models that the example workflows name: their files, and the settings usual for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_AUTHORS = "https://github.com/softrepa/SoftREPA"
_TOKENS = "dc_tokens.pth"
_FLUX_TEXTS = "https://huggingface.co/comfyanonymous/flux_text_encoders/resolve/main"
_Z_IMAGE = "https://huggingface.co/Comfy-Org/z_image_turbo/resolve/main/split_files"
_ANIMA = "https://huggingface.co/circlestone-labs/Anima/resolve/main/split_files"


@dataclass(frozen=True)
class Part:
    """A file of a model that comes in several: where it is from, and the folder it belongs in."""

    url: str
    directory: str

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2]

    @property
    def file(self) -> dict[str, str]:
        return {"name": self.name, "url": self.url, "directory": self.directory}


@dataclass(frozen=True)
class Model:
    """A base model.

    checkpoint: its usual file name. url: where that file is, page: where to read of it. folder:
    that of the authors' adapter, in their repository and in models/softrepa. side: of a picture,
    in pixels.
    sampling: widgets of KSampler. parts: instead of a checkpoint, the model's files, its text
    encoders' and its VAE's; an adapter for such a model has to be trained. text_type: of the loader
    of text encoders. guidance: of FluxGuidance, where the model takes it.
    """

    name: str
    checkpoint: str
    url: str
    page: str
    folder: tuple[str, str]
    timed: bool
    latent: str
    side: int
    sampling: dict[str, Any]
    remark: str = ""
    parts: tuple[Part, ...] = ()
    text_type: str = ""
    guidance: float | None = None

    @property
    def adapter(self) -> str:
        """The authors' adapter, as Load SoftREPA Adapter lists it; for a model in parts, a name for
        one's own."""
        if self.parts:
            return f"{self.folder[1]}.safetensors"
        return f"{self.folder[1]}/{_TOKENS}"

    @property
    def checkpoint_file(self) -> list[dict[str, str]]:
        """Where the checkpoint is from and belongs; the front-end offers to download it."""
        if not self.url:
            return []
        return [{"name": self.checkpoint, "url": self.url, "directory": "checkpoints"}]

    @property
    def adapter_file(self) -> list[dict[str, str]]:
        """The same of the adapter. The front-end downloads from a few addresses only, and the
        authors' is none of them: it names the folder, and has the address to copy."""
        if not self.folder[0]:
            return []
        url = f"{self._raw}/{_TOKENS}"
        return [{"name": self.adapter, "url": url, "directory": "softrepa"}]

    @property
    def _raw(self) -> str:
        return f"{_AUTHORS}/raw/main/tokens/{self.folder[0]}"

    def files_note(self, painter: str = "the small model of softrepa_demo_world") -> str:
        """What to download, and where to put it. painter: of the thumbnail."""
        if self.parts:
            return self._parts_note()
        ours = self.folder[1]
        names = [_TOKENS, "dc_t_tokens.pth"][: 1 + self.timed]
        links = " and ".join(f"[{name}]({self._raw}/{name})" for name in names)
        return f"""
**Checkpoint**: [{self.checkpoint}]({self.page}){self.remark}

```
ComfyUI/models/checkpoints/
```

**Adapter**, from the authors of [SoftREPA]({_AUTHORS}): {links}

```
ComfyUI/models/softrepa/{ours}/
```

Then press **R** on the canvas and choose both files in the two loaders.

Your own adapter works as well: **training/README.md** in this pack's folder tells how to train one.

*The thumbnail was painted by this graph with {painter}.*
"""

    def _parts_note(self) -> str:
        network, *texts, vae = (part.name for part in self.parts)
        flags = [("--model", network), *(("--text-encoder", text) for text in texts)]
        flags += [("--vae", vae), ("--data", "FOLDER"), ("--output", self.adapter)]
        command = " \\\n".join(["python training/train.py", *(" ".join(flag) for flag in flags)])
        links = "\n\n".join(
            f"[{part.name}]({part.url})\n\n```\nComfyUI/models/{part.directory}/\n```"
            for part in self.parts
        )
        return f"""
**An adapter for {self.name} has to be trained first.** Nobody has published one that we know of. \
With pictures and their captions in a folder, in the folder of this pack:

```
{command}
```

**training/README.md** there tells more. Until then bypass **Apply SoftREPA** (Ctrl+B).

**Files**{self.remark}:

{links}

**Your adapter** lies in

```
ComfyUI/models/softrepa/
```

Then press **R** on the canvas and choose the files in the loaders.

*The thumbnail was painted by this graph with the small model of softrepa_demo_world.*
"""


SD3 = Model(
    name="SD3",
    checkpoint="sd3_medium_incl_clips_t5xxlfp8.safetensors",
    url="https://huggingface.co/stabilityai/stable-diffusion-3-medium/resolve/main/"
    "sd3_medium_incl_clips_t5xxlfp8.safetensors",
    page="https://huggingface.co/stabilityai/stable-diffusion-3-medium",
    folder=("sd3", "sd3"),
    timed=True,
    latent="EmptySD3LatentImage",
    side=1024,
    sampling={"steps": 28, "cfg": 4, "sampler_name": "euler", "scheduler": "sgm_uniform"},
    remark=" (sign in to Hugging Face and accept its licence)",
)
SDXL = Model(
    name="SDXL",
    checkpoint="sd_xl_base_1.0.safetensors",
    url="https://huggingface.co/stabilityai/stable-diffusion-xl-base-1.0/resolve/main/"
    "sd_xl_base_1.0.safetensors",
    page="https://huggingface.co/stabilityai/stable-diffusion-xl-base-1.0",
    folder=("sdxl", "sdxl"),
    timed=False,
    latent="EmptyLatentImage",
    side=1024,
    sampling={"steps": 30, "cfg": 7, "sampler_name": "dpmpp_2m", "scheduler": "karras"},
)
SD15 = Model(
    name="SD1.5",
    checkpoint="v1-5-pruned-emaonly-fp16.safetensors",
    url="https://huggingface.co/Comfy-Org/stable-diffusion-v1-5-archive/resolve/main/"
    "v1-5-pruned-emaonly-fp16.safetensors",
    page="https://huggingface.co/Comfy-Org/stable-diffusion-v1-5-archive",
    folder=("sd1.5", "sd15"),
    timed=True,
    latent="EmptyLatentImage",
    side=512,
    sampling={"steps": 30, "cfg": 7, "sampler_name": "dpmpp_2m", "scheduler": "karras"},
)
DEMO = Model(
    name="the demo world",
    checkpoint="softrepa_demo.safetensors",
    url="",
    page="",
    folder=("", ""),
    timed=True,
    latent="EmptySD3LatentImage",
    side=64,
    sampling={"steps": 20, "cfg": 4, "sampler_name": "euler", "scheduler": "simple"},
)
FLUX_1 = Model(
    name="Flux.1",
    checkpoint="",
    url="",
    page="",
    folder=("", "my_flux1_adapter"),
    timed=True,
    latent="EmptySD3LatentImage",
    side=1024,
    sampling={"steps": 20, "cfg": 1, "sampler_name": "euler", "scheduler": "simple"},
    remark=" (sign in to Hugging Face and accept the licence of Flux.1 dev)",
    parts=(
        Part(
            "https://huggingface.co/Comfy-Org/flux1-dev/resolve/main/flux1-dev.safetensors",
            "diffusion_models",
        ),
        Part(f"{_FLUX_TEXTS}/clip_l.safetensors", "text_encoders"),
        Part(f"{_FLUX_TEXTS}/t5xxl_fp16.safetensors", "text_encoders"),
        Part(
            "https://huggingface.co/Comfy-Org/Lumina_Image_2.0_Repackaged/resolve/main/"
            "split_files/vae/ae.safetensors",
            "vae",
        ),
    ),
    text_type="flux",
    guidance=3.5,
)
Z_IMAGE = Model(
    name="Z-Image",
    checkpoint="",
    url="",
    page="",
    folder=("", "my_z_image_adapter"),
    timed=True,
    latent="EmptySD3LatentImage",
    side=1024,
    sampling={"steps": 25, "cfg": 4, "sampler_name": "res_multistep", "scheduler": "simple"},
    parts=(
        Part(
            "https://huggingface.co/Comfy-Org/z_image/resolve/main/split_files/diffusion_models/"
            "z_image_bf16.safetensors",
            "diffusion_models",
        ),
        Part(f"{_Z_IMAGE}/text_encoders/qwen_3_4b.safetensors", "text_encoders"),
        Part(f"{_Z_IMAGE}/vae/ae.safetensors", "vae"),
    ),
    text_type="lumina2",
)
ANIMA = Model(
    name="Anima",
    checkpoint="",
    url="",
    page="",
    folder=("", "my_anima_adapter"),
    timed=True,
    latent="EmptyLatentImage",
    side=1024,
    sampling={"steps": 30, "cfg": 4, "sampler_name": "euler", "scheduler": "simple"},
    remark=", for ComfyUI 0.33 or newer",
    parts=(
        Part(f"{_ANIMA}/diffusion_models/anima-base-v1.0.safetensors", "diffusion_models"),
        Part(f"{_ANIMA}/text_encoders/qwen_3_06b_base.safetensors", "text_encoders"),
        Part(f"{_ANIMA}/vae/qwen_image_vae.safetensors", "vae"),
    ),
    text_type="stable_diffusion",
)
DEMO_FOLDER = "softrepa_demo_400"
"""Of the demo's pictures in ComfyUI's input, where `demo/run.py` leaves them."""
