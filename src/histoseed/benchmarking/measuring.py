"""Peak memory and seconds of a block, in a process that does many things one after the other."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import re
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["Measured", "peak_bytes", "start_of_peak"]


class Measured:
    """Seconds of a block: ``with Measured() as took: ...``, then ``took.seconds``."""

    seconds = 0.0

    def __enter__(self) -> Self:
        self._begin = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.seconds = round(time.perf_counter() - self._begin, 3)


def start_of_peak(device: str) -> None:
    """Forget the peak so far: what was freed goes back to the machine first."""
    gc.collect()
    if device.startswith("cuda"):
        import torch  # noqa: PLC0415

        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    elif sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)
        with contextlib.suppress(OSError):  # some containers do not allow it
            Path("/proc/self/clear_refs").write_text("5")


def peak_bytes(device: str) -> int | None:
    """Most bytes since :func:`start_of_peak`; None where the machine does not tell.

    They are those of the accelerator where one is used, else of this process, Python and libraries included.
    """
    if device.startswith("cuda"):
        import torch  # noqa: PLC0415

        return int(torch.cuda.max_memory_allocated(device))
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text("ascii"))
    except OSError:
        return None
    return None if found is None else int(found[1]) * 1024
