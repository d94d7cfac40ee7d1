"""Annotation formats: one module each, and the table of all of them.

>>> sorted(FORMATS["labels"].holds), format_of_name("nuclei.ome.tif").name
(['holes', 'parts', 'polygon'], 'ome-tiff')
"""

from histoseed.annotations.formats.base import (
    IGNORE_CLASS,
    AnnotatedImage,
    Feature,
    Format,
    ReadOptions,
    Statement,
    WriteOptions,
    losses,
)
from histoseed.annotations.formats.folders import file_stems, filled_folder
from histoseed.annotations.formats.registry import FORMATS, detect, format_of_name, named_format

__all__ = [
    "FORMATS",
    "IGNORE_CLASS",
    "AnnotatedImage",
    "Feature",
    "Format",
    "ReadOptions",
    "Statement",
    "WriteOptions",
    "detect",
    "file_stems",
    "filled_folder",
    "format_of_name",
    "losses",
    "named_format",
]
