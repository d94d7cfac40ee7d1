"""Every format of the registry, written and read again: what it says it holds survives, the rest is told."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import shapely
import shapely.affinity
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from histoseed.annotations import Instances, labels_from_instances, new_ids
from histoseed.annotations.formats import FORMATS, AnnotatedImage, Feature, Format, ReadOptions, WriteOptions, detect
from histoseed.errors import HistoseedError, InputError, OutputError
from histoseed.settings import Settings

WIDTH, HEIGHT = 160, 120
READ = ReadOptions(settings=Settings())
VECTOR = [name for name, one in FORMATS.items() if "overlap" in one.holds]
RASTER = [name for name, one in FORMATS.items() if "overlap" not in one.holds]

TOLD = {
    "box": " box",
    "point": " point",
    "holes": "holes",
    "parts": "several parts",
    "overlap": "overlap",
    "class": "classes of",
    "color": "colours",
    "id": "ids",
    "score": "scores",
    "quality": "qualities",
    "source": "sources",
    "locked": "locks",
    "measurements": "measurements",
}
"""A word of the sentence that tells that a feature is lost."""


def star(x: float, y: float, radius: float, spikes: list[float]) -> shapely.Polygon:
    """A polygon that cannot cross itself: vertices at equal angles around its centre."""
    angle = np.linspace(0, 2 * np.pi, len(spikes), endpoint=False)
    reach = radius * np.array(spikes)
    return shapely.Polygon(np.column_stack([x + reach * np.cos(angle), y + reach * np.sin(angle)]))


SPIKES = st.lists(st.floats(0.7, 1.0), min_size=5, max_size=24)
NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cf", "Cs", "Cn", "Co", "Z"]), min_size=1, max_size=12
).filter(lambda name: name not in ("None", "holes", "Ignore*", "unclassified"))
UNIT = st.floats(0, 1, width=32).map(lambda value: round(value, 6))
COLORS = st.integers(0, 0xFFFFFF).map("#{:06x}".format)
MEASURES = st.dictionaries(NAMES, st.floats(-1e6, 1e6, width=32), max_size=2)


@st.composite
def outlines(draw: Callable[..., Any]) -> tuple[Any, str]:
    """A geometry inside the image, and its kind."""
    x, y = draw(st.floats(25, WIDTH - 25)), draw(st.floats(25, HEIGHT - 25))
    what = draw(st.sampled_from(["plain", "holed", "parts", "box", "point"]))
    if what == "point":
        return shapely.Point(x, y), "point"
    if what == "box":
        return shapely.box(x, y, x + draw(st.floats(2, 20)), y + draw(st.floats(2, 20))), "box"
    shape = star(x, y, draw(st.floats(10, 20)), draw(SPIKES))
    if what == "plain":
        return shape, "polygon"
    hole = shapely.affinity.scale(shape, 0.4, 0.4, origin=(x, y))
    holed = shapely.Polygon(shape.exterior, [hole.exterior])
    if what == "holed":
        return holed, "polygon"
    small = shapely.affinity.scale(shape, 0.4, 0.4, origin=(x, y))
    return shapely.MultiPolygon(
        [shapely.affinity.translate(small, -12), shapely.affinity.translate(small, 12)]
    ), "polygon"


@st.composite
def tables(draw: Callable[..., Any]) -> Instances:
    """A few objects of every kind with everything that a table can say about them."""
    shapes = draw(st.lists(outlines(), max_size=5))
    n = len(shapes)
    names = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))

    def each(one: st.SearchStrategy[Any]) -> list[Any]:
        return draw(st.lists(one, min_size=n, max_size=n))

    return Instances.build(
        [shape for shape, _ in shapes],
        kind=[kind for _, kind in shapes],
        class_name=each(st.sampled_from([None, *names])),
        id=new_ids(n, np.random.default_rng(draw(st.integers(0, 2**32)))),
        score=each(UNIT | st.just(np.nan)),
        quality=each(UNIT | st.just(np.nan)),
        source=each(st.none() | NAMES),
        locked=np.array(each(st.booleans()), dtype=bool),
        measurements=each(MEASURES),
        colors={name: draw(COLORS) for name in names},
    )


@pytest.fixture(params=list(FORMATS))
def one(request: pytest.FixtureRequest) -> Format:
    return FORMATS[request.param]


@pytest.fixture
def again(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Any]]:
    """A function that writes a table and reads it again; it answers the image and the sentences of the writer."""
    folder = tmp_path_factory.mktemp("again")

    def work(form: Format, table: Instances) -> tuple[AnnotatedImage, list[str]]:
        path = folder / f"a{form.file_suffix}"
        image = AnnotatedImage("slide 1.png", (WIDTH, HEIGHT), table, 0.25)
        said = form.write(path, [image], WriteOptions())
        images, _ = form.read(path, READ)
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        assert len(images) == 1
        return images[0], said

    yield work
    shutil.rmtree(folder)


def partner(table: Instances, found: Instances, row: int) -> int:
    """The row of the object read that is the object written: by id, else the nearest of the same kind."""
    same = np.flatnonzero(found.id == table.id[row])
    if len(same):
        return int(same[0])
    near = [
        shapely.hausdorff_distance(table.geometry[row], shape) if kind == table.kind[row] else np.inf
        for shape, kind in zip(found.geometry, found.kind, strict=True)
    ]
    return int(np.argmin(near))


def holes_of(shape: Any) -> int:
    return sum(len(getattr(part, "interiors", ())) for part in shapely.get_parts(shape))


def expected(table: Instances, form: Format) -> Instances:
    """The rows whose geometry a format can hold as it is."""
    keep = np.ones(len(table), dtype=bool)
    for row, (shape, kind) in enumerate(zip(table.geometry, table.kind, strict=True)):
        keep[row] = kind in form.holds
        keep[row] &= "holes" in form.holds or not holes_of(shape)
        keep[row] &= "parts" in form.holds or shapely.get_num_geometries(shape) == 1
    return table.select(keep)


@pytest.mark.parametrize("name", VECTOR)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(table=tables())
def test_what_a_format_of_outlines_holds_survives(again: Callable[..., Any], name: str, table: Instances) -> None:
    form = FORMATS[name]
    found = again(form, table)[0].instances
    kept = expected(table, form)
    if {"holes", "parts", "box", "point"} <= form.holds:
        assert len(found) == len(table)
    for row in range(len(kept)):
        at = partner(kept, found, row)
        before, after = kept.geometry[row], found.geometry[at]
        assert shapely.hausdorff_distance(before, after) <= 0.5
        assert shapely.hausdorff_distance(after, before) <= 0.5
        assert (found.kind[at], holes_of(after)) == (kept.kind[row], holes_of(before))
        assert shapely.get_num_geometries(after) == shapely.get_num_geometries(before)
        for feature, column in {"class": "class_name", "id": "id", "source": "source", "locked": "locked"}.items():
            if feature in form.holds:
                assert getattr(found, column)[at] == getattr(kept, column)[row], feature
        for feature in ("score", "quality"):
            if feature in form.holds:
                np.testing.assert_allclose(getattr(found, feature)[at], getattr(kept, feature)[row], atol=1e-6)
        if "measurements" in form.holds:
            assert dict(found.measurements[at]) == dict(kept.measurements[row])
    if {"class", "color"} <= form.holds:
        for used in kept.classes():
            assert found.colors[used].lower() == table.colors[used]


@pytest.mark.parametrize("name", RASTER)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=tables())
def test_what_a_format_of_pixels_holds_survives(again: Callable[..., Any], name: str, table: Instances) -> None:
    found = again(FORMATS[name], table)[0].instances
    drawn, report = labels_from_instances(table, (HEIGHT, WIDTH))
    labels, cost = labels_from_instances(found, (HEIGHT, WIDTH))
    numbers = np.unique(drawn)
    assert len(found) == len(numbers) - (0 in numbers) == (table.kind == "polygon").sum() - report.objects_lost
    np.testing.assert_array_equal(numbers[numbers > 0][labels[labels > 0] - 1], drawn[drawn > 0])
    np.testing.assert_array_equal(labels > 0, drawn > 0)
    assert (cost.pixels_lost, cost.objects_lost) == (0, 0)


def everything() -> Instances:
    """One object with each feature, two that overlap."""
    ring = shapely.box(10, 10, 30, 30) - shapely.box(15, 15, 20, 20)
    pair = shapely.MultiPolygon([shapely.box(40, 40, 50, 50), shapely.box(60, 40, 70, 50)])
    boxed = shapely.box(80, 10, 100, 30)
    return Instances.build(
        [ring, pair, boxed, shapely.Point(120.5, 20.5), shapely.box(25, 25, 35, 35)],
        kind=["polygon", "polygon", "box", "point", "polygon"],
        class_name=["tumour", "stroma", "tumour", "stroma", "tumour"],
        id=new_ids(5, np.random.default_rng(0)),
        score=[0.5, 0.25, 0.125, 0.75, 1.0],
        quality=[0.25, 0.5, 0.75, 1.0, 0.125],
        source="somebody",
        locked=True,
        measurements=[{"area": 3.5}] * 5,
        colors={"tumour": "#c80000", "stroma": "#00c8ff"},
    )


def survives(feature: str, found: Instances, table: Instances) -> bool:
    """Whether any trace of a feature is left."""
    colors = {name: found.colors.get(name) for name in table.colors}
    return {
        "polygon": lambda: bool((found.kind == "polygon").any()),
        "box": lambda: bool((found.kind == "box").any()),
        "point": lambda: bool((found.kind == "point").any()),
        "holes": lambda: any(holes_of(shape) for shape in found.geometry),
        "parts": lambda: any(shapely.get_num_geometries(shape) > 1 for shape in found.geometry),
        "overlap": lambda: sum(shapely.area(found.geometry)) > shapely.union_all(found.geometry).area + 1,
        "class": lambda: bool(found.classes()),
        "color": lambda: colors == dict(table.colors),
        "id": lambda: bool(set(found.id) & set(table.id)),
        "score": lambda: bool(np.isfinite(found.score).any()),
        "quality": lambda: bool(np.isfinite(found.quality).any()),
        "source": lambda: bool((found.source == "somebody").any()),
        "locked": lambda: bool(found.locked.any()),
        "measurements": lambda: any(found.measurements),
    }[feature]()


@pytest.mark.parametrize("feature", get_args(Feature))
def test_holds_is_exact_in_both_directions(again: Callable[..., Any], one: Format, feature: str) -> None:
    table = everything()
    image, said = again(one, table)
    assert survives(feature, image.instances, table) == (feature in one.holds)
    told = [sentence for sentence in said if TOLD.get(feature, "outlines are left out") in sentence]
    if feature not in one.holds:
        assert len(told) == 1
        assert re.search(r"\d", told[0])
        assert told[0].startswith(f"{one.name}: ")
    else:
        assert not told


def test_nothing_is_told_where_nothing_is_lost(again: Callable[..., Any], one: Format) -> None:
    table = Instances.build([shapely.box(3, 4, 9, 12)])
    _, said = again(one, table)
    said = [sentence for sentence in said if "not at hand" not in sentence]
    assert said == ([] if "id" in one.holds else [f"{one.name}: the id of 1 object is not kept."])


def test_what_is_said_about_the_image_is_exact(again: Callable[..., Any], one: Format) -> None:
    image, _ = again(one, everything())
    if one.name == "cytomine":  # it cannot be read without its size
        assert "size" in one.states
    assert (image.size == (WIDTH, HEIGHT)) == ("size" in one.states)
    assert (image.size is None) == ("size" not in one.states)
    assert (image.mpp is not None) == ("mpp" in one.states)
    if image.mpp is not None:
        assert image.mpp == pytest.approx(0.25)
    assert (image.name == "slide 1.png") == ("name" in one.states)


def content(path: Path) -> dict[str, bytes]:
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    return {str(p.relative_to(path)): p.read_bytes() for p in files}


def image_of(table: Instances) -> AnnotatedImage:
    return AnnotatedImage("slide 1.png", (WIDTH, HEIGHT), table, 0.25)


def test_equal_objects_give_equal_bytes(tmp_path: Path, one: Format) -> None:
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
        one.write(tmp_path / name / f"a{one.file_suffix}", [image_of(everything())], WriteOptions())
    assert content(tmp_path / "x") == content(tmp_path / "y")


def test_reading_twice_gives_equal_ids(tmp_path: Path, one: Format) -> None:
    path = tmp_path / f"a{one.file_suffix}"
    one.write(path, [image_of(everything())], WriteOptions())
    ids = [one.read(path, READ)[0][0].instances.id.tolist() for _ in range(2)]
    assert ids[0] == ids[1]


def test_nothing_is_replaced_without_being_told(tmp_path: Path, one: Format) -> None:
    path = tmp_path / f"a{one.file_suffix}"
    one.write(path, [image_of(everything())], WriteOptions())
    before = content(path)
    with pytest.raises(OutputError, match="overwrite"):
        one.write(path, [image_of(Instances.empty())], WriteOptions())
    assert content(path) == before
    one.write(path, [image_of(Instances.empty())], WriteOptions(overwrite=True))
    assert len(one.read(path, READ)[0][0].instances) == 0


@pytest.mark.parametrize("bad", [shapely.Polygon(), shapely.Polygon([(0, 0), (np.inf, 1), (2, 3)])])
def test_what_no_format_can_hold_is_refused_and_leaves_nothing(tmp_path: Path, one: Format, bad: Any) -> None:
    with pytest.raises(InputError):
        one.write(tmp_path / f"a{one.file_suffix}", [image_of(Instances.build([bad]))], WriteOptions())
    assert not list(tmp_path.iterdir())


def test_the_format_is_recognised_by_what_is_in_it(tmp_path: Path, one: Format) -> None:
    path = tmp_path / f"a{one.file_suffix}"
    one.write(path, [image_of(everything())], WriteOptions())
    assert detect(path) is one
    bare = path.rename(tmp_path / "no suffix")
    assert detect(bare) is one


@pytest.mark.parametrize("name", [name for name, form in FORMATS.items() if form.suffixes])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_give_errors_of_ours(tmp_path_factory: Any, name: str, data: st.DataObject) -> None:
    form = FORMATS[name]
    folder = tmp_path_factory.mktemp("damaged")
    path = folder / f"a{form.file_suffix}"
    form.write(path, [image_of(everything())], WriteOptions())
    if path.is_file():
        whole = bytearray(path.read_bytes())
        for at in data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=4)):
            whole[at] = data.draw(st.integers(0, 255))
        path.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
        with contextlib.suppress(HistoseedError):
            form.read(path, READ)
    shutil.rmtree(folder)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in a JSON value."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


@pytest.mark.parametrize("name", ["geojson", "coco", "cytomine", "labelme"])
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_stands_anywhere_in_a_json_file(tmp_path_factory: Any, name: str, data: st.DataObject) -> None:
    form = FORMATS[name]
    folder = tmp_path_factory.mktemp("changed")
    path = folder / f"a{form.suffixes[-1] if name != 'cytomine' else '.json'}"
    form.write(path, [image_of(everything())], WriteOptions())
    document = json.loads(path.read_text())
    for _ in range(data.draw(st.integers(1, 2))):
        *way, last = data.draw(st.sampled_from([place for place in places(document) if place]))
        target = document
        for key in way:
            target = target[key]
        if isinstance(target, dict) and data.draw(st.booleans()):
            del target[last]
        else:
            target[last] = data.draw(JSON)
    path.write_text(json.dumps(document))
    with contextlib.suppress(HistoseedError):
        form.read(path, READ)
    shutil.rmtree(folder)
