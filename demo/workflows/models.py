"""The models that the example workflows name: their files, and the settings usual for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_AUTHORS = "https://github.com/softrepa/SoftREPA"
_TOKENS = "dc_tokens.pth"


@dataclass(frozen=True)
class Model:
    """A base model.

    checkpoint: its usual file name. url: where that file is, page: where to read of it. folder:
    that of the authors' adapter, in their repository and in models/softrepa. side: of a picture,
    in pixels.
    sampling: widgets of KSampler. steps_note: where the settings come from.
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

    @property
    def adapter(self) -> str:
        """The authors' adapter, as Load SoftREPA Adapter lists it."""
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

    def files_note(self) -> str:
        """What to download, and where to put it."""
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
DEMO_FOLDER = "softrepa_demo_400"
"""Of the demo's pictures in ComfyUI's input, where `demo/run.py` leaves them."""
