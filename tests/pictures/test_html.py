"""Reports are well-formed, complete in themselves, and hold text as text."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from histoseed.errors import InputError
from histoseed.pictures import Report, jpeg_bytes, png_bytes
from histoseed.pictures.colors import contrast

VOID = {"meta", "img", "source", "br", "wbr", "link", "input"}
EVIL = "<script>alert(1)</script>\" onload='x' &amp; </title></style>"


class Page(HTMLParser):
    """Collects elements and text, and fails on a tag that is not closed where it should be."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs)
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.text.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def paper(theme: str) -> bytes:
    """Stands for a plot: a picture that differs with the theme."""
    return png_bytes(np.full((4, 4, 3), 255 if theme == "light" else 0, np.uint8))


def full_report(text: str, image: np.ndarray) -> Report:
    report = Report(text, text, version=text, date=text, lang="en")
    report.text(text)
    for title in (text, "two", "three"):
        report.section(title)
    report.text(text, "first\n\nsecond")
    report.note(text)
    report.note(text, kind="warning")
    report.code(text)
    report.facts({text: text, "number": 3})
    report.numbers({text: text, "PQ": (0.5, text)})
    report.table([text, "n"], [[text, 1], ["b", None]], caption=text)
    report.figure(image, text, text or "alt")
    report.gallery([(image, text, "alt"), (png_bytes(image), text, "alt")])
    report.plot(paper, text, "alt")
    return report


def test_all_text_is_escaped(rng):
    html = full_report(EVIL, rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)).render()
    page = Page(html)
    assert {tag for tag, _ in page.elements} & {"script", "iframe", "object", "embed", "link", "base", "form"} == set()
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert sum(part.count(EVIL) for part in page.text) >= 14
    assert "<script" not in html.lower()


@given(st.text(alphabet=st.characters(), max_size=30))
def test_any_text_makes_a_page_that_can_be_written_and_read_back(text):
    report = Report(text, text)
    report.section(text)
    report.text(text)
    report.code(text)
    report.table([text], [[text]])
    written = report.render().encode("utf-8")
    page = Page(written.decode("utf-8"))
    assert b"\x00" not in written
    assert len(page.all("section")) == 1
    if text.isprintable() and text.strip() == text and text:
        assert page.text.count(text) >= 5


def test_nothing_is_loaded_from_anywhere(rng):
    html = full_report("name", rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)).render()
    page = Page(html)
    for _, attributes in page.elements:
        for name in ("src", "srcset", "href", "action", "data", "poster", "background"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:image/png;base64,", "data:image/jpeg;base64,", "#"))
    styles = "".join(re.findall(r"<style>(.*?)</style>", html, re.DOTALL))
    assert "@import" not in styles
    assert "url(" not in styles
    policy = next(meta["content"] for meta in page.all("meta") if meta.get("http-equiv"))
    assert "default-src 'none'" in policy
    assert re.sub(r"base64,[A-Za-z0-9+/=]*", "", html).count("://") == 0


def test_links_lead_to_sections_that_exist():
    report = Report("title")
    report.text("before the first section")
    for i in range(3):
        report.section(f"part {i}")
        report.text("text")
    page = Page(report.render())
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    links = [a["href"] for a in page.all("a")]
    assert len(links) == 3
    assert {link[1:] for link in links} <= set(ids)


def test_accessible(rng):
    page = Page(full_report("name", rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)).render())
    assert page.all("html")[0]["lang"] == "en"
    assert page.all("img")
    assert all(img["alt"] and img["width"] and img["height"] for img in page.all("img"))
    assert all(th["scope"] in ("row", "col") for th in page.all("th"))
    assert len(page.all("h1")) == 1
    assert len(page.all("main")) == 1


def _variables(css: str) -> dict[str, str]:
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", css))


def test_text_has_the_contrast_of_wcag_aa_in_light_dark_and_print():
    css = re.findall(r"<style>(.*?)</style>", Report("x").render(), re.DOTALL)[0]
    blocks = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        colors = _variables(block)
        for paper in ("page", "card", "soft", "note-soft", "warn-soft"):
            assert contrast(colors["ink"], colors[paper]) >= 7
        for text in ("muted", "accent", "warn"):
            for paper in ("page", "card", "soft"):
                assert contrast(colors[text], colors[paper]) >= 4.5, (text, paper)
        assert contrast(colors["accent"], colors["note-soft"]) >= 4.5
        assert contrast(colors["warn"], colors["warn-soft"]) >= 4.5


def _pictures(html: str) -> list[tuple[str, bytes]]:
    found = re.findall(r'(?:src|srcset)="data:(image/[a-z]+);base64,([A-Za-z0-9+/=]+)"', html)
    return [(mime, base64.b64decode(data, validate=True)) for mime, data in found]


def test_figures_give_back_equal_pixels(rng):
    image = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    report = Report("x")
    report.figure(image, "caption", "alt")
    ((mime, data),) = _pictures(report.render())
    assert mime == "image/png"
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), image)


def test_drawings_stay_exact_and_large_pictures_of_tissue_become_jpeg(rng):
    y, x = np.mgrid[:600, :600]
    tissue = np.clip(128 + 60 * np.sin(x / 9)[..., None] + rng.normal(0, 6, (600, 600, 3)), 0, 255).astype(np.uint8)
    drawing = np.repeat(rng.integers(0, 5, (1000, 1000, 1), dtype=np.uint8) * 60, 3, axis=2)
    report = Report("x")
    report.figure(tissue, "", "tissue")
    report.figure(drawing, "", "drawing")
    (first, small), (second, exact) = _pictures(report.render())
    assert (first, second) == ("image/jpeg", "image/png")
    assert len(small) * 3 < len(png_bytes(tissue)) * 2
    back = np.asarray(Image.open(io.BytesIO(small))).astype(int)
    assert np.abs(back - tissue).mean() < 6
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(exact))), drawing)
    assert y.shape == tissue.shape[:2]


def test_bytes_go_in_unchanged_and_plots_are_shown_at_their_resolution(rng):
    image = rng.integers(0, 256, (12, 8, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, format="PNG", dpi=(192, 192))
    report = Report("x")
    for data in (png_bytes(image), jpeg_bytes(image), stream.getvalue()):
        report.figure(data, "", "alt")
    html = report.render()
    assert [data for _, data in _pictures(html)] == [png_bytes(image), jpeg_bytes(image), stream.getvalue()]
    assert [(img["width"], img["height"]) for img in Page(html).all("img")] == [("8", "12"), ("8", "12"), ("4", "6")]


def test_large_arrays_are_reduced():
    report = Report("x", max_side=50)
    report.figure(np.zeros((200, 100, 3), np.uint8), "", "alt")
    assert [(img["width"], img["height"]) for img in Page(report.render()).all("img")] == [("25", "50")]


def test_pictures_beyond_the_limit_are_left_out_and_the_report_says_so(rng):
    image = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
    report = Report("x", max_bytes=len(png_bytes(image)) * 2)
    for i in range(3):
        report.figure(image, f"picture {i}", "alt")
    page = Page(report.render())
    assert len(page.all("img")) == 2
    assert "Left out" in "".join(page.text)
    assert "picture 2" in "".join(page.text)


def test_a_plot_has_a_version_for_dark_pages():
    report = Report("x")
    report.plot(paper, "", "alt")
    page = Page(report.render())
    assert "prefers-color-scheme: dark" in page.all("source")[0]["media"]
    (_, dark), (_, light) = _pictures(report.render())
    assert (light, dark) == (paper("light"), paper("dark"))
    assert page.all("source")[0]["srcset"] != page.all("img")[0]["src"]


def test_cells_are_written_as_people_read_them():
    report = Report("x")
    values = [None, float("nan"), 0.51234, 12345, np.float32(0.25), np.int64(7), True, np.bool_(False), 1e-5, "a<b"]
    values += [0.0, 12345.6, float("-inf")]
    report.table(["value"], [[v] for v in values])
    shown = re.findall(r"<th scope=\"row\"[^>]*>(.*?)</th>", report.render())
    dash = "\N{EN DASH}"
    assert shown == [
        dash,
        dash,
        "0.512",
        "12,345",
        "0.250",
        "7",
        "yes",
        "no",
        "1.0e-05",
        "a&lt;b",
        "0.000",
        "12,346",
        "-∞",
    ]


@pytest.mark.parametrize(
    ("align", "expected"), [(None, "lr"), ("rc", "rc"), (["center", "left"], "cl"), (("r", "l"), "rl")]
)
def test_columns_are_aligned(align, expected):
    report = Report("x")
    report.table(["name", "n"], [["a", 1], ["b", None]], align)
    page = Page(report.render())
    cells = [*page.all("th")[:2], page.all("th")[2], page.all("td")[0]]
    assert "".join(cell["class"] for cell in cells) == expected * 2


def test_the_same_report_is_rendered_to_the_same_text(rng):
    image = rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)
    assert full_report("x", image).render() == full_report("x", image).render()


@pytest.mark.parametrize(
    "call",
    [
        lambda r: r.table(["a", "b"], [[1]]),
        lambda r: r.table(["a"], [[1]], "x"),
        lambda r: r.table(["a"], [[1]], "ll"),
        lambda r: r.figure(b"GIF89a", "", "alt"),
        lambda r: r.figure(b"\x89PNG\r\n\x1a\n", "", "alt"),
        lambda r: r.figure(b"", "", "alt"),
        lambda r: r.figure(np.zeros((4, 4)), "", "alt"),
        lambda r: r.figure(np.zeros((4, 4, 3), np.uint8), "caption", " "),
        lambda r: r.note("x", kind="joke"),
    ],
)
def test_what_cannot_be_shown_is_refused_and_leaves_no_trace(call):
    report = Report("x")
    with pytest.raises(InputError):
        call(report)
    assert report.render() == Report("x").render()


def test_names_of_columns_may_go_on_in_the_next_line():
    report = Report("t")
    report.table(["a_model_with_a_long_name", "b"], [[1, 2]])
    assert '<th scope="col" class="r">a_<wbr>model_<wbr>with_<wbr>a_<wbr>long_<wbr>name</th>' in report.render()
