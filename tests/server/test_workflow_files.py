"""The files in example_workflows/, without a browser: whole, and as the nodes' schemas say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import tomllib
from comfyui_softrepa.demo.workflows.files import FOLDER, texts
from comfyui_softrepa.demo.workflows.graph import CORE_VERSION
from comfyui_softrepa.demo.workflows.node_types import CORE
from PIL import Image

PATHS = sorted(FOLDER.glob("*.json"))
FOLDERS = {
    "CheckpointLoaderSimple": ("checkpoints", ["ckpt_name"]),
    "SoftREPALoader": ("softrepa", ["adapter"]),
    "UNETLoader": ("diffusion_models", ["unet_name"]),
    "CLIPLoader": ("text_encoders", ["clip_name"]),
    "DualCLIPLoader": ("text_encoders", ["clip_name1", "clip_name2"]),
    "VAELoader": ("vae", ["vae_name"]),
}
"""Loaders: the folder of their files, and the widgets that name them."""
FILES = {widget for _, widgets in FOLDERS.values() for widget in widgets}
"""Widgets whose options are the files of a machine."""
HUB, AUTHORS = "https://huggingface.co/", "https://github.com/softrepa/SoftREPA/raw/main/tokens/"
TO_BE_TRAINED = ("softrepa_flux1", "softrepa_z_image", "softrepa_anima")
"""Nobody has published an adapter for these."""
OF_THE_DEMO = ("softrepa_demo_world", "softrepa_does_it_help", "softrepa_train_your_own")
"""Their files are made, not downloaded."""
TRAINS = "softrepa_train_your_own"
"""Makes the adapter that it uses."""
NOTES = {"Note", "MarkdownNote"}
AFTER_RUN = {"fixed", "increment", "decrement", "randomize"}
WIDGETS = {"INT": int, "FLOAT": (int, float), "STRING": str, "BOOLEAN": bool, "COMBO": str}

Json = dict[str, Any]


@pytest.fixture(params=PATHS, ids=lambda path: path.stem)
def path(request: pytest.FixtureRequest) -> Path:
    return request.param


@pytest.fixture
def workflow(path: Path) -> Json:
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def object_info(server) -> Json:
    return server.get("/object_info")


@pytest.fixture(scope="module")
def newer_core(server) -> bool:
    """Whether the core under test is another than the one that the files are made for."""
    return server.get("/system_stats")["system"]["comfyui_version"] != CORE_VERSION


def test_there_is_one_for_each_model_and_use():
    assert {path.stem for path in PATHS} == {
        "softrepa_sd3",
        "softrepa_sdxl",
        "softrepa_sd15",
        *TO_BE_TRAINED,
        "softrepa_cfg_plus_plus",
        "softrepa_attend_and_excite",
        "softrepa_before_after",
        "softrepa_one_prompt_only",
        "softrepa_schedule_and_blocks",
        "softrepa_editing",
        "softrepa_demo_world",
        "softrepa_does_it_help",
        "softrepa_train_your_own",
    }


def test_the_files_are_what_the_layouts_write():
    """A file changed by hand would be lost at the next `python demo/workflows`."""
    assert {path.name: path.read_text(encoding="utf-8") for path in PATHS} == texts()


def test_it_has_a_thumbnail(path):
    thumbnail = path.with_suffix(".jpg")
    with Image.open(thumbnail) as picture:
        picture.load()
        assert picture.format == "JPEG"
        assert picture.size == (512, 512)
        assert max(high - low for low, high in picture.getextrema()) > 100, "blank"
    assert thumbnail.stat().st_size < 60_000


def test_no_thumbnail_is_left_over():
    assert {path.stem for path in FOLDER.glob("*.jpg")} == {path.stem for path in PATHS}


def test_ids_and_links_are_consistent(workflow):
    nodes = {node["id"]: node for node in workflow["nodes"]}
    links = {link[0]: link for link in workflow["links"]}
    assert len(nodes) == len(workflow["nodes"]) and len(links) == len(workflow["links"])
    assert workflow["last_node_id"] == max(nodes) and workflow["last_link_id"] == max(links)
    for number, source, output, target, slot, kind in links.values():
        leaving = nodes[source]["outputs"][output]
        arriving = nodes[target]["inputs"][slot]
        assert number in leaving["links"] and arriving["link"] == number
        assert leaving["type"] == arriving["type"] == kind
    ends = [link for node in nodes.values() for out in node["outputs"] for link in out["links"]]
    starts = [put["link"] for node in nodes.values() for put in node["inputs"]]
    assert sorted(ends) == sorted(link for link in starts if link is not None) == sorted(links)
    order = {node["id"]: node["order"] for node in nodes.values()}
    assert sorted(order.values()) == list(range(len(nodes)))
    assert all(order[link[1]] < order[link[3]] for link in links.values())


def test_it_says_what_to_download_and_what_to_try(workflow):
    notes = [node["widgets_values"][0] for node in workflow["nodes"] if node["type"] in NOTES]
    assert len(notes) >= 2
    assert any("ComfyUI/models/softrepa/" in note for note in notes)
    assert workflow["groups"]


def test_no_path_of_a_machine_is_in_it(path):
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"[A-Za-z]:\\\\|/(home|root|Users|work|tmp|mnt|var)/|file://", text)
    assert "Comfy.Org" not in text


def test_its_nodes_are_ours_or_the_core_s(workflow, object_info):
    project = tomllib.loads((FOLDER.parent / "pyproject.toml").read_text(encoding="utf-8"))
    for node in workflow["nodes"]:
        if node["type"] in NOTES:
            continue
        module = object_info[node["type"]]["python_module"]
        ours = module.startswith("custom_nodes.")
        assert ours == node["type"].startswith("SoftREPA")
        pack = project["project"]["name"] if ours else CORE
        assert node["properties"]["cnr_id"] == pack, "what ComfyUI-Manager installs"


def test_its_inputs_are_those_of_the_schema(workflow, object_info, newer_core):
    """A newer core may have given its nodes more outputs, which the front-end adds on loading."""
    for node in workflow["nodes"]:
        if node["type"] in NOTES:
            continue
        schema = _inputs(object_info[node["type"]])
        widgets = [name for name in schema if _is_widget(*schema[name])]
        sockets = [name for name in schema if name not in widgets]
        assert [put["name"] for put in node["inputs"]] == sockets + widgets
        assert [put["name"] for put in node["inputs"] if "widget" in put] == widgets
        for put in node["inputs"]:
            assert put["type"] == schema[put["name"]][0]
        names = object_info[node["type"]]["output_name"]
        kinds = _outputs(object_info[node["type"]])
        if node["properties"]["cnr_id"] == CORE and newer_core:
            names, kinds = (known[: len(node["outputs"])] for known in (names, kinds))
        assert [out["name"] for out in node["outputs"]] == names
        assert [out["type"] for out in node["outputs"]] == kinds


def test_every_widget_has_a_value_that_the_schema_allows(workflow, object_info):
    for node in workflow["nodes"]:
        if node["type"] in NOTES:
            continue
        schema = _inputs(object_info[node["type"]])
        values = list(node.get("widgets_values", []))
        for name, (kind, options) in schema.items():
            if not _is_widget(kind, options):
                continue
            value = values.pop(0)
            _check(f"{node['type']}.{name}", name, kind, options, value)
            if options.get("control_after_generate"):
                assert values.pop(0) in AFTER_RUN
        assert not values, f"{node['type']} has more values than widgets"


def test_required_inputs_are_connected(workflow, object_info):
    for node in workflow["nodes"]:
        if node["type"] in NOTES:
            continue
        required = object_info[node["type"]]["input"].get("required", {})
        for put in node["inputs"]:
            if put["name"] in required and "widget" not in put:
                assert put["link"] is not None, f"{node['type']}.{put['name']}"


def test_every_file_but_the_demo_s_has_an_address_and_a_folder(path, workflow):
    """As the front-end's list of missing models reads them: by the widget's own value."""
    loaders = [node for node in workflow["nodes"] if node["type"] in FOLDERS]
    kinds = {node["type"] for node in loaders}
    assert ("SoftREPALoader" in kinds) == (path.stem != TRAINS) and kinds - {"SoftREPALoader"}
    for node in loaders:
        models = node["properties"].get("models", [])
        adapter = node["type"] == "SoftREPALoader"
        if path.stem in OF_THE_DEMO or (adapter and path.stem in TO_BE_TRAINED):
            assert not models  # they are made, not downloaded
            continue
        folder, widgets = FOLDERS[node["type"]]
        assert [model["name"] for model in models] == node["widgets_values"][: len(widgets)]
        for model in models:
            assert model["directory"] == folder
            assert model["url"].startswith(AUTHORS if adapter else HUB)
            assert model["url"].rpartition("/")[2] == model["name"].rpartition("/")[2]


def test_where_no_adapter_can_be_had_the_note_says_so_and_how_to_train_one(path, workflow):
    (note,) = (
        node["widgets_values"][0]
        for node in workflow["nodes"]
        if node["type"] in NOTES and node.get("title") == "Files"
    )
    assert ("has to be trained first" in note) == (path.stem in TO_BE_TRAINED)
    if path.stem not in TO_BE_TRAINED:
        return
    command = note.partition("```")[2].partition("```")[0].replace("\\\n", " ").split()
    flags = list(zip(command[2::2], command[3::2], strict=True))
    named = [value for flag, value in flags if flag in ("--model", "--text-encoder", "--vae")]
    loaders = [node for node in workflow["nodes"] if node["type"] in FOLDERS]
    *files, adapter = (
        name for node in loaders for name in node["widgets_values"][: len(FOLDERS[node["type"]][1])]
    )
    assert named == files and dict(flags)["--output"] == adapter


def test_its_notes_lead_to_the_same_adapter(workflow):
    """The front-end does not download from the authors' address, so the notes link to it."""
    notes = [node["widgets_values"][0] for node in workflow["nodes"] if node["type"] in NOTES]
    for node in workflow["nodes"]:
        if node["type"] == "SoftREPALoader":
            for model in node["properties"].get("models", []):
                assert any(f"({model['url']})" in note for note in notes)


def _inputs(info: Json) -> dict[str, tuple[str, Json]]:
    """Input -> type and options, in the order of the schema."""
    result = {}
    for group in ("required", "optional"):
        for name, entry in info["input"].get(group, {}).items():
            options = dict(entry[1]) if len(entry) > 1 else {}
            if isinstance(entry[0], list):  # an old-style list of choices
                result[name] = ("COMBO", {**options, "options": entry[0]})
            else:
                result[name] = (entry[0], options)
    return result


def _is_widget(kind: str, options: Json) -> bool:
    return kind in WIDGETS and not options.get("forceInput")


def _outputs(info: Json) -> list[str]:
    return ["COMBO" if isinstance(kind, list) else kind for kind in info["output"]]


def _check(where: str, name: str, kind: str, options: Json, value: Any) -> None:
    assert isinstance(value, WIDGETS[kind]), f"{where} is {value!r}"
    assert kind == "BOOLEAN" or not isinstance(value, bool), f"{where} is {value!r}"
    if kind == "COMBO" and name not in FILES:
        assert value in options["options"], f"{where} is {value!r}"
    if kind in ("INT", "FLOAT"):
        assert options.get("min", value) <= value <= options.get("max", value), where
