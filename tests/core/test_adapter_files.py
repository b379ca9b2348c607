"""What Load SoftREPA Adapter lists, and how a name finds its file."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from pathlib import Path

import folder_paths
import pytest
from comfyui_softrepa.nodes.adapters import adapter_files
from comfyui_softrepa.nodes.adapters.loader import SoftREPALoader
from comfyui_softrepa.nodes.routes import adapter as adapter_route
from comfyui_softrepa.softrepa import files
from comfyui_softrepa.softrepa.errors import AdapterError
from comfyui_softrepa.tests.adapters import random_adapter


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The only folder with adapters."""
    place = (["softrepa"], set(files.SUFFIXES))
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "softrepa", place)
    place[0][0] = str(tmp_path / "models")
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


def put(folder: Path, name: str, **settings) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write(path, random_adapter(**settings))
    return path


def test_a_file_is_listed_the_moment_it_is_there(folder):
    """Also where the folder's time stays what it was, as within one tick of the clock."""
    put(folder, "first.safetensors")
    time = folder.stat().st_mtime_ns
    for number in range(20):
        assert adapter_files.names()
        name = put(folder, f"later{number}.safetensors").name
        os.utime(folder, ns=(time, time))
        assert name in adapter_files.names() and adapter_files.path_of(name).is_file()
        (folder / name).unlink()
        os.utime(folder, ns=(time, time))
        assert name not in adapter_files.names()


def test_hidden_files_are_no_adapters(folder):
    for name in (
        ".cache-ab/latents-0.safetensors",
        "style/.cache/a.safetensors",
        "._a.safetensors",
    ):
        put(folder, name)
        with pytest.raises(FileNotFoundError):
            adapter_files.path_of(name)
    put(folder, "style/a.safetensors")
    assert adapter_files.names() == [os.path.join("style", "a.safetensors")]


@pytest.mark.skipif(os.name != "posix", reason="links need no rights there")
def test_what_is_no_file_is_no_adapter(folder, tmp_path):
    put(folder, "folder.safetensors/inner.safetensors")
    (folder / "dangling.safetensors").symlink_to(folder / "gone")
    (folder / "to_folder.safetensors").symlink_to(tmp_path)
    (folder / "round").symlink_to(folder)
    os.mkfifo(folder / "pipe.safetensors")
    put(tmp_path, "elsewhere/linked.safetensors")
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    names = adapter_files.names()
    assert os.path.join("folder.safetensors", "inner.safetensors") in names
    assert os.path.join("link", "linked.safetensors") in names
    for name in ("folder", "dangling", "to_folder", "pipe"):
        assert f"{name}.safetensors" not in names
    assert len(names) == len({adapter_files.path_of(name).resolve() for name in names})


@pytest.mark.skipif(os.name != "posix", reason="names are bytes there")
def test_a_name_that_is_not_utf8_is_left_out_and_said(folder, caplog):
    put(folder, "good.safetensors")
    for place in (b"/\x8f\xe0 one.safetensors", b"/\x8f\xe0 two/a.safetensors"):
        put(folder, os.fsdecode(place.lstrip(b"/")))
    assert adapter_files.names() == ["good.safetensors"]
    assert "is not UTF-8: rename it" in caplog.text
    for name in adapter_files.names():
        name.encode()


def test_what_another_pack_has_taught_comfyui_to_find_is_found(folder, tmp_path, monkeypatch):
    path = put(tmp_path, "remote/far.safetensors")
    monkeypatch.setattr(folder_paths, "get_full_path_or_raise", lambda *_: str(path))
    assert adapter_files.path_of("far.safetensors") == path
    for name in ("../far.safetensors", "./far.safetensors", ".far.safetensors", "far.txt"):
        with pytest.raises(FileNotFoundError):
            adapter_files.path_of(name)


@pytest.mark.parametrize("saved", ["sd3\\dc.safetensors", "sd3/dc.safetensors"])
def test_either_slash_finds_the_file(folder, saved):
    path = put(folder, "sd3/dc.safetensors")
    assert SoftREPALoader.validate_inputs(saved) is True
    assert SoftREPALoader.execute(saved).args[0].blocks == 2
    assert SoftREPALoader.fingerprint_inputs(saved) == adapter_files.fingerprint(
        os.path.join("sd3", "dc.safetensors")
    )
    assert adapter_files.path_of(saved) == path


def test_accents_may_be_one_character_or_two(folder):
    composed = unicodedata.normalize("NFC", "café.safetensors")
    path = put(folder, unicodedata.normalize("NFD", composed))
    assert adapter_files.path_of(composed) == path


@pytest.mark.parametrize(
    "name",
    ["gone.safetensors", "../outside.safetensors", "..\\outside.safetensors", "a\x00", "", 5,
     "half \ud83d", "./here.safetensors", "HERE.safetensors/"],
    ids=ascii,
)  # fmt: skip
def test_what_is_not_there_is_one_sentence(folder, name):
    put(folder, "here.safetensors")
    put(folder.parent, "outside.safetensors")
    sentence = SoftREPALoader.validate_inputs(name)
    assert sentence.startswith("There is no adapter") and "models/softrepa" in sentence
    sentence.encode()
    with pytest.raises(FileNotFoundError, match="There is no adapter"):
        SoftREPALoader.execute(name)


def test_the_history_tells_which_file_it_was(folder):
    path = put(folder, "a.safetensors")
    told = SoftREPALoader.execute("a.safetensors").ui
    assert told == {
        "softrepa_adapter": ["a.safetensors"],
        "softrepa_sha256": [hashlib.sha256(path.read_bytes()).hexdigest()],
    }


def test_a_linked_name_is_looked_up_when_it_comes(folder):
    assert SoftREPALoader.validate_inputs() is True


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="Linux has such a file")
def test_a_file_that_cannot_be_read_is_refused_by_its_name(folder):
    """As on a bad disk, or without the right to: it is there, and reading it fails."""
    (folder / "locked.safetensors").symlink_to("/proc/self/mem")
    assert adapter_files.names() == ["locked.safetensors"]
    with pytest.raises(AdapterError, match=r"^locked\.safetensors cannot be opened: .+\.$"):
        SoftREPALoader.execute("locked.safetensors")


def test_the_first_folders_file_counts(folder, monkeypatch, tmp_path):
    put(folder, "a.safetensors", blocks=1)
    put(tmp_path / "second", "a.safetensors", blocks=3)
    folder_paths.folder_names_and_paths["softrepa"][0].append(str(tmp_path / "second"))
    folder_paths.folder_names_and_paths["softrepa"][0].append(str(tmp_path / "missing"))
    assert adapter_files.names() == ["a.safetensors"]
    assert SoftREPALoader.execute("a.safetensors").args[0].blocks == 1


def test_a_replaced_file_is_another_even_at_the_same_time_and_size(folder):
    path = put(folder, "a.safetensors", seed=1)
    time, seen = path.stat().st_mtime_ns, adapter_files.fingerprint("a.safetensors")
    first = adapter_route.adapter_facts("a.safetensors")
    old = path.stat().st_size
    put(folder, "a.safetensors", seed=2)
    os.utime(path, ns=(time, time))
    assert path.stat().st_size == old
    assert adapter_files.fingerprint("a.safetensors") != seen
    put(folder, "a.safetensors", blocks=3)
    assert adapter_route.adapter_facts("a.safetensors")["depth"] != first["depth"]
