"""The pack's nodes, and the extension that announces them to ComfyUI."""

from __future__ import annotations

from pathlib import Path

from comfy_api.v0_0_2 import ComfyExtension, io

from ..evaluation.scorers.weights import register_folder as register_scorers_folder
from .adapters.adapter_files import register_folder
from .adapters.blend import SoftREPABlend
from .adapters.info import SoftREPAInfo
from .adapters.loader import SoftREPALoader
from .adapters.save import SoftREPASave
from .apply import SoftREPAApply
from .apply_conditioning import SoftREPAApplyConditioning
from .evaluation import EVALUATION_NODES
from .flow_edit import SoftREPAFlowEdit
from .guidance import GUIDANCE_NODES
from .routes import register_routes
from .schedule import SoftREPASchedule
from .training import TRAINING_NODES

# Where scripts that were written before the folders look for modules, as in `training`.
__path__.append(str(Path(__file__).parent / "adapters" / "moved"))

NODES: list[type[io.ComfyNode]] = [
    SoftREPALoader,
    SoftREPAApply,
    SoftREPAApplyConditioning,
    SoftREPASchedule,
    SoftREPABlend,
    SoftREPASave,
    SoftREPAInfo,
    *GUIDANCE_NODES,
    SoftREPAFlowEdit,
    *EVALUATION_NODES,
    *TRAINING_NODES,
]


class SoftREPAExtension(ComfyExtension):
    async def on_load(self) -> None:
        register_folder()
        register_scorers_folder()

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        register_folder()
        register_scorers_folder()
        register_routes()
        return NODES


__all__ = ["NODES", "SoftREPAExtension"]
