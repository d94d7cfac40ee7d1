"""Barcodes of The Cancer Genome Atlas: which patient, hospital and slide a file name speaks of.

A barcode is ``TCGA-A2-A0ES-01Z-00-DX1``: project, tissue source site, participant, sample and vial, portion, slide.
Public data sets shorten it, mostly to ``TCGA-A2-A0ES-DX1``, and put other text around it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Barcode", "tcga"]

_IDS = r"(?P<centre>[A-Z0-9]{2})%s(?P<participant>[A-Z0-9]{4})"
_REST = (
    r"(?:-(?P<sample>\d{2}[A-Z]?))?(?:-(?P<portion>\d{2}[A-Z]?))?"
    r"(?:-(?P<section>(?:DX|TS|BS|MS)[A-Z0-9]{1,2}))?(?![A-Z0-9])"
)
_LONG = re.compile(r"(?<![A-Z0-9])TCGA(?P<gap>[-_.])" + _IDS % "(?P=gap)" + _REST)
_SHORT = re.compile(_IDS % "-" + _REST)
_FIELDS = ("centre", "participant", "sample", "portion", "section")


@dataclass(frozen=True, slots=True)
class Barcode:
    """The parts of a TCGA barcode, as far as they are stated.

    Args:
        centre: Tissue source site, the second field: "A2".
        participant: The third field: "A0ES".
        sample: Sample type and vial, the fourth field: "01Z"; None where it is not stated.
        portion: The fifth field: "00"; None where it is not stated.
        section: The slide of the patient: "DX1" (diagnostic, paraffin), "TS1", "BSB" (frozen); None where not stated.
    """

    centre: str
    participant: str
    sample: str | None = None
    portion: str | None = None
    section: str | None = None

    @property
    def patient(self) -> str:
        """The first three fields: "TCGA-A2-A0ES"."""
        return f"TCGA-{self.centre}-{self.participant}"

    @property
    def slide(self) -> str | None:
        """The barcode as stated, "TCGA-A2-A0ES-01Z-00-DX1" or "TCGA-A2-A0ES-DX1"; None where no slide is stated."""
        parts = (self.patient, self.sample, self.portion, self.section)
        return None if self.section is None else "-".join(part for part in parts if part is not None)

    def same_slide(self, other: Barcode) -> bool:
        """Whether both name one slide, as far as they tell: a shortened barcode equals the whole one.

        >>> tcga("TCGA-A2-A0ES-DX1").same_slide(tcga("TCGA-A2-A0ES-01Z-00-DX1_3.svs"))
        True
        >>> tcga("TCGA-A2-A0ES-DX1").same_slide(tcga("TCGA-A2-A0ES"))  # no slide is named
        False
        """
        if self.section is None or (self.patient, self.section) != (other.patient, other.section):
            return False
        pairs = ((self.sample, other.sample), (self.portion, other.portion))
        return all(mine is None or theirs is None or mine == theirs for mine, theirs in pairs)


def tcga(text: str, *, short: bool = False) -> Barcode | None:
    """The TCGA barcode in a file name, path or id; None where there is none, or where two patients are named.

    Of several barcodes of one patient the most complete counts.

    Args:
        text: Any text; upper and lower case count as equal, fields may be joined by ``-``, ``_`` or ``.``.
        short: Also accept ids without the project, "A1-A0SP" or "18-5592-01Z-00-DX1", at the beginning of the text. Ask
            for it only where the data set is known to be from TCGA.

    >>> tcga("SP.3_#_doctor.1_#_TCGA-A1-A0SP-DX1_id-5ea4_left-7053").slide
    'TCGA-A1-A0SP-DX1'
    >>> tcga("A1-A0SP.png"), tcga("A1-A0SP.png", short=True).patient
    (None, 'TCGA-A1-A0SP')
    """
    upper = text.upper()
    found = [Barcode(*match.group(*_FIELDS)) for match in _LONG.finditer(upper)]
    if not found and short and (match := _SHORT.match(upper)):
        found = [Barcode(*match.group(*_FIELDS))]
    if len({one.patient for one in found}) != 1:
        return None
    return max(found, key=lambda one: (one.section is not None, one.sample is not None, one.portion is not None))
