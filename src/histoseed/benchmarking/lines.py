"""Where a key of a TOML file stands, and its values checked against the fields of a dataclass."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from histoseed.errors import InputError

__all__ = ["Source"]

Entry = TypeVar("Entry")
_HEAD = re.compile(r"\s*\[\[?\s*([^\]]+?)\s*\]\]?")


class Source:
    """The lines of a TOML file, or of one table of it.

    Args:
        path: The file, for messages.
        lines: Its lines.
        first: Index of the first line of the table.
        last: Index behind its last line.
    """

    def __init__(self, path: Path, lines: Sequence[str], first: int = 0, last: int | None = None) -> None:
        self._path = path
        self._lines = lines
        self._first = first
        self._last = len(lines) if last is None else last

    def top(self) -> Source:
        """What stands before the first table."""
        heads = [i for i, line in enumerate(self._lines) if _HEAD.match(line)]
        return Source(self._path, self._lines, 0, heads[0] if heads else None)

    def table(self, name: str, index: int = 0) -> Source:
        """The table ``[name]``, or the one of this index among the tables ``[[name]]``."""
        heads = [(i, found[1]) for i, line in enumerate(self._lines) if (found := _HEAD.match(line))]
        own = [at for at, (_, head) in enumerate(heads) if head == name]
        if index >= len(own):
            return self
        after = [i for i, head in heads[own[index] + 1 :] if not head.startswith(f"{name}.")]
        return Source(self._path, self._lines, heads[own[index]][0], after[0] if after else None)

    def at(self, key: str) -> str:
        """Where a key stands: file and line."""
        name = rf"([\w.]+\.)?[\"']?{re.escape(key)}[\"']?\s*"
        for pattern in (rf"\s*{name}(=|\.)", rf"\s*\[\[?\s*{name}(\]|\.)"):
            for number in range(self._first, self._last):
                if re.match(pattern, self._lines[number]):
                    return f"{self._path}, line {number + 1}"
        return f"{self._path}, line {self._first + 1}"

    def unknown(self, key: str, names: Sequence[str], what: str) -> InputError:
        """The error for a key that does not exist."""
        near = difflib.get_close_matches(key, names, n=1, cutoff=0.6)
        fix = f"{f'Did you mean {near[0]}? ' if near else ''}Keys of {what} are: {', '.join(names)}."
        return InputError(f"There is no key {key!r} in {what}.", where=self.at(key), fix=fix)

    def build(self, kind: type[Entry], table: Mapping[str, Any], what: str) -> Entry:
        """An entry from a table; each value is checked against the type of its field, one value may stand for a list.

        Raises:
            InputError: a key that does not exist, one that is missing, or a value of another type.
        """
        hints = get_type_hints(kind)
        names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
        values = {}
        for key, value in table.items():
            if key not in names:
                raise self.unknown(key, names, what)
            if get_origin(hints[key]) is tuple:
                value = tuple(value) if isinstance(value, list) else (value,)  # noqa: PLW2901
            try:
                values[key] = TypeAdapter(hints[key]).validate_python(value, strict=True)
            except ValidationError as error:
                raise InputError(
                    f"{key} = {table[key]!r} is not valid: {error.errors()[0]['msg']}.", where=self.at(key)
                ) from error
        try:
            return kind(**values)
        except TypeError as error:
            missing = ", ".join(re.findall(r"'(\w+)'", str(error)))
            fix = f"Add {missing} to {what}."
            raise InputError(
                f"{what} lacks {missing}.", where=f"{self._path}, line {self._first + 1}", fix=fix
            ) from error
        except InputError as error:
            raise InputError(error.what, where=self.at(str(error.where)), fix=error.fix) from error
