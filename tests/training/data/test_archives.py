"""Pictures and captions in .tar and .parquet files, local and remote."""

from __future__ import annotations

import io
import json
import sys
import tarfile
from pathlib import Path

import fsspec
import pyarrow
import pyarrow.parquet
import pytest
import torch
from comfyui_softrepa.training.cache import build
from comfyui_softrepa.training.data import Framing, find, find_all
from comfyui_softrepa.training.data.archives import storage
from comfyui_softrepa.training.data.known import Known
from comfyui_softrepa.training.errors import BadInput
from comfyui_softrepa.training.settings.command_line import read_settings

from .stand_in import StandIn, folder


def packed(files: dict[str, bytes]) -> bytes:
    """A .tar of these files."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, contents in files.items():
            about = tarfile.TarInfo(name)
            about.size = len(contents)
            archive.addfile(about, io.BytesIO(contents))
    return made.getvalue()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return folder(tmp_path / "data", 6)


@pytest.fixture
def shards(data: Path, tmp_path: Path) -> list[Path]:
    """The folder's files in two .tar files."""
    files = sorted(data.iterdir())
    halves = {"000": files[:6], "001": files[6:]}
    made = []
    for name, half in halves.items():
        made.append(tmp_path / f"shard-{name}.tar")
        made[-1].write_bytes(packed({f"x/{file.name}": file.read_bytes() for file in half}))
    return made


@pytest.fixture
def table(data: Path, tmp_path: Path) -> Path:
    """The same as Hugging Face's datasets write it, three rows a group."""
    pictures = sorted(data.glob("*.png"))
    rows = {
        "image": [{"bytes": file.read_bytes(), "path": file.name} for file in pictures],
        "text": [file.with_suffix(".txt").read_text() for file in pictures],
        "license": ["free"] * len(pictures),
    }
    path = tmp_path / "train.parquet"
    pyarrow.parquet.write_table(pyarrow.table(rows), path, row_group_size=3)
    return path


def latents(pairs, where: Path) -> torch.Tensor:
    cache = build(pairs, StandIn(), where, Framing(32))
    return torch.stack([cache.latent(index) for index in range(len(cache))])


@pytest.mark.parametrize("form", ["tar", "parquet", "remote tar", "remote parquet"])
def test_archives_are_what_the_folder_is(form, data, shards, table, tmp_path) -> None:
    if form == "tar":
        source: Path | str = tmp_path / "shard-{000..001}.tar"
    elif form == "parquet":
        source = table
    else:
        memory = fsspec.filesystem("memory")
        for file in (*shards, table):
            memory.pipe(f"/{tmp_path.name}/{file.name}", file.read_bytes())
        source = f"memory://{tmp_path.name}/*.{form.split()[1]}"
    expected, _ = find(data)
    pairs, report = find_all([source])
    assert [(pair.captions, pair.size) for pair in pairs] == [
        (pair.captions, pair.size) for pair in expected
    ]
    assert (report.pairs, report.captions, report.duplicates) == (6, 6, 0)
    assert torch.equal(latents(pairs, tmp_path / "one"), latents(expected, tmp_path / "two"))


def test_a_file_that_is_as_it_was_is_not_opened_again(shards, table, tmp_path, monkeypatch) -> None:
    known, given = Known(tmp_path / "known.sqlite"), [tmp_path / "shard-*.tar", table]
    first = find_all(given, (1.0, 2.0), known)
    opened = []
    whole = storage.opened
    monkeypatch.setattr(storage, "opened", lambda address: opened.append(address) or whole(address))
    assert find_all(given, (1.0, 2.0), known) == first and not opened
    assert [first[0].weight(at) for at in (0, 11)] == [1.0, 2.0] and first[0].given(11) == 1
    shards[1].write_bytes(packed({"a.png": first[0][0].image.open().read(), "a.txt": b"another"}))
    found, _ = find_all(given, (1.0, 2.0), known)
    assert opened == [str(shards[1])] and [pair.captions for pair in found][3] == ("another",)


def test_what_a_sample_of_a_tar_may_hold(data, tmp_path) -> None:
    picture = (data / "000.png").read_bytes()
    files = {
        "a.png": picture,
        "a.txt": b"one\n two  words \n",
        "a.neg.txt": b"wrong\none",
        "a.json": json.dumps({"caption": "passed over"}).encode(),
        "b.PNG": picture,
        "b.json": json.dumps({"caption": "of json"}).encode(),
        "below/a.png": picture,  # another sample: its folder counts
        "below/a.caption": "ein Hügel".encode(),
        "c.png": picture,
        "d.png": b"no picture",
        "d.txt": b"broken",
        "e.txt": b"alone",
        "f.png": picture,
        "f.txt": b"\xff\xfe\xff",
        "g.cls": b"7",
    }
    path = tmp_path / "x.tar"
    path.write_bytes(packed(files))
    pairs, report = find_all([path])
    assert [pair.captions for pair in pairs] == [("one", "two words"), ("of json",), ("ein Hügel",)]
    assert pairs[0].negatives == ("wrong",) and str(pairs[0].image) == f"{path}: a.png"
    assert [file.name for file in report.uncaptioned] == ["c"]
    assert report.imageless == (f"/e ({path})",)
    assert sorted(file.name for file, _ in report.unreadable) == ["d", "f.txt"]
    assert report.sources == {".txt": 1, ".json": 1, ".caption": 1}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("x.tar.gz", "is packed"),
        ("gone.tar", "gone.tar cannot be read"),
        ("gone-*.tar", "There is no file"),
        ("damaged.tar", "damaged or no .tar"),
        ("cut.tar", "damaged or no .tar"),
        ("damaged.parquet", "damaged or no .parquet"),
        ("bare.parquet", "holds no pictures: .* license"),
        ("none.tar", "No picture in .* has a caption. Found: 1 pictures without"),
        ("memory://x/pictures", r"no \.tar and no \.parquet"),
        ("unheard://x/a.tar", "unheard://x/a.tar cannot be read"),
    ],
)
def test_what_cannot_be_is_told_in_one_sentence(name, said, data, shards, tmp_path) -> None:
    for file in ("damaged.tar", "damaged.parquet"):
        (tmp_path / file).write_bytes(b"no archive" * 200)
    (tmp_path / "cut.tar").write_bytes(shards[0].read_bytes()[:1500])
    pyarrow.parquet.write_table(pyarrow.table({"license": ["x"]}), tmp_path / "bare.parquet")
    (tmp_path / "none.tar").write_bytes(packed({"a.png": (data / "000.png").read_bytes()}))
    with pytest.raises(BadInput, match=said):
        find_all([name if "://" in name else tmp_path / name])


@pytest.mark.parametrize(
    ("module", "address", "said"),
    [
        ("pyarrow", "x.parquet", "pip install pyarrow"),
        ("fsspec", "memory://x/none.tar", "fsspec"),
    ],
)
def test_a_missing_package_is_named(module, address, said, tmp_path, monkeypatch) -> None:
    (tmp_path / "x.parquet").write_bytes(b"")
    storage._system.cache_clear()
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(BadInput, match=said):
        find_all([address if "://" in address else tmp_path / address])


def test_addresses_are_written_out() -> None:
    assert storage.addresses("s3://b/x-{008..010}.tar") == [
        f"s3://b/x-{number}.tar" for number in ("008", "009", "010")
    ]
    assert len(storage.addresses("https://h/{a,b}/{1..12}.tar")) == 24


def test_an_address_is_no_path_on_the_command_line_and_in_toml(tmp_path) -> None:
    config = tmp_path / "run.toml"
    config.write_text("checkpoint = 'c'\ndata = ['s3://b/{0..3}.tar', 'x-*.tar']\n")
    assert read_settings([f"--config={config}"]).data == ("s3://b/{0..3}.tar", tmp_path / "x-*.tar")
