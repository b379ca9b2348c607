"""One studio an architecture, made once."""

from __future__ import annotations

import pytest


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
