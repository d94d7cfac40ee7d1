"""The named encoder cards, a file for each group. Data only: nothing here imports a model library."""

from __future__ import annotations

from histoseed.encoders.zoo.general import GENERAL
from histoseed.encoders.zoo.own import OWN
from histoseed.encoders.zoo.pathology import PATHOLOGY
from histoseed.encoders.zoo.pathology_more import PATHOLOGY_MORE
from histoseed.encoders.zoo.segment_anything import SEGMENT_ANYTHING

__all__ = ["ALL"]

ALL = (*OWN, *PATHOLOGY, *PATHOLOGY_MORE, *GENERAL, *SEGMENT_ANYTHING)
"""Every card, in the order of the documentation."""
