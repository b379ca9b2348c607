"""The native format: two tensors, and `softrepa.*` metadata that says what they are."""

from __future__ import annotations

from ...adapter import Adapter
from ...errors import AdapterError
from .content import Content

FORMAT_VERSION = 1
TOKENS = "tokens"
OFFSETS = "t_offsets.weight"
LONGEST_HEADER = 1 << 24
"""Bytes of a .safetensors file's header that are read, and so written."""


def recognises(content: Content) -> bool:
    return "softrepa.format_version" in content.metadata


def read(content: Content) -> Adapter:
    _check_version(content)
    content.check_choice(_entry(content, "architecture"))
    tokens = content.tokens if content.tokens.dim() == 4 else content.tokens.unsqueeze(0)
    banks = 1 if content.metadata.get("softrepa.offset_banks", "1") == "1" else tokens.shape[0]
    return Adapter(
        tokens=tokens,
        offsets=content.reshape_offsets(banks, tokens.shape[1]),
        architecture=_entry(content, "architecture"),
        placement=_entry(content, "placement"),
        layers=tuple(_entry(content, "layers").split(",")),
        metadata=content.metadata,
    )


def describe(adapter: Adapter) -> dict[str, str]:
    """The metadata entries that `read` needs to give the same adapter back."""
    offset_banks = 1 if adapter.offsets is None else adapter.offsets.shape[0]
    return {
        "softrepa.format_version": str(FORMAT_VERSION),
        "softrepa.architecture": adapter.architecture,
        "softrepa.placement": adapter.placement,
        "softrepa.layers": ",".join(adapter.layers),
        "softrepa.offset_banks": str(offset_banks),
    }


def _check_version(content: Content) -> None:
    version = content.metadata["softrepa.format_version"]
    if not version.isdecimal():
        raise AdapterError(
            f'{content.name} says its format version is "{version}"; expected a whole number.'
        )
    if int(version) > FORMAT_VERSION:
        raise AdapterError(
            f"{content.name} is of format version {version}, newer than the {FORMAT_VERSION} that "
            "this ComfyUI-SoftREPA reads: update the node pack."
        )


def _entry(content: Content, name: str) -> str:
    value = content.metadata.get(f"softrepa.{name}")
    if not value:
        raise AdapterError(
            f"{content.name} is of the native format but its metadata lacks softrepa.{name}: "
            "export it again."
        )
    return value
