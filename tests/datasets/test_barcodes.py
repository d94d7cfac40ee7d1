"""TCGA barcodes in file names as the public data sets write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from histoseed.datasets.barcodes import Barcode, tcga

FIELDS = st.text("ABCDEFGHJKLMNPQRSTUVWXYZ0123456789", min_size=2, max_size=2)


@pytest.mark.parametrize(
    ("text", "patient", "centre", "slide"),
    [
        # specification 0.1, 4, 5, 6, 7, 8: how each data set writes them
        ("TCGA-A2-A0ES-01Z-00-DX1_3.svs", "TCGA-A2-A0ES", "A2", "TCGA-A2-A0ES-01Z-00-DX1"),
        ("TCGA-A1-A0SP-DX1_id-5ea40ab8_left-7053_top-53967.png", "TCGA-A1-A0SP", "A1", "TCGA-A1-A0SP-DX1"),
        ("SP.3_#_U-control_#_TCGA-A1-A0SP-DX1_id-5ea4", "TCGA-A1-A0SP", "A1", "TCGA-A1-A0SP-DX1"),
        ("TCGA-A1-A0SK-DX1_xmin45749_ymin25055_MPP-0.2500_xmin-0", "TCGA-A1-A0SK", "A1", "TCGA-A1-A0SK-DX1"),
        ("TCGA-44-2665-01B-06-BS6.xml", "TCGA-44-2665", "44", "TCGA-44-2665-01B-06-BS6"),
        ("TCGA-NH-A8F7-01A-01-TS1", "TCGA-NH-A8F7", "NH", "TCGA-NH-A8F7-01A-01-TS1"),
        ("TCGA-XF-A9T8-01Z-00-DX1.B9A2B1BA-7E16.svs", "TCGA-XF-A9T8", "XF", "TCGA-XF-A9T8-01Z-00-DX1"),
        ("folder/tcga-a1-a0sp.tif", "TCGA-A1-A0SP", "A1", None),
        ("TCGA_CS_4941_19960909", "TCGA-CS-4941", "CS", None),
        ("TCGA-A1-A0SP-01Z-00", "TCGA-A1-A0SP", "A1", None),
        ("a/TCGA-A2-A0ES/TCGA-A2-A0ES-01Z-00-DX1_1", "TCGA-A2-A0ES", "A2", "TCGA-A2-A0ES-01Z-00-DX1"),
    ],
)
def test_file_names_of_public_data_sets(text: str, patient: str, centre: str, slide: str | None) -> None:
    code = tcga(text)
    assert code is not None
    assert (code.patient, code.centre, code.slide) == (patient, centre, slide)


@pytest.mark.parametrize(
    "text",
    ["", "train_1", "consep_1-0000", "XTCGA-A1-A0SP", "TCGA-A1-A0SPX", "TCGA-A1_A0SP", "TCGA-A1", "A1-A0SP",
     "TCGA-A1-A0SP and TCGA-A1-A0SQ"],
)  # fmt: skip
def test_what_is_no_barcode_or_two_patients_gives_none(text: str) -> None:
    assert tcga(text) is None


@pytest.mark.parametrize(
    ("text", "patient"),
    [
        ("18-5592", "TCGA-18-5592"),
        ("A1-A0SP-DX1.png", "TCGA-A1-A0SP"),
        ("2Z-A9J9-01A-01-TS1", "TCGA-2Z-A9J9"),
        ("TCGA-2Z-A9J9", "TCGA-2Z-A9J9"),
        ("train-1234", None),
        ("x/18-5592", None),
        ("18-55923", None),
    ],
)
def test_short_ids_only_when_asked_and_at_the_beginning(text: str, patient: str | None) -> None:
    code = tcga(text, short=True)
    assert (code and code.patient) == patient
    if not text.startswith("TCGA"):
        assert tcga(text) is None


def test_a_shortened_barcode_names_the_same_slide() -> None:
    whole, short = Barcode("A2", "A0ES", "01Z", "00", "DX1"), Barcode("A2", "A0ES", section="DX1")
    assert whole.same_slide(short)
    assert short.same_slide(whole)
    assert not whole.same_slide(Barcode("A2", "A0ES", "01Z", "00", "DX2"))
    assert not whole.same_slide(Barcode("A2", "A0ES", "06Z", "00", "DX1"))
    assert not Barcode("A2", "A0ES").same_slide(Barcode("A2", "A0ES"))


@given(FIELDS, FIELDS, FIELDS, st.sampled_from(["", "-DX1", "-01Z-00-DX2", "-01A-01-TSA", "-01B"]))
def test_the_parts_come_back(centre: str, first: str, second: str, rest: str) -> None:
    code = tcga(f"prefix_TCGA-{centre}-{first}{second}{rest}_7.tif")
    assert code is not None
    assert (code.centre, code.participant) == (centre, first + second)
    assert code.slide == (f"TCGA-{centre}-{first}{second}{rest}" if rest[-3:-1] in ("DX", "TS") else None)
