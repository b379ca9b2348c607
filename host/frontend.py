"""ComfyUI's real front-end in a real Chromium, as one test sees it."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from comfyui_softrepa.host.frontend_package import KNOWN_VERSIONS, installed
from comfyui_softrepa.host.server import Server
from playwright.sync_api import BrowserContext, Page, Request, Route, expect

ARTEFACTS = Path(__file__).resolve().parents[1] / "build" / "browser"
CLASSIC, VUE = "classic", "vue"
SLOW = 60_000
"""Milliseconds to wait for anything: shared cores are slow."""
expect.set_options(timeout=20_000)
_KNOWN = (
    "Failed to load resource: the server responded with a status of 404",  # of user data not there
    "JobsApiError",  # an address that cores before 0.3.76 have not
    "https://api.comfy.org/",  # news that --disable-api-nodes forbids
    "Content Security Policy",  # the same of everything outside
    " is deprecated",  # of itself: front-ends use what they advise against
    "Invalid layout total size",
    "TypeError: Cannot read properties of undefined (reading 'id')\n    at onChange",
)
"""What the pinned front-ends complain of themselves, without any pack."""
_SWITCHED_OFF = "Extension ComfyUI-SoftREPA is disabled."
_READY = """() => {
    const app = window.app
    return Boolean(app?.extensionManager?.workflow?.activeWorkflow && app.graph && app.canvas)
        && !document.querySelector('.p-blockui-mask')
}"""
_DISMISS = """if (location.host) {
    localStorage.setItem('vueNodesBannerDismissed', 'true')
    localStorage.setItem('comfy.vueNodesMigration.dismissed', 'true')
}"""
_REPEAT_WARNINGS = "() => { window.LiteGraph.alwaysRepeatWarnings = true }"
"""Else the front-end's own use of what it advises against would hide ours."""


@dataclass
class Frontend:
    """An open page. messages: (kind, text, where) of each console warning, console error, failed
    request and uncaught error so far; where: the address of the request, or those of all scripts
    that were running."""

    page: Page
    server: Server
    version: str
    messages: list[tuple[str, str, str]] = field(default_factory=list)

    def complaints(self) -> list[tuple[str, str, str]]:
        """What was warned of or failed where a script, file or route of the pack's took part, or
        names the pack; of front-ends whose own complaints are known, everything beyond those."""
        return [message for message in self.messages if self._counts(*message)]

    def _counts(self, kind: str, text: str, where: str) -> bool:
        if text == _SWITCHED_OFF:
            return False
        if "softrepa/" in where.lower():
            return True
        if any(known in text for known in _KNOWN):
            return False
        return self.version in KNOWN_VERSIONS or "softrepa" in text.lower()

    def screenshot(self, name: str, **options: Any) -> Path:
        """Saves build/browser/<version>/<name>.png."""
        path = ARTEFACTS / self.version / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=path, **options)
        return path

    def load(self, workflow: dict[str, Any]) -> None:
        """Loads a workflow in the front-end's own format, as a file dropped on the page is."""
        self.page.evaluate("async flow => { await window.app.loadGraphData(flow) }", workflow)
        self.settle()

    def load_api(
        self, graph: dict[str, Any], places: dict[str, tuple[int, int]] | None = None
    ) -> None:
        """Loads an API-format graph, whose node ids must be numbers.

        places: where to put nodes, by id, in pixels from the upper left of the visible canvas.
        """
        self.page.evaluate("async graph => { await window.app.loadApiJson(graph, 'graph') }", graph)
        workflow = self.workflow()
        for node in workflow["nodes"]:
            node["pos"] = list((places or {}).get(str(node["id"]), node["pos"]))
        if places:
            workflow["extra"] = {"ds": {"scale": 1, "offset": [80, 110]}}
        self.load(workflow)

    def workflow(self) -> dict[str, Any]:
        """What the front-end would save now."""
        # As text, for playwright would turn what is undefined into null.
        return json.loads(self.page.evaluate("() => JSON.stringify(window.app.graph.serialize())"))

    def prompt(self) -> dict[str, Any]:
        """The API-format graph that the front-end would queue now."""
        return self.page.evaluate("async () => (await window.app.graphToPrompt()).output")

    def queue(self, timeout: float = 300.0) -> list[str]:
        """Presses Run, waits for the end and returns the file names of the pictures that it saved.

        timeout: seconds. Raises RuntimeError with what ComfyUI said where the graph was refused,
        failed or did not end.
        """
        with self.page.expect_response("**/api/prompt") as posted:
            self.page.get_by_test_id("queue-button").click()
        answer = posted.value.json()
        if "prompt_id" not in answer:
            raise RuntimeError(json.dumps(answer))
        end = time.monotonic() + timeout
        while not (entry := self.server.get(f"/history/{answer['prompt_id']}")):
            if time.monotonic() > end:
                raise RuntimeError(f"The graph did not end within {timeout:.0f} s.")
            self.page.wait_for_timeout(200)
        (done,) = entry.values()
        if done["status"]["status_str"] != "success":
            raise RuntimeError(json.dumps(done["status"]["messages"]))
        outputs = done["outputs"].values()
        images = [image for output in outputs for image in output.get("images", ())]
        return [image["filename"] for image in images if image["type"] == "output"]

    def settle(self, frames: int = 4) -> None:
        """Waits until the page has drawn a few times."""
        self.page.evaluate(
            """async count => {
                while (count--) await new Promise(requestAnimationFrame)
            }""",
            frames,
        )


def open_frontend(
    context: BrowserContext, server: Server, settings: dict[str, Any], version: str | None = None
) -> Frontend:
    """Opens the page in this context with these settings of the front-end, and waits till it is
    ready. First-run dialogs are marked as seen.

    version: of the front-end, where the server does not serve the one that is installed.
    """
    version = version or installed()
    _write_settings(server, {"Comfy.InstalledVersion": version, **settings})
    context.add_init_script(_DISMISS)
    context.route(lambda address: server.address not in address, _nothing)
    frontend = Frontend(context.new_page(), server, version)
    frontend.page.set_default_timeout(SLOW)
    _listen(frontend)
    frontend.page.goto(f"http://{server.address}/", timeout=SLOW)
    frontend.page.wait_for_function(_READY, timeout=SLOW)
    frontend.page.evaluate(_REPEAT_WARNINGS)
    frontend.settle()
    return frontend


def _write_settings(server: Server, settings: dict[str, Any]) -> None:
    folder = server.base / "user" / "default"
    folder.mkdir(parents=True, exist_ok=True)
    seen = {
        "Comfy.TutorialCompleted": True,
        "Comfy.Notification.ShowVersionUpdates": False,
        "Comfy.Locale": "en",
        "Comfy.UseNewMenu": "Top",
        "Comfy.Graph.CanvasInfo": False,
        "Comfy.Minimap.Visible": False,
    }
    (folder / "comfy.settings.json").write_text(json.dumps({**seen, **settings}))


def _nothing(route: Route, request: Request) -> None:
    """Answers what would leave this machine: the front-end asks its makers for news."""
    route.fulfill(status=200, content_type="application/json", body="[]")


def _listen(frontend: Frontend) -> None:
    """Notes what the page complains of. Asked of Chromium itself, for playwright does not tell
    which scripts were running."""
    session = frontend.page.context.new_cdp_session(frontend.page)
    note = frontend.messages.append

    def console(event: dict[str, Any]) -> None:
        if event["type"] in ("warning", "error", "assert"):
            texts = [str(part.get("value", part.get("description"))) for part in event["args"]]
            note((event["type"], " ".join(texts), _scripts(event)))

    def uncaught(event: dict[str, Any]) -> None:
        details = event["exceptionDetails"]
        text = details.get("exception", {}).get("description", details["text"])
        note(("uncaught", text, _scripts(details)))

    def request(event: dict[str, Any]) -> None:
        entry = event["entry"]
        if entry["level"] in ("warning", "error"):
            note((entry["source"], entry["text"], entry.get("url", "")))

    session.on("Runtime.consoleAPICalled", console)
    session.on("Runtime.exceptionThrown", uncaught)
    session.on("Log.entryAdded", request)
    session.send("Runtime.enable")
    session.send("Log.enable")


def _scripts(event: dict[str, Any]) -> str:
    frames = event.get("stackTrace", {}).get("callFrames", [])
    return " ".join(dict.fromkeys(frame["url"] for frame in frames))
