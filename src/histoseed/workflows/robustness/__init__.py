"""The parts of the verb ``encoders robustness``: samples and their embeddings."""

from histoseed.workflows.robustness.embedding import embed_samples, nucleus_weights
from histoseed.workflows.robustness.samples import Level, Nucleus, Sample, Samples, balanced_samples

__all__ = ["Level", "Nucleus", "Sample", "Samples", "balanced_samples", "embed_samples", "nucleus_weights"]
