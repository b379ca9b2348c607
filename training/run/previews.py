"""Pictures while training: the same prompts at equal seeds, without and with the tokens."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from ...injection import apply, make_application
from ..cache.encoding import Text
from ..errors import BadInput
from ..model.denoiser import Denoiser
from ..model.soft_tokens import SoftTokens
from ..settings.paths import expanded
from .output.files import write_whole
from .prepared import Prepared

STEPS, GUIDANCE, SAMPLER, SCHEDULER = 20, 5.0, "euler", "simple"
"""How every preview is painted; prompt number i at seed i."""
_OWN = 2
"""Captions of the data that stand in where no prompts are given."""
_SIDE, _HEAD, _MOST = 256, 32, 24
"""Of the strip: pixels of a picture and of the line above it, and columns; of more, every second
one between the first and the last is left out."""
_STEPS_KEY = "softrepa_steps"


class Previews:
    """Paints and keeps them as a strip: a row a prompt, a column a step, the bare model's first."""

    def __init__(
        self,
        prepared: Prepared,
        show: Callable[[Image.Image], object],
    ) -> None:
        """Encodes the prompts, while text encoders are at hand; paints nothing yet.

        show: is given the strip whenever it has one column more.
        """
        self._prepared, self._show = prepared, show
        self.prompts = prompts_of(prepared)
        texts = prepared.encoder.texts([*self.prompts, ""])
        self._texts, self._empty = [_conditioning(text) for text in texts[:-1]], texts[-1:]
        self._vae = prepared.encoder.vae
        self._columns = _read(prepared.output.previews, prepared.progress.step, len(self.prompts))

    def paint(self, denoiser: Denoiser, live: SoftTokens, step: int) -> None:
        """Adds this step's column, and leaves the model as it was. Raises OSError."""
        import comfy.model_management

        try:
            with denoiser.moving(), torch.no_grad():
                if 0 not in self._columns:
                    self._columns[0] = self._painted(denoiser.patcher)
                adapter = live.copy("cpu", trainable=False).adapter
                application = make_application(denoiser.model, adapter)
                self._columns[step] = self._painted(apply(denoiser.patcher, application))
        except comfy.model_management.InterruptProcessingException:
            # The loop saves the state before it ends.
            comfy.model_management.interrupt_current_processing(True)
            return
        finally:
            denoiser.load()
        self._columns = _thinned(self._columns)
        strip = _strip(self._columns, self.prompts)
        _write(self._prepared.output.previews, strip, list(self._columns))
        self._show(strip)

    def _painted(self, patcher: Any) -> list[Image.Image]:
        return [self._picture(patcher, text, seed) for seed, text in enumerate(self._texts)]

    def _picture(self, patcher: Any, text: list[Any], seed: int) -> Image.Image:
        import comfy.sample

        side = self._prepared.settings.resolution // self._vae.spacial_compression_encode()
        latent = comfy.sample.fix_empty_latent_channels(patcher, torch.zeros(1, 4, side, side))
        found = comfy.sample.sample(
            patcher,
            comfy.sample.prepare_noise(latent, seed),
            STEPS,
            GUIDANCE,
            SAMPLER,
            SCHEDULER,
            text,
            _conditioning(self._empty[0]),
            latent,
            disable_pbar=True,
            seed=seed,
        )
        return _image(self._vae.decode(found))


def prompts_of(prepared: Prepared) -> list[str]:
    """Those given, a file's lines among them; else the first captions of the data."""
    found: list[str] = []
    for given in prepared.settings.preview_prompts:
        lines = [given]
        if given.lower().endswith(".txt"):
            try:
                lines = expanded(given).read_text(encoding="utf-8").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                reason = getattr(error, "strerror", None) or "it is no UTF-8"
                raise BadInput(f"--preview-prompts {given} cannot be read ({reason}).") from None
        found += [line.strip() for line in lines if line.strip()]
    own = dict.fromkeys(pair.captions[0] for pair in prepared.pairs)
    return found or list(own)[:_OWN]


def _conditioning(text: Text) -> list[Any]:
    """As the CLIPTextEncode node gives it."""
    pooled = {} if text.pooled is None else {"pooled_output": text.pooled[None]}
    return [[text.context[None], {**text.more, **pooled}]]


def _image(pixels: Tensor) -> Image.Image:
    """pixels: (1, H, W, 3) in 0...1, or with a further dimension of one."""
    array = pixels.reshape(-1, *pixels.shape[-3:])[0].float().clamp(0, 1).mul(255).round()
    return Image.fromarray(array.byte().cpu().numpy()).resize((_SIDE, _SIDE))


def _thinned(columns: dict[int, list[Image.Image]]) -> dict[int, list[Image.Image]]:
    if len(columns) <= _MOST:
        return columns
    first, *between, last = columns
    return {step: columns[step] for step in (first, *between[1::2], last)}


def _strip(columns: dict[int, list[Image.Image]], prompts: Sequence[str]) -> Image.Image:
    row = _SIDE + _HEAD
    strip = Image.new("RGB", (len(columns) * _SIDE, len(prompts) * row + _HEAD), "white")
    pen, font = ImageDraw.Draw(strip), ImageFont.load_default(20)
    for across, (step, pictures) in enumerate(columns.items()):
        said = f"step {step}" if step else "without"
        pen.text((across * _SIDE + 6, 3), said, "#222222", font)
        for down, picture in enumerate(pictures):
            strip.paste(picture, (across * _SIDE, _HEAD + down * row + _HEAD))
    for down, prompt in enumerate(prompts):
        pen.text((6, _HEAD + down * row + 3), prompt, "#222222", font)
    return strip


def _write(path: Path, strip: Image.Image, steps: Sequence[int]) -> None:
    info, content = PngInfo(), io.BytesIO()
    info.add_text(_STEPS_KEY, json.dumps(list(steps)))
    strip.save(content, "PNG", pnginfo=info)
    write_whole(path, content.getvalue())


def _read(path: Path, step: int, prompts: int) -> dict[int, list[Image.Image]]:
    """The columns of a strip up to a step; none where it is of other prompts, or no strip."""
    try:
        with Image.open(path) as opened:
            strip = opened.convert("RGB")
            steps = json.loads(opened.info[_STEPS_KEY])
    except (OSError, KeyError, ValueError):
        return {}
    row = _SIDE + _HEAD
    if not step or strip.size != (len(steps) * _SIDE, prompts * row + _HEAD):
        return {}

    def cut(across: int, down: int) -> Image.Image:
        left, top = across * _SIDE, _HEAD + down * row + _HEAD
        return strip.crop((left, top, left + _SIDE, top + _SIDE))

    return {
        done: [cut(across, down) for down in range(prompts)]
        for across, done in enumerate(steps)
        if done <= step
    }
