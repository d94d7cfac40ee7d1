"""TOML files that people write: read with a limit, their values checked, and messages that name the line."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import MISSING, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from histoseed.errors import InputError

__all__ = ["Faults", "TomlLines", "read_toml"]

LARGEST = 1_000_000
"""Bytes above which a file is none that somebody wrote."""

Entry = TypeVar("Entry")
_HEAD = re.compile(r"\s*\[\[?\s*([^\]]+?)\s*\]\]?")


def read_toml(path: Path, what: str) -> tuple[dict[str, Any], TomlLines]:
    """The content of a file, and where in it things stand.

    Args:
        path: The file.
        what: What it should be, for messages: "plan".

    Raises:
        InputError: it is absent, too large, or no TOML.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise InputError(f"The file is too large for a {what}.", where=path, fix="Name another file.")
        text = path.read_text("utf-8")
        table = tomllib.loads(text)
    except OSError as error:
        raise InputError(f"The {what} cannot be read ({error}).", where=path, fix="Check the path.") from error
    except tomllib.TOMLDecodeError as error:
        raise _broken(path, text, what, error) from error
    except UnicodeDecodeError as error:
        fix = f"Save it as UTF-8; byte {error.start + 1:,} is none."
        raise InputError(f"The {what} cannot be read: it is no UTF-8 text.", where=path, fix=fix) from error
    except (ValueError, RecursionError) as error:  # tables or lists in each other, thousands deep
        fix = "Write fewer lists or tables into each other."
        raise InputError(f"The {what} cannot be read ({error}).", where=path, fix=fix) from error
    return table, TomlLines(path, text.splitlines())


def _broken(path: Path, text: str, what: str, error: tomllib.TOMLDecodeError) -> InputError:
    """Where a text stops being TOML, and what stands there."""
    message = re.sub(r"\s*\(at (line \d+, column \d+|end of document)\)$", "", str(error))
    place = re.search(r"\(at line (\d+), column (\d+)\)$", str(error))
    lines = text.splitlines()
    number = int(place[1]) if place else max(1, len(lines))
    line = lines[number - 1].strip() if number <= len(lines) else ""
    column = f", column {place[2]}" if place else ""
    stands = f"Correct the line {_short(line)}" if line else "Correct the line before it"
    fix = f'{stands}: KEY = VALUE, texts in quotes ("..."), lists in [...], tables under [NAME] or [[NAME]].'
    return InputError(
        f"The {what} cannot be read: it is no TOML ({message}).", where=f"{path}, line {number}{column}", fix=fix
    )


def _short(line: str, most: int = 80) -> str:
    return f"`{line}`" if len(line) <= most else f"`{line[:most]}...`"


class Faults:
    """Collects what is wrong with a file, so that all of it is told at once.

    Args:
        path: The file.
        what: What it should be, for messages: "plan".
    """

    def __init__(self, path: Path | str = "", what: str = "file") -> None:
        self._path = path
        self._what = what
        self._found: list[InputError] = []

    @contextmanager
    def collect(self) -> Iterator[None]:
        """Goes on behind the block where something in it is wrong."""
        try:
            yield
        except InputErrors as errors:
            self._found.extend(errors.errors)
        except InputError as error:
            self._found.append(error)

    def add(self, errors: Iterable[InputError]) -> None:
        """Remember these."""
        self._found.extend(errors)

    def tell(self) -> None:
        """Raise what was found.

        Raises:
            InputError: the one that there is, or one that names all of them.
        """
        if len(self._found) == 1:
            raise self._found[0]
        if self._found:
            raise InputErrors(sorted(self._found, key=_line_of), self._path, self._what)


def _line_of(error: InputError) -> int:
    """The line that an error names; 0 where it names none."""
    found = re.search(r", line (\d+)", error.where or "")
    return int(found[1]) if found else 0


class InputErrors(InputError):  # noqa: N818 - several
    """Several things are wrong with one file.

    Args:
        errors: Those, two or more.
        path: The file.
        what: What it should be.
    """

    def __init__(self, errors: Sequence[InputError], path: Path | str, what: str) -> None:
        self.errors = tuple(errors)
        lines = [f"\n  {str(error).replace(f'{path}, ', '', 1)}" for error in self.errors]
        text = f"{len(lines):,} things in the {what} are wrong:"
        super().__init__(f"{text}{''.join(lines)}", where=path, fix=f"Correct all of them in the {what}.")

    def __reduce__(self) -> tuple[object, ...]:
        """Across process borders the text goes, as one error."""
        return InputError(self.what, where=self.where, fix=self.fix).__reduce__()


class TomlLines:
    """The lines of a TOML file, or of one table of it.

    Args:
        path: The file, for messages.
        lines: Its lines.
        first: Index of the line with the head of the table; None: the whole file.
        last: Index behind its last line.
    """

    def __init__(self, path: Path, lines: Sequence[str], first: int | None = None, last: int | None = None) -> None:
        self._path = path
        self._lines = lines
        self._place = str(path) if first is None else f"{path}, line {first + 1}"
        self._range = range(first or 0, len(lines) if last is None else last)

    def table(self, name: str, index: int = 0) -> TomlLines:
        """The table ``[name]``, or the one of this index among the tables ``[[name]]``."""
        heads = [(i, found[1]) for i, line in enumerate(self._lines) if (found := _HEAD.match(line))]
        own = [at for at, (_, head) in enumerate(heads) if head == name]
        if index >= len(own):
            return self
        after = [i for i, head in heads[own[index] + 1 :] if not head.startswith(f"{name}.")]
        return TomlLines(self._path, self._lines, heads[own[index]][0], after[0] if after else None)

    def at(self, key: str) -> str:
        """Where a key stands: file and line; of one that is not there, where the table begins."""
        return self._line(key) or self._place

    def unknown(self, key: str, names: Sequence[str], what: str) -> InputError:
        """The error for a key that does not exist."""
        near = difflib.get_close_matches(key, names, n=1, cutoff=0.6)
        fix = f"{f'Did you mean {near[0]}? ' if near else ''}Keys of {what} are: {', '.join(names) or 'none'}."
        return InputError(f"There is no key {key!r} in {what}.", where=self.at(key), fix=fix)

    def build(self, kind: type[Entry], table: Mapping[str, Any], what: str) -> Entry:
        """An entry from a table; each value is checked against the type of its field, one value may stand for a tuple.

        Args:
            kind: A dataclass.
            table: Its values by name.
            what: What the table is, for messages: "[[arms]]".

        Raises:
            InputError: a key that does not exist, one that is missing, or a value of another type or range.
        """
        hints = get_type_hints(kind)
        names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
        values: dict[str, Any] = {}
        faults = Faults(self._path, what)
        for key, value in table.items():
            with faults.collect():
                if key not in names:
                    raise self.unknown(key, names, what)
                values[key] = self._checked(key, value, hints[key])
        made = None
        with faults.collect():
            made = self._made(kind, values, what, refused=table.keys() - values.keys())
        faults.tell()
        assert made is not None  # noqa: S101 - else something was wrong
        return made

    def _checked(self, key: str, given: Any, hint: Any) -> Any:
        """A value of the type that its field has.

        Raises:
            InputError: it is of another one.
        """
        value = given
        if get_origin(hint) is tuple:
            value = tuple(given) if isinstance(given, list) else (given,)
        try:
            return TypeAdapter(hint).validate_python(value, strict=True)
        except ValidationError as error:
            fix = f"Give {_type_words(hint)}."
            message = f"{key} = {given!r} is not valid: {error.errors()[0]['msg']}."
            raise InputError(message, where=self.at(key), fix=fix) from error

    def _made(self, kind: type[Entry], values: Mapping[str, Any], what: str, refused: AbstractSet[str]) -> Entry | None:
        """The entry; None where it lacks only what was refused before.

        Raises:
            InputError: something else is missing, or a value is out of its range.
        """
        needed = [one.name for one in fields(kind) if one.default is MISSING and one.default_factory is MISSING]  # type: ignore[arg-type]
        lacking = [name for name in needed if name not in values]
        if missing := ", ".join(name for name in lacking if name not in refused):
            raise InputError(f"{what} lacks {missing}.", where=self._place, fix=f"Add {missing} to {what}.")
        if lacking:
            return None
        try:
            return kind(**values)
        except InputErrors as errors:
            raise InputErrors([self._placed(error) for error in errors.errors], self._path, what) from errors
        except InputError as error:
            raise self._placed(error) from error

    def _placed(self, error: InputError) -> InputError:
        """An error about a key with the line where it stands."""
        where = self._line(str(error.where)) or f"{self._place}: {error.where}"
        return InputError(error.what, where=where, fix=error.fix)

    def _line(self, key: str) -> str | None:
        """File and line of a key that is there."""
        name = rf"([\w.]+\.)?[\"']?{re.escape(key)}[\"']?\s*"
        for pattern in (rf"\s*{name}(=|\.)", rf"\s*\[\[?\s*{name}(\]|\.)"):
            for number in self._range:
                if re.match(pattern, self._lines[number]):
                    return f"{self._path}, line {number + 1}"
        return None


_TYPES = {int: "a whole number", float: "a number", bool: "true or false", str: "a text in quotes"}


def _type_words(hint: Any) -> str:
    """What a value of a type looks like in TOML.

    >>> _type_words(int | None), _type_words(tuple[int | Literal["all"], ...]), _type_words(Literal["a", "b"])
    ('a whole number', 'a list, each a whole number or "all"', '"a" or "b"')
    """
    origin = get_origin(hint)
    if origin is Literal:
        return " or ".join(f'"{value}"' if isinstance(value, str) else str(value) for value in get_args(hint))
    if origin in {Union, UnionType}:
        return " or ".join(_type_words(one) for one in get_args(hint) if one is not NoneType)
    if origin is tuple:
        return f"a list, each {_type_words(get_args(hint)[0])}"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return "a table, { ... }"
    return _TYPES.get(hint, "a value of another type")
