"""What becomes of every class of every data set by a class map (:mod:`histoseed.datasets.map_files`).

A map is checked against the data sets at hand: a class that it does not name, and a name that no class has, are errors,
because a slip of the pen would otherwise give wrong classes without a word.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from histoseed.datasets.cards import DatasetCard
from histoseed.datasets.importers.registry import IMPORTERS
from histoseed.datasets.info import ClassInfo, DatasetInfo
from histoseed.datasets.map_files import UNCLASSIFIED, ClassMap, Target, class_maps, read_class_map
from histoseed.datasets.near_names import close_names, plain
from histoseed.datasets.relations import named
from histoseed.errors import DatasetError
from histoseed.wording import some

__all__ = [
    "ClassMap",
    "Resolved",
    "Target",
    "class_maps",
    "losses_of",
    "map_remarks",
    "read_class_map",
    "resolve",
]

_SLIP = 0.8
"""Likeness of a table's name and a data set's from which one is the other, mistyped."""
_ALIKE = 0.85
"""Likeness of two classes from which the user is asked whether they are one."""


class Resolved(NamedTuple):
    """A class map applied to one data set: every class that it lists, and what becomes of it.

    Attributes:
        objects: Class -> target.
        regions: Region class -> target.
        unclassified: What becomes of objects without a class.
    """

    objects: Mapping[str, Target]
    regions: Mapping[str, Target]
    unclassified: Target = Target("unclassified")

    def names(self) -> list[str]:
        """The classes that its objects have in the end."""
        targets = [*self.objects.values(), self.unclassified]
        return list(dict.fromkeys(target.name for target in targets if target.fate == "class"))

    def region_names(self) -> list[str]:
        """The region classes that it has in the end."""
        return list(dict.fromkeys(target.name for target in self.regions.values() if target.fate == "class"))


def resolve(class_map: ClassMap | None, infos: Sequence[DatasetInfo]) -> list[Resolved]:
    """What becomes of every class of every data set; without a map they keep their names.

    A table holds for the data set of exactly its name, else for those whose name begins with it ("nucls" for "nucls
    evaluation"). Class names are compared exactly, else without regard to case and punctuation. A data set without
    classes needs no table.

    Args:
        class_map: The map; None leaves everything as it is.
        infos: What ``dataset.json`` says of each data set.

    Raises:
        DatasetError: classes that the map does not name, and names in it that stand for no class; all are listed, with
            the nearest.
    """
    if class_map is None:
        return [Resolved(_same(info.classes), _same(info.region_classes)) for info in infos]
    faults: list[str] = []
    users: dict[str, list[DatasetInfo]] = {}
    found = []
    for info in infos:
        section = _section(class_map, info.name)
        if section is not None:
            users.setdefault(section, []).append(info)
            found.append(_resolved(class_map, section, info, faults))
        elif info.classes:
            faults.append(f"{info.name}: there is no table [{info.name}]{_near(info.name, class_map.objects, '[{}]')}")
        else:
            found.append(Resolved({}, _same(info.region_classes)))
    for section, used in users.items():
        faults += _without_a_class(class_map, section, used)
    faults += [
        f"[{section}] is the name of no data set (nearest: {near})"
        for section in _unused(class_map, infos)
        if (near := _meant(class_map, section, infos)) is not None
    ]
    if faults:
        fix = 'Every class needs a line: a class, "unclassified", "ignore" or "drop". Correct or remove other names.'
        raise DatasetError(f"The class map does not fit: {'; '.join(faults)}.", where=class_map.name, fix=fix)
    return found


def map_remarks(class_map: ClassMap | None, infos: Sequence[DatasetInfo], resolved: Sequence[Resolved]) -> list[str]:
    """What may be a slip and may be meant: tables that no data set uses, classes that are nearly alike."""
    said = []
    unused = [] if class_map is None else _unused(class_map, infos)
    if unused:
        said.append(f"The class map has tables of other data sets: {some((f'[{name}]' for name in unused), 5)}.")
    for names in ([one.names() for one in resolved], [one.region_names() for one in resolved]):
        together = {pair for listed in names for pair in combinations(sorted(listed), 2)}
        every = sorted({name for listed in names for name in listed})
        said += [
            f"The classes {one!r} and {other!r} are nearly alike and stay two; a class map can join them."
            for one, other in combinations(every, 2)
            if (one, other) not in together and close_names(one, [other], cutoff=_ALIKE)
        ]
    return said


def losses_of(class_map: ClassMap, infos: Sequence[DatasetInfo]) -> list[str]:
    """What a map loses of these data sets: sentences that are about other ones only are left out."""
    used = {_section(class_map, info.name) for info in infos}
    kept = []
    for sentence in class_map.lossy:
        about = {name for name in class_map.objects if re.search(rf"\b{re.escape(name)}\b", sentence, re.IGNORECASE)}
        if not about or about & used:
            kept.append(sentence)
    return kept


def _same(classes: Iterable[ClassInfo]) -> dict[str, Target]:
    return {entry.name: Target("class", entry.name) for entry in classes}


def _section(class_map: ClassMap, name: str) -> str | None:
    """The table of a data set, the longest name that fits."""
    if name in class_map.objects:
        return name
    fitting = [section for section in class_map.objects if named(name, section.casefold())]
    return max(fitting, key=len, default=None)


def _near(name: str, known: Iterable[str], shown: str = "{!r}") -> str:
    """The nearest known name in brackets, "" where none is like it."""
    close = close_names(name, known)
    return f" (nearest: {shown.format(close[0])})" if close else ""


def _resolved(class_map: ClassMap, section: str, info: DatasetInfo, faults: list[str]) -> Resolved:
    """The targets of one data set; what is not named is added to ``faults``."""
    table, names = class_map.objects[section], [entry.name for entry in info.classes]
    objects = _targets(table, names, info.name, faults)
    regions = _same(info.region_classes)
    if class_map.regions[section]:
        regions = _targets(class_map.regions[section], list(regions), info.name, faults)
    rest = next((table[key] for key in UNCLASSIFIED if key in table and key not in names), "")
    return Resolved(objects, regions, Target.of(rest))


def _targets(table: Mapping[str, str], names: Sequence[str], where: str, faults: list[str]) -> dict[str, Target]:
    """The target of each class; what is not named, or twice, is added to ``faults``."""
    spelled: dict[str, list[str]] = {}
    for key in table:
        spelled.setdefault(plain(key), []).append(key)
    out = {}
    for name in names:
        keys = [key for key in spelled.get(plain(name), []) if key == name or key not in names]
        if len(keys) == 1:
            out[name] = Target.of(table[keys[0]])
        elif keys:
            faults.append(f"{where}: {name!r} is named {len(keys)} times ({', '.join(map(repr, keys))})")
        else:
            faults.append(f"{where}: {name!r} is not named{_near(name, table)}")
    return out


def _without_a_class(class_map: ClassMap, section: str, infos: Sequence[DatasetInfo]) -> list[str]:
    """Names in a table that are no class of a data set that uses it; of published sets any class scheme counts."""
    classes = [entry.name for info in infos for entry in info.classes]
    regions = [entry.name for info in infos for entry in info.region_classes]
    allowed = {plain(name) for name in (*classes, *_published_classes(section))}
    areas = {plain(name) for name in regions}
    return [
        *(
            f"[{section}] names {key!r}, which is no class of it{_near(key, classes)}"
            for key in class_map.objects[section]
            if plain(key) not in allowed and key not in UNCLASSIFIED
        ),
        *(
            f"[{section}.regions] names {key!r}, which is no region class of it{_near(key, regions)}"
            for key in class_map.regions[section]
            if plain(key) not in areas
        ),
    ]


def _cards(section: str) -> list[DatasetCard]:
    """The card of the public data set that a table is for; none for other names."""
    return [card for name, one in IMPORTERS.items() if named(section, name) and (card := one.card) is not None]


def _published_classes(section: str) -> list[str]:
    """The classes of a public data set under every scheme; none for other names."""
    return [name for card in _cards(section) for names in card.schemes.values() for name in names]


def _is_published(section: str) -> bool:
    """Whether a table is called like a public data set or a part of one."""
    return any(section in (card.name, *(f"{card.name} {part}" for part in card.parts)) for card in _cards(section))


def _unused(class_map: ClassMap, infos: Sequence[DatasetInfo]) -> list[str]:
    """Tables that none of the data sets uses and that are of no public data set, which a map may know beforehand."""
    used = {_section(class_map, info.name) for info in infos}
    return [section for section in class_map.objects if section not in used and not _is_published(section)]


def _meant(class_map: ClassMap, section: str, infos: Sequence[DatasetInfo]) -> str | None:
    """The data set that an unused table is meant for, if its name is a slip of the pen."""
    candidates = [info.name for info in infos if info.name not in class_map.objects]
    return next(iter(close_names(section, candidates, cutoff=_SLIP)), None)
