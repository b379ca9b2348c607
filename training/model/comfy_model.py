"""Base models as ComfyUI loads them: the denoiser, and the text encoders with the VAE."""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...injection.backward.inference_weights import ordinary
from ..cache.encoding import Text
from ..errors import BadInput
from ..settings.text_encoders import clip_type
from . import headers
from .captions import Captions
from .design import family
from .model_files import ModelFiles


def load_model(path: Path) -> Any:
    """The denoiser of a checkpoint or diffusion model file, as the ModelPatcher that ComfyUI's
    loaders give.

    Raises BadInput where ComfyUI does not recognise the file.
    """
    return _load_checkpoint(path, output_model=True, output_clip=False, output_vae=False)[0]


def _load_checkpoint(path: Path, **outputs: bool) -> tuple[Any, Any, Any]:
    import comfy.sd

    def load() -> tuple[Any, Any, Any]:
        model, clip, vae, *_ = comfy.sd.load_checkpoint_guess_config(
            str(path), embedding_directory=_embeddings(), **outputs
        )
        return model, clip, vae

    return _understood(path, load)


def _load_texts(files: Sequence[tuple[str, Path]], model: Any) -> Any:
    """The text encoders of these kinds, each from a file of its own or a checkpoint."""
    import comfy.sd

    parts = [_text_encoder(path, kind) for kind, path in files]
    kind = clip_type(family(model.model))
    return _understood(
        files[0][1],
        lambda: comfy.sd.load_text_encoder_state_dicts(
            state_dicts=parts, embedding_directory=_embeddings(), clip_type=kind
        ),
    )


def _text_encoder(path: Path, kind: str) -> dict[str, Tensor]:
    import comfy.utils

    tensors, metadata = _understood(
        path, lambda: comfy.utils.load_torch_file(str(path), safe_load=True, return_metadata=True)
    )
    config = headers.detected(tensors, metadata)
    if config is not None:
        return headers.split(config.process_clip_state_dict(tensors))[kind]
    if quantized := (metadata or {}).get("_quantization_metadata"):
        tensors["_quantization_metadata"] = quantized  # where ComfyUI's own loader puts it
    return tensors


def _load_vae(path: Path) -> Any:
    import comfy.sd
    import comfy.utils

    if headers.contents(path).checkpoint:
        return _load_checkpoint(path, output_model=False, output_clip=False, output_vae=True)[2]

    def load() -> Any:
        tensors, metadata = comfy.utils.load_torch_file(str(path), return_metadata=True)
        prefixed = comfy.utils.state_dict_prefix_replace(
            dict(tensors), {"first_stage_model.": ""}, filter_keys=True
        )
        return comfy.sd.VAE(sd=prefixed or tensors, metadata=metadata)

    return _understood(path, load)


def _understood(path: Path, load: Callable[[], Any]) -> Any:
    """What `load` gives; what it raises of a file it cannot use, as BadInput."""
    try:
        return load()
    except (torch.OutOfMemoryError, MemoryError):
        raise
    except Exception as error:  # readers and detection raise whatever they come upon
        raise headers.unrecognised(path, error) from error


def _embeddings() -> list[str]:
    import folder_paths

    return folder_paths.get_folder_paths("embeddings")


@contextmanager
def _sampling(vae: Any, images: Tensor) -> Iterator[None]:
    """The VAE's latents are samples of their distribution meanwhile, seeded by the pixels.

    ComfyUI's VAEs take the mode, and have no other place to ask for a sample.
    """
    from comfy.ldm.models.autoencoder import DiagonalGaussianRegularizer
    from comfy.ldm.modules.distributions.distributions import DiagonalGaussianDistribution

    seed = hashlib.sha256(images.contiguous().numpy()).digest()[:8]
    generator = torch.Generator().manual_seed(int.from_bytes(seed, "big") >> 1)

    def sample(module: Any, given: tuple[Tensor], found: tuple[Tensor, Any]) -> tuple[Tensor, Any]:
        posterior = DiagonalGaussianDistribution(given[0])
        noise = torch.randn(posterior.mean.shape, generator=generator)
        return posterior.mean + posterior.std * noise.to(posterior.mean), found[1]

    regularization = getattr(vae.first_stage_model, "regularization", None)
    if not isinstance(regularization, DiagonalGaussianRegularizer):
        raise BadInput("This VAE has no distribution to draw latents from: use --latents mode.")
    hook = regularization.register_forward_hook(sample)
    try:
        yield
    finally:
        hook.remove()


class Encoder:
    """The text encoders and VAE of a base model; they are loaded when first used.

    `identity` is one hash of all its files, `name` the model's file name. `model` is its denoiser,
    from which only the scaling of latents is taken. `sampled`: latents are drawn from the VAE's
    distribution, the same ones for the same pixels.
    """

    moving: Callable[[], AbstractContextManager[Any]] = nullcontext
    """What all is done under that may move weights from device to device: `torch.inference_mode`,
    where they were made under it. Moved without, they would be of no use to anybody: torch takes
    views of such weights under no mode ("do not track version counter")."""

    def __init__(self, files: ModelFiles, model: Any, sampled: bool = False) -> None:
        self.files = files
        self._sampled = sampled
        self.identity = files.identity
        self.name = files.model.name
        self._model = model
        self._process_latent_in = model.model.process_latent_in
        self._loaded: tuple[Captions, Any] | None = None

    @torch.no_grad()
    def latents(self, images: Tensor) -> Tensor:
        """(B, H, W, 3) float32, 0 to 1, to latents as the denoiser sees them, float32: (B, C, H/8,
        W/8), of some models with a dimension of one before the height, or smaller.

        Raises BadInput where the files hold no VAE.
        """
        vae = self._parts()[1]
        with self.moving(), _sampling(vae, images) if self._sampled else nullcontext():
            found = self._process_latent_in(vae.encode(images)).float().cpu()
        return ordinary(found)

    @torch.no_grad()
    def texts(self, captions: Sequence[str]) -> list[Text]:
        """Each caption as the CLIPTextEncode node embeds it, its parentheses taken as letters.

        Raises BadInput where the files hold no text encoder.
        """
        embedder = self._parts()[0]
        with self.moving():
            found = embedder.embed(captions)
        return [_ordinary(text) for text in found]

    @property
    def vae(self) -> Any:
        """The `comfy.sd.VAE`, for who paints with it."""
        return self._parts()[1]

    def release(self) -> None:
        """Lets go of text encoders and VAE, and of the device's memory that they took."""
        if self._loaded is None:
            return
        import comfy.model_management

        self._loaded = None
        with self.moving():
            comfy.model_management.unload_all_models()
        gc.collect()
        comfy.model_management.cleanup_models()
        comfy.model_management.soft_empty_cache()

    def _parts(self) -> tuple[Captions, Any]:
        if self._loaded is None:
            self._loaded = self._load()
        return self._loaded

    def _load(self) -> tuple[Captions, Any]:
        files = self.files
        _, clip, vae = _load_checkpoint(
            files.model,
            output_model=False,
            output_clip=not files.text_encoders,
            output_vae=files.vae is None,
        )
        if files.text_encoders:
            clip = _load_texts(files.text_encoders, self._model)
        if files.vae is not None:
            vae = _load_vae(files.vae)
        if clip is None or getattr(vae, "first_stage_model", None) is None:
            lacking, flag = ("text encoder", "--text-encoder") if clip is None else ("VAE", "--vae")
            raise BadInput(f"{self.name} holds no {lacking}: name a file of it with {flag}.")
        return Captions(clip), vae


def _ordinary(text: Text) -> Text:
    pooled = None if text.pooled is None else ordinary(text.pooled)
    more = {name: ordinary(tensor) for name, tensor in text.more.items()}
    return Text(ordinary(text.context), pooled, more)
