"""Bad input at the command line: exit code 2, a message that names the file and the fix, nothing written.

The fixture ``refused`` holds all of that; a test says which input, and which words must tell what is wrong. Input that
can be converted or repaired is, and the last tests hold that it is said.
"""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import tifffile
from PIL import Image

from histoseed.annotations import read_geojson
from histoseed.bundled import bundled_folder
from histoseed.datasets import read_dataset

Refused = Callable[..., str]
Run = Callable[..., Any]

READERS_OF_IMAGES = ["info", "segment", "import"]


def reading(command: str, image: Path) -> list[object]:
    """A command that reads an image."""
    out = ["--out", image.parent / "out"]
    if command == "info":
        return ["info", image]
    if command == "segment":
        return ["segment", image, "--mpp", 0.5, *out]
    return ["import", "geojson", image, image.parent / "outlines.geojson", *out]


def collection(*rings: list[tuple[float, float]], **properties: object) -> str:
    """A GeoJSON text of polygons; NaN is written as Python does."""
    features = [
        {"type": "Feature", "properties": {"objectType": "annotation"} | properties,
         "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}}
        for ring in rings
    ]  # fmt: skip
    return json.dumps({"type": "FeatureCollection", "features": features})


SQUARE = [(10.0, 10.0), (20.0, 10.0), (20.0, 20.0), (10.0, 20.0)]
BOW_TIE = [(10.0, 10.0), (30.0, 30.0), (30.0, 10.0), (10.0, 30.0)]


@pytest.fixture
def outlines(tmp_path: Path) -> Path:
    path = tmp_path / "outlines.geojson"
    path.write_text(collection(SQUARE))
    return path


def bomb(width: int, height: int) -> bytes:
    """A PNG that announces a huge size in a few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    parts = (chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(bytes(100))), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


# Images


@pytest.mark.parametrize("command", READERS_OF_IMAGES)
@pytest.mark.parametrize(
    ("content", "words"),
    [(b"just some text", "No reader knows this file"), (b"", "empty"), (bomb(60_000, 60_000), "max_pixels")],
    ids=["no image", "zero bytes", "decompression bomb"],
)
def test_what_is_no_image(
    refused: Refused, tmp_path: Path, outlines: Path, command: str, content: bytes, words: str
) -> None:
    path = tmp_path / "slide.png"
    path.write_bytes(content)
    assert words in refused(*reading(command, path), names=path)


@pytest.mark.parametrize("command", READERS_OF_IMAGES)
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif"])
def test_a_truncated_image(refused: Refused, tmp_path: Path, outlines: Path, command: str, name: str) -> None:
    path = tmp_path / name
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:900])
    refused(*reading(command, path), names=path)


@pytest.mark.parametrize("command", READERS_OF_IMAGES)
def test_a_file_that_is_not_there(refused: Refused, tmp_path: Path, outlines: Path, command: str) -> None:
    path = tmp_path / "nowhere.svs"
    assert "no such file" in refused(*reading(command, path), names=path)


@pytest.mark.parametrize("mpp", ["-1", "0", "nan", "1e9"])
def test_microns_per_pixel_that_nobody_believes(
    refused: Refused, tmp_path: Path, picture: Path, data: Path, folder: Path, mpp: str
) -> None:
    refused("info", picture, "--mpp", mpp, names="mpp")
    refused("segment", picture, "--mpp", mpp, "--out", tmp_path / "out", names="mpp")
    refused("import", "labels", folder, "--mpp", mpp, "--out", tmp_path / "out", names="mpp")
    refused("evaluate", data, "--model", "bundled", "--mpp", mpp, names="mpp")


def test_unknown_microns_per_pixel(refused: Refused, run: Run, tmp_path: Path, picture: Path, folder: Path) -> None:
    assert "--mpp 0.25" in refused("segment", picture, "--out", tmp_path / "out", names=picture)
    assert run("import", "labels", folder, "--out", tmp_path / "ds").exit_code == 0
    for arguments in (
        ["adapt", tmp_path / "ds", "--out", tmp_path / "model"],
        ["adapt", tmp_path / "ds", "--patches", 1, "--out", tmp_path / "model"],
        ["segment", tmp_path / "ds", "--out", tmp_path / "out"],
        ["evaluate", tmp_path / "ds", "--model", "bundled"],
    ):
        assert "microns per pixel" in refused(*arguments, names="patch")


@pytest.mark.parametrize("region", ["1,2,3", "a,b,c,d", "0,0,-5,5", "500,500,10,10", "nan,0,5,5"])
def test_a_region_that_is_none(refused: Refused, tmp_path: Path, picture: Path, region: str) -> None:
    arguments = ["--mpp", 0.5, "--region", region, "--out", tmp_path / "out"]
    refused("segment", picture, *arguments, names="egion")


# Annotations


@pytest.mark.parametrize(
    ("ring", "words"),
    [
        ([(10.0, 10.0), (math.nan, 10.0), (20.0, 20.0)], "outlines.geojson"),
        ([(10.0, 10.0), (math.inf, 10.0), (20.0, 20.0)], "outlines.geojson"),
        ([(-30.0, -30.0), (-20.0, -30.0), (-20.0, -20.0)], "outlines.geojson"),
        ([(-5.0, 10.0), (20.0, 10.0), (20.0, 20.0)], "--allow-outside"),
    ],
    ids=["nan", "infinite", "negative", "partly negative"],
)
def test_coordinates_that_cannot_be(
    refused: Refused, tmp_path: Path, picture: Path, outlines: Path, ring: list[tuple[float, float]], words: str
) -> None:
    outlines.write_text(collection(SQUARE, ring))
    message = refused("import", "geojson", picture, outlines, "--out", tmp_path / "out", names=outlines)
    assert words in message


@pytest.mark.parametrize("text", ["", "{", "3", '{"type": "FeatureCollection"}', '{"type": "Topology"}'])
def test_what_is_no_geojson(refused: Refused, tmp_path: Path, picture: Path, outlines: Path, text: str) -> None:
    outlines.write_text(text)
    refused("import", "geojson", picture, outlines, "--out", tmp_path / "out", names=outlines)


def test_label_and_image_of_different_size(refused: Refused, tmp_path: Path, folder: Path) -> None:
    Image.fromarray(np.eye(32, dtype=np.uint8)).save(folder / "labels" / "a.png")
    message = refused("import", "labels", folder, "--out", tmp_path / "out", names=folder / "labels" / "a.png")
    assert "32 x 32" in message
    assert "64 x 64" in message


@pytest.mark.parametrize(
    "pixels",
    [
        np.full((64, 64), 0.5, np.float32),
        np.full((64, 64), -1, np.int32),
        np.arange(3 * 64 * 64, dtype=np.uint8).reshape(64, 64, 3),
    ],
    ids=["fractions", "negative", "colours"],
)
def test_labels_that_are_none(refused: Refused, tmp_path: Path, folder: Path, pixels: np.ndarray) -> None:
    (folder / "labels" / "a.png").unlink()
    tifffile.imwrite(folder / "labels" / "a.tif", pixels)
    refused("import", "labels", folder, "--out", tmp_path / "out", names=folder / "labels" / "a.tif")


def test_a_class_number_without_a_name(refused: Refused, tmp_path: Path, folder: Path) -> None:
    (folder / "types").mkdir()
    Image.fromarray(np.full((64, 64), 7, np.uint8)).save(folder / "types" / "a.png")
    (folder / "classes.json").write_text('{"1": "tumour"}')
    message = refused("import", "labels", folder, "--out", tmp_path / "out", names=folder / "types" / "a.png")
    assert "7" in message
    assert "classes.json" in message


def test_an_image_without_labels(refused: Refused, tmp_path: Path, folder: Path) -> None:
    (folder / "labels" / "a.png").rename(folder / "labels" / "b.png")
    refused("import", "labels", folder, "--out", tmp_path / "out", names=folder)


def test_an_importer_that_is_none(refused: Refused, tmp_path: Path, folder: Path) -> None:
    assert "labels" in refused("import", "label", folder, "--out", tmp_path / "out", names="label")


# Data sets


def using(data: Path) -> list[list[object]]:
    """Every command that reads all patches of a data set."""
    out = ["--out", data.parent / "out"]
    return [
        ["dataset", "info", data, "--verify"],
        ["adapt", data, "--weights", "random", "--steps", 1, *out],
        ["segment", data, *out],
        ["evaluate", data, "--model", "bundled", "--report", data.parent / "report.html"],
    ]


def test_a_folder_that_is_no_data_set(refused: Refused, folder: Path) -> None:
    for arguments in using(folder):
        refused(*arguments, names=folder)


def test_a_missing_mask(refused: Refused, data: Path) -> None:
    (data / "masks" / "p1.tif").unlink()
    for arguments in using(data):
        assert "masks/p1.tif" in refused(*arguments, names=data)


def test_a_wrong_hash(refused: Refused, data: Path) -> None:
    path = data / "images" / "p1.png"
    Image.new("RGB", (64, 64)).save(path)
    assert "hash" in refused("dataset", "info", data, "--verify", names=path)


def test_a_mask_that_does_not_fit_its_table(refused: Refused, data: Path) -> None:
    tifffile.imwrite(data / "masks" / "p1.tif", np.full((64, 64), 77, np.uint16))
    for arguments in using(data):
        if arguments[0] != "segment":  # which does not look at annotations
            assert "77" in refused(*arguments, names=data)


def test_a_damaged_table(refused: Refused, data: Path) -> None:
    (data / "patches.parquet").write_bytes(b"PAR1 and nothing else")
    for arguments in using(data):
        refused(*arguments, names=data / "patches.parquet")


def test_a_split_that_cannot_be(refused: Refused, run: Run, data: Path) -> None:
    refused("dataset", "split", data, "--fractions", "0.5,0.5", names="fractions")
    refused("dataset", "split", data, "--fractions", "half", names="--fractions")
    refused("dataset", "split", data, "--by", "patients", names="patient")
    refused("dataset", "split", data, names=data)  # two patients, three splits
    assert run("dataset", "split", data, "--fractions", "0.5,0.5,0").exit_code == 0
    assert "--overwrite" in refused("dataset", "split", data, "--fractions", "0.5,0.5,0", names=data)


def test_predictions_for_other_patches(refused: Refused, run: Run, data: Path, folder: Path) -> None:
    other = data.parent / "other"
    assert run("import", "labels", folder, "--mpp", 0.5, "--out", other).exit_code == 0
    refused("evaluate", data, "--predictions", other, names="p0")


@pytest.mark.parametrize("options", [[], ["--model", "bundled", "--predictions", "x"]])
def test_a_model_or_predictions(refused: Refused, data: Path, options: list[str]) -> None:
    refused("evaluate", data, *options, names="--predictions")


def test_a_protocol_that_is_none(refused: Refused, data: Path) -> None:
    assert "pannuke" in refused("evaluate", data, "--model", "bundled", "--protocol", "panuke", names="panuke")


# Models


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A copy of the bundled model, to be spoilt."""
    shutil.copytree(bundled_folder(), tmp_path / "model")
    return tmp_path / "model"


def edit_card(model: Path, **changes: object) -> None:
    path = model / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def loading(model: Path, data: Path, picture: Path) -> list[list[object]]:
    """Every command that loads a model."""
    out = ["--out", model.parent / "out"]
    return [
        ["segment", picture, "--mpp", 0.5, "--model", model, *out],
        ["evaluate", data, "--model", model],
        ["adapt", data, "--start", model, *out],
    ]


def test_a_model_of_a_newer_version(refused: Refused, model: Path, data: Path, picture: Path) -> None:
    edit_card(model, format_version=99)
    for arguments in loading(model, data, picture):
        assert "Update histoseed" in refused(*arguments, names=model)


def test_a_model_for_another_number_of_classes(refused: Refused, model: Path, data: Path, picture: Path) -> None:
    edit_card(model, classes=[{"name": "tumour"}, {"name": "stroma"}])
    for arguments in loading(model, data, picture):
        assert "do not fit the card" in refused(*arguments, names=model)


def test_damaged_weights(refused: Refused, model: Path, data: Path, picture: Path) -> None:
    path = model / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    for arguments in loading(model, data, picture):
        refused(*arguments, names=path)


def test_a_folder_that_is_no_model(refused: Refused, folder: Path, data: Path, picture: Path) -> None:
    for arguments in loading(folder, data, picture):
        refused(*arguments, names=folder)


def test_an_encoder_that_is_none(refused: Refused, data: Path, tmp_path: Path) -> None:
    refused("encoders", "show", "dinov2-smal", names="dinov2-small")
    refused("adapt", data, "--encoder", "dinov2-smal", "--out", tmp_path / "out", names="dinov2-small")


@pytest.mark.parametrize("option", ["--device", "--dtype"])
def test_a_device_or_precision_that_is_none(refused: Refused, data: Path, tmp_path: Path, option: str) -> None:
    refused("adapt", data, option, "abacus", "--out", tmp_path / "out", names=option)


@pytest.mark.parametrize(
    "options", [["--learning-rate", "-1"], ["--learning-rate", "nan"], ["--model-mpp", "-1"], ["--patches", "99"]]
)
def test_training_that_cannot_be(refused: Refused, data: Path, tmp_path: Path, options: list[str]) -> None:
    refused("adapt", data, *options, "--out", tmp_path / "out", names=options[0].removeprefix("--").replace("-", "_"))


# Outputs


COMMANDS_THAT_WRITE = ["import", "adapt", "segment", "segment data", "demo"]


def writing(command: str, folder: Path, out: Path) -> list[object]:
    """A command that writes a folder.

    Args:
        command: Its name.
        folder: Where the inputs lie.
        out: Value of ``--out``.
    """
    arguments = {
        "import": ["import", "labels", folder / "source"],
        "adapt": ["adapt", folder / "data", "--weights", "random", "--steps", 1, "--patches", 1],
        "segment": ["segment", folder / "picture.png", "--mpp", 0.5],
        "segment data": ["segment", folder / "data"],
        "demo": ["demo"],
    }
    return [*arguments[command], "--out", out]


@pytest.fixture
def inputs(data: Path, picture: Path, folder: Path, tmp_path: Path) -> Path:
    """A folder with everything that the commands read."""
    assert {data.parent, picture.parent, folder.parent} == {tmp_path}
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS_THAT_WRITE)
@pytest.mark.parametrize("option", [[], ["--overwrite"]])
def test_a_folder_with_something_else_in_it(refused: Refused, inputs: Path, command: str, option: list[str]) -> None:
    out = inputs / "home"
    out.mkdir()
    (out / "thesis.tex").write_text("ten years")
    refused(*writing(command, inputs, out), *option, names=out)


def test_the_folder_of_another_run(run: Run, refused: Refused, data: Path, picture: Path, tmp_path: Path) -> None:
    segmenting = ["segment", picture, "--mpp", 0.5, "--format", "geojson"]
    assert run(*segmenting, "--out", tmp_path / "out").exit_code == 0
    assert "finished run" in refused(*segmenting, "--out", tmp_path / "out", names=tmp_path / "out")
    adapting = ["adapt", data, "--weights", "random", "--steps", 1, "--patches", 1]
    assert "finished run" in refused(*adapting, "--out", tmp_path / "out", names=tmp_path / "out")


@pytest.mark.parametrize("command", COMMANDS_THAT_WRITE)
def test_a_file_in_the_way(refused: Refused, inputs: Path, command: str) -> None:
    (inputs / "out").write_text("a file")
    refused(*writing(command, inputs, inputs / "out"), names=inputs / "out")


@pytest.mark.parametrize(("command", "source"), [("import", "source"), ("adapt", "data"), ("segment data", "data")])
def test_the_input_is_not_overwritten_by_the_output(refused: Refused, inputs: Path, command: str, source: str) -> None:
    refused(*writing(command, inputs, inputs / source), "--overwrite", names=inputs / source)


def test_a_report_that_is_there(refused: Refused, data: Path, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("mine")
    arguments = ["evaluate", data, "--model", "bundled", "--report", tmp_path / "report.html"]
    assert "--overwrite" in refused(*arguments, names=tmp_path / "report.html")


@pytest.mark.parametrize("command", COMMANDS_THAT_WRITE)
def test_a_full_disk(run: Run, inputs: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    before = set(inputs.rglob("*"))
    result = run(*writing(command, inputs, inputs / "out"))
    assert (result.exit_code, result.stdout) == (2, "")
    assert "The disk is full" in result.stderr
    assert "Fix: " in result.stderr
    assert "Traceback" not in result.stderr
    assert set(inputs.rglob("*")) - before <= {inputs / "out"}  # at most the empty folder


# What is converted or repaired is said


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (Image.fromarray(np.full((64, 64), 60_000, np.uint16)), "16-bit"),
        (Image.new("L", (64, 64), 200), "Grey"),
        (Image.new("P", (64, 64)), "Palette"),
        (Image.new("RGBA", (64, 64), (1, 2, 3, 100)), "Transparent"),
        (Image.new("CMYK", (64, 64)), "CMYK"),
    ],
    ids=["16 bit", "grey", "palette", "alpha", "cmyk"],
)
def test_unusual_images_are_converted(run: Run, tmp_path: Path, folder: Path, image: Image.Image, words: str) -> None:
    path = tmp_path / ("a.jpg" if image.mode == "CMYK" else "a.png")
    image.save(path)
    result = run("info", path)
    assert result.exit_code == 0
    assert words in result.stderr
    (folder / "images" / "a.png").unlink()
    path.rename(folder / "images" / path.name)
    result = run("import", "labels", folder, "--out", tmp_path / "ds")
    assert result.exit_code == 0
    assert words in result.stderr
    assert any(words in note for note in read_dataset(tmp_path / "ds").info.notes)


def test_what_was_converted_is_said_when_segmenting(run: Run, tmp_path: Path) -> None:
    Image.new("L", (64, 64), 240).save(tmp_path / "grey.png")
    result = run("segment", tmp_path / "grey.png", "--mpp", 0.5, "--format", "geojson", "--out", tmp_path / "out")
    assert result.exit_code == 0
    assert "Note: grey.png: Grey was converted to RGB." in result.stderr


def test_self_intersecting_outlines_are_repaired(run: Run, tmp_path: Path, picture: Path, outlines: Path) -> None:
    outlines.write_text(collection(SQUARE, BOW_TIE))
    _, warnings = read_geojson(outlines)
    assert warnings
    result = run("import", "geojson", picture, outlines, "--out", tmp_path / "ds")
    assert result.exit_code == 0
    assert "Note: " in result.stderr
    assert "outlines.geojson" in result.stderr
    assert read_dataset(tmp_path / "ds").instances.height == 2


def test_labels_that_skip_numbers_are_kept(run: Run, tmp_path: Path, folder: Path) -> None:
    with Image.open(folder / "labels" / "a.png") as image:
        labels = np.asarray(image) * 10
    Image.fromarray(labels.astype(np.uint16)).save(folder / "labels" / "a.png")
    result = run("import", "labels", folder, "--out", tmp_path / "ds")
    assert "skip" in result.stderr
    stored = pl.read_parquet(tmp_path / "ds" / "instances.parquet")["label"]
    assert sorted(stored) == sorted(np.unique(labels[labels > 0]).tolist())


def test_whole_numbers_stored_as_floats_are_labels(run: Run, tmp_path: Path, folder: Path) -> None:
    with Image.open(folder / "labels" / "a.png") as image:
        labels = np.asarray(image).astype(np.float32)
    (folder / "labels" / "a.png").unlink()
    tifffile.imwrite(folder / "labels" / "a.tif", labels)
    result = run("import", "labels", folder, "--out", tmp_path / "ds")
    assert result.exit_code == 0
    np.testing.assert_array_equal(read_dataset(tmp_path / "ds").patch("a").labels, labels)
