"""`python noxfile.py demo`: a real server, one prompt and seed with and without an adapter.

Makes a small random SD3 checkpoint and a random adapter, starts ComfyUI with the pack in
custom_nodes, queues both graphs through its API and leaves the two pictures side by side. Weights
are random, so the pictures show that the adapter acts, not that it helps.
"""

from __future__ import annotations

import importlib.util
import io
import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "demo" / "output"


def _import_libraries() -> None:
    """The pack and ComfyUI, without putting the repository on sys.path."""
    spec = importlib.util.spec_from_file_location("host_pack", ROOT / "host" / "pack.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.import_comfyui()
    module.import_pack()


def main() -> None:
    _import_libraries()
    from comfyui_softrepa.host.server import install_pack, serve
    from comfyui_softrepa.softrepa import files
    from comfyui_softrepa.tests import checkpoints
    from comfyui_softrepa.tests.adapters import random_adapter
    from comfyui_softrepa.tests.graphs import text_to_image
    from tqdm import tqdm

    base = OUTPUT / "comfyui"
    checkpoint = base / "models" / "checkpoints" / "sd3.safetensors"
    if not checkpoint.exists():
        checkpoints.write_sd3(checkpoint)
    (base / "models" / "softrepa").mkdir(parents=True, exist_ok=True)
    files.write(base / "models" / "softrepa" / "demo.safetensors", random_adapter())
    install_pack(base)
    print("starting ComfyUI ...")
    pictures = []
    with serve(Path(os.environ["COMFYUI_PATH"]), base) as server:
        for name in tqdm((None, "demo.safetensors"), desc="pictures", unit="picture"):
            result = server.run(text_to_image(adapter=name, size=(256, 256), steps=10))
            pictures.append(server.image(result.images["save"][0]))
    _side_by_side(pictures, OUTPUT / "before_and_after.png")
    print(f"without and with the adapter: {OUTPUT / 'before_and_after.png'}")


def _side_by_side(pictures: list[bytes], path: Path) -> None:
    from PIL import Image

    images = [Image.open(io.BytesIO(picture)).convert("RGB") for picture in pictures]
    sheet = Image.new("RGB", (sum(image.width for image in images), images[0].height))
    for index, image in enumerate(images):
        sheet.paste(image, (index * image.width, 0))
    sheet.save(path)


if __name__ == "__main__":
    main()
