"""Anima's adapters: anima_lora's files, where their tokens go, and the bucket its trainer meant."""

from __future__ import annotations

import dataclasses
import math

import comfy.supported_models
import pytest
import torch
from comfyui_softrepa.nodes.apply import SoftREPAApply
from comfyui_softrepa.softrepa import files
from comfyui_softrepa.tests import small_models
from comfyui_softrepa.tests.golden_models import relative_error
from safetensors.torch import save_file

WIDTH, BLOCKS, K = 48, 2, 4


@pytest.fixture(scope="module", params=["anima", "predict2"])
def small(request):
    if not hasattr(comfy.supported_models, small_models.KINDS[request.param].config):
        pytest.skip("this ComfyUI has no Anima; its network's base, Cosmos-Predict2, is tested")
    return small_models.load(request.param)


def write(path, buckets=14, banks=1, splice="front_of_padding", seed=0, blocks=BLOCKS):
    """A file as anima_lora saves one: bfloat16 would do as well, and columns bank by bank."""
    generator = torch.Generator().manual_seed(seed)
    lead = () if banks == 1 else (banks,)
    tokens = torch.randn((*lead, blocks, K, WIDTH), generator=generator)
    offsets = torch.randn((buckets, banks * blocks * WIDTH), generator=generator)
    metadata = {
        "ss_num_tokens": str(K), "ss_embed_dim": str(WIDTH), "ss_n_layers": str(blocks),
        "ss_n_t_buckets": str(buckets), "ss_splice_position": splice,
        "ss_n_banks": str(banks), "ss_network_module": "networks.methods.soft_tokens",
    }  # fmt: skip
    save_file({"tokens": tokens, "t_offsets.weight": offsets}, path, metadata)
    return tokens, offsets


def trainer_bucket(time: float, buckets: int) -> int:
    """The trainer's rule, on the time its network is given."""
    time = float(torch.tensor(time, dtype=torch.float32) * buckets)
    return min(max(math.floor(time), 0), buckets - 1)


def network_time(small, sigma: float) -> float:
    """Anima is given sigma, Predict2 sigma / (sigma + 1)."""
    return sigma if small.name == "anima" else sigma / (sigma + 1)


def edges(buckets: int) -> list[float]:
    """Times at, just below and just above edges of buckets, and both ends."""
    at = [torch.tensor(k / buckets) for k in range(1, buckets, 5)]
    near = [
        each
        for edge in at
        for each in (edge, edge.nextafter(torch.tensor(0.0)), edge.nextafter(torch.tensor(1.0)))
    ]
    return [1e-4, *map(float, near), 0.9999]


def spliced(small, context, tokens, splice):
    """The context with tokens (K, W) written as the trainer writes them."""
    context = context.clone()
    for sample in range(context.shape[0]):
        length = int((context[sample].abs().sum(-1) > 0).sum())
        at = length if splice == "front_of_padding" else context.shape[1] - K
        context[sample, at : at + K] = tokens
    return context


@pytest.mark.parametrize("splice", ["front_of_padding", "end_of_sequence"])
@pytest.mark.parametrize("strength", [1.0, 1 - 1e-6])
def test_the_context_is_the_trainer_s(small, tmp_path, splice, strength):
    """Equal tokens in both blocks are one other context for the whole network."""
    path = tmp_path / "adapter.safetensors"
    tokens, offsets = write(path, splice=splice)
    adapter = files.read(path)
    assert adapter.placement == splice and adapter.buckets == 14
    same = dataclasses.replace(
        adapter,
        tokens=adapter.tokens[:, :1].expand(-1, 2, -1, -1).contiguous(),
        offsets=adapter.offsets[:, :, :1].expand(-1, -1, 2, -1).contiguous(),
    )
    context, sigma = small.context(), torch.tensor([0.5, 0.5])
    row = trainer_bucket(network_time(small, 0.5), 14)
    written = spliced(small, context, tokens[0] + offsets[row, :WIDTH], splice)
    expected = small.predict(context=written, sigma=sigma)
    patched = SoftREPAApply.execute(small.patcher, same, strength, 0.0, 1.0, "").args[0]
    found = small.predict(patched, context=context, sigma=sigma)
    assert relative_error(found, small.predict(context=context, sigma=sigma)) > 1e-3
    assert relative_error(found, expected) < 1e-5


@pytest.mark.parametrize("buckets", [14, 100])
@pytest.mark.parametrize("banks", [1, 2])
def test_a_file_acts_at_the_bucket_its_trainer_meant(small, tmp_path, buckets, banks):
    path = tmp_path / "adapter.safetensors"
    tokens, offsets = write(path, buckets, banks, blocks=1)
    tokens, offsets = (tokens[0], offsets[:, :WIDTH]) if banks == 2 else (tokens, offsets)
    patched = SoftREPAApply.execute(small.patcher, files.read(path), 1.0, 0.0, 1.0, "").args[0]
    seen, handle = watch(small)
    times = edges(buckets)
    sigmas = times if small.name == "anima" else [time / (1 - time) for time in times]
    try:
        for sigma in sigmas:
            small.predict(patched, sigma=torch.tensor([sigma, sigma]))
    finally:
        handle.remove()
    given = small.patcher.model.model_sampling.timestep(torch.tensor(sigmas))
    for context, time in zip(seen, given.tolist(), strict=True):
        row = offsets[trainer_bucket(time, buckets)]
        assert relative_error(context[0, 7 : 7 + K], tokens[0] + row) < 1e-6
    assert len({trainer_bucket(time, buckets) for time in given.tolist()}) > len(times) // 3


def watch(small):
    """What the first block's cross-attention projects keys from."""
    seen = []
    handle = small.blocks[0].k_proj.register_forward_pre_hook(
        lambda _, args: seen.append(args[0].clone())
    )
    return seen, handle


@pytest.mark.parametrize("order", [1, -1])
def test_adapters_share_the_padding(small, order):
    """Neither writes over the other, whichever comes first, front or end."""
    placements = ("front_of_padding", "end_of_sequence", "end_of_sequence")
    patcher = small.patcher
    made = [small.adapter(tokens=2, placement=p, seed=k) for k, p in enumerate(placements)]
    for adapter in made[::order]:
        patcher = SoftREPAApply.execute(patcher, adapter, 1.0, 0.0, 1.0, "").args[0]
    seen, handle = watch(small)
    try:
        small.predict(patcher)
    finally:
        handle.remove()
    context, text = seen[0][0], small.context()[0]
    assert torch.equal(context[:7], text[:7])
    rows = context.abs().sum(-1) > 0
    assert rows.tolist() == [True] * 9 + [False] * 3 + [True] * 4


@pytest.mark.parametrize("rows", [14, 16])
def test_a_text_that_leaves_no_padding_gives_way_at_its_end(small, rows):
    """No more rows than there are, for their number cannot depend on the text."""
    context = torch.nn.functional.pad(torch.randn(2, rows, WIDTH), (0, 0, 0, 16 - rows))
    for placement in ("front_of_padding", "end_of_sequence"):
        adapter = small.adapter(tokens=K, placement=placement)
        patched = SoftREPAApply.execute(small.patcher, adapter, 1.0, 0.0, 1.0, "").args[0]
        seen, handle = watch(small)
        try:
            small.predict(patched, context=context)
        finally:
            handle.remove()
        assert torch.equal(seen[0][:, :12], context[:, :12])
        assert not torch.equal(seen[0][:, 12], context[:, 12])


def test_a_long_text_is_lengthened(small):
    context = torch.randn(2, 513, WIDTH)
    patched = SoftREPAApply.execute(small.patcher, small.adapter(), 1.0, 0.0, 1.0, "").args[0]
    seen, handle = watch(small)
    try:
        small.predict(patched, context=context)
    finally:
        handle.remove()
    assert seen[0].shape[1] == 517 and torch.equal(seen[0][:, :513], context)
