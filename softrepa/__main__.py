"""`python -m softrepa FILE [OUTPUT]`: says what an adapter file holds, and converts it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import files
from .adapter import PLACEMENTS
from .errors import AdapterError
from .files.summary import summary


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m softrepa",
        description="Print what an adapter file holds, and convert it to the native .safetensors.",
    )
    parser.add_argument(
        "file", type=Path, help="SoftREPA, AGSM or anima_lora file, or a native one"
    )
    parser.add_argument("output", type=Path, nargs="?", help="the .safetensors file to write")
    parser.add_argument(
        "--architecture",
        choices=tuple(PLACEMENTS),
        help="the model it is for, where the file does not tell",
    )
    options = parser.parse_args(arguments)
    try:
        adapter = files.read(options.file, options.architecture)
        print("\n".join(summary(adapter)))
        if options.output is not None:
            if options.output.suffix != ".safetensors":
                raise AdapterError(f"{options.output.name} must end in .safetensors.")
            files.write(options.output, adapter)
            print(f"written: {options.output}")
    except AdapterError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{options.output} cannot be written: {error.strerror}.", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
