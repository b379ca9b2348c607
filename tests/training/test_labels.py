"""--title, --description, --author, --thumbnail: what the model library shows of an adapter."""

from __future__ import annotations

from comfyui_softrepa.softrepa import files
from comfyui_softrepa.tests.training.conftest import VALIDATED
from PIL import Image


def metadata(folder) -> dict[str, str]:
    return dict(files.read(folder / "adapter.safetensors").metadata)


def test_a_run_tells_what_it_did_and_embeds_no_picture(train, tmp_path) -> None:
    assert train(tmp_path, VALIDATED, "--steps=2") == 0
    found = metadata(tmp_path)
    assert found["modelspec.title"] == "adapter"
    assert found["modelspec.description"] == (
        "Soft text tokens for sd3.safetensors, trained with SoftREPA on 8 captioned pictures "
        "(25% of them held out) for 2 steps of 3."
    )
    assert not {"modelspec.author", "modelspec.thumbnail", "ssmd_cover_images"} & found.keys()


def test_labels_reach_the_file_and_may_change_on_resuming(train, tmp_path) -> None:
    Image.new("RGB", (900, 300), "teal").save(tmp_path / "cover.png")
    named = ("--title=Squares", "--author=Me", f"--thumbnail={tmp_path / 'cover.png'}")
    assert train(tmp_path, "--steps=2", *named) == 0
    first = metadata(tmp_path)
    assert first["modelspec.title"] == "Squares" and first["modelspec.author"] == "Me"
    assert first["modelspec.thumbnail"].startswith("data:image/jpeg;base64,")
    assert not {"softrepa.title", "softrepa.author", "softrepa.thumbnail"} & first.keys()
    assert train(tmp_path, "--steps=4", "--resume", "--description=Paints squares.") == 0
    second = metadata(tmp_path)
    assert second["modelspec.description"] == "Paints squares."
    assert second["modelspec.title"] == "adapter" and second["softrepa.steps"] == "4"


def test_a_thumbnail_that_is_no_picture_is_found_before_long_work(train, tmp_path, capsys) -> None:
    (tmp_path / "cover.png").write_text("no picture")
    assert train(tmp_path, f"--thumbnail={tmp_path / 'cover.png'}") == 2
    assert "cover.png cannot be read (it is no picture)." in capsys.readouterr().err
    assert not (tmp_path / "adapter.safetensors").exists()
