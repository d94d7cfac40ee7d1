"""The ONNX graph gives what the model gives, or it is not written."""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from fixtures.tiny_models import tiny
from histoseed.errors import DependencyError, ModelError
from histoseed.segmenters import save_segmenter
from histoseed.workflows.bundling import onnx_graph
from histoseed.workflows.bundling.onnx_graph import TOLERANCE, write_graph
from histoseed.workflows.model_bundle import export_model, import_model
from histoseed.workflows.models import load_model


def test_the_bundled_model(tmp_path: Path) -> None:
    bundle = tmp_path / "a.histoseed.zip"
    shown = export_model("bundled", out=bundle, onnx=True)
    folder = import_model(bundle, out=tmp_path / "b").path
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    images = torch.rand(5, 3, 192, 192, generator=torch.Generator().manual_seed(8))  # neither size nor values of export
    with torch.no_grad():
        expected = load_model("bundled")(images).numpy()
    (found,) = session.run(["maps"], {"images": images.numpy()})
    scale = np.abs(expected).max((0, 2, 3), keepdims=True)
    assert (np.abs(found - expected) / scale).max() < TOLERANCE
    facts = shown.manifest["onnx"]  # type: ignore[index]
    assert facts["input"]["shape"] == ["batch", 3, 192, 192]
    assert facts["output"]["shape"] == ["batch", 7, 192, 192]
    assert 0 < facts["largest_difference"] < facts["tolerance"] == 1e-4
    assert facts["versions"]["onnx"] == onnx.__version__
    assert facts["versions"]["onnxruntime"] == onnxruntime.__version__
    graph = onnx.load(folder / "model.onnx")
    text = str([node.metadata_props for node in graph.graph.node]) + str(graph.metadata_props) + graph.graph.doc_string
    assert str(Path(__file__).parents[2]) not in text
    assert b".py" not in (folder / "model.onnx").read_bytes()  # no trace of the sources
    assert "ONNX" not in (folder / "LICENCES.txt").read_text()
    with zipfile.ZipFile(bundle) as archive:
        assert json.loads(archive.read("bundle.json"))["onnx"] == facts


class _Plain(nn.Module):
    """What the export looks at of a model, around a network that is exported in a moment."""

    def __init__(self, how: str = "good") -> None:
        super().__init__()
        self.card = tiny().card
        self.classifier = None
        self.layer = nn.Conv2d(3, 4, 1)
        nn.init.ones_(self.layer.weight)
        nn.init.zeros_(self.layer.bias)  # type: ignore[arg-type]
        self.how = how

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps: torch.Tensor = self.layer(images)
        if self.how == "unknown step":
            return maps + torch.linalg.svdvals(maps).sum()
        if self.how == "depends on values":
            return maps + 1 if maps.sum() > 0 else maps
        if self.how == "fixed batch":
            return maps.reshape(len(images), *maps.shape[1:])  # the number of images becomes a constant
        return maps


def graph(path: Path, how: str = "good") -> Path:
    write_graph(_Plain(how).eval(), path)  # type: ignore[arg-type]
    return path


def test_equal_models_give_equal_graphs(tmp_path: Path) -> None:
    assert graph(tmp_path / "a").read_bytes() == graph(tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("unknown step", r"no counterpart in ONNX: .*svd"),
        ("depends on values", "no counterpart in ONNX: .*data-dependent"),
        ("fixed batch", "fixes the number of images"),
    ],
)
def test_what_cannot_be_written(how: str, words: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ModelError, match=words) as caught:
        graph(tmp_path / "a.onnx", how)
    assert caught.value.fix == "Leave --onnx out."
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr() == ("", "")  # the exporter explains itself at length


@pytest.mark.parametrize(("shift", "written"), [(1e-5, True), (1e-3, False)])
def test_the_tolerance(shift: float, written: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bias that changes between export and comparison stands for an exporter that gets something wrong.

    The weights are 1, so that the largest value of a map is close to 3.
    """
    exported = onnx_graph._exported

    def wrong(model: Any) -> object:
        proto = exported(model)
        with torch.no_grad():
            model.layer.bias += 3 * shift
        return proto

    monkeypatch.setattr(onnx_graph, "_exported", wrong)
    if written:
        assert graph(tmp_path / "a.onnx").is_file()
    else:
        with pytest.raises(ModelError, match=r"gives other maps: they differ by 1\.\de-03 .* more than 0\.0001"):
            graph(tmp_path / "a.onnx")
        assert not list(tmp_path.iterdir())


def test_nothing_is_left_where_the_graph_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_graph, "_LARGEST", 1000)
    save_segmenter(tiny(), tmp_path / "m")
    with pytest.raises(ModelError, match="at most 2 GiB"):
        export_model(tmp_path / "m", out=tmp_path / "a.histoseed.zip", onnx=True)
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_classes_that_stand_in_no_map(tmp_path: Path) -> None:
    model = tiny()
    model.classifier = nn.Identity()  # type: ignore[assignment]
    with pytest.raises(ModelError, match="classes come from the encoder's tokens"):
        write_graph(model, tmp_path / "a.onnx")


@pytest.mark.parametrize("package", ["onnx", "onnxruntime", "onnxscript"])
def test_a_package_is_missing(package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(DependencyError, match=r"histoseed\[onnx\]"):
        write_graph(tiny(), tmp_path / "a.onnx")
