"""A pickle may construct only what the released files need; anything else is refused unrun."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from comfyui_softrepa.softrepa import files
from comfyui_softrepa.softrepa.errors import AdapterError
from comfyui_softrepa.tests.adapters import hooked_embedding, save_reference


def archive(path: Path, code: bytes) -> Path:
    """A torch.save file whose pickle is this code."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", code)
        file.writestr("archive/data/0", b"\0" * 16)
    return path


class Attack:
    """Pickles as a call of a function with arguments."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_code_is_refused_before_it_runs(tmp_path, protocol):
    witness = tmp_path / "witness"
    code = pickle.dumps(Attack(os.mkdir, str(witness)), protocol)
    with pytest.raises(AdapterError, match=r"bad\.pth asks for") as refused:
        files.read(archive(tmp_path / "bad.pth", code))
    assert not witness.exists()
    if protocol < 4:
        assert f"{os.mkdir.__module__}.mkdir" in str(refused.value)


@pytest.mark.parametrize(
    "name", ["builtins eval", "os system", "torch load", "torch._utils _rebuild_sparse_tensor",
             "torch.nn.modules.linear Linear", "collections deque", "functools partial"],
)  # fmt: skip
def test_globals_off_the_list_are_named(tmp_path, name):
    module, attribute = name.split()
    code = b"\x80\x02c" + f"{module}\n{attribute}\n".encode() + b"."
    with pytest.raises(AdapterError, match=f'asks for "{module}.{attribute}"'):
        files.read(archive(tmp_path / "bad.pth", code))


def test_a_refused_global_hides_behind_nothing(tmp_path):
    """All of the pickle is looked at first: what comes before the bad part does not run either."""
    path = save_reference(tmp_path, torch.randn(4, 768), None)
    with zipfile.ZipFile(path) as file:
        name = next(n for n in file.namelist() if n.endswith("data.pkl"))
        code = file.read(name)
    late = code[:-1] + b"0cos\nsystem\n."
    with pytest.raises(AdapterError, match=r'asks for "os\.system"'):
        files.read(archive(tmp_path / "late.pth", late))


def test_an_embedding_with_hooks_is_refused(tmp_path):
    save_reference(tmp_path, torch.randn(4, 768), None)
    torch.save(hooked_embedding(torch.randn(100, 768)), tmp_path / "dc_t_tokens.pth")
    with pytest.raises(AdapterError, match=r"dc_t_tokens\.pth .*_forward_hooks.*refused"):
        files.read(tmp_path / "dc_tokens.pth")


def test_an_embedding_with_a_second_parameter_is_refused(tmp_path):
    save_reference(tmp_path, torch.randn(4, 768), None)
    embedding = torch.nn.Embedding(100, 768)
    embedding.extra = torch.nn.Parameter(torch.zeros(1))
    torch.save(embedding, tmp_path / "dc_t_tokens.pth")
    with pytest.raises(AdapterError, match="more than its weight"):
        files.read(tmp_path / "dc_tokens.pth")


@pytest.mark.parametrize("value", [{"tokens": torch.zeros(4, 768)}, [torch.zeros(4, 768)]])
def test_other_contents_are_refused(tmp_path, value):
    torch.save(value, tmp_path / "x.pth")
    with pytest.raises(AdapterError, match="expected one tensor of soft tokens"):
        files.read(tmp_path / "x.pth")


def test_the_old_torch_format_is_refused_with_what_to_do(tmp_path):
    tensor = torch.nn.Parameter(torch.zeros(4, 768))
    torch.save(tensor, tmp_path / "x.pth", _use_new_zipfile_serialization=False)
    with pytest.raises(AdapterError, match="old torch.save format: load and save it once"):
        files.read(tmp_path / "x.pth")


def test_a_tensor_that_reaches_beyond_its_storage_is_refused(tmp_path):
    path = save_reference(tmp_path, torch.randn(4, 16), None)
    with zipfile.ZipFile(path) as file:
        entries = {name: file.read(name) for name in file.namelist()}
    name = next(n for n in entries if n.endswith("data.pkl"))
    # K\x04K\x10 are the sizes 4 and 16: claim 8 rows of the same 64 numbers.
    assert entries[name].count(b"K\x04K\x10") == 1
    entries[name] = entries[name].replace(b"K\x04K\x10", b"K\x08K\x10")
    with zipfile.ZipFile(tmp_path / "far.pth", "w") as file:
        for key, content in entries.items():
            file.writestr(key, content)
    with pytest.raises(AdapterError, match=r"far\.pth is not a readable"):
        files.read(tmp_path / "far.pth")


def test_a_large_pickle_is_refused_unread(tmp_path):
    code = io.BytesIO()
    pickle.dump(list(range(600_000)), code, 2)
    with pytest.raises(AdapterError, match="far more than an adapter's tensors"):
        files.read(archive(tmp_path / "bomb.pth", code.getvalue()))


def test_a_zip_that_is_no_torch_file_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.pth", "w") as file:
        file.writestr("readme.txt", "hello")
    with pytest.raises(AdapterError, match="not a torch.save file"):
        files.read(tmp_path / "x.pth")
