"""The choices that ``histoseed adapt`` offers are those that exist."""

import pytest

from histoseed.cli.adapt import _Decoder, _Method, _options
from histoseed.errors import InputError
from histoseed.segmenters import METHODS, kinds_of


def test_every_decoder_and_method_is_offered():
    assert [d.value for d in _Decoder] == [*kinds_of("instance"), "prompt"]
    assert [m.value for m in _Method] == list(METHODS)


def test_fields_are_read_as_json_or_text():
    given = ["decoder.shared=true", "method.rank=16", "decoder.widths=[8, 8, 8, 8]", "method.targets=qv"]
    expected = {"decoder": {"shared": True, "widths": [8, 8, 8, 8]}, "method": {"rank": 16, "targets": "qv"}}
    assert _options(given) == expected


@pytest.mark.parametrize("entry", ["shared=true", "decoder.shared", "encoder.x=1", "decoder.=1"])
def test_what_sets_no_field_is_refused(entry):
    with pytest.raises(InputError, match="sets no field"):
        _options([entry])
