"""Several data folders as one set."""

from __future__ import annotations

from pathlib import Path

import pytest
from comfyui_softrepa.tests.training.conftest import write_pictures
from comfyui_softrepa.training.data import find, find_all
from comfyui_softrepa.training.errors import BadInput


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    made = [tmp_path / "first", tmp_path / "second"]
    for folder, colours in zip(made, (("red", "green", "red"), ("blue",)), strict=True):
        folder.mkdir()
        write_pictures(folder, colours)
    (made[1] / "none.png").write_bytes(b"no picture")
    (made[1] / "none.txt").write_text("nothing")
    return made


def test_pairs_of_all_folders_in_their_order_with_their_weights(folders) -> None:
    pairs, report = find_all(folders, (1.0, 2.5))
    assert [pair.image.parent.name for pair in pairs] == ["first"] * 3 + ["second"]
    assert [pair.weight for pair in pairs] == [1.0, 1.0, 1.0, 2.5]
    assert (report.pairs, report.captions, report.duplicates) == (4, 4, 1)
    assert report.sources == {".txt": 4} and len(report.unreadable) == 1


def test_one_folder_is_as_it_was(folders) -> None:
    assert find_all(folders[:1]) == find(folders[0])


def test_captions_must_differ_in_all_of_them_together(folders) -> None:
    with pytest.raises(BadInput, match="same caption"):
        find_all(folders[1:])
    assert len(find_all(folders)[0]) == 4


@pytest.mark.parametrize("inner", ["", "below", "../first/below"])
def test_folders_that_share_pictures_are_refused(folders, inner: str) -> None:
    (folders[0] / "below").mkdir()
    with pytest.raises(BadInput, match="lies in --data"):
        find_all([folders[0], folders[0] / inner])
    with pytest.raises(BadInput, match="lies in --data"):
        find_all([folders[0] / inner, folders[0]])
