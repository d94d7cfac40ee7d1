"""Settings: one frozen table of names, defaults and sentences.

Limits are ordinary settings. Each setting can be given in the environment as ``HISTOSEED_<NAME>``, or in Python::

    >>> Settings(max_pixels=1_000_000).max_pixels
    1000000
    >>> SETTINGS["tile_size"].env
    'HISTOSEED_TILE_SIZE'

``docs/limits.md`` lists the same table; a test compares the two.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import TypeAdapter, ValidationError

from histoseed.errors import InputError

__all__ = ["SETTINGS", "Setting", "Settings", "read_settings"]

_PREFIX = "HISTOSEED_"


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table."""

    name: str
    default: Any
    help: str
    env: str


def _row(default: Any, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The values in force; immutable, passed down explicitly or read once from the environment."""

    max_pixels: int = _row(
        400_000_000,
        "Most pixels of one image, or of one region of a slide, that are decoded at once (decompression bombs).",
    )
    max_geojson_bytes: int = _row(
        2_000_000_000, "Largest annotation file (GeoJSON, XML, tables) that is read, after decompression, in bytes."
    )
    max_vertices: int = _row(1_000_000, "Most vertices of a single annotated object.")
    max_objects: int = _row(20_000_000, "Most objects of one annotation file or label image.")
    max_prompts: int = _row(100_000, "Most prompts that `histoseed prompt` answers at once, of a file or of `--auto`.")
    max_prompt_pixels: int = _row(
        400_000_000, "Largest region that `histoseed prompt --auto` outlines, in level-0 pixels."
    )
    max_bundle_bytes: int = _row(20_000_000_000, "Most bytes of a model bundle that `histoseed model` unpacks.")
    tile_size: int = _row(1024, "Side of an inference tile, in pixels at the model's resolution.")
    cache_dir: Path = _row(
        Path("~/.cache/histoseed"), "Folder of the embedding cache and of downloaded encoder weights."
    )
    slides_dir: str = _row(
        "", "Folder of the whole slides that data sets name, where they lie outside; empty where there are none."
    )
    cache_bytes: int = _row(20_000_000_000, "Most bytes of the embedding cache on disk; the oldest go first.")
    threads: int = _row(0, "Processor threads of the numeric libraries; 0 leaves their own choice.")


SETTINGS: Mapping[str, Setting] = MappingProxyType(
    {f.name: Setting(f.name, f.default, f.metadata["help"], _PREFIX + f.name.upper()) for f in fields(Settings)}
)


def read_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from the environment; everything not set there keeps its default.

    Raises:
        InputError: a value of the wrong type, or an unknown name that starts with ``HISTOSEED_``.
    """
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    by_env = {row.env: row for row in SETTINGS.values()}
    for key, text in environ.items():
        if not key.startswith(_PREFIX):
            continue
        if key not in by_env:
            known = ", ".join(by_env)
            raise InputError("There is no such setting.", where=key, fix=f"Use one of {known}.")
        row = by_env[key]
        try:
            values[row.name] = TypeAdapter(type(row.default)).validate_python(text)
        except ValidationError as error:
            what = f"{text!r} is not a valid value ({error.errors()[0]['msg']})."
            raise InputError(what, where=key, fix=f"The default is {row.default!r}.") from error
    settings = Settings(**values)
    for name in (*(row for row in SETTINGS if row.startswith("max_")), "tile_size", "cache_bytes"):
        if getattr(settings, name) <= 0:
            raise InputError("The value must be positive.", where=SETTINGS[name].env)
    return settings
