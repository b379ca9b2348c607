"""Pictures and captions in `.tar` (WebDataset) and `.parquet` files, local or remote."""

from .finding import find_archives
from .storage import is_archive

__all__ = ["find_archives", "is_archive"]
