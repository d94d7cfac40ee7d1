"""Every kind of segmenter through tiles and seams: with a perfect network, what is in the picture comes back."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

from fixtures.nuclei import perfect_pixels, perfect_raw
from histoseed.geometry import Region, polygons_to_label
from histoseed.inference import ArraySlide, Field, FieldSegmenter, Precision, TileGrid
from histoseed.segmenters import KINDS, ClassEntry, EncoderEntry, ModelCard, kinds_of


class PerfectModel(nn.Module):
    """Reads the labels from the picture's colours and gives the maps that a perfect network would."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.encoder = nn.Identity()
        row = KINDS[kind]
        self.kind, self.row = kind, row
        self.decoder = None
        if kind == "instanseg":
            self.decoder = perfect_pixels(row.build(row.entry(), [8], [16], row.representation.outputs(2)))
        self.card = ModelCard(
            histoseed="0", name=kind, mpp=0.25, classes=(ClassEntry(name="odd"), ClassEntry(name="even")),
            encoder=EncoderEntry(name="bundled", weights="random"),
            decoder=row.entry(), postprocessing=row.processing(),
        )  # fmt: skip

    def predict(self, images: torch.Tensor, *, dtype: torch.dtype = torch.float32):
        pixels = (images * 255).round().long()
        labels = torch.where(pixels[:, 2] == 0, pixels[:, 0] + 200 * pixels[:, 1], 0)
        classes = torch.where(labels > 0, 2 - labels % 2, 0)
        representation = self.row.representation
        raw = perfect_raw(self.kind, representation.targets(labels, classes=classes), 2)
        return representation.activated(raw, 2, self.decoder)


def paint(labels: np.ndarray) -> np.ndarray:
    image = np.full((*labels.shape, 3), 255, np.uint8)
    for channel, value in enumerate((labels % 200, labels // 200, 0 * labels)):
        image[..., channel][labels > 0] = value[labels > 0]
    return image


@pytest.fixture(scope="module")
def labels(painted: ModuleType) -> np.ndarray:
    return painted.blobs(3, 320, 448, 500)


@pytest.mark.parametrize("kind", kinds_of("instance"))
def test_nuclei_and_classes_come_back_at_every_tile_size(painted: ModuleType, labels: np.ndarray, kind: str) -> None:
    slide = ArraySlide(paint(labels), mpp=0.25)
    field = Field.over(Region(0, 0, *slide.size), slide.size, 0.25, 0.25)
    model, drawn = PerfectModel(kind), []
    for tile in (256, 1024):
        grid = TileGrid(field, tile)
        assert (len(grid) > 1) == (tile == 256)
        found = FieldSegmenter.in_memory(model, slide, grid, "slide", Precision(workers=2)).all()
        drawn.append(polygons_to_label(found.geometry, labels.shape))
        at = np.array([np.bincount(labels[drawn[-1] == k + 1]).argmax() for k in range(len(found))])
        right = [name == ("odd" if a % 2 else "even") for a, name in zip(at, found.class_name.tolist(), strict=True)]
        assert np.mean(right) > 0.98
    assert painted.f1(labels, drawn[1], 0.7) > 0.97
    assert painted.f1(*drawn, 0.9) >= 0.99
