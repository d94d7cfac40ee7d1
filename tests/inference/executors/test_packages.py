"""Packages of the extra ``cluster`` are imported late, and change nothing but what they bring."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from histoseed.errors import DependencyError
from histoseed.inference.executors.packages import optional


def test_ctrl_c_stays_what_it_was(need: Callable[[str], None]) -> None:
    """The import of dask-jobqueue alone makes it end the process quietly (``sys.exit``), as if all were done."""
    need("dask_jobqueue")
    code = """
import os, signal
from histoseed.inference.executors.packages import optional
optional("dask_jobqueue")
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
try:
    os.kill(os.getpid(), signal.SIGINT)
    signal.pause()
except KeyboardInterrupt:
    print("interrupted")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout.strip() == "interrupted", done.stderr


def test_a_missing_package_is_named() -> None:
    with pytest.raises(DependencyError, match="needs dask-nowhere"):
        optional("dask_nowhere")
