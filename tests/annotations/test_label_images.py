"""Label images on disk."""

import errno

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from histoseed.annotations import label_images, read_label_image, write_label_image
from histoseed.errors import AnnotationError, LimitError, OutputError
from histoseed.settings import Settings

LABELS = np.array([[0, 3, 3], [200, 0, 7]])


def save_png(path, array):
    Image.fromarray(array).save(path)


SAVE = {".png": save_png, ".npy": np.save, ".tif": tifffile.imwrite}


@settings(max_examples=50, deadline=None)
@given(arrays(np.int64, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.integers(0, 2**32 - 1)))
def test_there_and_back(tmp_path_factory, labels):
    path = tmp_path_factory.mktemp("labels") / "a.tif"
    write_label_image(path, labels)
    again = read_label_image(path)
    assert again.dtype == (np.int32 if labels.max() < 2**31 else np.uint32)
    np.testing.assert_array_equal(again, labels)
    stored = tifffile.imread(path)
    assert stored.dtype == (np.uint16 if labels.max() < 2**16 else np.uint32)


def test_equal_labels_give_equal_bytes(tmp_path):
    for name in ("a.tif", "b.tif"):
        write_label_image(tmp_path / name, LABELS)
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


@pytest.mark.parametrize(
    ("suffix", "dtype"),
    [
        *((suffix, dtype) for suffix in SAVE for dtype in (np.uint8, np.uint16)),
        *((suffix, dtype) for suffix in (".npy", ".tif") for dtype in (np.uint32, np.int32, np.int64)),
    ],
)
def test_integer_types_of_all_formats(tmp_path, suffix, dtype):
    path = tmp_path / f"a{suffix}"
    SAVE[suffix](path, LABELS.astype(dtype))
    notes = []
    again = read_label_image(path, notes=notes)
    assert again.dtype == np.int32
    np.testing.assert_array_equal(again, LABELS)
    assert not notes


def test_the_suffix_does_not_matter(tmp_path):
    tifffile.imwrite(tmp_path / "a.png", LABELS.astype(np.uint16))
    np.testing.assert_array_equal(read_label_image(tmp_path / "a.png"), LABELS)


def test_palette_images_hold_labels_as_indices(tmp_path):
    image = Image.new("P", (3, 2))
    image.putdata(LABELS.ravel().tolist())
    image.putpalette([value for i in range(256) for value in (i, 255 - i, 77)])
    image.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_label_image(tmp_path / "a.png"), LABELS)


def test_conversions_are_said(tmp_path):
    np.save(tmp_path / "float.npy", LABELS.astype(np.float32))
    np.save(tmp_path / "mask.npy", LABELS > 0)
    save_png(tmp_path / "grey.png", np.repeat(LABELS[..., None], 3, axis=2).astype(np.uint8))
    for name, expected in {"float.npy": LABELS, "mask.npy": LABELS > 0, "grey.png": LABELS}.items():
        notes = []
        np.testing.assert_array_equal(read_label_image(tmp_path / name, notes=notes), expected)
        assert len(notes) == 1
        assert name in notes[0]


def test_the_full_resolution_of_a_pyramid_is_read(tmp_path):
    labels = np.arange(64 * 64).reshape(64, 64).astype(np.uint16)
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(labels, subifds=1)
        writer.write(labels[::2, ::2], subfiletype=1)
    np.testing.assert_array_equal(read_label_image(tmp_path / "a.tif"), labels)


COLOURS = np.stack([LABELS, LABELS + 1, LABELS], axis=-1)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (LABELS - 1, "negative numbers, the smallest is -1"),
        (LABELS + 0.5, "fractions or NaN"),
        (np.where(LABELS == 7, np.nan, LABELS), "fractions or NaN"),
        (LABELS.astype(np.int64) << 33, "does not fit 32 bits"),
        (COLOURS, "colour image"),
        (np.tile(LABELS, (5, 1, 3)), "one plane"),
        (LABELS.ravel(), "one plane"),
        (np.empty((0, 3), int), "one plane"),
        (LABELS.astype(np.complex64), "complex64"),
        (LABELS.astype("U3"), "<U3"),
    ],
)
def test_arrays_that_are_no_labels(tmp_path, array, message):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(AnnotationError, match=f"a.npy: .*{message}"):
        read_label_image(tmp_path / "a.npy")


def test_colour_pictures(tmp_path):
    colours = COLOURS.astype(np.uint8)
    save_png(tmp_path / "a.png", colours)
    tifffile.imwrite(tmp_path / "b.tif", colours, photometric="rgb")
    tifffile.imwrite(tmp_path / "c.tif", np.moveaxis(colours, -1, 0), photometric="rgb", planarconfig="separate")
    save_png(tmp_path / "d.png", np.dstack([colours[..., [0, 0, 0]], LABELS]).astype(np.uint8))  # alpha that varies
    Image.fromarray(colours).convert("CMYK").save(tmp_path / "e.tif")
    for name in ("a.png", "b.tif", "c.tif", "d.png", "e.tif"):
        with pytest.raises(AnnotationError, match="colour image"):
            read_label_image(tmp_path / name)


def test_colours_of_sixteen_bits_are_not_cut_to_eight(tmp_path):
    import cv2

    (tmp_path / "a.png").write_bytes(cv2.imencode(".png", COLOURS.astype(np.uint16) * 200)[1].tobytes())
    with pytest.raises(AnnotationError, match="16 bits a channel"):
        read_label_image(tmp_path / "a.png")


def test_pickled_arrays_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[{"a": 1}]], dtype=object), allow_pickle=True)
    with pytest.raises(AnnotationError, match="cannot be read"):
        read_label_image(tmp_path / "a.npy")


@pytest.mark.parametrize("suffix", [".png", ".tif", ".npy"])
def test_files_cut_anywhere(tmp_path, suffix):
    whole = tmp_path / f"whole{suffix}"
    labels = np.random.default_rng(0).integers(0, 60_000, (40, 40)).astype(np.uint16)
    (SAVE | {".tif": write_label_image})[suffix](whole, labels)
    data = whole.read_bytes()
    for length in np.linspace(0, len(data) * 0.95, 40).astype(int):
        (tmp_path / f"cut{suffix}").write_bytes(data[:length])
        with pytest.raises(AnnotationError):
            read_label_image(tmp_path / f"cut{suffix}")


def test_files_that_are_none(tmp_path):
    Image.fromarray(LABELS.astype(np.uint8)).save(tmp_path / "a.jpg")
    (tmp_path / "empty.png").write_bytes(b"")
    for name, message in {
        "a.jpg": "none of them",
        "empty.png": "empty",
        "absent.png": "no such",
        ".": "cannot be read",
    }.items():
        with pytest.raises(AnnotationError, match=message):
            read_label_image(tmp_path / name)


@pytest.mark.parametrize("suffix", SAVE)
def test_limits(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    labels = np.arange(100, dtype=np.uint8).reshape(10, 10)
    SAVE[suffix](path, labels)
    assert read_label_image(path, Settings(max_pixels=100, max_objects=99)).max() == 99
    with pytest.raises(LimitError, match="HISTOSEED_MAX_PIXELS"):
        read_label_image(path, Settings(max_pixels=99))
    with pytest.raises(LimitError, match="HISTOSEED_MAX_OBJECTS"):
        read_label_image(path, Settings(max_objects=98))


def test_large_numbers_are_not_many_objects(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[0, 4_000_000_000]]))
    assert read_label_image(tmp_path / "a.npy", Settings(max_objects=1)).tolist() == [[0, 4_000_000_000]]


def test_writing_refuses_what_it_cannot_keep(tmp_path):
    path = tmp_path / "a.tif"
    for bad in (LABELS - 1, LABELS + 0.5, LABELS.ravel(), np.array([[2**32]]), np.empty((0, 0), int)):
        with pytest.raises(AnnotationError):
            write_label_image(path, bad)
    assert not path.exists()


def test_a_file_is_replaced_only_when_asked(tmp_path):
    path = tmp_path / "a.tif"
    write_label_image(path, LABELS)
    with pytest.raises(OutputError, match="exists"):
        write_label_image(path, LABELS + 1)
    np.testing.assert_array_equal(read_label_image(path), LABELS)
    write_label_image(path, LABELS + 1, overwrite=True)
    np.testing.assert_array_equal(read_label_image(path), LABELS + 1)


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(label_images.tifffile, "imwrite", full)
    with pytest.raises(OutputError, match="disk is full"):
        write_label_image(tmp_path / "a.tif", LABELS)
    assert not list(tmp_path.iterdir())


def test_real_label_images(shared_data):
    for path in sorted((shared_data / "nucls_cc0_sample").glob("labels/*.png"))[:3]:
        with Image.open(path) as image:
            np.testing.assert_array_equal(read_label_image(path), np.asarray(image))
