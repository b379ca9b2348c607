"""A small U-Net that stays as it is, and its prompt."""

from __future__ import annotations

import pytest
from comfyui_softrepa.tests.guidance import small_unet as small


@pytest.fixture(scope="package")
def patcher():
    return small.patcher()


@pytest.fixture(scope="package")
def clip():
    return small.Clip()
