"""A small U-Net that stays as it is, and its prompt."""

from __future__ import annotations

import pytest
import torch
from comfyui_softrepa.tests.guidance import small_unet as small


@pytest.fixture(scope="package", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="package")
def patcher():
    return small.patcher()


@pytest.fixture(scope="package")
def clip():
    return small.Clip()
