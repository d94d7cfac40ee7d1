"""The importers by name: what they read, how they are called, what is known about their data sets."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from histoseed.datasets.cards import DatasetCard
from histoseed.datasets.dataset import Dataset
from histoseed.datasets.intake.content import Collection
from histoseed.datasets.intake.engine import OnItem, take_in
from histoseed.datasets.near_names import nearest
from histoseed.errors import HistoseedError, InputError
from histoseed.settings import Settings, read_settings
from histoseed.wording import some

__all__ = ["IMPORTERS", "Importer", "collect_dataset", "get_importer", "import_dataset"]

_LAYOUTS = ("geojson", "labels")
_PUBLISHED = (
    "bcss", "camelyon16", "conic", "consep", "cryonuseg", "cytodark0", "dsb2018", "kumar", "lizard", "monusac",
    "monuseg", "nucls", "nuinsseg", "ocelot", "pannuke", "panoptils", "puma", "tnbc",
)  # fmt: skip


_COMMON = ("mpp", "source_mpp", "overwrite", "workers")
"""Options that every import has."""

_CHOICES = {"scheme": "class scheme", "part": "part"}
"""Options that only data sets with a choice have, in words."""


@dataclass(frozen=True, slots=True)
class Importer:
    """One importer; its module is loaded when something of it is asked for.

    Args:
        name: What the user types; the module of that name stands beside this one.
    """

    name: str

    @property
    def _module(self) -> Any:
        return importlib.import_module(f"histoseed.datasets.importers.{self.name}")

    @property
    def collect(self) -> Callable[..., Collection]:
        """Sources and options -> what is to be imported."""
        return self._module.collect  # type: ignore[no-any-return]

    @property
    def card(self) -> DatasetCard | None:
        """What is known about the data set; None for layouts that anybody's data may have."""
        return getattr(self._module, "CARD", None)

    @property
    def about(self) -> str:
        """One sentence."""
        return (inspect.getdoc(self.collect) or "").partition("\n")[0]

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of what is to be read, in order."""
        return tuple(p.name for p in self._parameters() if p.kind is not p.KEYWORD_ONLY)

    @property
    def usage(self) -> str:
        """What to name on the command line."""
        usage: str = getattr(self._module, "USAGE", " ".join(one.upper() for one in self.sources))
        return usage

    def arguments(self, sources: Sequence[Path | Sequence[Path]]) -> list[Any]:
        """Arguments for :attr:`collect` from what was named; pairs are found by their names where it takes pairs.

        Raises:
            InputError: another number of sources, or no pairs.
        """
        arrange = getattr(self._module, "arrange", None)
        if arrange is not None and all(isinstance(one, Path) for one in sources):
            return list(arrange(sources))
        if len(sources) != len(self.sources):
            what = f"The importer {self.name!r} reads {' and '.join(self.sources)}; {len(sources):,} were given."
            raise InputError(what, where=some(map(str, sources)), fix=f"Name {self.usage}.")
        return list(sources)

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the options."""
        return tuple(p.name for p in self._parameters() if p.kind is p.KEYWORD_ONLY and p.name != "settings")

    def _parameters(self) -> Sequence[inspect.Parameter]:
        return list(inspect.signature(self.collect).parameters.values())


IMPORTERS: Mapping[str, Importer] = MappingProxyType({n: Importer(n) for n in sorted((*_LAYOUTS, *_PUBLISHED))})
"""Name -> importer."""


def get_importer(name: str) -> Importer:
    """The importer of a name.

    Raises:
        InputError: there is none; the message offers the nearest.
    """
    if name not in IMPORTERS:
        fix = f"{nearest(name, IMPORTERS)} `histoseed dataset list` lists all.".strip()
        raise InputError(f"There is no importer {name!r}.", fix=fix)
    return IMPORTERS[name]


def collect_dataset(
    name: str, source: Path | str | Sequence[Path | str], /, *, settings: Settings | None = None, **options: Any
) -> Collection:
    """Look through a source: what would be imported, without reading pictures.

    Args:
        name: A name of :data:`IMPORTERS`.
        source: What to read; several paths for importers that read several.
        settings: Limits; read from the environment when left out.
        **options: Of the importer.

    Raises:
        InputError: no such importer or option (the message offers the nearest), or another number of sources.
        HistoseedError: what the importer finds wrong.
    """
    importer = get_importer(name)
    for option in options:
        if option not in importer.options:
            if option in _CHOICES:
                what = f"{name!r} has only one {_CHOICES[option]}."
                raise InputError(what, where=f"--{'classes' if option == 'scheme' else option}", fix="Leave it out.")
            what = f"The importer {name!r} has no option {option!r}."
            raise InputError(what, fix=nearest(option, [*importer.options, *_COMMON]))
    sources = [source] if isinstance(source, str | Path) else list(source)
    limits = read_settings() if settings is None else settings
    paths = [Path(one) if isinstance(one, str | Path) else [Path(each) for each in one] for one in sources]
    try:
        return importer.collect(*importer.arguments(paths), settings=limits, **options)
    except HistoseedError as error:
        if error.where is not None:
            raise
        raise type(error)(error.what, where=some(map(str, sources)), fix=error.fix) from error


def import_dataset(
    name: str,
    source: Path | str | Sequence[Path | str],
    out: Path | str,
    /,
    *,
    mpp: float | None = None,
    source_mpp: float | None = None,
    overwrite: bool = False,
    workers: int | None = None,
    settings: Settings | None = None,
    on_item: OnItem | None = None,
    **options: Any,
) -> Dataset:
    """Bring a data set into the common format.

    Args:
        name: A name of :data:`IMPORTERS`.
        source: What to read: mostly the folder that was unpacked; (image, geojson) for "geojson".
        out: The data-set folder to make; it appears whole or not at all. Interrupted, the same call goes on.
        mpp: Microns per pixel of all patches: what states another is resampled. What states none is taken as
            given in your own data (``labels``, ``geojson``), and an error in published sets.
        source_mpp: Microns per pixel of the source, instead of what it states.
        overwrite: Replace a data set at ``out``.
        workers: Threads; None takes one a processor, at most eight.
        settings: Limits; read from the environment when left out.
        on_item: Told the number of patches done and their total.
        **options: Of the importer; `histoseed dataset list NAME` names them.

    Raises:
        InputError: no such importer or option (the message offers the nearest), or another number of sources.
        OutputError: ``out`` is not empty, or cannot be written.
        HistoseedError: what the importer finds wrong; nothing is made then.
    """
    limits = read_settings() if settings is None else settings
    if name == "geojson":
        options.setdefault("name", Path(out).resolve().name)
    return take_in(
        collect_dataset(name, source, settings=limits, **options),
        out,
        importer=name,
        options=options,
        source=_folder(source),
        mpp=mpp,
        source_mpp=source_mpp,
        assume_mpp=get_importer(name).card is None,
        overwrite=overwrite,
        workers=workers,
        settings=limits,
        on_item=on_item,
    )


def _folder(source: Path | str | Sequence[Path | str]) -> Path | None:
    """The one folder that was given; slides are named relative to it."""
    sources = [source] if isinstance(source, str | Path) else list(source)
    return Path(sources[0]) if len(sources) == 1 and isinstance(sources[0], str | Path) else None
