"""Import ``pannuke``: nuclei of 19 tissues in five classes, both editions of the release.

The three folds as NumPy files, whose images are read one by one::

    SOURCE/Fold 1/images/fold1/images.npy      (N, 256, 256, 3) RGB, 0..255 in any real type
    SOURCE/Fold 1/images/fold1/types.npy       (N,) tissue
    SOURCE/Fold 1/masks/fold1/masks.npy        (N, 256, 256, 6) real; channels 0..4 number the nuclei of a class
    SOURCE/Fold 2/...                          "fold1" for "Fold 1", one folder more, and a single fold are read too

The Parquet edition (Hugging Face ``RationAI/PanNuke``), see :mod:`histoseed.datasets.importers.pannuke_parquet`::

    SOURCE/data/fold1-00000-of-00001.parquet   or SOURCE itself

Which one SOURCE holds is found out; both at once is an error. Traps: numbers are unique within a channel only, so each
channel is renumbered. Channels overlap; they are laid over each other in the order of the classes, later ones on top,
and what is hidden is counted. The background channel is not read: background is where no nucleus is. Images without
a nucleus are kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from scipy.ndimage import find_objects

from histoseed.datasets.cards import DatasetCard, Total
from histoseed.datasets.content import PatchContent, PatchFacts, Remark
from histoseed.datasets.importers.pannuke_parquet import find_shards, open_fold
from histoseed.datasets.intake.arrays import ArrayStack, open_array, pixels, whole_numbers
from histoseed.datasets.intake.content import Collection, Item
from histoseed.datasets.intake.objects import falls_apart
from histoseed.datasets.intake.support import Fused, info_of
from histoseed.datasets.numbering import compact_labels, label_ids
from histoseed.errors import DatasetError
from histoseed.settings import Settings
from histoseed.wording import some

__all__ = ["CARD", "CLASSES", "TISSUES", "collect", "fuse_channels"]

CLASSES = ("Neoplastic", "Inflammatory", "Connective", "Dead", "Epithelial")
"""Classes in the order of the channels of ``masks.npy`` and of the codes of the Parquet edition."""

TISSUES: Mapping[str, tuple[str, int]] = MappingProxyType(
    {
        "Adrenal gland": ("Adrenal_gland", 437),
        "Bile duct": ("Bile-duct", 420),
        "Bladder": ("Bladder", 146),
        "Breast": ("Breast", 2351),
        "Cervix": ("Cervix", 293),
        "Colon": ("Colon", 1440),
        "Esophagus": ("Esophagus", 424),
        "Head and neck": ("HeadNeck", 384),
        "Kidney": ("Kidney", 134),
        "Liver": ("Liver", 224),
        "Lung": ("Lung", 184),
        "Ovarian": ("Ovarian", 146),
        "Pancreatic": ("Pancreatic", 195),
        "Prostate": ("Prostate", 182),
        "Skin": ("Skin", 187),
        "Stomach": ("Stomach", 146),
        "Testis": ("Testis", 196),
        "Thyroid": ("Thyroid", 226),
        "Uterus": ("Uterus", 186),
    }
)
"""Tissue, in the order of the codes of the Parquet edition -> its name in ``types.npy``, its images in all folds."""

_IMAGES = {1: 2_656, 2: 2_523, 3: 2_722}
_EMPTY = {1: 116, 2: 113, 3: 114}
_NUCLEI = {
    1: (26_201, 10_820, 16_388, 967, 8_842),
    2: (22_731, 10_631, 16_756, 884, 8_870),
    3: (28_471, 10_825, 17_441, 1_057, 8_860),
}
_COUNTED = "https://github.com/TIO-IKIM/CellViT (configs/datasets/PanNuke/fold*/{cell_count,types}.csv)"
_HIDDEN = "Nuclei that others hide completely are lost when channels are laid over each other; the import counts them"

CARD = DatasetCard(
    name="pannuke",
    title="PanNuke",
    task="nuclei: outlines and classes",
    organ="19 tissues",
    stain="H&E",
    mpp="0.25",
    schemes={"default": CLASSES},
    counts="7,901 patches of 256 x 256 (2,656, 2,523 and 2,722 in three folds), 189,744 nuclei; 343 patches have none",
    licence="CC-BY-NC-SA-4.0",
    commercial="no",
    where="https://warwick.ac.uk/fac/cross_fac/tia/data/pannuke, https://huggingface.co/datasets/RationAI/PanNuke",
    citation="J. Gamper, N. Alemi Koohbanani, K. Benet, A. Khuram, N. Rajpoot: PanNuke: an open pan-cancer histology "
    "dataset for nuclei instance segmentation and classification. ECDP 2019. J. Gamper et al.: PanNuke dataset "
    "extension, insights and baselines. arXiv 2003.10778.",
    group="fold (patients, slides and visual fields are not published)",
    splits="Column fold: 1, 2, 3. The published protocol trains, validates and tests on one fold each, in rotation.",
    layout="""\
SOURCE/Fold 1/images/fold1/{images,types}.npy
SOURCE/Fold 1/masks/fold1/masks.npy
SOURCE/Fold 2, SOURCE/Fold 3: the same
or
SOURCE/data/fold{1,2,3}-*.parquet""",
    known_problems=(
        (
            "Patients, slides and visual fields are not published: several patches come from one field, and whether a "
            "field is in two folds is not documented. The fold is the only safe group."
        ),
        (
            "Whether images of Kumar, MoNuSeg, CoNSeP or GlaS are inside is asked and not answered: do not test on "
            "those what was trained on this."
        ),
        "The annotations are semi-automatic: outlines have the shapes that models give. Dead nuclei are rare.",
        "Classes overlap in the original masks; in a label image the later class hides the earlier one.",
        "The folds are not alike: 163 of 186 images of the uterus are in fold 3.",
        (
            "The table of class scores that the official metric script writes repeats the value of Connective in the "
            "row Inflammatory."
        ),
        "A copy is in circulation that holds fold 2 under the name of fold 3.",
    ),
    shares=(
        "The images pannuke_* of lizard and conic are regions of pannuke.",
        "Fields come from TCGA and a local hospital without ids: overlap with sets of TCGA slides cannot be checked.",
    ),
    totals=(
        Total(
            measure="patches",
            value=sum(_IMAGES.values()),
            source=_COUNTED,
            note="7,904 (2,657, 2,524, 2,723) in secondary readmes is one too many in each fold",
        ),
        *(
            Total(measure="patches", value=value, where={"fold": fold}, source=_COUNTED)
            for fold, value in _IMAGES.items()
        ),
        *(
            Total(measure="patches", value=count, where={"organ": tissue}, source=_COUNTED)
            for tissue, (_, count) in TISSUES.items()
        ),
        *(Total(measure="empty", value=value, where={"fold": fold}, source=_COUNTED) for fold, value in _EMPTY.items()),
        Total(measure="objects", value=sum(map(sum, _NUCLEI.values())), source=_COUNTED, note=_HIDDEN),
        *(
            Total(
                measure="objects",
                value=value,
                where={"fold": fold, "class_name": name},
                source=_COUNTED,
                note=_HIDDEN,
            )
            for fold, values in _NUCLEI.items()
            for name, value in zip(CLASSES, values, strict=True)
        ),
    ),
)

_UNPACK = "Was the archive unpacked completely?"


def collect(source: Path, *, settings: Settings) -> Collection:
    """Import nuclei of 19 tissues in five classes (PanNuke, as NumPy or Parquet).

    Args:
        source: The folder with the folds, or one fold; or the folder of the Parquet edition.
        settings: Limits.

    Raises:
        DatasetError: neither edition, both, files missing or damaged, or arrays that do not fit each other.
        LimitError: an image or a row group larger than the settings allow.
    """
    if not source.is_dir():
        what = "This is no folder." if source.exists() else "There is no such folder."
        raise DatasetError(what, where=source, fix="Give the folder of the data set.")
    folds, shards = _find_folds(source), find_shards(source)
    if folds and shards:
        fix = "Give the folder of one edition, or move the other away."
        raise DatasetError("Both editions fit: folds of .npy files, and Parquet files.", where=source, fix=fix)
    if not folds and not shards:
        what = "There is neither a fold of PanNuke (images/fold1/images.npy) nor its Parquet edition (fold1-*.parquet)."
        raise DatasetError(what, where=source, fix="Give the folder that holds 'Fold 1', or 'data' with Parquet files.")
    items: list[Item] = []
    remarks: list[tuple[str, Remark]] = []
    for number in sorted(folds or shards):
        if folds:
            found = _fold_items(number, folds[number], settings)
        else:
            rows = open_fold(shards[number], CLASSES, tuple(TISSUES), settings)
            found = [
                Item(patch_id=_patch_id(number, i), read=read, files=[path], facts=_facts(number))
                for i, (path, read) in enumerate(rows)
            ]
        items += found
        remarks += _mistaken(number, len(found))
    return Collection(info=info_of(CARD), items=items, remarks=remarks)


@dataclass(frozen=True, slots=True)
class _Fold:
    """The arrays of one fold, and their files: images, masks, types."""

    images: ArrayStack
    masks: ArrayStack
    paths: tuple[Path, Path, Path]


def _find_folds(source: Path) -> dict[int, Path]:
    """Number of the fold -> the folder that holds its ``images`` and ``masks``."""
    found: dict[int, set[Path]] = {}
    for depth in ("", "*/", "*/*/"):
        for path in source.glob(f"{depth}[im]*/fold[123]"):
            hidden = any(part.startswith((".", "__")) for part in path.relative_to(source).parts)  # __MACOSX
            if path.parent.name in ("images", "masks") and path.is_dir() and not hidden:
                found.setdefault(int(path.name[-1]), set()).add(path.parent.parent)
    for number, folders in sorted(found.items()):
        if len(folders) > 1:
            what = f"Fold {number} lies in several folders: {some(map(str, sorted(folders)))}."
            raise DatasetError(what, where=source, fix="Give the folder of one of them, or move the others away.")
        (folder,) = folders
        named = re.fullmatch(r"fold[ _-]?(\d)", folder.resolve().name, re.IGNORECASE)
        if named and int(named[1]) != number:
            fix = "Find out which fold it is, by its number of images (2656, 2523, 2722), and rename the folder."
            raise DatasetError(f"The folder holds 'fold{number}', and is named otherwise.", where=folder, fix=fix)
    return {number: found[number].pop() for number in sorted(found)}


def _fold_items(number: int, folder: Path, settings: Settings) -> list[Item]:
    inner = f"fold{number}"
    paths = (
        folder / "images" / inner / "images.npy",
        folder / "masks" / inner / "masks.npy",
        folder / "images" / inner / "types.npy",
    )
    if missing := [str(path.relative_to(folder)) for path in paths if not path.is_file()]:
        raise DatasetError(f"There is no {' and no '.join(missing)}.", where=folder, fix=_UNPACK)
    images = open_array(paths[0], (None, None, None, 3), settings)
    fold = _Fold(images, open_array(paths[1], (*images.shape[:3], 6), settings), paths)
    return [
        Item(
            patch_id=_patch_id(number, i),
            read=partial(_read, fold, i),
            files=paths,
            facts={**_facts(number), "organ": tissue},
        )
        for i, tissue in enumerate(_tissues(paths[2], len(images)))
    ]


def _tissues(path: Path, count: int) -> list[str]:
    """The tissue of every image of a fold."""
    try:
        with path.open("rb") as stream:
            values = np.lib.format.read_array(stream, allow_pickle=False)
    except Exception as error:  # a damaged header leads to nearly anything
        pickled = "Object arrays" in str(error)
        what = "The file holds pickled objects, which are never read." if pickled else f"Cannot be read ({error})."
        fix = "Save it again as an array of texts (dtype str)." if pickled else _UNPACK
        raise DatasetError(what, where=path, fix=fix) from error
    if values.dtype.kind not in "US" or values.shape != (count,):
        what = f"The array is {values.dtype} of shape {values.shape}; texts of shape ({count},) are needed."
        raise DatasetError(what, where=path, fix="Unpack the archive again; the files of a fold belong together.")
    known = {name: tissue for tissue, (name, _) in TISSUES.items()}
    names: list[str] = [v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in values.tolist()]
    if unknown := sorted(set(names) - known.keys()):
        what = f"The tissue {some(map(repr, unknown), 5)} is not known."
        raise DatasetError(what, where=path, fix=f"Known are {', '.join(known)}; is this another release?")
    return [known[name] for name in names]


def _patch_id(fold: int, index: int) -> str:
    """Images are counted from 0 within their fold, as in the arrays."""
    return f"fold{fold}-{index:04d}"


def _facts(fold: int) -> PatchFacts:
    return {"mpp": 0.25, "mpp_source": "metadata", "group": f"fold {fold}", "fold": fold}


def _mistaken(fold: int, count: int) -> Sequence[tuple[str, Remark]]:
    """A remark where the number of images is that of another fold."""
    other = next((k for k, images in _IMAGES.items() if images == count and k != fold), None)
    if other is None:
        return []
    text = (
        f"Fold {fold} holds {count:,} images, which is the number of fold {other} ({_IMAGES[fold]:,} are published for "
        f"fold {fold}): fold {other} shipped as fold {fold}"
    )
    return [(f"fold {fold}", Remark(text))]


def _read(fold: _Fold, index: int) -> PatchContent:
    picture = pixels(fold.images[index], f"{fold.paths[0]}, image {index}")
    where = f"{fold.paths[1]}, image {index}"
    channels = np.ascontiguousarray(np.moveaxis(fold.masks[index], -1, 0)[: len(CLASSES)])
    fused = fuse_channels(whole_numbers(channels, "The mask", where))
    return PatchContent(
        image=picture,
        objects=fused.labels,
        class_of=fused.class_of,
        remarks=fused.remarks(),
        pixels_lost=fused.pixels_lost,
        objects_lost=fused.objects_lost,
    )


def fuse_channels(channels: npt.NDArray[np.int32]) -> Fused:
    """Lay label maps, one a class, over each other, later ones on top; every number of every channel is one nucleus.

    Args:
        channels: (C, H, W) numbers of nuclei, 0 = background; the same number in two channels is two nuclei.

    >>> maps = np.array([[[7, 7, 9]], [[0, 7, 7]]], dtype=np.int32)
    >>> fused = fuse_channels(maps)
    >>> fused.labels.tolist(), fused.class_of, fused.pixels_lost, fused.objects_lost
    ([[1, 3, 3]], {1: 'Neoplastic', 3: 'Inflammatory'}, 2, 1)
    """
    labels = np.zeros(channels.shape[1:], np.int32)
    names: list[str] = []
    painted = 0
    layers: list[tuple[int, npt.NDArray[np.int32]]] = []
    for channel, name in zip(channels, CLASSES, strict=False):
        ids, compact = compact_labels(channel)
        if not ids.size:
            continue
        here = channel > 0
        painted += int(np.count_nonzero(here))
        np.copyto(labels, compact + len(names), where=here)
        layers.append((len(names), compact))
        names += [name] * len(ids)
    visible = label_ids(labels).tolist()
    hidden = painted - int(np.count_nonzero(labels))
    divided = sum(_divided(compact, labels - before) for before, compact in layers) if hidden else 0
    return Fused(labels, {label: names[label - 1] for label in visible}, hidden, len(names) - len(visible), divided)


def _divided(whole: npt.NDArray[np.int32], seen: npt.NDArray[np.int32]) -> int:
    """How many nuclei of one channel fall into several parts; both are numbered from 1, in ``seen`` with others."""
    return sum(
        falls_apart(whole[window] == number, visible)
        for number, window in enumerate(find_objects(whole), start=1)
        if (visible := seen[window] == number).any() and (visible != (whole[window] == number)).any()
    )
