"""A base model from one file or several: what is missing is told from the headers alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import folder_paths
import pytest
import torch
from comfyui_softrepa.softrepa.hashing import content_hash
from comfyui_softrepa.tests import outlines
from comfyui_softrepa.training.errors import BadInput
from comfyui_softrepa.training.model import comfy_model, headers
from comfyui_softrepa.training.model.base_model import find
from comfyui_softrepa.training.model.design import family
from comfyui_softrepa.training.model.model_files import ModelFiles
from comfyui_softrepa.training.settings import text_encoders
from safetensors.torch import load_file, save_file

FOLDERS = ("checkpoints", "diffusion_models", "text_encoders", "vae", "embeddings")
PREFIXES = {"text": "text_encoders.", "vae": "first_stage_model."}


@pytest.fixture
def models(tmp_path, monkeypatch) -> Path:
    """ComfyUI's model folders, all empty."""
    known = {name: ([str(tmp_path / "models" / name)], {".safetensors"}) for name in FOLDERS}
    for name in FOLDERS:
        (tmp_path / "models" / name).mkdir(parents=True)
    monkeypatch.setattr(folder_paths, "folder_names_and_paths", known)
    return tmp_path / "models"


@pytest.fixture(scope="module")
def parts(tmp_path_factory, sd3_checkpoint) -> dict[str, Path]:
    """A small SD3 taken apart: without text encoders, without VAE, and each part alone."""
    folder = tmp_path_factory.mktemp("parts")
    whole = load_file(sd3_checkpoint)

    def save(name: str, weights: dict) -> Path:
        save_file(weights, folder / f"{name}.safetensors")
        return folder / f"{name}.safetensors"

    def without(*names: str) -> dict:
        left_out = tuple(PREFIXES[name] for name in names)
        return {key: value for key, value in whole.items() if not key.startswith(left_out)}

    def only(prefix: str) -> dict:
        return {k.removeprefix(prefix): v for k, v in whole.items() if k.startswith(prefix)}

    return {
        "whole": sd3_checkpoint,
        "no_text": save("no_text", without("text")),
        "no_vae": save("no_vae", without("vae")),
        "model": save("model", only("model.diffusion_model.")),
        "clip_l": save("clip_l", only("text_encoders.clip_l.transformer.")),
        "vae": save("vae", only("first_stage_model.")),
    }


def encoded(files: ModelFiles) -> list[torch.Tensor]:
    encoder = comfy_model.Encoder(files, comfy_model.load_model(files.model))
    generator = torch.Generator().manual_seed(0)
    text = encoder.texts(["a red cat"])[0]
    found = [text.context, text.pooled]
    return [*found, encoder.latents(torch.rand(1, 32, 32, 3, generator=generator))]


@pytest.mark.parametrize(
    "flags",
    [
        {"checkpoint": "no_text", "text_encoders": ["clip_l"]},
        {"checkpoint": "no_vae", "vae": "vae"},
        {"checkpoint": "no_vae", "vae": "whole"},
        {"checkpoint": "no_text", "text_encoders": ["whole"]},
        {"model": "model", "text_encoders": ["clip_l"], "vae": "vae"},
        {"model": "model", "checkpoint": "whole"},
    ],
)
def test_parts_give_what_the_whole_gives(models, parts, flags) -> None:
    named = {"checkpoint": None, "model": None, "text_encoders": [], "vae": None, **flags}
    for name in ("checkpoint", "model", "vae"):
        named[name] = named[name] and str(parts[named[name]])
    named["text_encoders"] = [str(parts[name]) for name in named["text_encoders"]]
    files = find(**named).files
    whole = find(str(parts["whole"]), None, [], None).files
    assert whole == ModelFiles(parts["whole"])
    for one, other in zip(encoded(files), encoded(whole), strict=True):
        assert torch.equal(one, other)
    models = [comfy_model.load_model(each.model).model.state_dict() for each in (files, whole)]
    assert models[0].keys() == models[1].keys()
    assert all(torch.equal(models[0][name], models[1][name]) for name in models[0])


def test_a_whole_checkpoint_keeps_its_identity(models, parts) -> None:
    files = find(str(parts["whole"]), None, [], None).files
    digest = content_hash(parts["whole"])
    assert files.identity == digest
    assert files.described() == {"base_model": "sd3.safetensors", "base_model_sha256": digest}


def test_every_file_is_part_of_the_identity(models, parts, tmp_path) -> None:
    def altered(path: Path) -> Path:
        weights = load_file(path)
        name = sorted(weights)[0]
        weights[name] = weights[name] + 1
        save_file(weights, tmp_path / path.name)
        return tmp_path / path.name

    files = ModelFiles(parts["model"], (("clip_l", parts["clip_l"]),), parts["vae"])
    identities = {files.identity}
    for name in ("model", "clip_l", "vae"):
        changed = {**parts, name: altered(parts[name])}
        other = ModelFiles(changed["model"], (("clip_l", changed["clip_l"]),), changed["vae"])
        identities.add(other.identity)
        assert other.described() != files.described()
    assert len(identities) == 4
    shutil.copy(parts["vae"], tmp_path / "renamed.safetensors")
    renamed = ModelFiles(files.model, files.text_encoders, tmp_path / "renamed.safetensors")
    assert renamed.identity == files.identity
    told = files.described()
    assert told["text_encoder"] == "clip_l.safetensors" and told["vae"] == "vae.safetensors"


def test_text_encoders_are_found_by_name_and_content(models, parts) -> None:
    folder = models / "text_encoders"
    with pytest.raises(BadInput, match=r"no clip_l, clip_g or t5xxl.*--text-encoder"):
        find(str(parts["no_text"]), None, [], None)
    shutil.copy(parts["vae"], folder / "clip_l.safetensors")  # a name alone is not enough
    with pytest.raises(BadInput, match="--text-encoder"):
        find(str(parts["no_text"]), None, [], None)
    shutil.copy(parts["clip_l"], folder / "mine.safetensors")
    found = find(str(parts["no_text"]), None, [], None)
    assert found.files.text_encoders == (("clip_l", folder / "mine.safetensors"),)
    assert "mine.safetensors" in found.notes[0] and "clip_g and t5xxl" in found.notes[1]
    shutil.copy(parts["clip_l"], folder / "other.safetensors")  # which one is no longer certain
    with pytest.raises(BadInput, match="--text-encoder"):
        find(str(parts["no_text"]), None, [], None)
    shutil.copy(parts["clip_l"], folder / "clip_l.safetensors")
    found = find(str(parts["no_text"]), None, [], None)
    assert found.files.text_encoders == (("clip_l", folder / "clip_l.safetensors"),)
    found = find(str(parts["no_text"]), None, ["other.safetensors"], None)
    assert found.files.text_encoders == (("clip_l", folder / "other.safetensors"),)
    assert not found.notes
    assert not find(str(parts["whole"]), None, [], None).notes


def test_names_in_comfyuis_folders(models, parts) -> None:
    for folder, name in (
        ("checkpoints", "no_text"),
        ("diffusion_models", "model"),
        ("text_encoders", "clip_l"),
        ("vae", "vae"),
    ):
        shutil.copy(parts[name], models / folder / parts[name].name)
    names = ["model.safetensors", ["clip_l.safetensors"], "vae.safetensors"]
    files = find(None, *names).files
    assert files.model == models / "diffusion_models" / "model.safetensors"
    assert files.vae == models / "vae" / "vae.safetensors"
    assert find("no_text.safetensors", None, *names[1:]).files.text_encoders == files.text_encoders
    for flags, sentence in (
        (["absent", None, [], None], r"no checkpoint absent \(there are no_text\.safetensors"),
        (["~nosuchuser9/x", None, [], None], "nobody's home"),
        ([None, "absent", [], None], "no model absent"),
        (["no_text.safetensors", None, ["absent"], None], "no text encoder absent"),
        (["no_text.safetensors", None, names[1], "absent"], "no vae absent"),
        ([None, None, [], None], "--checkpoint"),
    ):
        with pytest.raises(BadInput, match=sentence):
            find(*flags)


FAMILIES = ("SD1.x", "SD2.x", "SDXL")
KINDS = {"clip_l": outlines.CLIP_L, "clip_h": outlines.CLIP_H, "clip_g": outlines.CLIP_G}


@pytest.fixture(scope="module")
def encoders(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("encoders")
    files = {
        kind: outlines.write(folder / f"{kind}.safetensors", outlines.clip(*shape))
        for kind, shape in KINDS.items()
    }
    files["t5xxl"] = outlines.write(folder / "t5xxl_fp16.safetensors", outlines.t5xxl())
    for channels in (4, 16):
        path = folder / f"vae_{channels}.safetensors"
        files[path.stem] = outlines.write(path, outlines.vae(channels))
    return files


@pytest.mark.parametrize("named", FAMILIES)
def test_each_family_says_what_it_lacks(models, encoders, tmp_path, named) -> None:
    """In their real shapes, as diffusion models and as checkpoints."""
    kinds, network = text_encoders.TEXT_ENCODERS[named], outlines.unet(named)
    alone = outlines.write(tmp_path / "alone.safetensors", network)
    autoencoder = outlines.prefixed("first_stage_model.", outlines.vae(4))
    in_checkpoint = outlines.prefixed("model.diffusion_model.", network)
    no_text = outlines.write(tmp_path / "no_text.safetensors", in_checkpoint, autoencoder)
    assert family(headers.outline(alone)) == family(headers.outline(no_text)) == named
    texts, right = [str(encoders[kind]) for kind in kinds], str(encoders["vae_4"])
    for text in kinds:
        with pytest.raises(BadInput, match=rf"no .*{text}.*--text-encoder"):
            find(str(no_text), None, [], None)
    files = find(None, str(alone), texts, right).files
    assert [kind for kind, _ in files.text_encoders] == list(kinds)
    assert find(str(no_text), None, texts[::-1], None).files.text_encoders == files.text_encoders
    with pytest.raises(BadInput, match=rf"no VAE: name {named}'s with --vae"):
        find(None, str(alone), texts, None)
    with pytest.raises(BadInput, match="16 channels"):
        find(None, str(alone), texts, str(encoders["vae_16"]))
    with pytest.raises(BadInput, match=rf"holds t5xxl, and {named} takes"):
        find(None, str(alone), [*texts, str(encoders["t5xxl"])], right)
    with pytest.raises(BadInput, match="is no text encoder"):
        find(None, str(alone), [str(encoders["vae_4"])], right)
    with pytest.raises(BadInput, match=f"are both {kinds[0]}"):
        find(None, str(alone), [texts[0], *texts], right)
    with pytest.raises(BadInput, match="holds no VAE"):
        find(None, str(alone), texts, texts[0])
    for path in texts:
        shutil.copy(path, models / "text_encoders")
    assert len(find(str(no_text), None, [], None).notes) == len(kinds)


def test_sdxl_with_one_of_two(models, encoders, tmp_path) -> None:
    network = outlines.write(tmp_path / "xl.safetensors", outlines.unet("SDXL"))
    with pytest.raises(BadInput, match=r"no clip_g text encoder.*clip_g\.safetensors"):
        find(None, str(network), [str(encoders["clip_l"])], str(encoders["vae_4"]))


def test_sd3_takes_what_is_there_of_three(models, encoders, parts) -> None:
    def kinds(*named: str) -> list[str]:
        paths = [str(encoders[name]) for name in named]
        files = find(str(parts["no_text"]), None, paths, None).files
        return [kind for kind, _ in files.text_encoders]

    assert kinds("t5xxl") == ["t5xxl"]
    assert kinds("t5xxl", "clip_g", "clip_l") == ["clip_l", "clip_g", "t5xxl"]
    # Beside a checkpoint's own: what is named is added, or replaces its kind.
    files = find(str(parts["whole"]), None, [str(encoders["t5xxl"])], None).files
    assert dict(files.text_encoders) == {"clip_l": parts["whole"], "t5xxl": encoders["t5xxl"]}
    for kind in ("clip_l", "clip_g", "t5xxl"):
        shutil.copy(encoders[kind], models / "text_encoders")
    found = find(str(parts["no_text"]), None, [], None)
    assert [kind for kind, _ in found.files.text_encoders] == ["clip_l", "clip_g", "t5xxl"]
    assert len(found.notes) == 3


def test_the_outline_is_the_models(sd3_checkpoint, sd15_checkpoint) -> None:
    for path in (sd3_checkpoint, sd15_checkpoint):
        outline, model = headers.outline(path), comfy_model.load_model(path).model
        assert type(outline) is type(model) and outline.model_type == model.model_type
        shapes = [
            {name: tensor.shape for name, tensor in each.diffusion_model.state_dict().items()}
            for each in (outline, model)
        ]
        assert shapes[0] == shapes[1]
        assert all(p.device.type == "meta" for p in outline.diffusion_model.parameters())


def test_a_long_clip_is_not_taken_unasked(models, parts, tmp_path) -> None:
    weights = load_file(parts["clip_l"])
    name = "text_model.embeddings.position_embedding.weight"
    weights[name] = torch.zeros(248, 768, dtype=torch.float16)
    save_file(weights, models / "text_encoders" / "clip_l.safetensors")
    with pytest.raises(BadInput, match="--text-encoder"):
        find(str(parts["no_text"]), None, [], None)
    assert find(str(parts["no_text"]), None, ["clip_l.safetensors"], None).files.text_encoders


def test_what_is_no_model_is_refused_in_a_sentence(models, parts, tmp_path) -> None:
    save_file({"lora.up": torch.zeros(2)}, tmp_path / "lora.safetensors")
    (tmp_path / "text.safetensors").write_text("not a checkpoint")
    (tmp_path / "text.ckpt").write_text("not a checkpoint")
    for name in ("lora.safetensors", "text.safetensors", "text.ckpt"):
        with pytest.raises(BadInput, match="does not recognise"):
            find(str(tmp_path / name), None, [], None)
    with pytest.raises(BadInput, match="does not recognise"):
        find(str(parts["clip_l"]), None, [], None)


def test_known_names_are_of_known_kinds() -> None:
    kinds = {kind for named in text_encoders.TEXT_ENCODERS.values() for kind in named}
    assert set(text_encoders.KNOWN_NAMES) == kinds


def test_a_file_that_changes_is_read_anew(tmp_path) -> None:
    path = tmp_path / "clip.safetensors"
    outlines.write(path, outlines.clip(*outlines.CLIP_L))
    assert headers.contents(path).text_encoders == ("clip_l",)
    outlines.write(path, outlines.clip(*outlines.CLIP_H))
    assert headers.contents(path).text_encoders == ("clip_h",)


def test_a_checkpoint_in_the_older_format(models, tmp_path, sd15_checkpoint) -> None:
    torch.save({"state_dict": load_file(sd15_checkpoint)}, tmp_path / "old.ckpt")
    found = find(str(tmp_path / "old.ckpt"), None, [], None)
    assert found.files == ModelFiles(tmp_path / "old.ckpt")
