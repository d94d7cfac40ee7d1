"""Arrays and small tables of published data sets: MATLAB and NumPy files, CSV; numbers of any type that are whole."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.io

from histoseed.annotations.limits import over_limit
from histoseed.errors import DatasetError
from histoseed.settings import Settings
from histoseed.wording import counted, some

__all__ = ["ArrayStack", "check_names", "csv_rows", "open_array", "pixels", "plane", "read_mat", "whole_numbers"]

_UNPACK = "Was the archive unpacked completely?"
_NUMERIC = ("double", "single", "logical", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)))
_HDF5 = b"\x89HDF\r\n\x1a\n"
_LARGEST = 2**31 - 1


def csv_rows(path: Path, columns: Sequence[str], settings: Settings) -> list[dict[str, str]]:
    """The rows of a small table, as far as these columns are concerned.

    Args:
        path: Comma-separated, the first line names the columns.
        columns: Which must be there; others are passed over.
        settings: ``max_geojson_bytes`` is the most that is read.

    Raises:
        DatasetError: absent, unreadable, a column or a field missing.
        LimitError: a larger file.
    """
    if not path.is_file():
        raise DatasetError("There is no such file.", where=path, fix=_UNPACK)
    if (size := path.stat().st_size) > settings.max_geojson_bytes:
        what = f"The table has {size} bytes; at most {settings.max_geojson_bytes} are read."
        raise over_limit("max_geojson_bytes", what, where=path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            lines = [(row, k) for k, row in enumerate(csv.reader(stream, strict=True), start=1) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"Cannot be read as CSV ({error}).", where=path) from error
    head = [cell.strip() for cell in lines[0][0]] if lines else []
    if missing := [name for name in columns if head.count(name) != 1]:
        what = f"The first line must name a column {missing[0]!r} once; it names {', '.join(head) or 'nothing'}."
        raise DatasetError(what, where=path)
    at = [head.index(name) for name in columns]
    for row, k in lines[1:]:
        if len(row) != len(head):
            raise DatasetError(
                f"The line has {counted(len(row), 'field')}, the first line {len(head)}.", where=f"{path}, line {k}"
            )
    return [{name: row[i].strip() for name, i in zip(columns, at, strict=True)} for row, _ in lines[1:]]


def check_names(names: Iterable[str], listed: Iterable[str], path: Path) -> None:
    """Refuse a table that names other images than those that are there.

    Args:
        names: Images that are there.
        listed: Images that the table names.
        path: The table, for messages.

    Raises:
        DatasetError: it names up to five of those that are on one side only.
    """
    there, told = set(names), set(listed)
    if there - told:
        raise DatasetError(f"There is no line for {some(sorted(there - told), 5)}.", where=path, fix=_UNPACK)
    if told - there:
        raise DatasetError(f"There is no image of the name {some(sorted(told - there), 5)}.", where=path, fix=_UNPACK)


def read_mat(path: Path, keys: Sequence[str], settings: Settings) -> dict[str, npt.NDArray[Any]]:
    """Numeric arrays of a MATLAB file before 7.3, in the types and shapes that it states.

    Args:
        path: The file.
        keys: Names of the arrays; others are not unpacked.
        settings: ``max_pixels`` is the most numbers of one array.

    Raises:
        DatasetError: damaged, HDF5 (MATLAB 7.3), or without one of the keys as an array of numbers.
        LimitError: a larger array; nothing was unpacked.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(520)
        hdf5 = _HDF5 in (head[:8], head[512:])
        listed = [] if hdf5 else scipy.io.whosmat(path, appendmat=False)
    except Exception as error:  # scipy raises whatever the damage leads to
        raise _damaged(path, error) from error
    if hdf5:
        fix = "Save it again from MATLAB with the option '-v7', or take the file of the original release."
        raise DatasetError("This is a file of MATLAB 7.3 (HDF5), which is not read.", where=path, fix=fix)
    for key in keys:
        found = [(shape, kind) for name, shape, kind in listed if name == key]
        if len(found) != 1 or found[0][1] not in _NUMERIC:
            state = f"a {found[0][1]}" if len(found) == 1 else "missing" if not found else f"there {len(found)} times"
            names = some((name for name, *_ in listed), 8) or "nothing"
            raise DatasetError(f"The array {key!r} is {state}; the file holds {names}.", where=path, fix=_UNPACK)
        if np.prod(found[0][0], dtype=float) > settings.max_pixels:
            what = f"{key!r} has {' x '.join(map(str, found[0][0]))} numbers; at most {settings.max_pixels} are read."
            raise over_limit("max_pixels", what, where=path)
    try:
        arrays = scipy.io.loadmat(path, variable_names=list(keys), appendmat=False)
        return {key: np.asarray(arrays[key]) for key in keys}
    except Exception as error:  # as above
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> DatasetError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return DatasetError(f"Cannot be read as a MATLAB file ({reason}).", where=path, fix="Unpack the archive again.")


@dataclass(frozen=True, slots=True)
class ArrayStack:
    """Pictures or maps in an ``.npy`` file, read one by one; several threads may read at once.

    The file is mapped anew for each picture. One mapping for all of them would count as memory of the process, page by
    page, until the whole file is in it.

    Args:
        path: The file.
        shape: Of the whole array; the first axis counts pictures.
        dtype: Type of the numbers.
    """

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int) -> npt.NDArray[Any]:
        """One picture, copied out of the file.

        Raises:
            DatasetError: the file has changed since it was opened.
        """
        try:
            mapped = np.lib.format.open_memmap(self.path, mode="r")
        except Exception as error:  # a damaged header leads to nearly anything
            raise DatasetError(f"Cannot be read any more ({error}).", where=self.path) from error
        if (mapped.shape, mapped.dtype) != (self.shape, self.dtype):
            raise DatasetError("The file was changed while it was read.", where=self.path, fix="Run the import again.")
        return np.array(mapped[index])


def open_array(path: Path, shape: Sequence[int | None], settings: Settings) -> ArrayStack:
    """A stack of pictures or maps in an ``.npy`` file: only its header is read.

    Args:
        path: The file; pickled objects are never read.
        shape: What each axis must have, None for any length; the first counts pictures, two and three are their sides.
        settings: ``max_pixels`` is the most of one picture.

    Raises:
        DatasetError: absent, truncated, no array of real numbers, or of another shape.
        LimitError: larger pictures.
    """
    if not path.is_file():
        raise DatasetError("There is no such file.", where=path, fix=_UNPACK)
    try:
        array = np.lib.format.open_memmap(path, mode="r")
    except Exception as error:  # a damaged header leads to nearly anything
        if "Python objects" in str(error):
            fix = "Take the file of the original release, or save plain numbers from a machine that you trust."
            raise DatasetError("The file holds pickled objects, which are never read.", where=path, fix=fix) from error
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        fix = "The file may be truncated: unpack or download it again."
        raise DatasetError(f"Cannot be read as a NumPy array ({reason}).", where=path, fix=fix) from error
    fits = len(array.shape) == len(shape) and all(b in (None, a) for a, b in zip(array.shape, shape, strict=True))
    if not fits or array.dtype.kind not in "buif" or not array.size:
        wanted = ", ".join("any" if n is None else str(n) for n in shape)
        what = f"The array is {array.dtype} of shape {array.shape}; numbers of shape ({wanted}) are needed."
        raise DatasetError(what, where=path)
    if array.shape[1] * array.shape[2] > settings.max_pixels:
        what = f"A picture has {array.shape[1]} x {array.shape[2]} pixels; at most {settings.max_pixels} are read."
        raise over_limit("max_pixels", what, where=path)
    return ArrayStack(path, array.shape, array.dtype)


def whole_numbers(values: npt.NDArray[Any], what: str, where: object, *, most: int = _LARGEST) -> npt.NDArray[np.int32]:
    """Numbers of any real type as int32, in the same shape.

    Args:
        values: Integers, booleans, or floats that are whole.
        what: How a message calls them: "inst_map".
        where: The file, for messages.
        most: The largest that is allowed; the smallest is 0.

    Raises:
        DatasetError: other types, fractions, NaN, or numbers out of range.
    """
    if values.dtype.kind not in "buif":
        raise DatasetError(f"{what} holds {values.dtype}, not numbers.", where=where)
    with np.errstate(invalid="ignore"):
        numbers = values.astype(np.int32)
    wrong = numbers < 0
    if values.dtype.kind == "f" or values.dtype.itemsize >= 4:
        wrong |= numbers != values
    if most < _LARGEST:
        wrong |= numbers > most
    if wrong.any():
        what = f"{what} holds {values[wrong][0]}; whole numbers from 0 to {most} are needed."
        raise DatasetError(what, where=where, fix="Is this the original file? Others may hold scaled values.")
    return numbers


def plane(values: npt.NDArray[Any], shape: tuple[int, ...], what: str, where: object) -> npt.NDArray[np.int32]:
    """A map of numbers as large as its picture.

    Args:
        values: (H, W), of any real type.
        shape: Rows and columns of the picture (what follows is passed over).
        what: How a message calls it: "inst_map".
        where: The file, for messages.

    Raises:
        DatasetError: another shape, or no whole numbers from 0 on.
    """
    if values.shape != shape[:2]:
        sizes = " x ".join(map(str, values.shape)), " x ".join(map(str, shape[:2]))
        fix = "Unpack both again; labels must not be resized."
        raise DatasetError(
            f"{what} has {sizes[0]} pixels (rows x columns), its image {sizes[1]}.", where=where, fix=fix
        )
    return whole_numbers(values, what, where)


def pixels(values: npt.NDArray[Any], where: object) -> npt.NDArray[np.uint8]:
    """A picture stored in any real type as uint8, once every value is found to be whole and from 0 to 255.

    Raises:
        DatasetError: fractions, NaN, or values out of range.
    """
    if values.dtype == np.uint8:
        return np.array(values)
    return whole_numbers(values, "The picture", where, most=255).astype(np.uint8)
