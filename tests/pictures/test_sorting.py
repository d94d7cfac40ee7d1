"""Tables that sort: one known script, allowed by its hash alone, and only where a table asks for it."""

from __future__ import annotations

import base64
import hashlib
import re

from histoseed.pictures import Report, Strong


def page(**options) -> str:
    report = Report("title")
    report.table(["arm", "PQ"], [["a rather long name", Strong(0.5)], ["b", None]], "lr", caption="<scores>", **options)
    return report.render()


def policy(html: str) -> str:
    return re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', html)[1]


def test_a_report_without_sortable_tables_has_no_script():
    html = page()
    assert "<script" not in html
    assert "script-src" not in policy(html)
    assert "runs no scripts" in html


def test_the_policy_allows_the_script_by_its_hash_and_nothing_else():
    html = page(sortable=True)
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy(html) == f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    assert html.count("<script") == 1
    assert html.index("<script") > html.index("</table>")
    assert '<table class="sortable">' in html
    assert "one script sorts tables" in html


def test_two_sortable_tables_share_one_script():
    report = Report("title")
    for _ in range(2):
        report.table(["a"], [["b"]], sortable=True)
    assert report.render().count("<script") == 1


def test_a_folded_table_shows_its_caption_and_holds_its_rows():
    html = page(folded=True)
    assert re.search(r"<details><summary>&lt;scores&gt;</summary>.*0\.500.*</details>", html, re.DOTALL)
    assert "<caption>" not in html
    assert "<caption>&lt;scores&gt;</caption>" in page()


def test_what_stands_out_and_what_is_long():
    html = page()
    assert "<strong>0.500</strong>" in html
    assert '<th scope="row" class="l long">a rather long name</th>' in html
    assert '<th scope="row" class="l">b</th>' in html
