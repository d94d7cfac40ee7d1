"""The method ``adapter``: a spatial prior beside a plain vision transformer, exchanged with it as in CellVTA."""

from histoseed.segmenters.spatial_adapter.adapter import SpatialAdapter, why_no_adapter
from histoseed.segmenters.spatial_adapter.deformable import DeformableAttention, deformable_sample, reference_points
from histoseed.segmenters.spatial_adapter.spatial_prior import SpatialPrior

__all__ = [
    "DeformableAttention",
    "SpatialAdapter",
    "SpatialPrior",
    "deformable_sample",
    "reference_points",
    "why_no_adapter",
]
