"""What goes into the cache comes out; what is missing, and only that, is computed."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from pathlib import Path

import pytest
import torch
from comfyui_softrepa.training.cache import Text, build, expected, keys, shards, texts
from comfyui_softrepa.training.cache.compact import halved, quartered, restored, segments
from comfyui_softrepa.training.cache.compact import whole as whole_of
from comfyui_softrepa.training.data import Framing, Pair, find
from comfyui_softrepa.training.errors import BadInput
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from .stand_in import StandIn, folder

FRAMING = Framing(32)


def _build(data: Path, where: Path, encoder: StandIn, **options):
    return build(find(data)[0], encoder, where, FRAMING, shard_entries=4, **options)


def _contents(cache) -> list[torch.Tensor]:
    latents = [cache.latent(index) for index in range(len(cache))]
    texts = [cache.text(cache.captions(index)[0]) for index in range(len(cache))]
    return latents + [t.context for t in texts] + [t.pooled for t in texts]


def _equal(one, other) -> bool:
    pairs = zip(_contents(one), _contents(other), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_what_is_read_is_what_was_encoded(tmp_path):
    data = folder(tmp_path / "data", 6)
    (data / "000.neg.txt").write_text("something else")
    encoder = StandIn()
    cache = _build(data, tmp_path / "cache", encoder, further=["", "a hard one"])
    assert encoder.released
    assert len(cache) == 6 and cache.shape(0) == (3, 4, 4)
    assert cache.negatives(0) == ("something else",)
    for caption in (*cache.captions(3), "something else", "", "a hard one"):
        text, wanted = cache.text(caption), encoder._text(caption)
        assert text.context.shape == wanted.context.shape and text.context.dtype == torch.float32
        assert torch.equal(text.context, wanted.context.half().float())
        assert torch.equal(text.pooled, wanted.pooled.half().float())
    assert cache.latent(2).shape == (3, 4, 4) and cache.latent(2).dtype == torch.float32
    assert (cache.latent(2)[0] - (2 * 37 / 255 * 4 - 2)).abs().max() < 2e-3
    with pytest.raises(KeyError):
        cache.text("never asked for")


def test_a_second_run_computes_nothing_and_a_longer_one_only_the_rest(tmp_path):
    data = folder(tmp_path / "data", 5)
    first = _build(data, tmp_path / "cache", StandIn())
    again = StandIn()
    second = _build(data, tmp_path / "cache", again)
    assert (again.images, again.captions) == (0, 0)
    assert first.identity == second.identity and _equal(first, second)

    folder(data, 7)
    more = StandIn()
    third = _build(data, tmp_path / "cache", more, further=["extra"])
    assert (more.images, more.captions) == (2, 3)
    assert third.identity != first.identity


def test_a_cache_written_before_is_read(tmp_path):
    """Its shards were called .safetensors, which ComfyUI lists as models."""
    data = folder(tmp_path / "data", 5)
    first = _build(data, tmp_path / "cache", StandIn())
    contents = _contents(first)
    for path in shards.paths(tmp_path / "cache"):
        assert path.suffix not in (".safetensors", ".pth", ".pt", ".bin", ".ckpt", ".sft")
        path.rename(path.with_suffix(".safetensors"))
    again = StandIn()
    second = _build(data, tmp_path / "cache", again)
    assert (again.images, again.captions) == (0, 0)
    assert first.identity == second.identity
    assert all(torch.equal(a, b) for a, b in zip(contents, _contents(second), strict=True))


def test_files_have_the_users_usual_mode(tmp_path):
    before = os.umask(0o027)
    try:
        _build(folder(tmp_path / "data", 2), tmp_path / "cache", StandIn())
    finally:
        os.umask(before)
    for path in (tmp_path / "cache").iterdir():
        assert path.stat().st_mode & 0o777 == 0o640


def test_captions_with_parentheses_are_not_those_of_before():
    """They were embedded as weights; all others keep their keys and the run its identity."""
    assert keys.of_caption("a cat") == hashlib.sha256(b"a cat").hexdigest()[:32]
    for caption in ("a (cat)", r"a \(cat\)", "a cat :)"):
        assert keys.of_caption(caption) != hashlib.sha256(caption.encode()).hexdigest()[:32]
    plain = [Pair(Path("a.png"), ("a cat", "two"), ("a dog",))]
    marked = [Pair(Path("a.png"), ("a (cat)", "two"), ("a dog",))]
    for pairs, further, kept in (
        (plain, ["x"], True),
        (plain, ["(x)"], False),
        (marked, [], False),
    ):
        now = keys.of_run("model", pairs, ["key"], further)
        assert (now == _old_identity("model", pairs, ["key"], further)) == kept


def _old_identity(model, pairs, images, further) -> str:
    hashed = hashlib.sha256(model.encode())
    for pair, key in zip(pairs, images, strict=True):
        hashed.update(repr((key, pair.captions, pair.negatives)).encode())
    hashed.update(repr(tuple(further)).encode())
    return hashed.hexdigest()


def test_captions_are_handed_over_many_at_a_time(tmp_path):
    class Counting(StandIn):
        def texts(self, captions):
            calls.append(len(captions))
            return super().texts(captions)

    calls: list[int] = []
    _build(folder(tmp_path / "data", 40), tmp_path / "cache", Counting())
    assert calls == [32, 8]


def test_equal_captions_and_images_are_computed_once(tmp_path):
    data = folder(tmp_path / "data", 2)
    for name in ("copy", "copy2"):
        (data / f"{name}.png").write_bytes((data / "000.png").read_bytes())
        (data / f"{name}.txt").write_text("picture number 0")
    encoder = StandIn()
    cache = _build(data, tmp_path / "cache", encoder)
    assert len(cache) == 4
    assert (encoder.images, encoder.captions) == (2, 2)


def test_the_framing_is_part_of_the_key(tmp_path):
    data = folder(tmp_path / "data", 2)
    _build(data, tmp_path / "cache", StandIn())
    encoder = StandIn()
    cache = build(find(data)[0], encoder, tmp_path / "cache", Framing(64))
    assert (encoder.images, encoder.captions) == (2, 0)
    assert cache.shape(0) == (3, 8, 8)


def test_another_models_cache_is_refused_and_left_alone(tmp_path):
    data = folder(tmp_path / "data", 2)
    _build(data, tmp_path / "cache", StandIn("a" * 64))
    before = {path: path.read_bytes() for path in (tmp_path / "cache").iterdir()}
    with pytest.raises(BadInput, match=r"another model \(aaaa"):
        _build(data, tmp_path / "cache", StandIn("b" * 64))
    assert before == {path: path.read_bytes() for path in (tmp_path / "cache").iterdir()}


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def _flip(place: int):
    def damage(path: Path) -> None:
        raw = bytearray(path.read_bytes())
        raw[place] ^= 0x10
        path.write_bytes(bytes(raw))

    return damage


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _rename_entry(path: Path) -> None:
    """A header that is valid, but not the one written."""
    raw = path.read_bytes()
    key = json.loads(raw[8:].split(b"\x00")[0][: int.from_bytes(raw[:8], "little")])
    name = next(name for name in key if name != "__metadata__")[:32].encode()
    path.write_bytes(raw.replace(name, b"0" * 32))


@pytest.mark.parametrize("kind", ["latents", "texts"])
@pytest.mark.parametrize(
    "damage", [_truncate, _flip(-5), _flip(200), _flip(3), _empty, _rename_entry]
)
def test_a_damaged_shard_is_computed_again_with_a_notice(tmp_path, capsys, kind, damage):
    data = folder(tmp_path / "data", 6)
    whole = _contents(_build(data, tmp_path / "cache", StandIn()))
    victim = sorted((tmp_path / "cache").glob(f"{kind}-*"))[0]
    damage(victim)
    capsys.readouterr()
    encoder = StandIn()
    repaired = _contents(_build(data, tmp_path / "cache", encoder))
    assert 0 < encoder.images + encoder.captions <= 4
    assert victim.name in capsys.readouterr().err
    assert all(torch.equal(a, b) for a, b in zip(whole, repaired, strict=True))


def test_a_tensor_is_hashed_when_it_is_first_read_only(tmp_path, monkeypatch):
    pairs = find(folder(tmp_path / "data", 3))[0]
    cache = build(pairs, StandIn(), tmp_path / "cache", Framing(32))
    hashed, digest = [], shards.digest
    monkeypatch.setattr(shards, "digest", lambda *told: hashed.append(told[0]) or digest(*told))
    for _ in range(3):
        for index in range(3):
            cache.latent(index), cache.text(cache.captions(index)[0])
    assert len(hashed) == len(set(hashed)) == 3 * 3  # latent, context, pooled


def test_damage_after_the_start_stops_the_read(tmp_path):
    cache = _build(folder(tmp_path / "data", 2), tmp_path / "cache", StandIn())
    for path in (tmp_path / "cache").glob("latents-*"):
        _flip(-3)(path)
    with pytest.raises(BadInput, match="damaged"):
        [cache.latent(index) for index in range(2)]


def test_ranks_share_the_work_and_read_the_same(tmp_path):
    data = folder(tmp_path / "data", 9)
    pairs = find(data)[0]
    alone = build(pairs, StandIn(), tmp_path / "one", FRAMING)
    barrier = threading.Barrier(2)
    encoders = [StandIn(), StandIn()]
    caches: list = [None, None]

    def run(rank: int) -> None:
        caches[rank] = build(
            pairs, encoders[rank], tmp_path / "two", FRAMING, rank=rank, world_size=2,
            barrier=lambda: barrier.wait(20),
        )  # fmt: skip

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(2)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert [encoder.images for encoder in encoders] == [5, 4]
    assert [encoder.captions for encoder in encoders] == [5, 4]
    assert _equal(alone, caches[0]) and _equal(alone, caches[1])
    assert alone.identity == caches[0].identity == caches[1].identity


def test_a_full_disk_gives_a_sentence_and_keeps_what_is_there(tmp_path, monkeypatch):
    data = folder(tmp_path / "data", 6)
    save, calls = shards.save_file, []

    def fill(tensors, path, metadata):
        calls.append(path)
        if len(calls) == 2:
            Path(path).write_bytes(b"half")
            raise OSError(28, "No space left on device")
        save(tensors, path, metadata)

    monkeypatch.setattr(shards, "save_file", fill)
    with pytest.raises(BadInput, match="is full"):
        _build(data, tmp_path / "cache", StandIn())
    assert len(shards.paths(tmp_path / "cache")) == 1
    assert len(list((tmp_path / "cache").glob("*-*"))) == 1
    monkeypatch.undo()
    encoder = StandIn()
    _build(data, tmp_path / "cache", encoder)
    assert encoder.images == 2


def test_too_little_room_is_said_before_the_work(tmp_path, monkeypatch):
    data = folder(tmp_path / "data", 6)
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("U", (), {"free": 10})())
    encoder = StandIn()
    with pytest.raises(BadInput, match="GB"):
        _build(data, tmp_path / "cache", encoder)
    assert encoder.images == 1


def test_nan_is_named(tmp_path):
    class Broken(StandIn):
        def texts(self, captions):
            return [Text(torch.full((2, 64), float("nan"))) for _ in captions]

    with pytest.raises(BadInput, match="picture number 0"):
        _build(folder(tmp_path / "data", 2), tmp_path / "cache", Broken())


def test_expected_bytes_are_about_those_on_disk(tmp_path):
    pairs = find(folder(tmp_path / "data", 40))[0]
    told = expected(pairs, StandIn(), FRAMING).total
    build(pairs, StandIn(), tmp_path / "cache", FRAMING)
    stored = 0
    for path in shards.paths(tmp_path / "cache"):
        with safe_open(path, "pt") as file:
            stored += sum(file.get_tensor(name).nbytes for name in file.keys())
    assert told == stored


_SHAPES = st.tuples(st.integers(1, 9), st.sampled_from([1, 63, 64, 200, 4096]))


@given(_SHAPES, st.integers(0, 2**32), st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_segments_hold_every_nonzero_value(shape, seed, density):
    generator = torch.Generator().manual_seed(seed)
    context = torch.randn(shape, generator=generator).half().float()
    context *= torch.rand(shape, generator=generator) < density**8
    context[: shape[0] // 2, shape[1] // 2 :] = 0
    parts = segments(context)
    stored = [(part, context[part[0] : part[1], part[2] : part[3]].half()) for part in parts]
    assert torch.equal(restored(shape, stored), context)


def test_values_beyond_float16_take_bfloat16():
    assert halved(torch.tensor([65504.0])).dtype == torch.float16
    large = halved(torch.tensor([1e5, 1.0]))
    assert large.dtype == torch.bfloat16 and torch.isfinite(large).all()


def test_sd3_at_512_pixels_stays_under_its_limit(tmp_path):
    """77 CLIP tokens of 768 + 1280 columns, 77 of T5 at full width; 16 channels of 64 x 64."""

    class SD3(StandIn):
        def latents(self, images):
            return torch.randn(1, 16, 64, 64)

        def _text(self, caption):
            context = torch.randn(154, 4096)
            context[:77, 2048:] = 0
            return Text(context, torch.randn(2048))

    pairs = find(folder(tmp_path / "data", 3))[0]
    build(pairs, SD3(), tmp_path / "cache", FRAMING)
    size = sum(path.stat().st_size for path in (tmp_path / "cache").iterdir()) / len(pairs)
    assert size < 1.2e6, size
    assert size > 1.0e6  # nothing that belongs there is left out
    print(f"{size:.0f} bytes a pair")


def test_texts_of_eight_bits_take_half_and_are_near(tmp_path):
    """Also where one column is a hundred times the others, as in T5's states."""

    class Large(StandIn):
        def _text(self, caption):
            text = super()._text(caption)
            text.context[:, 7] *= 100.0
            return text

    pairs = find(folder(tmp_path / "data", 3))[0]
    whole = build(pairs, Large(width=4096), tmp_path / "cache", FRAMING)
    small = build(pairs, Large(width=4096), tmp_path / "cache", FRAMING, bits=8)
    for index in range(3):
        one, other = (cache.text(cache.captions(index)[0]) for cache in (whole, small))
        assert one.context.shape == other.context.shape and torch.equal(one.pooled, other.pooled)
        error = (one.context - other.context).abs().reshape(6, -1, 64).amax(-1)
        largest = one.context.abs().reshape(6, -1, 64).amax(-1)
        assert (error <= largest / 127 / 2 * 1.01).all() and error.max() > 0
    context = torch.randn(154, 4096)
    steps, scale = quartered(context)
    assert steps.nbytes + scale.nbytes < 0.52 * halved(context).nbytes
    assert torch.equal(whole_of(*quartered(torch.zeros(2, 70))), torch.zeros(2, 70))


@pytest.mark.parametrize("cached", ["own", "none"])
def test_what_is_not_cached_is_embedded_when_it_is_drawn(tmp_path, cached):
    data = folder(tmp_path / "data", 3)
    (data / "000.neg.txt").write_text("something else")
    pairs, encoder = find(data)[0], StandIn()
    cache = build(pairs, encoder, tmp_path / "cache", FRAMING, further=[""], cached=cached)
    assert encoder.captions == (4 if cached == "own" else 1)
    everything = build(pairs, StandIn(), tmp_path / "all", FRAMING, further=["", "hard"])
    before = encoder.captions
    for _ in range(2):  # the second time they are still there
        for caption in ("something else", "hard"):
            assert cache.stored(caption) is None
            found, expected = cache.text(caption), everything.text(caption)
            assert torch.equal(found.context, expected.context)
            assert torch.equal(found.pooled, expected.pooled)
    assert encoder.captions == before + 2
    again = StandIn()
    build(pairs, again, tmp_path / "cache", FRAMING, further=[""], cached=cached)
    assert again.captions == 0


def test_drawn_texts_are_kept_up_to_a_limit(monkeypatch):
    encoder = StandIn()
    monkeypatch.setattr(texts, "_KEPT", 3 * (4 * 64 + 8) * 2)
    drawn = texts.Drawn(encoder)
    drawn(["a", "b", "c"]), drawn(["a", "d"])
    assert encoder.captions == 4
    drawn(["c", "a", "d"])
    assert encoder.captions == 4
    drawn(["b"])
    assert encoder.captions == 5
