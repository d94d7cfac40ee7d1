"""Export families of models as ONNX and compare: python benchmarks/onnx_export.py [NAME,DECODER,METHOD ...].

Prints one row of Markdown a model: the largest difference found by the export's own test and the size of the graph.
Encoders have random weights: what an export does depends on the network, hardly on its weights.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import torch

from histoseed.encoders import build_encoder
from histoseed.errors import HistoseedError
from histoseed.segmenters import EncoderEntry, MethodOptions, ModelCard, Segmenter, kind_of, prepare
from histoseed.workflows.bundling.onnx_graph import write_graph
from histoseed.workflows.models import load_model

SIDE = 256
MODELS = (
    "bundled",
    "timm:resnet18,skip,full",
    "timm:convnext_tiny,stardist,full",
    "timm:swin_tiny_patch4_window7_224,skip,full",
    "timm:vit_small_patch16_224,skip,frozen",
    "timm:vit_small_patch16_224,cellvit,lora",
    "timm:vit_small_patch16_224,instanseg,side-branch",
    "timm:vit_small_patch16_224,cellvit,adapter",
    "dinov2-small,skip,frozen",
    "sam2.1-tiny,skip,frozen",
)


def made(text: str) -> Segmenter:
    """A model with random weights."""
    if text == "bundled":
        return load_model("bundled")
    name, decoder, method = text.split(",")
    kind, options = kind_of(decoder), MethodOptions(name=method)  # type: ignore[arg-type]
    torch.manual_seed(0)
    card = ModelCard(
        histoseed="0", name=text, mpp=0.25, crop=SIDE, encoder=EncoderEntry(name=name, weights="random"),
        decoder=kind.entry(), postprocessing=kind.processing(), method=options,
    )  # fmt: skip
    encoder = prepare(build_encoder(name, weights="random", image_size=SIDE), method, options)
    return Segmenter(encoder, card).eval()


def row(text: str, folder: Path) -> str:
    """One model."""
    model = made(text)
    try:
        facts = write_graph(model, folder / "m.onnx")
    except HistoseedError as error:
        return f"| {text.replace(',', ', ')} | {error.what} | |"
    size = (folder / "m.onnx").stat().st_size / 1e6
    return f"| {text.replace(',', ', ')} | {facts['largest_difference']:.0e} | {size:.0f} MB |"


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        for text in sys.argv[1:] or MODELS:
            print(row(text, Path(folder)), flush=True)


if __name__ == "__main__":
    main()
