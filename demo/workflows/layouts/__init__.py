"""The example workflows, each a function that lays one out from left to right."""

from .attend_and_excite import attend_and_excite
from .before_after import before_after, demo_world
from .does_it_help import does_it_help
from .editing import editing
from .one_prompt import one_prompt
from .schedule_and_blocks import schedule_and_blocks
from .text_to_image import anima, cfg_plus_plus, flux1, sd3, sd15, sdxl, z_image
from .train_your_own import train_your_own

LAYOUTS = (
    sd3, sdxl, sd15, flux1, z_image, anima, cfg_plus_plus, attend_and_excite,
    before_after, one_prompt, schedule_and_blocks, editing, demo_world, does_it_help,
    train_your_own,
)  # fmt: skip
