"""The named protocols: what is left out, what is averaged over what, how objects are paired.

A protocol is data; :mod:`histoseed.metrics.scoring` reads it. ``docs/metrics.md`` explains each one.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from histoseed.errors import InputError
from histoseed.metrics.counts import ConstantCounts
from histoseed.metrics.matching import Matching

__all__ = ["PROTOCOLS", "Protocol", "get_protocol"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """One way of turning the statistics of images into scores.

    Args:
        name: The name that travels with every score.
        summary: One sentence for lists.
        averaging: What ``pq``, ``dq``, ``sq`` are averages of, in words; travels with the scores.
        empty: Which images count for ``pq``, ``dq``, ``sq``: all but those empty on both sides; all but those with an
            empty truth; or all, the undefined ones as 0.
        average: ``images`` is a plain mean; ``tissues`` is the mean over organs of the means over their images.
        class_pq: ``pq_<class>`` from statistics pooled over the set, or the mean over the images with that class.
        absent_class: What a class without any object, true or predicted, in the whole set adds to ``mpq_plus``.
        matching: How centroids are paired, see :func:`match_points`.
        confusion_weight: Weight of a pair with different classes in ``f1_<class>``; a single object weighs 1.
        r2: ``r2`` of all objects, or the mean over the classes.
        constant_counts: R2 when every image has the same count, see :func:`r2_counts`.
        prompted: The prediction with an object's own label is its answer; nothing is matched.
    """

    name: str
    summary: str
    averaging: str
    empty: Literal["both-empty-left-out", "truth-empty-left-out", "zero"] = "both-empty-left-out"
    average: Literal["images", "tissues"] = "images"
    class_pq: Literal["pooled", "images"] = "pooled"
    absent_class: Literal["left-out", "zero"] = "left-out"
    matching: Matching = "most-pairs"
    confusion_weight: int = 1
    r2: Literal["all", "classes"] = "all"
    constant_counts: ConstantCounts = "undefined"
    prompted: bool = False


_ALL = (
    Protocol(
        name="histoseed",
        summary="Mean over images without the empty-vs-empty ones; most pairs within the radius.",
        averaging="mean over images, images empty on both sides left out; pq_<class> and mpq_plus pooled over the set",
    ),
    Protocol(
        name="pannuke",
        summary="bPQ (key pq) and mPQ of PanNuke: image, then tissue, then mean; NaN where the truth has none.",
        averaging="mean over tissues of the mean over images, images with an empty truth left out; "
        "pq_<class> over the images whose truth has the class",
        empty="truth-empty-left-out",
        average="tissues",
        class_pq="images",
    ),
    Protocol(
        name="conic",
        summary="mPQ+ pooled over the set and R2 of counts of CoNIC; an empty image scores 0.",
        averaging="mean over all images, undefined ones as 0; pq_<class> and mpq_plus pooled over the set",
        empty="zero",
        absent_class="zero",
        r2="classes",
        constant_counts="as-sklearn",
    ),
    Protocol(
        name="hovernet",
        summary="HoVer-Net's detection and class F1: least total distance, then the radius; confusions weigh 2.",
        averaging="mean over images, images empty on both sides left out; detection and classes pooled over the set",
        matching="least-distance",
        confusion_weight=2,
    ),
    Protocol(
        name="rapid-cytomine",
        summary="IoU, Dice, precision and recall of a promptable model: one prompt, one answer, mean over objects.",
        averaging="mean over truth objects of the whole set; an empty answer scores 0",
        prompted=True,
    ),
)

PROTOCOLS: Mapping[str, Protocol] = MappingProxyType({protocol.name: protocol for protocol in _ALL})


def get_protocol(name: str) -> Protocol:
    """The protocol of that name.

    Raises:
        InputError: there is none; the nearest names are given.

    >>> get_protocol("conic").empty
    'zero'
    """
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    near = difflib.get_close_matches(name, PROTOCOLS, n=2, cutoff=0.4) or list(PROTOCOLS)
    fix = f"Did you mean {' or '.join(near)}? All: {', '.join(PROTOCOLS)}."
    raise InputError("There is no such metrics protocol.", where=name, fix=fix)
