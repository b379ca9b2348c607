"""ComfyUI's model library, asked by the very routes that its front-end asks.

The browser lists a folder, reads each file's metadata, and shows the thumbnail in it; before the
metadata are there, and where they hold no picture, it asks the preview route for NAME.webp.
"""

from __future__ import annotations

import base64
import io
import urllib.error
import urllib.parse
import urllib.request

import pytest
import torch
from comfyui_softrepa.softrepa import files
from comfyui_softrepa.tests.adapters import random_adapter, save_reference
from PIL import Image

RED = 0xE02010


@pytest.fixture(scope="module")
def saved(server):
    """An adapter loaded from models/softrepa and saved with a picture, a title and words."""
    files.write(server.base / "models" / "softrepa" / "library.safetensors", random_adapter())
    graph = {
        "loader": {
            "class_type": "SoftREPALoader",
            "inputs": {"adapter": "library.safetensors"},
        },
        "image": {
            "class_type": "EmptyImage",
            "inputs": {"width": 512, "height": 256, "batch_size": 2, "color": RED},
        },
        "save": {
            "class_type": "SoftREPASave",
            "inputs": {
                "adapter": ["loader", 0],
                "filename_prefix": "softrepa/my cats/three",
                "thumbnail": ["image", 0],
                "title": "Three cats",
                "description": "Counts cats. 猫を数える。",
            },
        },
    }
    server.run(graph)
    return "my cats/three_00001_.safetensors"


def entry(server, name: str) -> dict:
    listed = server.get("/api/experiment/models/softrepa")
    return next(file for file in listed if file["name"] == name)


def preview(server, name: str) -> Image.Image:
    """The picture as the front-end asks for it: NAME.webp, slashes left as they are."""
    index = entry(server, name)["pathIndex"]
    stem = urllib.parse.quote(f"{name.rpartition('.')[0]}.webp")
    path = f"/api/experiment/models/preview/softrepa/{index}/{stem}"
    with urllib.request.urlopen(f"http://{server.address}{path}", timeout=60) as response:
        assert response.headers["Content-Type"] == "image/webp"
        return Image.open(io.BytesIO(response.read())).convert("RGB")


def metadata(server, name: str) -> dict[str, str]:
    return server.get(f"/api/view_metadata/softrepa?filename={urllib.parse.quote(name)}")


def is_red(picture: Image.Image) -> bool:
    wanted = (RED >> 16, RED >> 8 & 255, RED & 255)
    found = picture.getpixel((picture.width // 2, picture.height // 2))
    return all(abs(a - b) < 12 for a, b in zip(wanted, found, strict=True))


def test_the_folder_is_in_the_library(server):
    folders = {folder["name"]: folder for folder in server.get("/api/experiment/models")}
    places = folders["softrepa"]["folders"]
    assert places[0] == str(server.base / "models" / "softrepa")
    assert str(server.base / "output" / "softrepa") in places


def test_a_saved_adapter_is_listed_with_its_words_and_picture(server, saved):
    found = metadata(server, saved)
    assert found["modelspec.title"] == "Three cats"
    assert found["modelspec.description"] == "Counts cats. 猫を数える。"
    kind, _, data = found["modelspec.thumbnail"].partition(",")
    assert kind == "data:image/jpeg;base64"
    embedded = Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")
    assert embedded.size == (256, 128) and is_red(embedded)
    shown = preview(server, saved)
    assert shown.size == (256, 128) and is_red(shown)


def test_an_adapter_without_a_picture_has_words_and_no_preview(server, saved):
    found = metadata(server, "library.safetensors")
    assert found["modelspec.title"] == "library"
    assert found["modelspec.description"].startswith("SoftREPA adapter for ")
    assert "modelspec.thumbnail" not in found
    with pytest.raises(urllib.error.HTTPError, match="404"):
        preview(server, "library.safetensors")


def test_a_picture_beside_the_file_is_its_preview(server, saved):
    folder = server.base / "models" / "softrepa"
    files.write(folder / "beside.safetensors", random_adapter())
    Image.new("RGB", (32, 16), f"#{RED:06x}").save(folder / "beside.png")
    assert is_red(preview(server, "beside.safetensors"))


def test_the_authors_pickles_are_listed_but_comfyui_reads_no_metadata_of_them(server, saved):
    folder = server.base / "models" / "softrepa" / "pickled"
    folder.mkdir()
    save_reference(folder, torch.randn(2, 4, 128), None)
    assert entry(server, "pickled/dc_tokens.pth")["size"] > 0
    with pytest.raises(urllib.error.HTTPError, match="404"):
        metadata(server, "pickled/dc_tokens.pth")


def test_an_old_graph_without_the_new_inputs_still_saves(server, saved):
    graph = {
        "loader": {"class_type": "SoftREPALoader", "inputs": {"adapter": "library.safetensors"}},
        "save": {
            "class_type": "SoftREPASave",
            "inputs": {"adapter": ["loader", 0], "filename_prefix": "softrepa/old"},
        },
    }
    server.run(graph)
    assert "modelspec.thumbnail" not in metadata(server, "old_00001_.safetensors")
