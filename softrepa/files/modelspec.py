"""What an adapter file says of itself to model browsers: the Stability model spec, and a cover.

ComfyUI's model library shows `modelspec.title`, `author`, `description` and `thumbnail` (a data
URL); its preview route, and other programs, show the pictures in `ssmd_cover_images`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Mapping

from ..adapter import Adapter
from ..families import describe, modelspec_base

TITLE = "modelspec.title"
DESCRIPTION = "modelspec.description"
AUTHOR = "modelspec.author"
DATE = "modelspec.date"
THUMBNAIL = "modelspec.thumbnail"
COVER_IMAGES = "ssmd_cover_images"
PICTURES = (THUMBNAIL, COVER_IMAGES)
"""The entries that hold a picture, not words."""

# Other trainers' hashes are of other bytes than ours, so they are not carried over.
_FOREIGN_HASHES = ("sshs_model_hash", "sshs_legacy_hash")


def labels(
    title: str = "", description: str = "", author: str = "", thumbnail: bytes | None = None
) -> dict[str, str]:
    """The metadata entries for what is given; nothing for an empty text or no picture.

    thumbnail: a JPEG, see `thumbnail.jpeg`.
    """
    # What JSON can carry but UTF-8 cannot (half a character pair) becomes a question mark.
    texts = {
        key: text.strip().encode("utf-8", "replace").decode("utf-8")
        for key, text in ((TITLE, title), (DESCRIPTION, description), (AUTHOR, author))
    }
    found = {key: text for key, text in texts.items() if text}
    if thumbnail is not None:
        encoded = base64.b64encode(thumbnail).decode("ascii")
        found[THUMBNAIL] = f"data:image/jpeg;base64,{encoded}"
        found[COVER_IMAGES] = json.dumps([encoded])
    return found


def complete(adapter: Adapter, data: bytes, name: str) -> dict[str, str]:
    """The adapter's own entries, with the model spec's where it has none.

    data: the file's tensors; their hash always replaces the one the adapter came with.
    name: the title of an adapter that has none. It should tell files apart, because the model
        library shows it in the place of the file's name.
    """
    family = describe(adapter.architecture, adapter.width)
    defaults = {
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": f"{modelspec_base(adapter.architecture, adapter.width)}/softrepa",
        "modelspec.implementation": "SoftREPA",
        TITLE: name,
        DESCRIPTION: f"SoftREPA adapter for {family}.",
        DATE: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    own = {key: text for key, text in adapter.metadata.items() if key not in _FOREIGN_HASHES}
    return {
        **defaults,
        **own,
        "modelspec.hash_sha256": f"0x{hashlib.sha256(data).hexdigest()}",
    }


def without_pictures(metadata: Mapping[str, str]) -> dict[str, str]:
    """Entries to show as text: of an embedded picture only its size; an address stays."""
    return {
        key: f"a picture, {len(text) * 3 / 4000:.1f} kB"
        if key in PICTURES and text.startswith(("data:", "["))
        else text
        for key, text in metadata.items()
    }
