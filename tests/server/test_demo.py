"""The README's demo command, as a user runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from PIL import Image, ImageChops

ROOT = Path(__file__).resolve().parents[2]


def test_the_demo_leaves_two_different_pictures(comfyui):
    sheet = ROOT / "demo" / "output" / "before_and_after.png"
    sheet.unlink(missing_ok=True)
    subprocess.run(
        [sys.executable, str(ROOT / "demo" / "run.py")],
        check=True,
        env={**os.environ, "COMFYUI_PATH": str(comfyui)},
        timeout=300,
    )
    picture = Image.open(sheet)
    assert picture.size == (512, 256)
    before, after = picture.crop((0, 0, 256, 256)), picture.crop((256, 0, 512, 256))
    assert ImageChops.difference(before, after).getbbox() is not None
