"""Models that transformers loads from a folder. Needs ComfyUI, torch and transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ..scorer import ScorerError


def read(auto: str, path: Path, dtype: torch.dtype) -> tuple[Any, Any]:
    """(model, processor) of a folder as the hub has it, by an Auto class of transformers.

    Nothing is downloaded, unpickled, or run that lies in the folder. Raises ScorerError.
    """
    import transformers

    if not path.is_dir():
        raise ScorerError(f"{path} is a single file: this scorer needs its whole folder.")
    given = {"local_files_only": True, "trust_remote_code": False}
    # The keyword's old name is deprecated from 5 on, its new one unknown before.
    named = "dtype" if int(transformers.__version__.split(".")[0]) >= 5 else "torch_dtype"
    try:
        kind = getattr(transformers, auto)
        model = kind.from_pretrained(str(path), use_safetensors=True, **{named: dtype}, **given)
        processor = transformers.AutoProcessor.from_pretrained(str(path), **given)
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        told = " ".join(str(error).split())[:300]
        raise ScorerError(
            f"{path.name} cannot be loaded by transformers {transformers.__version__} as "
            f"{auto} ({told}). Download the whole repository into that folder."
        ) from error
    return model, processor
