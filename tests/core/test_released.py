"""The authors' own released files, where they are at hand: they are not ours to redistribute.

Files of the same structure, which the tests write themselves, are in test_files and run always.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from comfyui_softrepa.softrepa import files

RELEASED = Path(__file__).resolve().parents[3] / "shared" / "released"
pytestmark = pytest.mark.skipif(not RELEASED.is_dir(), reason="the released files are not here")


@pytest.mark.parametrize(
    ("folder", "architecture", "shape", "buckets", "layers"),
    [
        ("sd1.5", "unet", (1, 1, 4, 768), 100, ("input",)),
        ("sdxl", "unet", (1, 1, 4, 2048), 0, ("input", "middle")),
        ("sd3", "mmdit", (1, 5, 4, 1536), 100, ("0", "1", "2", "3", "4")),
    ],
)
def test_released_files_are_read_as_they_are(folder, architecture, shape, buckets, layers):
    adapter = files.read(RELEASED / folder / "dc_tokens.pth")
    assert adapter.architecture == architecture
    assert tuple(adapter.tokens.shape) == shape
    assert adapter.buckets == buckets
    assert adapter.layers == layers
    assert adapter.tokens.device.type == "cpu" and adapter.tokens.dtype == torch.float32
    assert 0 < float(adapter.tokens.std()) < 10
    assert adapter.parameters < 1_000_000


@pytest.mark.parametrize("folder", ["sd1.5", "sdxl", "sd3"])
def test_the_reader_agrees_with_torch(folder):
    for path in sorted((RELEASED / folder).glob("*.pth")):
        expected = torch.load(path, map_location="cpu", weights_only=False)
        found = files.read_torch_pickle(path)
        if isinstance(expected, torch.nn.Embedding):
            assert torch.equal(found.weight, expected.weight)
        else:
            assert torch.equal(found, expected)
