"""SoftREPASave: whole files under free names, and names that cannot be."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import folder_paths
import pytest
import torch
from comfyui_softrepa.nodes.adapters import adapter_files
from comfyui_softrepa.nodes.adapters.loader import SoftREPALoader
from comfyui_softrepa.nodes.adapters.save import SoftREPASave
from comfyui_softrepa.softrepa import files
from comfyui_softrepa.softrepa.errors import AdapterError
from comfyui_softrepa.tests.adapters import random_adapter


@pytest.fixture
def output(tmp_path, monkeypatch):
    """An output folder of its own, and no other place for adapters."""
    monkeypatch.setattr(folder_paths, "output_directory", str(tmp_path / "output"))
    monkeypatch.setattr(folder_paths, "models_dir", str(tmp_path / "models"))
    monkeypatch.delitem(folder_paths.folder_names_and_paths, "softrepa", raising=False)
    adapter_files.register_folder()
    return tmp_path / "output"


def test_a_saved_adapter_can_be_loaded_at_once(output):
    """Also a later one: no list is older than the file."""
    adapter = random_adapter(banks=2)
    for number in range(1, 6):
        written = SoftREPASave.execute(adapter, "softrepa/mine").ui.value
        name = f"mine_{number:05}_.safetensors"
        assert written == str(output / "softrepa" / name)
        assert name in adapter_files.names()
        assert SoftREPALoader.validate_inputs(name) is True
        loaded = SoftREPALoader.execute(name).args[0]
        assert torch.equal(loaded.tokens, adapter.tokens)
        assert torch.equal(loaded.offsets, adapter.offsets)


def test_saving_never_overwrites(output):
    adapter = random_adapter()
    paths = [SoftREPASave.execute(adapter, "softrepa/mine").ui.value for _ in range(3)]
    assert len(set(paths)) == 3
    (output / "softrepa" / "other_00001_.safetensors").write_bytes(b"kept")
    SoftREPASave.execute(adapter, "softrepa/other")
    assert (output / "softrepa" / "other_00001_.safetensors").read_bytes() == b"kept"


def _save_together(together, adapter):
    together.wait()
    SoftREPASave.execute(adapter, "softrepa/race")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the processes are forks")
@pytest.mark.parametrize("links", [True, False], ids=["hard links", "none"])
def test_two_programs_at_once_lose_nothing(output, monkeypatch, links):
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    fork = multiprocessing.get_context("fork")
    adapter = random_adapter()
    for _ in range(5):
        together = fork.Barrier(2)
        both = [fork.Process(target=_save_together, args=(together, adapter)) for _ in range(2)]
        for process in both:
            process.start()
        for process in both:
            process.join()
    written = sorted((output / "softrepa").iterdir())
    assert [path.name for path in written] == [f"race_{n:05}_.safetensors" for n in range(1, 11)]
    for path in written:
        assert torch.equal(files.read(path).tokens, adapter.tokens)


def no_links(*_):
    """As on exFAT and many network folders."""
    raise OSError(95, "Operation not supported")


@pytest.mark.parametrize("links", [True, False], ids=["hard links", "none"])
def test_a_name_taken_meanwhile_is_left_alone(tmp_path, monkeypatch, links):
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    path = tmp_path / "mine.safetensors"
    monkeypatch.setattr(os, "fsync", lambda _: path.write_bytes(b"another program's"))
    with pytest.raises(FileExistsError):
        files.write_new(path, random_adapter())
    assert path.read_bytes() == b"another program's"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_one_sentence(output, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(AdapterError, match=r"mine_00001_.safetensors cannot be written: No space"):
        SoftREPASave.execute(random_adapter(), "softrepa/mine")
    assert list((output / "softrepa").iterdir()) == []


def test_a_file_where_the_folder_should_be_is_one_sentence(output):
    output.mkdir()
    (output / "softrepa").write_bytes(b"")
    with pytest.raises(AdapterError, match=r"cannot be written: Not a directory\.$"):
        SoftREPASave.execute(random_adapter(), "softrepa/mine")


REFUSED = {
    "": "is empty",
    "   ": "is empty",
    "softrepa/": "ends with a folder",
    "softrepa\\": "ends with a folder",
    "softrepa/ ": "ends with a folder",
    "../mine": "outside the output folder",
    "softrepa/../../mine": "outside the output folder",
    "softrepa\\..\\..\\mine": "outside the output folder",
    "/softrepa/mine": "outside the output folder",
    "\\\\server\\share\\mine": "outside the output folder",
    "C:\\mine": "a character that a file name cannot have",
    "softrepa/m*ne": "a character that a file name cannot have",
    "softrepa/mine?": "a character that a file name cannot have",
    "softrepa/mi\x00ne": "a character that a file name cannot have",
    "softrepa/mi\nne": "a character that a file name cannot have",
    "softrepa/half \ud83d emoji": "a character that a file name cannot have",
    "softrepa/.mine": "begins with a dot",
    ".cache/mine": "begins with a dot",
    "softrepa/.": "begins with a dot",
    "aux/mine": "keeps for a device",
    "softrepa/com1.old/mine": "keeps for a device",
    "softrepa/" + "色" * 80: "a name of 259 bytes",
    "n" * 300 + "/mine": "a name of 300 bytes",
}


@pytest.mark.skipif(os.name != "posix", reason="names are counted in bytes there")
@pytest.mark.parametrize("prefix", REFUSED, ids=ascii)
def test_a_name_that_cannot_be_is_refused_before_anything_runs(output, prefix):
    sentence = SoftREPASave.validate_inputs(prefix)
    assert REFUSED[prefix] in sentence
    assert sentence.endswith(".") and len(sentence.splitlines()) == 1
    sentence.encode()
    with pytest.raises(AdapterError) as refused:
        SoftREPASave.execute(random_adapter(), prefix)
    assert str(refused.value) == sentence
    assert not output.exists() and not (output.parent / "elsewhere").exists()


@pytest.mark.parametrize(
    ("prefix", "written"),
    [
        ("mine", "mine_00001_.safetensors"),
        ("softrepa\\deeper\\mine", "softrepa/deeper/mine_00001_.safetensors"),
        ("./softrepa/mine", "softrepa/mine_00001_.safetensors"),
        ("softrepa/" + "色" * 78, f"softrepa/{'色' * 78}_00001_.safetensors"),
        ("softrepa/con", "softrepa/con_00001_.safetensors"),
        ("softrepa/v1.5 [a] 100%", "softrepa/v1.5 [a] 100%_00001_.safetensors"),
        ("softrepa/😀", "softrepa/😀_00001_.safetensors"),
        ("softrepa/%width%", "softrepa/0_00001_.safetensors"),
    ],
)
def test_other_names_are_kept(output, prefix, written):
    assert SoftREPASave.validate_inputs(prefix) is True
    assert SoftREPASave.execute(random_adapter(), prefix).ui.value == str(output / Path(written))
    assert files.read(output / written).blocks == 2


def test_a_linked_prefix_is_looked_at_when_it_comes():
    assert SoftREPASave.validate_inputs() is True


def test_words_that_are_no_text_and_far_too_many(output):
    half = "half \ud83d emoji\x00"
    path = SoftREPASave.execute(random_adapter(), "softrepa/a", None, half, half).ui.value
    assert files.read(path).metadata["modelspec.title"].startswith("half ? emoji")
    with pytest.raises(AdapterError, match="take 17 MB; at most 16 MB"):
        SoftREPASave.execute(random_adapter(), "softrepa/b", None, "", "x" * (17 << 20))
    assert [each.name for each in (output / "softrepa").iterdir()] == ["a_00001_.safetensors"]


@pytest.mark.skipif(os.name != "posix", reason="names are bytes there")
def test_a_file_name_that_is_not_utf8_can_be_written_but_not_read(tmp_path):
    """safetensors opens no such file, so its name is what is said, and in characters."""
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\x8f\xe0.safetensors"))
    files.write(path, random_adapter())
    with pytest.raises(AdapterError, match=r"\?\?\.safetensors has a name that is not UTF-8"):
        files.read(path)
    path.rename(tmp_path / "mine.safetensors")
    assert files.read(tmp_path / "mine.safetensors").metadata["modelspec.title"] == "??"
