"""Names of data sets that may mean the same pictures."""

import pytest

from histoseed.datasets.families import families_of, relation_of
from histoseed.datasets.importers.registry import IMPORTERS


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("nucls_sample", "nucls_cc0_sample"),
        ("dsb2018", "dsb2018_histology_cc0"),
        ("Data Science Bowl 2018", "dsb2018_histology_cc0"),
        ("BRCA-M2C", "brca_m2c_points_bsd3"),
        ("monuseg16", "MoNuSeg 2018"),
        ("tcga_lgg", "tcga-brca"),
        ("conic", "lizard v2"),
        ("bcss", "nucls_cc0_sample"),
        ("clinic9_train", "clinic9_test"),
        ("breast_train", "breast_test"),
    ],
)
def test_related_names(one, other):
    assert relation_of(one, other)
    assert relation_of(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("gbm40", "dsb2018_histology_cc0"),
        ("unlabelled pictures", "pictures of mine"),
        ("breast_clinic", "breast_b_cc0"),
        ("glass", "glas"),
        ("sample_cc0", "nucls_cc0_sample"),
        ("fold 1", "fold 2"),
        ("a", "b"),
        ("", ""),
    ],
)
def test_names_without_anything_in_common(one, other):
    assert relation_of(one, other) is None
    assert relation_of(other, one) is None


def test_every_published_data_set_is_a_family():
    for name, importer in IMPORTERS.items():
        if importer.card is not None:
            assert name in families_of(f"my-{name}_part 2")
            assert name in families_of(importer.card.title)
