"""The manifest: what an earlier start found out is not found out again, and never wrongly."""

from __future__ import annotations

import hashlib
import os

import pytest
from comfyui_softrepa.training.data import find, known
from comfyui_softrepa.training.data.known import Known
from comfyui_softrepa.training.model.model_files import ModelFiles

from .stand_in import folder


@pytest.fixture
def manifest(tmp_path) -> Known:
    return Known(tmp_path / "manifest" / "known.sqlite")


@pytest.fixture
def work(monkeypatch) -> list:
    """The files that are decoded or hashed."""
    done = []
    for name in ("examined", "content_hash"):
        whole = getattr(known, name)

        def counted(path, whole=whole):
            done.append(path.name)
            return whole(path)

        monkeypatch.setattr(known, name, counted)
    return done


def test_a_second_start_decodes_nothing_and_finds_the_same(tmp_path, manifest, work) -> None:
    data = folder(tmp_path / "data", 4)
    first = find(data, manifest)[0]
    assert len(work) == 4
    assert find(data, Known(manifest.path))[0] == first and len(work) == 4
    assert find(data)[0] == first and len(work) == 8  # without a manifest


def test_a_changed_or_new_file_is_looked_at_again(tmp_path, manifest, work) -> None:
    files = [tmp_path / name for name in "abc"]
    for file in files:
        file.write_bytes(b"1234")
    before = manifest.hashes(files)
    assert sorted(work) == ["a", "b", "c"]
    files[0].write_bytes(b"12345")  # another size
    files[1].write_bytes(b"4321")  # another time
    os.utime(files[1], ns=(1, 1))
    work.clear()
    after = manifest.hashes([*files, files[2]])
    assert sorted(work) == ["a", "b"] and after[files[2]] == before[files[2]]
    assert after == {file: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    assert list(manifest.hashes(files[::-1])) == files[::-1]


def test_a_picture_that_could_not_be_decoded_is_tried_again(tmp_path, manifest, work) -> None:
    broken = tmp_path / "a.png"
    broken.write_bytes(b"no picture")
    for _ in range(2):
        assert isinstance(manifest.looks([broken])[broken], str)
    assert work == ["a.png"] * 2


@pytest.mark.parametrize("spoil", ["damaged", "a folder", "read-only"])
def test_a_manifest_that_cannot_be_used_only_costs_time(tmp_path, spoil, work) -> None:
    file, path = tmp_path / "a", tmp_path / "known.sqlite"
    file.write_bytes(b"1")
    if spoil == "damaged":
        path.write_bytes(b"no database at all" * 100)
    elif spoil == "a folder":
        path.mkdir()
    else:
        path = tmp_path / "a" / "known.sqlite"  # below a file, so that no folder can be made
    for _ in range(2):
        assert Known(path).hashes([file])[file] == hashlib.sha256(b"1").hexdigest()
    assert work == ["a", "a"]


def test_a_missing_file_is_told_by_its_name(tmp_path, manifest) -> None:
    with pytest.raises(FileNotFoundError) as raised:
        manifest.hashes([tmp_path / "gone"])
    assert raised.value.filename == str(tmp_path / "gone")


def test_a_name_that_sqlite_cannot_hold_is_hashed_each_time(tmp_path, manifest, work) -> None:
    odd = tmp_path / os.fsdecode(b"\x8f\xe0.png")
    try:
        odd.write_bytes(b"1")
    except OSError:
        pytest.skip("this file system takes no such name")
    for _ in range(2):
        assert manifest.hashes([odd])[odd] == hashlib.sha256(b"1").hexdigest()
    assert len(work) == 2


def test_model_files_are_hashed_once_for_all_starts(tmp_path, manifest, work) -> None:
    model, text = tmp_path / "model", tmp_path / "text"
    model.write_bytes(b"m"), text.write_bytes(b"t")
    identities = {
        ModelFiles(model, (("clip_l", text),), known=Known(manifest.path)).identity
        for _ in range(3)
    }
    assert len(identities) == 1 and sorted(work) == ["model", "text"]
    assert identities == {ModelFiles(model, (("clip_l", text),)).identity}
