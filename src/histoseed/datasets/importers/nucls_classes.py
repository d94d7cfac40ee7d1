"""The classes of NuCLS: a raw name, and what it counts as on the main and on the super level.

Names with the prefix ``correction_`` mean the same as without it. *AMBIGUOUS* (main, super) and *unlabeled* (raw) are
no classes: such an object was seen and its class is not known. Names of fields of view (``fov_basic`` ...) are no
objects.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["AMBIGUOUS", "CLASS_OF", "SCHEMES", "base_name", "is_fov"]

AMBIGUOUS = "AMBIGUOUS"
"""What the tables write on the main and super level for objects without a class."""

_PREFIX = "correction_"

_TABLE = (
    ("tumor", "tumor_nonMitotic", "tumor_any"),
    ("fibroblast", "nonTILnonMQ_stromal", "nonTIL_stromal"),
    ("lymphocyte", "lymphocyte", "sTIL"),
    ("plasma_cell", "plasma_cell", "sTIL"),
    ("macrophage", "macrophage", "nonTIL_stromal"),
    ("mitotic_figure", "tumor_mitotic", "tumor_any"),
    ("vascular_endothelium", "nonTILnonMQ_stromal", "nonTIL_stromal"),
    ("myoepithelium", "other_nucleus", "other_nucleus"),
    ("apoptotic_body", None, None),
    ("neutrophil", "other_nucleus", "other_nucleus"),
    ("ductal_epithelium", "other_nucleus", "other_nucleus"),
    ("eosinophil", "other_nucleus", "other_nucleus"),
)
"""Raw, main, super, in the order of the published codes 1 to 12."""

CLASS_OF: Mapping[str, Mapping[str, str | None]] = MappingProxyType(
    {
        "raw": MappingProxyType({raw: raw for raw, _, _ in _TABLE} | {"unlabeled": None}),
        "main": MappingProxyType({raw: main for raw, main, _ in _TABLE} | {"unlabeled": None}),
        "super": MappingProxyType({raw: top for raw, _, top in _TABLE} | {"unlabeled": None}),
    }
)
"""Scheme -> raw name (without prefix) -> class name; None: the object has no class on this level."""

SCHEMES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        scheme: tuple(dict.fromkeys(name for name in names.values() if name is not None))
        for scheme, names in CLASS_OF.items()
    }
)
"""Scheme -> its classes."""


def base_name(raw: str) -> str:
    """A raw name without ``correction_`` and blanks.

    >>> base_name("correction_lymphocyte")
    'lymphocyte'
    """
    return raw.strip().removeprefix(_PREFIX)


def is_fov(raw: str) -> bool:
    """Whether a row marks a field of view instead of a nucleus.

    >>> is_fov("fov_basic"), is_fov("correction_FOV_reviewed"), is_fov("tumor")
    (True, True, False)
    """
    return base_name(raw).lower().startswith("fov")
