"""``doctor``: what is installed, what works, and what to do about the rest."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from histoseed._version import __version__
from histoseed.errors import HistoseedError
from histoseed.settings import SETTINGS, read_settings

__all__ = ["Finding", "examine"]

_GIGABYTE = 1_000_000_000
_LEAST_FREE = 2 * _GIGABYTE
_OPTIONAL = {"transformers": "encoders of the family transformers (DINOv2, Phikon, Hibou, Midnight)"}
"""Packages of the extras, and what is missing without them."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Args:
        name: What.
        status: ``ok``; ``warn``: something is missing that not everybody needs; ``fail``: histoseed does not work.
        found: What was found, for people.
        fix: What to do, where there is something to do.
    """

    name: str
    status: Literal["ok", "warn", "fail"]
    found: str
    fix: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The finding as JSON values."""
        return asdict(self)


def examine() -> Iterator[Finding]:
    """Look at one thing after the other; nothing raises, nothing is downloaded, nothing is left on the disk."""
    yield Finding("histoseed", "ok", f"{__version__} in {Path(__file__).parents[1]}")
    yield Finding("python", "ok", f"{platform.python_version()} on {platform.platform()}")
    yield from _packages()
    checks: dict[str, Callable[[], Iterator[Finding]]] = {
        "openslide": _openslide,
        "torch": _torch,
        "bundled model": _bundled_model,
        "settings": _settings,
        "cache folder": _cache,
    }
    for name, check in checks.items():
        try:
            yield from check()
        except HistoseedError as error:
            where = "" if error.where is None else f" ({error.where})"
            yield Finding(name, "fail", f"{error.what}{where}", error.fix)
        except Exception as error:  # noqa: BLE001 - a broken installation raises anything, and this is who must tell
            yield Finding(name, "fail", f"{type(error).__name__}: {error}", "Install histoseed anew.")
    yield from _extras()


def _packages() -> Iterator[Finding]:
    """The packages that the installed histoseed names, with the versions it asks for."""
    try:
        required = importlib.metadata.requires("histoseed") or []
    except importlib.metadata.PackageNotFoundError:
        yield Finding("packages", "warn", "histoseed is not installed, only found.", "pip install -e .")
        return
    good = 0
    for line in required:
        if "extra ==" in line:
            continue
        match = re.match(r"([A-Za-z0-9._-]+)(?:>=([0-9.]+))?", line)
        assert match is not None  # noqa: S101 - the syntax of Requires-Dist begins with a name
        name, least = match.group(1), match.group(2)
        fix = f"pip install --upgrade {line.partition(';')[0].strip()!r}"
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            yield Finding(name, "fail", "not installed", fix)
            continue
        if least is not None and _numbers(version) < _numbers(least):
            yield Finding(name, "fail", f"{version} is older than {least}", fix)
        else:
            good += 1
    yield Finding("packages", "ok", f"{good} required packages are there and new enough")


def _numbers(version: str) -> tuple[int, ...]:
    """Leading whole numbers of a version.

    >>> _numbers("2.15.0+cpu") > _numbers("2.6")
    True
    """
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("+")[0])[:3])


def _openslide() -> Iterator[Finding]:
    from histoseed.slides import load_openslide

    openslide = load_openslide()
    package = importlib.metadata.version("openslide-python")
    yield Finding("openslide", "ok", f"library {openslide.__library_version__}, openslide-python {package}")


def _torch() -> Iterator[Finding]:
    import torch

    from histoseed.workflows.models import choose_dtype

    yield Finding("torch", "ok", torch.__version__)
    precision = str(choose_dtype("auto", "cpu")).removeprefix("torch.")
    capability = torch.backends.cpu.get_cpu_capability()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    cpu = f"{cores} cores, {torch.get_num_threads()} threads, {capability}, networks run in {precision}"
    yield Finding("device cpu", "ok", cpu)
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        facts = torch.cuda.get_device_properties(index)
        precision = str(choose_dtype("auto", f"cuda:{index}")).removeprefix("torch.")
        torch.ones(8, device=f"cuda:{index}").sum().item()  # a driver that is too old fails here
        memory = f"{facts.total_memory / _GIGABYTE:.0f} GB"
        yield Finding(f"device cuda:{index}", "ok", f"{facts.name}, {memory}, networks run in {precision}")


def _bundled_model() -> Iterator[Finding]:
    from histoseed.workflows.models import load_model, model_folder

    begin = time.perf_counter()
    card = load_model("bundled").card
    seconds = time.perf_counter() - begin
    size = sum(path.stat().st_size for path in model_folder("bundled").iterdir() if path.is_file())
    if card.weights_sha256 is None:
        yield Finding("bundled model", "warn", "its card names no hash", "Install histoseed anew.")
        return
    found = f"{card.name}, {size / 1e6:.1f} MB, {card.mpp:g} um a pixel, hash is right, loaded in {seconds:.1f} s"
    yield Finding("bundled model", "ok", found)


def _settings() -> Iterator[Finding]:
    settings = read_settings()
    changed = [row for row in SETTINGS.values() if getattr(settings, row.name) != row.default]
    found = ", ".join(f"{row.env}={getattr(settings, row.name)}" for row in changed)
    yield Finding("settings", "ok", found or "all at their defaults (docs/limits.md lists them)")


def _cache() -> Iterator[Finding]:
    folder = read_settings().cache_dir.expanduser()
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    fix = f"Set {SETTINGS['cache_dir'].env} to a place that can be written."
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        yield Finding("cache folder", "warn", f"{folder} cannot be written; encoders are computed anew", fix)
        return
    free = shutil.disk_usage(there).free
    found = f"{folder}, {free / _GIGABYTE:.0f} GB free"
    if free < _LEAST_FREE:
        yield Finding("cache folder", "warn", found, "Free some space, or " + fix[0].lower() + fix[1:])
    else:
        yield Finding("cache folder", "ok", found)


def _extras() -> Iterator[Finding]:
    for package, purpose in _OPTIONAL.items():
        try:
            found = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            fix = f"{Path(sys.executable).name} -m pip install '.[hf]'"
            yield Finding(package, "warn", f"not installed; needed for {purpose}", fix)
        else:
            yield Finding(package, "ok", f"{found}; {purpose}")
