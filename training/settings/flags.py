"""The command line: every flag, grouped, with what a user needs to know to set it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import Field
from typing import NoReturn

from ...softrepa.adapter import PLACEMENTS
from ..errors import BadInput
from ..objectives import OBJECTIVES, hyperparameters
from .kinds import number, path, resolution, source, switch, text, whole, whole_or_auto
from .recipes import RECIPES
from .values import PRECISIONS, flag

DESCRIPTION = """\
Trains soft text tokens (SoftREPA, AGSM, DPO) for a checkpoint that your ComfyUI loads, from a
folder of images with captions. Defaults marked "by model" are the papers' for the checkpoint's
family. training/README.md is the guide: how much data, which settings, what goes wrong.
"""
EPILOG = """\
beside the adapter:
  NAME.best.safetensors  the adapter of the lowest validation loss (with --val-fraction)
  NAME.stepNNNNNN.safetensors  those of --keep
  NAME.state             the training checkpoint that --resume goes on from
  NAME.log.jsonl         one object a step; NAME.png plots it; NAME.data.txt names unused files
  NAME.previews.png      the same prompts without and with the tokens (with --preview-every)
several GPUs:
  torchrun --nproc-per-node 4 training/train.py ...   negatives span the whole batch
exit codes:
  0 done   2 bad input (one sentence on stderr)   130 interrupted, go on with --resume   1 a fault
"""


class Parser(argparse.ArgumentParser):
    """One sentence and exit code 2 for what cannot be parsed."""

    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{message[:1].upper()}{message[1:]} (see --help).")


def parser() -> Parser:
    made = Parser(
        prog="train.py",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    for add in (_input, _data, _objective, _tokens, _optimisation, _memory, _labels, _running):
        add(made)
    return made


# fmt: off
def _input(made: Parser) -> None:
    group = made.add_argument_group("what is trained, on what")
    add = group.add_argument
    add("--checkpoint", metavar="FILE", type=text,
        help="a checkpoint: a path, or a name in ComfyUI's checkpoints folder, of SD1.x, SD2.x, "
        "SDXL, SD3, SD3.5 or one of the models for --model; text encoders that it lacks are looked "
        "for in ComfyUI's text_encoders folders")
    add("--model", metavar="FILE", type=text,
        help="a diffusion model alone, in place of the checkpoint's: a path, or a name in "
        "ComfyUI's diffusion_models folders. Those above, Flux.1, Flux.2, Chroma, Qwen-Image, "
        "Lumina 2, Z-Image, Anima, Cosmos-Predict2, HunyuanImage 2.1, Wan, AuraFlow")
    add("--text-encoder", metavar="FILE", type=text, action="append",
        help="a text encoder, in place of the checkpoint's of its kind; once for each (SD1.x "
        "clip_l, SD2.x clip_h, SDXL clip_l and clip_g, SD3 clip_l, clip_g, t5xxl, Flux.1 clip_l "
        "and t5xxl; others: training/README.md): a path, or a name in ComfyUI's text_encoders "
        "folders")
    add("--vae", metavar="FILE", type=text,
        help="a VAE, in place of the checkpoint's: a path, or a name in ComfyUI's vae folder")
    add("--data", metavar="FOLDER", type=source, required=True, action="append",
        help="images, each with a .txt of its name (a caption a line), or metadata.jsonl, or COCO "
        "captions; nested folders are read; or .tar (WebDataset) or .parquet files, as in "
        "'shards/{000..099}.tar' or s3://bucket/*.parquet; may be given several times")
    add("--data-weight", metavar="W", type=number(0.001, 1000.0), action="append",
        help="one for each --data, in their order: an image of weight 2 is shown twice as often as "
        "one of weight 1 (default: all equally often)")
    add("--output", metavar="FILE", type=text, default="adapter.safetensors",
        help="a path, or a name in ComfyUI's models/softrepa (default: %(default)s there)")
    add("--comfyui", metavar="FOLDER", type=path,
        help="ComfyUI (default: COMFYUI_PATH, else the one this pack is installed in, else "
        "Desktop's)")
    add("--base-directory", metavar="FOLDER", type=path,
        help="where the server with this flag keeps models and custom_nodes (default: the folder "
        "whose custom_nodes hold this pack, where ComfyUI lies elsewhere; else ComfyUI's)")
    add("--extra-model-paths-config", metavar="FILE", type=path, action="append",
        help="as the server takes it, besides the extra_model_paths.yaml beside its main.py; may "
        "be given several times (default: Desktop's, for its base directory)")
    add("--config", metavar="FILE", type=path,
        help="TOML with any of these flags, such as batch-size = 8; flags given here win")
    add("--recipe", choices=sorted(RECIPES),
        help="published: as SoftREPA's authors train (" + " ".join(RECIPES["published"]) + "); "
        "recommended: what our tables prefer (" + " ".join(RECIPES["recommended"]) + "); other "
        "flags win (default: none)")


def _data(made: Parser) -> None:
    add = made.add_argument_group("data").add_argument
    add("--resolution", metavar="PIXELS", type=resolution,
        help="side of the square pictures are cropped to (by model: 512, SDXL 1024)")
    switch(add, "--buckets", False, "keep aspect ratios: sizes of about the same area")
    add("--latents", choices=("mode", "sampled"), default="mode",
        help="of a picture: the VAE's most likely one, as the VAE Encode node gives it, or one "
        "drawn from its distribution, the same in every epoch (default: %(default)s)")
    add("--timesteps", choices=("schedule", "uniform"), default="schedule",
        help="schedule: noise as the model's own schedule has it (SD3: more of it); uniform: every "
        "timestep equally often. The same for SD1.x, SD2.x and SDXL (default: %(default)s)")
    add("--val-fraction", metavar="SHARE", type=number(0.0, 0.5), default=0.0,
        help="share of the pairs held out: their loss and accuracy by timestep range are logged "
        "and the best adapter kept (default: none)")
    add("--caption-dropout", metavar="SHARE", type=number(0.0, 1.0), default=0.0,
        help="share of the own captions that are replaced by the empty prompt, drawn anew each "
        "step; negatives stay what they are (default: none)")
    switch(add, "--caption-shuffle", False,
            "draw the tags of a caption (parts between commas) in another order each time, one of "
            "--shuffle-orders")
    add("--shuffle-orders", metavar="N", type=whole(2), default=4,
        help="of --caption-shuffle: orders of each caption, its own among them; the texts in the "
        "cache grow as many times (default: %(default)s)")
    add("--keep-tags", metavar="N", type=whole(0), default=0,
        help="of --caption-shuffle: so many tags stay in front (default: none)")
    add("--cache", metavar="FOLDER", type=path,
        help="latents and text embeddings, computed once (default: a folder beside the output)")


def _objective(made: Parser) -> None:
    add = made.add_argument_group("objective").add_argument
    add("--objective", choices=sorted(OBJECTIVES), default="softrepa",
        help="; ".join(f"{name}: {one.ABOUT}" for name, one in OBJECTIVES.items())
        + " (default: %(default)s)")
    _hyperparameters(add)
    add("--hard-share", metavar="SHARE", type=number(0.0, 1.0), default=0.0,
        help="share of a caption's negatives made from itself by changing one thing (a colour, a "
        "number, a place), or taken from NAME.neg.txt (default: none)")
    add("--hard-words", metavar="FILE", type=path,
        help="TOML with further words for that, shaped like training/data/captions/words_en.toml")
    add("--average-decay", metavar="D", type=number(0.0, 1.0), default=0.9999,
        help="of the tokens' moving average, a step: agsm's, and that of --save-average (default: "
        "%(default)s)")
    switch(add, "--save-average", False,
            "save and validate the tokens' moving average in place of the tokens themselves; with "
            "few steps lower --average-decay, to 0.99 for some hundred")


def _tokens(made: Parser) -> None:
    add = made.add_argument_group("tokens").add_argument
    add("--tokens", metavar="K", type=whole(1), help="soft tokens a block (by model: 4)")
    add("--layers", metavar="BLOCKS",
        help='blocks that get tokens: "0-4", or for U-Nets "input,middle" or "input.4" (by model: '
        "SD1.x input; SDXL input,middle; SD3 0-4)")
    switch(add, "--per-block", False, "U-Nets: tokens of its own for every block, not shared ones")
    add("--placement", choices=sorted({each for some in PLACEMENTS.values() for each in some}),
        help="where they stand in the text, of what the model allows (most: softrepa prepend, agsm "
        "append)")
    switch(add, "--time-offsets", None, "an offset for each timestep bucket (by model: SDXL none)")
    add("--start", choices=("normal", "bos"),
        help="tokens begin as N(0, 0.02) or as the empty prompt's first embedding (by model: SD1.x "
        "bos)")
    add("--train-weight", metavar="W", type=number(0.01, 100.0), default=1.0,
        help="how often a soft token counts in attention while it is trained; where it is used, at "
        "strength 1, it counts once (default: %(default)s)")


def _optimisation(made: Parser) -> None:
    add = made.add_argument_group("optimisation").add_argument
    add("--steps", metavar="N", type=whole(1), default=30_000, help="(default: %(default)s)")
    add("--batch-size", metavar="B", type=whole(2), default=16,
        help="images a step, over all processes; each is told apart from B - 1 other captions, or "
        "from --negatives of them (default: %(default)s)")
    add("--negatives", metavar="K", type=whole(1),
        help="captions that each image is told apart from, drawn anew each step from the batch's "
        "and its hard ones; a step costs B * (K + 1) predictions (default: B - 1, all)")
    add("--replay", metavar="R", type=whole(1),
        help="negatives of an image that have a gradient, drawn evenly each step and weighted for "
        "the others: the same on average, noisier, and cheaper (default: all)")
    add("--accumulate", metavar="N", type=whole(1), default=1,
        help="batches an update, each with a timestep and noise of its own; their gradients are "
        "averaged (default: %(default)s)")
    add("--learning-rate", metavar="LR", type=number(0.0), default=1e-3,
        help="of AdamW, at its highest (default: %(default)s)")
    add("--schedule", choices=("constant", "cosine", "cosine-restarts"), default="constant",
        help="of the learning rate: cosine falls over all --steps, cosine-restarts in ten stairs "
        "over each --cycle-steps (default: %(default)s)")
    add("--warmup-steps", metavar="N", type=whole(0), default=0,
        help="over which the rate rises to --learning-rate (default: none)")
    add("--cycle-steps", metavar="N", type=whole(1), default=5000,
        help="of cosine-restarts (default: %(default)s)")
    add("--min-learning-rate", metavar="LR", type=number(0.0), default=0.0,
        help="to which cosine and cosine-restarts fall (default: %(default)s)")
    add("--weight-decay", metavar="WD", type=number(0.0), default=1e-4,
        help="(default: %(default)s)")
    add("--seed", metavar="N", type=whole(0), default=0,
        help="equal seeds give equal adapters on a CPU (default: %(default)s)")


def _memory(made: Parser) -> None:
    add = made.add_argument_group("memory and speed").add_argument
    add("--micro-batch", metavar="M", type=whole_or_auto(1),
        help="predictions held at once; changes memory and speed, not the result. At the batch "
        "size or above softrepa predicts nothing twice. auto: as many as fit the free memory (4 on "
        "a CPU), half as many wherever it runs out (default: auto)")
    switch(add, "--checkpointing", False,
            "compute each block's activations once more in the backward pass, not keep them: a "
            "third of the memory or less, a third more time")
    add("--precision", choices=tuple(PRECISIONS), default="auto",
        help="auto: the dtype ComfyUI loads the model in; else autocast. Tokens and optimizer stay "
        "float32 (default: %(default)s)")
    switch(add, "--cpu", False, "use no GPU")


def _labels(made: Parser) -> None:
    add = made.add_argument_group("what ComfyUI's model library shows").add_argument
    add("--title", metavar="TEXT", type=text, default="", help="(default: the output's name)")
    add("--description", metavar="TEXT", type=text, default="",
        help="(default: a sentence on objective, model, data and steps)")
    add("--author", metavar="NAME", type=text, default="", help="(default: none)")
    add("--thumbnail", metavar="IMAGE", type=path,
        help="a picture of your choice, embedded small and without its camera data; never one of "
        "the training set by itself (default: none)")


def _running(made: Parser) -> None:
    add = made.add_argument_group("running").add_argument
    add("--save-every", metavar="N", type=whole(1), default=100,
        help="steps between checkpoints and validations (default: %(default)s)")
    add("--preview-every", metavar="N", type=whole(0), default=0,
        help="steps between previews: prompts painted without and with the tokens at equal seeds, "
        "kept as a strip in NAME.previews.png (default: none)")
    add("--preview-prompts", metavar="TEXT", type=text, action="append",
        help="a prompt to paint, or a .txt file with one a line; may be given several times "
        "(default: two captions of the data)")
    add("--keep", metavar="N", type=whole(0), default=0,
        help="the last N checkpoints stay as adapters too, NAME.step000100.safetensors (default: "
        "none)")
    add("--patience", metavar="N", type=whole(1),
        help="end the run after N validations in a row without a lower loss; needs --val-fraction "
        "(default: never)")
    switch(add, "--resume", False,
            "go on from the last checkpoint (from the start where there is none); on a CPU the "
            "result has the bytes of an unbroken run. --steps may grow, the learning rate, its "
            "schedule and --precision may change")
    switch(add, "--overwrite", False, "start anew, and delete what another run left there")
    switch(add, "--accept-changed-data", False,
            "with --resume: go on although pictures or captions have changed")
    switch(add, "--tensorboard", True, "log to NAME.tensorboard where TensorBoard is installed")
    switch(add, "--wandb", False,
            "log to Weights & Biases too, project softrepa; it must be installed")
    add("--dry-run", action="store_true",
        help="read the data, load the model, print what a run would take, and stop")


# fmt: on
def _hyperparameters(add: Callable[..., object]) -> None:
    """The flags that the objectives' own files declare, one for all that share a name."""
    found: dict[str, list[Field]] = {}
    for objective in OBJECTIVES.values():
        for name, one in hyperparameters(objective).items():
            found.setdefault(name, []).append(one)
    for name, ones in found.items():
        about = "; ".join(dict.fromkeys(one.metadata["about"] for one in ones))
        if isinstance(ones[0].default, bool):
            switch(add, flag(name), None, about)
        else:
            least = ones[0].metadata["least"]
            add(flag(name), metavar="X", type=number(least), help=about)
