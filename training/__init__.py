"""The companion trainer: a folder of images and captions in, an adapter out.

ComfyUI is used as a library. Importing this package does not import it: see `model.comfyui`.

The folders are floors, each using only those below it:

    train.py       the script
    run/           one run from flags to adapter; output/, what it leaves on the disk
    step/          one step: which pairs, their gradients, over all processes
    model/         the base model as training sees it, and the tokens put into it
    settings/      what a run is told
    cache/         latents and texts, computed once
    data/          pictures and captions        objectives/   what is learned from them
    errors.py
"""

from pathlib import Path

# Where scripts that were written before the folders look for modules: `training.engine` and others
# are found there, and give what they gave.
__path__.append(str(Path(__file__).with_name("moved")))
