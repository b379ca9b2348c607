"""The manifest: what an earlier start found out is not found out again, and never wrongly."""

from __future__ import annotations

import hashlib
import os

import pytest
from comfyui_softrepa.softrepa.hashing import content_hash
from comfyui_softrepa.training.data import find
from comfyui_softrepa.training.data.known import Known, files
from comfyui_softrepa.training.data.pictures.images import examined
from comfyui_softrepa.training.data.reading import text_files
from comfyui_softrepa.training.model.model_files import ModelFiles

from .stand_in import folder, picture


@pytest.fixture
def manifest(tmp_path) -> Known:
    return Known(tmp_path / "manifest" / "known.sqlite")


@pytest.fixture
def work(monkeypatch) -> list:
    """The files that are decoded or hashed."""
    done = []
    for name in ("examined", "content_hash"):
        whole = getattr(files, name)

        def counted(path, whole=whole):
            done.append(path.name)
            return whole(path)

        monkeypatch.setattr(files, name, counted)
    return done


def test_a_second_start_decodes_and_reads_nothing_and_finds_the_same(
    tmp_path, manifest, work, monkeypatch
) -> None:
    data = folder(tmp_path / "data", 4)
    (data / "001.neg.txt").write_text("something else\nmore")
    (data / "004.png").write_bytes(b"no picture")
    (data / "004.txt").write_text("broken")
    (data / "005.txt").write_text("alone")
    first = find(data, manifest)
    decoded = sorted(["000.png", "001.png", "002.png", "003.png"] * 2 + ["004.png"])
    assert sorted(work) == decoded
    assert find(data) == first  # without a manifest
    work.clear()
    with monkeypatch.context() as patch:
        patch.setattr(text_files, "read", None)
        second = find(data, Known(manifest.path))
    assert second == first and not work
    assert [pair.sha256 for pair in second[0]] == [content_hash(p.image) for p in second[0]]


@pytest.mark.parametrize("change", ["text", "new", "gone", "renamed", "rights", "readable"])
def test_any_change_in_a_folder_is_seen(tmp_path, manifest, change) -> None:
    data = folder(tmp_path / "data", 3)
    broken = picture(data / "below" / "003.png", 3)
    broken.with_suffix(".txt").write_text("a caption")
    whole = broken.read_bytes()
    broken.write_bytes(b"no picture")
    find(data, manifest)
    caption = data / "000.txt"
    if change == "text":
        time = caption.stat().st_mtime_ns
        caption.write_text(caption.read_text().replace("0", "9"))
        os.utime(caption, ns=(time, time + 1))
    elif change == "new":
        folder(data, 4)
    elif change == "gone":
        caption.unlink()
    elif change == "renamed":
        (data / "000.png").rename(data / "0.png")
        caption.rename(data / "0.txt")
    elif change == "rights":
        caption.chmod(0o600)
    else:
        broken.write_bytes(whole)
    assert find(data, manifest) == find(data)


def test_a_picture_that_a_package_now_reads_is_seen(tmp_path, manifest, monkeypatch) -> None:
    """Though its file is what it was."""
    data = folder(tmp_path / "data", 3)
    with monkeypatch.context() as patch:
        patch.setattr(files, "examined", lambda path: "no" if "1" in path.name else examined(path))
        assert len(find(data, manifest)[0]) == 2
    assert len(find(data, manifest)[0]) == 3


def test_pairs_of_a_folder_with_an_odd_name_are_remembered(tmp_path, manifest, work) -> None:
    data = tmp_path / os.fsdecode(b"\x8f\xe0")
    try:
        data.mkdir()
    except OSError:
        pytest.skip("this file system takes no such name")
    first = find(folder(data, 2), manifest)
    work.clear()
    assert find(data, manifest) == first and not work


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
