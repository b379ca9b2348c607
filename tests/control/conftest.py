"""One studio an architecture, made once."""

from __future__ import annotations

import comfy.model_management
import pytest
import torch


@pytest.fixture(scope="module", autouse=True)
def unloaded():
    """The golden models are shared with other tests, which expect them as they were read."""
    yield
    comfy.model_management.unload_all_models()


@pytest.fixture(scope="package", autouse=True)
def one_thread():
    """The models are too small for more, and threads that wait for a shared core are slow."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def studios():
    from comfyui_softrepa.tests.control.studio import studio

    return {arch: studio(arch) for arch in ("sd15", "sdxl", "sd3")}


@pytest.fixture(params=("sd15", "sdxl", "sd3"))
def art(request, studios):
    """Each architecture's studio in turn."""
    return studios[request.param]


@pytest.fixture
def sd15(studios):
    return studios["sd15"]


@pytest.fixture
def sd3(studios):
    return studios["sd3"]
