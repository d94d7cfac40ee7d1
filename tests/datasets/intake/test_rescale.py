"""Other resolutions: sizes, areas and places follow, losses are told."""

import numpy as np
import pytest
import shapely

from histoseed.annotations import Instances
from histoseed.datasets import PatchContent, SlideArea
from histoseed.datasets.intake.rescale import at_resolution
from histoseed.errors import InputError
from histoseed.settings import Settings


def changed(content: PatchContent, facts: dict, *, mpp=None, source_mpp=None, settings=None):
    return at_resolution(
        content, facts, mpp=mpp, source_mpp=source_mpp, settings=settings or Settings(), where="patch 'p'"
    )


def disc(side: int, radius: float) -> np.ndarray:
    at = np.arange(side) + 0.5
    return ((at[:, None] - side / 2) ** 2 + (at[None, :] - side / 2) ** 2 <= radius**2).astype(np.int32)


IMAGE = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)


def test_half_the_resolution_averages_four_pixels():
    content, facts = changed(PatchContent(image=IMAGE), {"mpp": 0.25, "mpp_source": "metadata", "x": 7.0}, mpp=0.5)
    expected = IMAGE.reshape(32, 2, 48, 2, 3).astype(float).mean(axis=(1, 3))
    assert content.image.shape == (32, 48, 3)
    assert np.abs(content.image - expected).max() <= 1
    assert facts == {"mpp": 0.5, "mpp_source": "metadata", "x": 7.0}


def test_upsampling_keeps_means_and_doubles_sides():
    smooth = np.repeat(np.linspace(20, 220, 96, dtype=np.uint8)[None, :, None], 64, axis=0).repeat(3, axis=2)
    content, _ = changed(PatchContent(image=smooth), {"mpp": 0.5}, mpp=0.25)
    assert content.image.shape == (128, 192, 3)
    assert abs(float(content.image.mean()) - float(smooth.mean())) < 0.5


@pytest.mark.parametrize("mpp", [0.125, 0.2, 0.5, 1.0])
def test_label_images_keep_their_physical_area(mpp: float):
    labels = disc(128, 40)
    content, _ = changed(PatchContent(image=np.zeros((128, 128, 3), np.uint8), objects=labels), {"mpp": 0.25}, mpp=mpp)
    assert content.objects.sum() * mpp**2 == pytest.approx(labels.sum() * 0.25**2, rel=0.02)
    assert set(np.unique(content.objects)) == {0, 1}


def test_outlines_are_scaled_as_vectors():
    square = Instances.build([shapely.box(3, 5, 13, 9), shapely.Point(96, 64)], kind=["box", "point"])
    content, _ = changed(PatchContent(image=IMAGE, objects=square), {"mpp": 0.25}, mpp=0.5)
    assert content.objects.geometry[0].bounds == (1.5, 2.5, 6.5, 4.5)
    assert content.objects.geometry[1].coords[0] == (48, 32)
    assert content.objects.id.tolist() == square.id.tolist()


def test_lost_objects_are_counted():
    labels = np.zeros((64, 96), np.int32)
    labels[9, 9] = 1  # the new pixel's centre lies at 10
    labels[30:50, 30:50] = 2
    content, _ = changed(PatchContent(image=IMAGE, objects=labels), {"mpp": 0.25}, mpp=1.0)
    assert content.objects_lost == 1
    assert [remark.count for remark in content.remarks] == [1]
    assert np.unique(content.objects).tolist() == [0, 2]


def test_ignore_and_regions_go_along():
    ignore = np.zeros((64, 96), bool)
    ignore[:32] = True
    content, _ = changed(
        PatchContent(image=IMAGE, ignore=ignore, regions=ignore.astype(np.uint8)), {"mpp": 0.25}, mpp=0.5
    )
    assert content.ignore.dtype == bool
    np.testing.assert_array_equal(content.ignore, np.arange(32)[:, None] < 16 + np.zeros((1, 48)))
    np.testing.assert_array_equal(content.regions, content.ignore.astype(np.uint8))


def test_an_unknown_resolution_is_taken_as_given():
    content, facts = changed(PatchContent(image=IMAGE), {}, mpp=0.5)
    assert content.image is IMAGE
    assert facts == {"mpp": 0.5, "mpp_source": "user"}
    assert content.remarks[0].kind == "note"


def test_the_user_knows_better_than_the_file():
    content, facts = changed(
        PatchContent(image=IMAGE, facts={"mpp": 84.7, "mpp_source": "metadata"}), {}, source_mpp=0.25
    )
    assert content.image is IMAGE
    assert facts == {"mpp": 0.25, "mpp_source": "user"}


def test_an_equal_resolution_changes_nothing():
    content, facts = changed(PatchContent(image=IMAGE), {"mpp": 0.25001}, mpp=0.25)
    assert content.image is IMAGE
    assert facts == {"mpp": 0.25001}


def test_nonsense_is_refused():
    with pytest.raises(InputError, match=r"84.7 microns per pixel.*--source-mpp"):
        changed(PatchContent(image=IMAGE), {"mpp": 84.7}, mpp=0.25)
    with pytest.raises(InputError, match="max_pixels"):
        changed(PatchContent(image=IMAGE), {"mpp": 0.5}, mpp=0.25, settings=Settings(max_pixels=10_000))


def test_areas_of_slides_only_change_their_size():
    outline = Instances.build([shapely.box(0, 0, 1000, 500)], class_name="t")
    content, facts = changed(
        PatchContent(image=SlideArea("s.tif", 2000, 1000), region_outlines=outline), {"mpp": 0.25, "x": 0.0}, mpp=1.0
    )
    assert content.image == SlideArea("s.tif", 500, 250)
    assert content.region_outlines.geometry[0].bounds == (0, 0, 250, 125)
    assert facts["mpp"] == 1.0


def test_published_sets_are_not_guessed():
    with pytest.raises(InputError, match="--source-mpp"):
        at_resolution(
            PatchContent(image=IMAGE), {}, mpp=0.5, source_mpp=None, assume=False, settings=Settings(), where="p"
        )
