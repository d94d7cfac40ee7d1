"""Import real data sets from plain folders to the common format, for plans of benchmarks.

These are ``smoke`` and ``first_look``, and all of ``rapid_cytomine`` with their presets ``smoke`` and ``bundled``.

    python scripts/benchmark_data.py ../shared/data ../bench_data

Each folder of the source holds ``images/`` and label images of equal stems; where a resolution, a patient or a class is
known only from what comes with the data, it is added here. What is there already is left alone, and a set whose folder
is absent is left out. The result must not be committed: the licences of the sets differ, and two state none.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from histoseed.datasets.importers.labels import collect
from histoseed.datasets.intake import take_in
from histoseed.settings import read_settings

WEIGHTS = "weights/mobilenet_v2_imagenet.safetensors"


@dataclass(frozen=True)
class Source:
    """A folder, and what must be known of it.

    ``known_as`` is the name under which models list the folder among their training data, where it is not that of the
    data set: ``dataset.json`` then says so, and `histoseed evaluate` and the benchmark warn of it.
    """

    folder: str
    licence: str | None
    labels: str = "labels"
    types: str | None = None
    classes: tuple[str, ...] = ()
    patient: Callable[[str], str | None] = lambda _: None
    slide: Callable[[str], str | None] = lambda _: None
    citation: str | None = None
    known_as: str | None = None


def _barcode(stem: str) -> str:
    return "-".join(stem.split("-")[:3])


SOURCES = {
    "gbm40": Source("gbm40", None, citation="Kong et al., ISBI 2016"),
    "monuseg16": Source(
        "monuseg16", "cc-by-nc-sa-4.0", patient=_barcode, slide=lambda stem: stem, citation="Kumar et al., TMI 2017"
    ),
    "tcga_lgg": Source("tcga_lgg_pairs", None, labels="labels_human", patient=_barcode),
    "nucls_sample": Source(
        "nucls_cc0_sample",
        "cc0-1.0",
        types="types",
        classes=("Non-Tumor", "Tumor"),
        citation="Amgad et al., 2022",
        known_as="nucls_cc0_sample",
    ),
    "dsb2018": Source("dsb2018_histology_cc0", "cc0-1.0", known_as="dsb2018_histology_cc0"),
}
MPP = 0.25
"""Stated for monuseg16; the others say nothing, and look like scans at 40x."""


def absent_from(source: Path, how: Source) -> Path | None:
    """The first folder of a data set that is not there."""
    needed = ("images", how.labels, *([] if how.types is None else [how.types]))
    return next((source / name for name in needed if not (source / name).is_dir()), None)


def take(source: Path, how: Source, name: str, out: Path) -> None:
    """One data set."""
    with tempfile.TemporaryDirectory() as folder:
        stage = Path(folder)
        shutil.copytree(source / "images", stage / "images")
        shutil.copytree(source / how.labels, stage / "labels")
        if how.types is not None:
            shutil.copytree(source / how.types, stage / "types")
            names = {str(i): label for i, label in enumerate(how.classes, start=1)}
            (stage / "classes.json").write_text(json.dumps(names))
        with (stage / "groups.csv").open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["patch_id", "patient", "slide", "mpp"])
            for path in sorted((stage / "images").iterdir()):
                writer.writerow([path.stem, how.patient(path.stem) or "", how.slide(path.stem) or "", MPP])
        said = {"name": name, "licence": how.licence, "citation": how.citation, "stain": "H&E"}
        settings = read_settings()
        found = collect(stage, **said, settings=settings)
        if how.known_as is not None:
            notes = (f"Derived from {how.known_as}.",)
            found = replace(found, info=replace(found.info, leakage_notes=notes))
        data = take_in(found, out, importer="labels", options={**said, "exhaustive": True}, settings=settings)
    print(f"{name}: {len(data)} patches, {data.instances.height} objects")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="holds the folders " + ", ".join(s.folder for s in SOURCES.values()))
    parser.add_argument("out", type=Path, help="what the plans take as --data")
    options = parser.parse_args()
    for name, how in SOURCES.items():
        if (options.out / name).is_dir():
            continue
        absent = absent_from(options.source / how.folder, how)
        if absent is None:
            take(options.source / how.folder, how, name, options.out / name)
        else:
            print(f"{name}: left out, there is no folder {absent}")
    if (options.source / WEIGHTS).is_file() and not (options.out / WEIGHTS).is_file():
        (options.out / WEIGHTS).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(options.source / WEIGHTS, options.out / WEIGHTS)


if __name__ == "__main__":
    main()
