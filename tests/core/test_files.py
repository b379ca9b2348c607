"""Adapter files: the native format, what others write, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import os
import struct

import pytest
import torch
from comfyui_softrepa.softrepa import __main__ as command
from comfyui_softrepa.softrepa import files
from comfyui_softrepa.softrepa.adapter import PLACEMENTS, Adapter
from comfyui_softrepa.softrepa.errors import AdapterError
from comfyui_softrepa.tests.adapters import random_adapter, save_reference
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file


def same(one, two) -> bool:
    offsets = (one.offsets is None) == (two.offsets is None) and (
        one.offsets is None or torch.equal(one.offsets, two.offsets)
    )
    described = all(
        getattr(one, name) == getattr(two, name) for name in ("architecture", "placement", "layers")
    )
    return torch.equal(one.tokens, two.tokens) and offsets and described


@settings(max_examples=40, deadline=None)
@given(
    architecture=st.sampled_from(["mmdit", "unet", "anima"]),
    blocks=st.integers(1, 4),
    tokens=st.integers(1, 9),
    banks=st.integers(1, 2),
    timed=st.booleans(),
    width=st.sampled_from([8, 768, 1024]),
)
def test_native_files_come_back_as_they_were(
    tmp_path_factory, architecture, blocks, tokens, banks, timed, width
):
    adapter = random_adapter(architecture, width, blocks, tokens, banks, timed)
    path = tmp_path_factory.mktemp("native") / "a.safetensors"
    files.write(path, adapter)
    assert same(files.read(path), adapter)


def test_offsets_of_each_bank_come_back(tmp_path):
    adapter = random_adapter(banks=2)
    own = dataclasses.replace(adapter, offsets=torch.randn(2, 100, 2, 128))
    files.write(tmp_path / "a.safetensors", own)
    assert same(files.read(tmp_path / "a.safetensors"), own)


def test_native_files_have_the_designs_keys_and_metadata(tmp_path):
    adapter = dataclasses.replace(random_adapter(blocks=3), metadata={"softrepa.steps": "300"})
    path = tmp_path / "a.safetensors"
    files.write(path, adapter)
    raw = path.read_bytes()
    header = json.loads(raw[8 : 8 + struct.unpack("<Q", raw[:8])[0]])
    assert header["tokens"]["shape"] == [3, 4, 128]
    assert header["t_offsets.weight"]["shape"] == [100, 3 * 128]
    metadata = header["__metadata__"]
    assert metadata["softrepa.format_version"] == "1"
    assert metadata["softrepa.steps"] == "300"
    assert metadata["modelspec.hash_sha256"].startswith("0x")
    assert files.read(path).metadata["softrepa.steps"] == "300"


def test_equal_adapters_give_equal_bytes():
    date = {"modelspec.date": "2026-01-01T00:00:00Z", "softrepa.a": "1", "softrepa.b": "2"}
    adapter = dataclasses.replace(random_adapter(), metadata=date)
    again = dataclasses.replace(adapter, metadata=dict(reversed(date.items())))
    assert files.encode(adapter) == files.encode(again)


@pytest.mark.parametrize("length", [0x10280, 0x14B50])
def test_header_lengths_that_look_like_other_formats_are_read(tmp_path, length):
    """A safetensors file begins with its header's length, whose bytes can spell another magic:
    here the first two of the old torch.save format, and of a zip."""

    def with_note(size: int) -> Adapter:
        return dataclasses.replace(random_adapter(), metadata={"softrepa.note": "x" * size})

    def header_length(adapter: Adapter) -> int:
        return struct.unpack("<Q", files.encode(adapter)[:8])[0]

    adapter = with_note(length - header_length(with_note(0)))
    assert header_length(adapter) == length
    files.write(tmp_path / "a.safetensors", adapter)
    assert same(files.read(tmp_path / "a.safetensors"), adapter)


@pytest.mark.parametrize(
    ("tokens", "offsets", "architecture", "layers", "banks"),
    [
        ((4, 768), (100, 768), "unet", ("input",), 1),
        ((4, 2048), None, "unet", ("input", "middle"), 1),
        ((4, 1024), None, "unet", ("input",), 1),
        ((5, 4, 1536), (100, 5 * 1536), "mmdit", ("0", "1", "2", "3", "4"), 1),
        ((2, 4, 4096), (100, 2 * 1536), "mmdit", ("0", "1"), 1),
        ((2, 5, 4, 1536), (100, 5 * 1536), "mmdit", ("0", "1", "2", "3", "4"), 2),
        ((2, 4, 768), (100, 768), "unet", ("input",), 2),
        ((2, 8, 2048), None, "unet", ("input", "middle"), 2),
    ],
)
def test_reference_and_agsm_files(tmp_path, tokens, offsets, architecture, layers, banks):
    stored = torch.randn(tokens), None if offsets is None else torch.randn(offsets)
    path = save_reference(tmp_path, *stored)
    adapter = files.read(path)
    assert (adapter.architecture, adapter.layers, adapter.banks) == (architecture, layers, banks)
    assert torch.equal(adapter.tokens.flatten(), stored[0].flatten())
    assert (adapter.offsets is None) == (offsets is None)
    agsm_on_sd3 = banks == 2 and architecture == "mmdit"
    expected = "append" if agsm_on_sd3 else {"mmdit": "prepend", "unet": "after_bos"}[architecture]
    assert adapter.placement == expected
    # Converted, it is the same adapter.
    assert command.main([str(path), str(tmp_path / "native.safetensors")]) == 0
    assert same(files.read(tmp_path / "native.safetensors"), adapter)


def test_agsm_names_its_partner(tmp_path):
    path = save_reference(tmp_path, torch.randn(2, 5, 4, 1536), torch.randn(100, 5 * 1536))
    path.rename(tmp_path / "soft_tokens.pth")
    (tmp_path / "dc_t_tokens.pth").rename(tmp_path / "soft_t_tokens.pth")
    assert files.read(tmp_path / "soft_tokens.pth").buckets == 100


@pytest.mark.parametrize("buckets", [14, 100])
@pytest.mark.parametrize("position", ["front_of_padding", "end_of_sequence"])
@pytest.mark.parametrize(("banks", "own"), [(1, 1), (2, 1), (2, 2)])
def test_anima_files(tmp_path, buckets, position, banks, own):
    shape = (3, 4, 1024) if banks == 1 else (2, 3, 4, 1024)
    tensors = {"tokens": torch.randn(shape), "t_offsets.weight": torch.randn(buckets, own * 3072)}
    save_file(tensors, tmp_path / "a.safetensors", metadata={"ss_splice_position": position})
    adapter = files.read(tmp_path / "a.safetensors")
    assert (adapter.architecture, adapter.placement) == ("anima", position)
    assert (adapter.banks, adapter.buckets, adapter.offsets.shape[0]) == (banks, buckets, own)
    expected = tensors["t_offsets.weight"][:, :3072].reshape(buckets, 3, 1024)
    assert torch.equal(adapter.offsets[0], expected)


def test_half_precision_files_are_read_as_float32(tmp_path):
    save_file({"tokens": torch.randn(5, 4, 1536).half()}, tmp_path / "a.safetensors")
    assert files.read(tmp_path / "a.safetensors").tokens.dtype == torch.float32


REFUSED = {
    "a LoRA": ({"lora_unet_x.lora_up.weight": torch.zeros(2, 2)}, "is a LoRA; expected"),
    "an embedding": ({"emb_params": torch.zeros(2, 768)}, "is a textual-inversion embedding"),
    "an SDXL embedding": ({"clip_l": torch.zeros(2, 768)}, "is a textual-inversion embedding"),
    "a checkpoint": ({"model.diffusion_model.x": torch.zeros(2)}, "is a checkpoint; expected"),
    "something else": ({"weights": torch.zeros(2)}, 'expected a tensor "tokens", found weights'),
    "one dimension": ({"tokens": torch.zeros(9)}, r"of shape \(9,\); expected 2 or 3 or 4"),
    "an empty tensor": ({"tokens": torch.zeros(2, 0, 9)}, "none of them empty"),
    "integers": ({"tokens": torch.zeros(2, 4, 9, dtype=torch.int64)}, "expected floating point"),
    "NaN": ({"tokens": torch.full((2, 4, 128), torch.nan)}, "NaN or infinity"),
    "infinity in the offsets": (
        {"tokens": torch.zeros(2, 4, 128), "t_offsets.weight": torch.full((100, 256), torch.inf)},
        'NaN or infinity in "t_offsets.weight"',
    ),
    "three banks": ({"tokens": torch.zeros(3, 2, 4, 128)}, "1 or 2 banks"),
    "offsets that do not divide": (
        {"tokens": torch.zeros(3, 4, 128), "t_offsets.weight": torch.zeros(100, 256)},
        "do not belong together",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_unusable_files_are_refused_in_one_sentence(tmp_path, case):
    tensors, message = REFUSED[case]
    save_file(tensors, tmp_path / "a.safetensors")
    with pytest.raises(AdapterError, match=message) as refused:
        files.read(tmp_path / "a.safetensors")
    assert "a.safetensors" in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("entry", "value", "message"),
    [
        ("format_version", "2", "version 2, newer than the 1 .* update the node pack"),
        ("format_version", "one", "expected a whole number"),
        ("layers", "", "lacks softrepa.layers"),
        ("architecture", "pixart", '"pixart" cannot place'),
        ("layers", "0,1,2", "names 3"),
    ],
)
def test_native_files_that_contradict_themselves_are_refused(tmp_path, entry, value, message):
    metadata = {
        "softrepa.format_version": "1",
        "softrepa.architecture": "mmdit",
        "softrepa.placement": "prepend",
        "softrepa.layers": "0,1",
        f"softrepa.{entry}": value,
    }
    save_file({"tokens": torch.zeros(2, 4, 128)}, tmp_path / "a.safetensors", metadata=metadata)
    with pytest.raises(AdapterError, match=message):
        files.read(tmp_path / "a.safetensors")


@pytest.mark.parametrize("kind", ["native", "pickle"])
def test_every_truncation_is_refused(tmp_path, kind):
    adapter = random_adapter("unet", 768, 1, timed=False)
    if kind == "native":
        path = tmp_path / "a.safetensors"
        files.write(path, adapter)
    else:
        path = save_reference(tmp_path, adapter.tokens[0, 0], None)
    whole = path.read_bytes()
    for length in {0, 1, 7, 8, 9, 100, len(whole) // 2, len(whole) - 1}:
        path.write_bytes(whole[:length])
        with pytest.raises(AdapterError, match="download it again"):
            files.read(path)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damaged_files_are_read_or_refused_but_never_crash(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("damaged")
    adapter = random_adapter("unet", 16, 1, timed=False)
    native = data.draw(st.booleans())
    path = folder / "a.safetensors"
    if native:
        files.write(path, adapter)
    else:
        path = save_reference(folder, adapter.tokens[0, 0], None)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        files.read(path)
    except AdapterError as error:
        assert "a.safetensors" in str(error) or "dc_tokens.pth" in str(error)


def test_a_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(AdapterError, match="cannot be opened: No such file"):
        files.read(tmp_path / "none.safetensors")


def test_writing_replaces_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    files.write(path, random_adapter(seed=1))
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.write(path, random_adapter(seed=2))
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.safetensors"]


def test_the_command_prints_and_refuses(tmp_path, capsys):
    path = save_reference(tmp_path, torch.randn(4, 768), torch.randn(100, 768))
    assert command.main([str(path)]) == 0
    printed = capsys.readouterr().out
    assert "SD1.x (U-Net, width 768)" in printed and "100 timestep buckets" in printed
    assert command.main([str(tmp_path / "dc_t_tokens.pth")]) == 2
    assert "choose the file of tokens beside it" in capsys.readouterr().err
    assert command.main([str(path), str(tmp_path / "a.ckpt")]) == 2
    assert "must end in .safetensors" in capsys.readouterr().err
    assert command.main([str(path), str(tmp_path / "no" / "a.safetensors")]) == 2
    assert "cannot be written" in capsys.readouterr().err


WIDTHS = {"lumina": 3840, "flux2": 6144, "wan": 5120, "hunyuan_image": 3584, "anima": 1024}


@pytest.mark.parametrize("architecture", WIDTHS)
def test_a_width_that_one_model_has_tells_it(tmp_path, architecture):
    path = save_reference(tmp_path, torch.randn(3, 4, WIDTHS[architecture]), None)
    adapter = files.read(path)
    assert adapter.architecture == architecture and adapter.layers == ("0", "1", "2")
    assert adapter.placement == PLACEMENTS[architecture][0]


def test_a_width_that_several_have_needs_a_choice(tmp_path, capsys):
    path = save_reference(tmp_path, torch.randn(3, 4, 3072), torch.randn(14, 3 * 3072))
    with pytest.raises(AdapterError, match=r"flux for Flux\.1, .*for Chroma.*: choose the arch"):
        files.read(path)
    for architecture in ("flux", "flux2", "chroma", "qwen_image", "wan", "aura_flow"):
        adapter = files.read(path, architecture)
        assert adapter.architecture == architecture and adapter.buckets == 14
    with pytest.raises(AdapterError, match="which no U-Net has"):
        files.read(path, "unet")
    with pytest.raises(AdapterError, match='"sd3" is no architecture: choose among mmdit'):
        files.read(path, "sd3")
    native = tmp_path / "native.safetensors"
    assert command.main([str(path), str(native)]) == 2
    assert "choose the architecture" in capsys.readouterr().err
    assert command.main([str(path), str(native), "--architecture", "qwen_image"]) == 0
    assert same(files.read(native), files.read(path, "qwen_image"))


def test_what_a_file_states_is_not_overruled(tmp_path):
    native, foreign = tmp_path / "native.safetensors", tmp_path / "anima.safetensors"
    files.write(native, random_adapter("flux", 3072))
    assert files.read(native, "flux").architecture == "flux"
    save_file({"tokens": torch.randn(2, 4, 1024)}, foreign, {"ss_n_layers": "2"})
    assert files.read(foreign).placement == "end_of_sequence"  # as the trainer takes it
    for path, stated in ((native, "flux"), (foreign, "anima")):
        with pytest.raises(AdapterError, match=f'says that it is for architecture "{stated}"'):
            files.read(path, "chroma")


def test_two_papers_widths_stay_theirs(tmp_path):
    """Wan and Flux.2 have them too; of those the authors have trained nothing."""
    for width in (1536, 4096):
        path = save_reference(tmp_path, torch.randn(2, 4, width), None)
        assert files.read(path).architecture == "mmdit"
        assert files.read(path, "flux2").placement == "append"
