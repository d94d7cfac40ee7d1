"""The painted stand-in of a network, for every test of this room."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def painted() -> ModuleType:
    """The module ``painted.py`` beside this file."""
    spec = importlib.util.spec_from_file_location("painted", Path(__file__).with_name("painted.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
