"""One trainer an output: a lock that ends with the process that holds it, however it ends."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...errors import BadInput

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None
    import msvcrt


@contextmanager
def alone(adapter: Path) -> Iterator[None]:
    """No other trainer writes this adapter in the meantime. Raises BadInput where one does.

    On file systems without locks nothing is held.
    """
    path = adapter.with_name(f".{adapter.stem}.lock")
    handle = _hold(path, adapter.name)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            if fcntl is not None:
                path.unlink()  # while it is held: who has opened it notices, see `_hold`
        os.close(handle)
        with contextlib.suppress(OSError):
            if fcntl is None:
                path.unlink()  # Windows deletes no open file


def _hold(path: Path, name: str) -> int:
    """The handle of the locked file."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _take(handle)
            if os.path.samestat(path.stat(), os.fstat(handle)):
                return handle
        except BlockingIOError:
            os.close(handle)
            raise BadInput(
                f"Another trainer is writing {name} at this moment: wait for its end, or name "
                "another --output."
            ) from None
        except FileNotFoundError:
            pass
        except OSError:
            return handle
        os.close(handle)  # its last holder deleted it between our opening and our locking it


def _take(handle: int) -> None:
    if fcntl is not None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return
    try:
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
    except PermissionError as error:
        raise BlockingIOError(error.errno, error.strerror) from None
