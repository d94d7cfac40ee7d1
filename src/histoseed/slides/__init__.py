"""Slides: one protocol for whole-slide files and plain images, its readers, and the tile grid.

>>> import numpy as np, pathlib, tempfile
>>> from PIL import Image
>>> from histoseed.geometry.regions import Region
>>> with tempfile.TemporaryDirectory() as folder:
...     path = pathlib.Path(folder) / "field.png"
...     Image.fromarray(np.full((40, 60, 3), 200, np.uint8)).save(path)
...     with open_slide(path, mpp=0.25) as slide:
...         slide.size, slide.reader, slide.read(Region(0, 0, 60, 40, mpp=0.5)).shape
((60, 40), 'plain', (20, 30, 3))
"""

from __future__ import annotations

from histoseed.slides.grid import Tile, tile_grid
from histoseed.slides.opening import READERS, open_slide
from histoseed.slides.openslide_reader import load_openslide
from histoseed.slides.protocol import Level, Slide
from histoseed.slides.resolution import pixel_scale
from histoseed.slides.stains import NoStain, Recolouring, Stain, StainMethod, fit_stain, recolouring, reference_of
from histoseed.slides.stains_macenko import MacenkoStain
from histoseed.slides.stains_reinhard import ReinhardStain
from histoseed.slides.stains_slide import StainedSlide, normalised, slide_look

__all__ = [
    "READERS",
    "Level",
    "MacenkoStain",
    "NoStain",
    "Recolouring",
    "ReinhardStain",
    "Slide",
    "Stain",
    "StainMethod",
    "StainedSlide",
    "Tile",
    "fit_stain",
    "load_openslide",
    "normalised",
    "open_slide",
    "pixel_scale",
    "recolouring",
    "reference_of",
    "slide_look",
    "tile_grid",
]
