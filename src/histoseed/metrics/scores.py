"""Scores: numbers that never travel without the protocol that made them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from histoseed.errors import InputError

__all__ = ["Score", "Scores"]

Score = float | int | str | None


class Scores(Mapping[str, Score]):
    """A frozen mapping from the name of a score to its value; NaN and infinities become None.

    Args:
        values: Scores by name; must name their ``protocol``.

    Raises:
        InputError: no ``protocol``.

    >>> scores = Scores({"protocol": "histoseed", "pq": 0.5, "aji": float("nan")})
    >>> scores["pq"], scores["aji"], scores.protocol
    (0.5, None, 'histoseed')
    >>> scores.as_dict()
    {'protocol': 'histoseed', 'pq': 0.5, 'aji': None}
    """

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, Score]) -> None:
        if not isinstance(values.get("protocol"), str):
            raise InputError("Scores must name their protocol.", where="Scores")
        self._values = MappingProxyType({key: _plain(value) for key, value in values.items()})

    @property
    def protocol(self) -> str:
        """Name of the protocol."""
        return str(self._values["protocol"])

    def number(self, key: str) -> float:
        """A score as a float, NaN where it is undefined.

        Raises:
            InputError: no number has that name.
        """
        value = self._values.get(key, "absent")
        if isinstance(value, str):
            numbers = ", ".join(name for name, found in self._values.items() if not isinstance(found, str))
            raise InputError("There is no such score.", where=key, fix=f"Use one of {numbers}.")
        return math.nan if value is None else float(value)

    def as_dict(self) -> dict[str, Score]:
        """A plain dictionary, ready for JSON."""
        return dict(self._values)

    def __getitem__(self, key: str) -> Score:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Scores({dict(self._values)!r})"

    def __reduce__(self) -> tuple[type[Scores], tuple[dict[str, Score]]]:
        return Scores, (dict(self._values),)


def _plain(value: Score) -> Score:
    return None if isinstance(value, float) and not math.isfinite(value) else value
