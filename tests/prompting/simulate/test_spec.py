"""What users say, as text; the published combinations."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histoseed.errors import InputError, LimitError
from histoseed.prompting.simulate import (
    MASK_KINDS,
    TRAINING_COMBINATIONS,
    TRAINING_REFERENCE,
    PromptSpec,
    training_parts,
)

SPECS = st.builds(
    PromptSpec,
    box=st.just(True),
    positive=st.integers(0, 400),
    negative=st.integers(0, 400),
    mask=st.none() | st.sampled_from(MASK_KINDS),
)


@settings(max_examples=50, deadline=None)
@given(SPECS)
def test_text_and_back(spec):
    assert PromptSpec.parse(str(spec)) == spec


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("box", PromptSpec(box=True)),
        ("box+2pos+1neg", PromptSpec(box=True, positive=2, negative=1)),
        (" NEG:anywhere + pos ", PromptSpec(positive=1, negative=1, place="anywhere")),
        ("mask:scribble", PromptSpec(mask="scribble")),
        ("box+points", PromptSpec(box=True, positive=5)),
        ("all", PromptSpec(box=True, positive=5, negative=5, mask="loose")),
        ("mask", PromptSpec(mask="loose")),
    ],
)
def test_ways_to_write_it(text, spec):
    assert PromptSpec.parse(text) == spec


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("", "Use one of"),
        ("bx", "'box'"),
        ("box+", "Use one of"),
        ("mask:scrible", "'scribble'"),
        ("1neg:everywhere", "'anywhere'"),
        ("2box", "2pos"),
        ("box:tight", "2pos"),
        ("0pos", "Leave it out"),
        ("-1pos", "pos"),
    ],
)
def test_text_that_says_nothing_known(text, fix):
    with pytest.raises(InputError) as caught:
        PromptSpec.parse(text)
    assert fix in caught.value.fix


def test_twice_the_same():
    with pytest.raises(InputError, match="twice"):
        PromptSpec.parse("box+1pos+box")
    with pytest.raises(InputError, match="twice"):
        PromptSpec.parse("all+box")


def test_limits():
    with pytest.raises(LimitError, match="10,000 points"):
        PromptSpec.parse("10000pos")
    with pytest.raises(InputError):
        PromptSpec.parse("9" * 5000 + "pos")
    with pytest.raises(InputError):
        PromptSpec()
    with pytest.raises(InputError):
        PromptSpec(box=True, negative=-1)


def test_negative_points_alone_say_nothing_about_the_place():
    assert [str(spec) for spec in TRAINING_COMBINATIONS if not spec.locates] == ["5neg"]


def test_the_published_combinations_train_on_their_parts():  # specification 8, training combinations
    assert len(TRAINING_COMBINATIONS) == len(set(TRAINING_COMBINATIONS)) == 11
    assert [str(part) for part in training_parts(TRAINING_REFERENCE)] == [
        "box",
        "mask:loose",
        "box+5pos+5neg",
        "5pos+5neg+mask:loose",
        "box+5pos+5neg+mask:loose",
    ]
    counts = {str(spec): len(training_parts(spec)) for spec in TRAINING_COMBINATIONS}
    assert sorted(counts.values()) == [1] * 4 + [3] * 5 + [4] * 2
    for spec in TRAINING_COMBINATIONS:
        parts = training_parts(spec)
        assert parts[-1] == spec
        assert len(set(parts)) == len(parts)


def test_parts_keep_their_numbers_and_places():
    parts = training_parts(PromptSpec.parse("box+2pos+3neg:anywhere"))
    assert [str(part) for part in parts] == ["box", "2pos", "3neg:anywhere", "box+2pos+3neg:anywhere"]
