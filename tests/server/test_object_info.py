"""Node ids, inputs, types and defaults as users' workflows hold them.

A failure here means that a workflow in somebody's hands would break: inputs may be added as
optional ones, none may change or go. After adding one, write the new snapshot with
`pytest tests/server/test_object_info.py --snapshot`.
"""

from __future__ import annotations

import json
from pathlib import Path

SNAPSHOT = Path(__file__).with_name("object_info.json")
_KEPT = ("type", "default", "min", "max", "step", "multiline")


def test_what_users_hold_is_unchanged(server, request):
    found = {
        name: _public(info)
        for name, info in server.get("/object_info").items()
        if info["category"].startswith("SoftREPA")
    }
    if request.config.getoption("--snapshot"):
        SNAPSHOT.write_text(json.dumps(found, indent=2, sort_keys=True) + "\n")
    assert found == json.loads(SNAPSHOT.read_text())


def _public(info: dict) -> dict:
    inputs = {
        kind: {name: _input(name, *entry) for name, entry in entries.items()}
        for kind, entries in info["input"].items()
    }
    return {"inputs": inputs, "order": info["input_order"], "outputs": info["output"]}


def _input(name: str, kind: str, options: dict | None = None) -> dict:
    kept = {key: value for key, value in (options or {}).items() if key in _KEPT}
    # ComfyUI's samplers, more with every version, are not ours to pin.
    ours = kind == "COMBO" and name not in ("sampler_name", "scheduler")
    if ours and (options or {}).get("multiselect") is False:
        choices = options["options"]
        # The loader's choices are files, which are not ours to pin.
        kept["options"] = [c for c in choices if not c.endswith((".safetensors", ".pth"))]
    return {"kind": kind, **kept}
