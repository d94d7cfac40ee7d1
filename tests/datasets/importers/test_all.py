"""What holds for every importer of a published data set, whatever its format: damage, gaps, folders, bombs."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.published import PUBLISHED, importer_of, write
from histoseed.datasets import IMPORTERS, collect_dataset, import_dataset
from histoseed.errors import HistoseedError

NAMES = pytest.mark.parametrize("name", PUBLISHED)

NOT_READ = {("monusac", ".svs")}
"""Files that an importer only reads where another is missing."""

MAY_BE_EMPTY = {("ocelot", ".csv")}  # specification 10: the table of a picture without cells is empty

NOBODY_CAN_TELL = {
    ("camelyon16", "normal", ".tif"),  # a normal slide has no partner
    ("dsb2018", "masks", ".png"),  # one nucleus fewer
    ("monusac", "TCGA", ".svs"),  # not read
    ("pannuke (parquet)", "data", ".parquet"),  # one fold may be imported alone
}
"""Kinds of files whose absence no other file shows."""


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every published data set, each in a folder of its name; never changed."""
    root = tmp_path_factory.mktemp("originals")
    for name in PUBLISHED:
        write(name, root / name)
    return root


@pytest.fixture
def source(originals: Path, tmp_path: Path, name: str) -> Path:
    """A copy of one of them."""
    return Path(shutil.copytree(originals / name, tmp_path / "source"))


def kinds(name: str, root: Path) -> Iterator[tuple[str, Path]]:
    """The first file of each kind that the import reads: one a folder name and suffix."""
    read = {path.resolve() for item in collect_dataset(importer_of(name), root).items for path in item.files}
    seen = set()
    for path in sorted(path for path in root.rglob("*") if path.resolve() in read):
        folder = "TCGA" if path.parent.name.startswith("TCGA") else re.sub(r"\d+", "#", path.parent.name)
        if (folder, path.suffix) not in seen and (name, path.suffix) not in NOT_READ:
            seen.add((folder, path.suffix))
            yield folder, path


def refused(name: str, source: Path) -> str:
    """The message of an import that must be refused and must leave nothing behind."""
    beside = sorted(source.parent.iterdir())
    with pytest.raises(HistoseedError) as caught:
        import_dataset(importer_of(name), source, source.parent / "ds", workers=2)
    assert sorted(source.parent.iterdir()) == beside
    return str(caught.value)


def is_named(path: Path, message: str) -> bool:
    """Whether a message names a file, or the image that it belongs to."""
    return path.name in message or path.stem in message or path.stem.rpartition("_")[0] in message


def shortened(path: Path) -> bytes:
    """A file that ends early; of a table the last line breaks off."""
    data = path.read_bytes()
    if path.suffix != ".csv":
        return data[: len(data) * 3 // 5]
    body = data.rstrip()
    last = body.rfind(b"\n") + 1
    return body[: last + max(1, (len(body) - last) // 2)]


def test_every_published_data_set_has_a_fixture():
    assert {importer_of(name) for name in PUBLISHED} == {
        name for name, one in IMPORTERS.items() if one.card is not None
    }


@NAMES
def test_every_file_that_is_cut_off_or_empty_is_named(name: str, source: Path):
    checked = 0
    for _, path in list(kinds(name, source)):
        whole = path.read_bytes()
        for damaged in (shortened(path), b""):
            if not damaged and (name, path.suffix) in MAY_BE_EMPTY:
                continue
            path.write_bytes(damaged)
            assert is_named(path, refused(name, source)), path
            checked += 1
        path.write_bytes(whole)
    assert checked >= 2


def told(name: str, source: Path, out: Path) -> list[str] | HistoseedError:
    """What an import warns of, or why it is refused."""
    try:
        import_dataset(importer_of(name), source, out)
    except HistoseedError as error:
        return error
    said: list[str] = json.loads((out / "import.json").read_text())["warnings"]
    shutil.rmtree(out)
    return said


@NAMES
def test_a_missing_partner_is_an_error_or_is_told(name: str, source: Path, tmp_path: Path):
    before = told(name, source, tmp_path / "ds")
    for folder, path in list(kinds(name, source)):
        whole = path.read_bytes()
        path.unlink()
        now = told(name, source, tmp_path / "ds")
        if isinstance(now, HistoseedError):
            assert is_named(path, str(now)), path
            assert not (tmp_path / "ds").exists()
        else:
            assert (now != before) != ((name, folder, path.suffix) in NOBODY_CAN_TELL), path
        path.write_bytes(whole)


@NAMES
def test_an_empty_archive_is_refused(name: str, source: Path, tmp_path: Path):
    """No folder, an empty one, one without files, and one that holds something else."""
    for path in source.rglob("*"):
        if path.is_file():
            path.unlink()
    assert str(source) in refused(name, source)
    shutil.rmtree(source)
    assert str(source) in refused(name, source)
    source.mkdir()
    (source / "readme.txt").write_text("nothing here")
    assert str(source) in refused(name, source)
    file = source / "readme.txt"
    with pytest.raises(HistoseedError, match=r"readme\.txt"):
        collect_dataset(importer_of(name), file)


@NAMES
def test_the_folder_that_was_unpacked_or_the_one_above(name: str, originals: Path, tmp_path: Path):
    """Names of patches do not depend on which of them is given."""
    top = tmp_path / "downloads"
    shutil.copytree(originals / name, top / name)
    unpacked = top / name
    inner = list(unpacked.iterdir())
    if len(inner) == 1:  # the archive has a folder of its own
        unpacked = inner[0]
    wanted = [item.patch_id for item in collect_dataset(importer_of(name), unpacked).items]
    (unpacked.parent / "__MACOSX" / unpacked.name).mkdir(parents=True)
    (unpacked.parent / ".cache").mkdir()
    assert [item.patch_id for item in collect_dataset(importer_of(name), unpacked.parent).items] == wanted


BOMB = b"""<?xml version="1.0"?>
<!DOCTYPE a [ <!ENTITY b "cccccccccccccccc"> <!ENTITY d "&b;&b;&b;&b;&b;&b;&b;&b;"> ]>
"""


@pytest.mark.parametrize("name", ["camelyon16", "monusac", "monuseg"])
def test_entities_in_annotations_are_refused(name: str, source: Path):
    path = next(path for path in sorted(source.rglob("*.xml")))
    text = path.read_bytes()
    path.write_bytes(BOMB + text[text.index(b"<", text.find(b"?>") + 1) :])
    message = refused(name, source)
    assert path.name in message
    assert "refused" in message
