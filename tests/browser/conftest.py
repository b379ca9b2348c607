"""A real ComfyUI, its real front-end and a real Chromium.

Fixtures:

version   the front-end: every test that opens a page runs on each of `frontend_package.tested()`.
server    a running ComfyUI (host.server.Server) with the pack in custom_nodes. Its checkpoints are
          CHECKPOINT, the demo world's SD3 (3 blocks, hidden 192), and OTHER_CHECKPOINT, which loads
          as SD1.5; "old.ckpt" is a file of a format that no one looks into. Its adapters:
          "sd3.safetensors" (fits CHECKPOINT: 2 blocks of 4 tokens), "raw.safetensors" (as well,
          at the raw text width 4096, 3 blocks), "sd15.safetensors" and "sdxl.safetensors" (shared
          over U-Net blocks), "foreign.safetensors" (says nothing, of a width that several have).
page      a Frontend: the page, open and ready, in the classic node renderer. Tests use one after
          another, so each loads its own graph first.
vue_page  the same with Vue nodes.
both      the test runs twice, once in each renderer.
open_page open_page(renderer=CLASSIC, **settings) -> Frontend: a new page, for settings of one's
          own, such as {"Comfy.Locale": "ja"}.

    def test_it(both):
        both.load(json.loads(workflow.read_text()))     # or load_api(graph)
        both.page.locator(".softrepa-info").wait_for()   # a playwright Page, with its sync API
        assert both.queue()                              # names of the pictures
        both.screenshot("it")                            # build/browser/<version>/it.png
        assert not both.complaints()                     # console warnings and errors of ours

A failed test leaves build/browser/<version>/failed-<test>.png.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from comfyui_softrepa.demo.models.base.join import make_checkpoint
from comfyui_softrepa.host import frontend_package
from comfyui_softrepa.host.chromium import FLAGS, locate
from comfyui_softrepa.host.frontend import CLASSIC, VUE, Frontend, open_frontend
from comfyui_softrepa.host.server import Server, install_pack, serve
from comfyui_softrepa.softrepa import files
from comfyui_softrepa.tests.adapters import random_adapter
from playwright.sync_api import Browser, Error, sync_playwright
from safetensors.torch import save_file

CHECKPOINT, OTHER_CHECKPOINT = "softrepa_demo.safetensors", "sd15.safetensors"
_FAILED = pytest.StashKey[bool]()


# Package scope: while playwright lives, its event loop is this thread's, which other tests need.
@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=locate(), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="package", params=frontend_package.tested())
def version(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="package")
def base(sd15_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The servers' base directory: one server runs after another."""
    base = tmp_path_factory.mktemp("browser")
    checkpoints, adapters = base / "models" / "checkpoints", base / "models" / "softrepa"
    for folder in (checkpoints, adapters):
        folder.mkdir(parents=True)
    make_checkpoint(checkpoints / CHECKPOINT)
    (checkpoints / OTHER_CHECKPOINT).symlink_to(sd15_checkpoint)
    (checkpoints / "old.ckpt").write_bytes(b"a format that is not looked into")
    stated = {
        "softrepa.objective": "agsm",
        "softrepa.base_model": "demo.safetensors",
        "softrepa.steps": "400",
        "softrepa.strength": "0.75",
        "softrepa.strength_as": "attention",
        "modelspec.date": "2026-11-20T10:00:00Z",
    }
    adapter = dataclasses.replace(random_adapter(width=192), metadata=stated)
    files.write(adapters / "sd3.safetensors", adapter)
    raw = random_adapter(width=4096, blocks=3, offset_width=192)
    files.write(adapters / "raw.safetensors", dataclasses.replace(raw, metadata=stated))
    files.write(adapters / "sd15.safetensors", random_adapter("unet", 768, 1))
    files.write(adapters / "sdxl.safetensors", random_adapter("unet", 2048, 1))
    save_file({"tokens": torch.zeros(2, 4, 3072)}, adapters / "foreign.safetensors")
    install_pack(base)
    return base


@pytest.fixture(scope="package")
def server(comfyui: Path, base: Path, version: str) -> Iterator[Server]:
    with serve(comfyui, base, *frontend_package.server_arguments(version)) as running:
        yield running


@pytest.fixture(scope="package")
def pages(server: Server) -> Iterator[dict[str, Frontend]]:
    """The open page of each renderer, which one test after another uses."""
    opened: dict[str, Frontend] = {}
    yield opened
    for frontend in opened.values():
        frontend.page.context.close()


@pytest.fixture
def open_page(
    chromium: Browser, server: Server, version: str, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Frontend]]:
    opened: list[Frontend] = []

    def open_one(renderer: str = CLASSIC, **settings: Any) -> Frontend:
        opened.append(_open(chromium, server, version, renderer, settings))
        return opened[-1]

    yield open_one
    for frontend in opened:
        if _failed(request):
            _show_failure(frontend, request)
        frontend.page.context.close()


@pytest.fixture
def page(
    chromium: Browser,
    server: Server,
    version: str,
    pages: dict[str, Frontend],
    request: pytest.FixtureRequest,
) -> Iterator[Frontend]:
    yield from _kept(chromium, server, version, pages, request, CLASSIC)


@pytest.fixture
def vue_page(
    chromium: Browser,
    server: Server,
    version: str,
    pages: dict[str, Frontend],
    request: pytest.FixtureRequest,
) -> Iterator[Frontend]:
    yield from _kept(chromium, server, version, pages, request, VUE)


@pytest.fixture(params=(CLASSIC, VUE))
def both(
    chromium: Browser,
    server: Server,
    version: str,
    pages: dict[str, Frontend],
    request: pytest.FixtureRequest,
) -> Iterator[Frontend]:
    yield from _kept(chromium, server, version, pages, request, request.param)


def _kept(
    chromium: Browser,
    server: Server,
    version: str,
    pages: dict[str, Frontend],
    request: pytest.FixtureRequest,
    renderer: str,
) -> Iterator[Frontend]:
    """The renderer's page; a new one after a failure and after a test that says it spoils it, which
    may have left anything behind."""
    if renderer not in pages:
        pages[renderer] = _open(chromium, server, version, renderer, {})
    frontend = pages[renderer]
    frontend.messages.clear()
    yield frontend
    if _failed(request):
        _show_failure(frontend, request)
    if _failed(request) or request.node.get_closest_marker("spoils_the_page"):
        pages.pop(renderer).page.context.close()


def _open(
    chromium: Browser, server: Server, version: str, renderer: str, settings: dict[str, Any]
) -> Frontend:
    context = chromium.new_context(
        viewport={"width": 1440, "height": 900}, locale="en-US", color_scheme="dark"
    )
    settings = {"Comfy.VueNodes.Enabled": renderer == VUE, **settings}
    return open_frontend(context, server, settings, version)


def _failed(request: pytest.FixtureRequest) -> bool:
    return request.node.stash.get(_FAILED, False)


def _show_failure(frontend: Frontend, request: pytest.FixtureRequest) -> None:
    with suppress(Error):  # the page may be what failed
        frontend.screenshot(f"failed-{re.sub(r'[^a-z0-9]+', '-', request.node.name)}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    report = yield
    if report.when == "call" and report.failed:
        item.stash[_FAILED] = True
    return report
