"""The table of objects, and the file formats that read and write it."""

from histoseed.annotations.class_colors import class_color, palette
from histoseed.annotations.frames import FRAME_SCHEMA, instances_from_frame, instances_to_frame
from histoseed.annotations.geojson_reader import read_geojson
from histoseed.annotations.geojson_writer import GeoJsonWriter, ObjectType, write_geojson
from histoseed.annotations.instances import KINDS, Instances, new_ids
from histoseed.annotations.label_images import read_label_image, write_label_image
from histoseed.annotations.labels import FlattenReport, instances_from_labels, labels_from_instances
from histoseed.annotations.rectangles import Rectangles, rectangles_as_boxes, upright_rectangles

__all__ = [
    "FRAME_SCHEMA",
    "KINDS",
    "FlattenReport",
    "GeoJsonWriter",
    "Instances",
    "ObjectType",
    "Rectangles",
    "class_color",
    "instances_from_frame",
    "instances_from_labels",
    "instances_to_frame",
    "labels_from_instances",
    "new_ids",
    "palette",
    "read_geojson",
    "read_label_image",
    "rectangles_as_boxes",
    "upright_rectangles",
    "write_geojson",
    "write_label_image",
]
