"""histoseed: grow trustworthy instance segmentation of histology slides from a few annotations."""

from histoseed._version import __version__

__all__ = ["__version__"]
