"""The HTML report: whole, safe, and in the order that helps."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

from groundprep.checks.base import Rule
from groundprep.checks.tally import Tally
from groundprep.finding import Finding, Severity
from groundprep.view.report_page import report_page

RULES = {
    "box-outside": Rule("box-outside", Severity.ERROR, "a box lies outside its image"),
    "blank-line": Rule("blank-line", Severity.WARNING, "a blank line among the rows"),
}
DATA: dict[str, Any] = {"records": 7, "errors": 1, "warnings": 1, "profile": "easyr1@b44b311", "findings": []}
VOID = {"meta", "br"}


class Balance(HTMLParser):
    """Collects the text and proves that every tag is closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.text = ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert not any(name.startswith("on") for name, _ in attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def page(found: str = "[1, 2]", **more: Any) -> str:
    tally = Tally(RULES)
    tally.add(Finding(code="blank-line", severity=Severity.WARNING, record=None, source="a.jsonl:9", message="blank"))
    tally.add(
        Finding(
            code="box-outside",
            severity=Severity.ERROR,
            record=3,
            source="a.jsonl:3",
            message="answer 0 lies outside",
            found=found,
            expected="inside 61x37",
            fix="cut it",
        )
    )
    return report_page("a.jsonl", DATA | more, tally.worst_first())


def test_the_page_says_what_where_and_how_to_fix_it() -> None:
    text = Balance(page()).text
    for words in ("7 records for easyr1@b44b311", "1 errors", "a.jsonl:3", "inside 61x37", "cut it", "a blank line"):
        assert words in text
    assert text.index("box-outside") < text.index("blank-line")


def test_text_from_data_can_neither_open_a_tag_nor_hide_control_characters() -> None:
    made = page("<script>alert('é')</script>\x1b[31m\u202e")
    parsed = Balance(made)
    assert "script" not in parsed.tags
    assert "<script>alert('é')</script>\\x1b[31m\\u202e" in parsed.text
    assert "\x1b" not in made


def test_nothing_is_loaded_from_elsewhere() -> None:
    assert re.search(r"(src|href)=\"(?!#)|url\(|@import", page()) is None


def test_facts_of_the_result_become_tables() -> None:
    text = Balance(
        page(ceilings={"reward": "rexthinker", "mean": 0.97, "histogram": [0, 3, 9], "useless": {"none": 0.1}})
    ).text
    for words in ("ceilings", "rexthinker", "0.97", "useless / none", "9"):
        assert words in text


def test_a_clean_result_says_so() -> None:
    clean = report_page("b.jsonl", {"records": 7, "errors": 0, "warnings": 0}, [])
    assert "no finding" in Balance(clean).text
