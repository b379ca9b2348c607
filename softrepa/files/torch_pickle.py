"""A reader for the few pickles the method's authors publish, which can run nothing.

`torch.save` writes a zip archive: `<name>/data.pkl`, a pickle, and `<name>/data/<key>`, raw
tensor bytes. This reader lists every global the pickle names before a single instruction of it is
carried out, refuses whatever is not on a short list, and replaces what is on it by constructors of
its own: a tensor made from checked sizes, and a plain record in place of `torch.nn.Embedding`.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import zipfile
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import AdapterError

_LARGEST_PICKLE = 1 << 20
_LARGEST_STORAGE = 1 << 30
_STORAGES: dict[str, torch.dtype] = {
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "DoubleStorage": torch.float64,
}
_EMBEDDING_FIELDS = {"training", "num_embeddings", "embedding_dim", "norm_type"}
"""What an Embedding may carry beside its weight: numbers that say nothing the shape does not."""


@dataclass(frozen=True)
class Storage:
    """A run of numbers in the archive, not read yet."""

    dtype: torch.dtype
    key: str
    count: int


class EmbeddingRecord:
    """Stands in for a pickled `torch.nn.Embedding`; takes its weight and refuses all else."""

    weight: Tensor

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, dict) or not isinstance(state.get("_parameters"), dict):
            raise AdapterError("holds an Embedding without parameters.")
        parameters = state.pop("_parameters")
        extra = [name for name, value in state.items() if value and name not in _EMBEDDING_FIELDS]
        extra += [name for name in parameters if name != "weight"]
        if extra or not isinstance(parameters.get("weight"), Tensor):
            raise AdapterError(
                "holds an Embedding that carries more than its weight "
                f"({', '.join(map(str, extra)) or 'and no weight'}), which is refused."
            )
        self.weight = parameters["weight"]


def read_torch_pickle(path: Path) -> Tensor | EmbeddingRecord:
    """The Parameter or Embedding that a `torch.save` file holds, on the CPU.

    Raises AdapterError where the file is damaged, is not of the zip format, or names anything but
    what those two need.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _read(archive)
    except AdapterError as error:
        raise AdapterError(f"{path.name} {error}") from None
    except (zipfile.BadZipFile, zipfile.LargeZipFile, OSError, EOFError) as error:
        raise AdapterError(
            f"{path.name} is truncated or damaged ({error}): download it again."
        ) from error
    except Exception as error:
        # Whatever else malformed bytes provoke in the pickle machine means the same to the user.
        raise AdapterError(
            f"{path.name} is not a readable torch.save file ({type(error).__name__}: {error})."
        ) from error


def _read(archive: zipfile.ZipFile) -> Tensor | EmbeddingRecord:
    pickles = [name for name in archive.namelist() if name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise AdapterError("is a zip archive but not a torch.save file: it has no data.pkl.")
    if archive.getinfo(pickles[0]).file_size > _LARGEST_PICKLE:
        raise AdapterError("describes far more than an adapter's tensors, which is refused.")
    code = archive.read(pickles[0])
    _check_globals(code)
    value = _Unpickler(code, archive, pickles[0].removesuffix("data.pkl")).load()
    if not isinstance(value, (Tensor, EmbeddingRecord)):
        raise AdapterError(
            f"holds a {type(value).__name__}; expected one tensor of soft tokens or an Embedding."
        )
    return value


def _check_globals(code: bytes) -> None:
    for opcode, argument, _ in pickletools.genops(code):
        if opcode.name in ("STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4"):
            raise AdapterError(f"asks for code in a way torch.save does not ({opcode.name}).")
        if opcode.name == "GLOBAL":
            module, _, name = argument.partition(" ")
            _Unpickler.allowed(module, name)


class _Unpickler(pickle.Unpickler):
    def __init__(self, code: bytes, archive: zipfile.ZipFile, prefix: str) -> None:
        super().__init__(io.BytesIO(code))
        self._archive = archive
        self._prefix = prefix

    @staticmethod
    def allowed(module: str, name: str) -> Any:
        """The stand-in for this global; AdapterError where it is not on the list."""
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        found = _ALLOWED.get((module, name))
        if found is None:
            raise AdapterError(
                f'asks for "{module}.{name}", which no adapter needs: the file is refused and '
                "nothing in it was run."
            )
        return found

    def find_class(self, module: str, name: str) -> Any:
        found = self.allowed(module, name)
        # Bound methods, because a pickle may set attributes on a plain function.
        return getattr(self, found) if isinstance(found, str) else found

    def persistent_load(self, pid: Any) -> Storage:
        kind, dtype, key, _, count = pid
        if kind != "storage" or not isinstance(dtype, torch.dtype) or not isinstance(count, int):
            raise AdapterError("refers to something that is not a tensor's storage.")
        return Storage(dtype, str(key), count)

    def _rebuild_tensor(
        self, storage: Storage, offset: int, size: tuple, stride: tuple, *_: Any
    ) -> Tensor:
        entry = self._archive.getinfo(f"{self._prefix}data/{storage.key}")
        expected = storage.count * storage.dtype.itemsize
        if entry.file_size != expected or expected > _LARGEST_STORAGE:
            raise AdapterError(
                f"is damaged: a tensor should have {expected} bytes and has {entry.file_size}."
            )
        numbers = torch.frombuffer(bytearray(self._archive.read(entry)), dtype=storage.dtype)
        # as_strided checks that no element lies outside the storage.
        return numbers.as_strided(size, stride, offset)

    def _rebuild_parameter(self, data: Tensor, requires_grad: bool, hooks: Any) -> Tensor:
        if hooks:
            raise AdapterError("holds a Parameter with hooks, which is refused.")
        return data


_ALLOWED: dict[tuple[str, str], Any] = {
    ("torch._utils", "_rebuild_tensor_v2"): "_rebuild_tensor",
    ("torch._utils", "_rebuild_parameter"): "_rebuild_parameter",
    ("torch.nn.modules.sparse", "Embedding"): EmbeddingRecord,
    ("collections", "OrderedDict"): OrderedDict,
    ("__builtin__", "set"): set,
    ("builtins", "set"): set,
}
