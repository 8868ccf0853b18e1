"""One defect gives one finding."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from groundprep.checks.base import Batch, Check, Rule, Subject
from groundprep.checks.registry import RULES
from groundprep.checks.suite import Suite, Wanted, without_suppressed
from groundprep.checks.verdicts import Verdict
from groundprep.finding import Finding, Severity
from groundprep.geometry.frames import SizeWH
from groundprep.images import FileImage, ImageRef
from groundprep.profile import Profile
from groundprep.record import Record
from groundprep.source import Source
from groundprep.trainers import get_profile


def test_a_finding_on_a_part_makes_that_on_the_whole_row_superfluous_but_not_that_on_another_part() -> None:
    rules = {"cause": Rule("cause", Severity.ERROR, "…", suppresses=("effect",))}

    def found(code: str, source: str) -> Finding:
        return Finding(code=code, severity=Severity.ERROR, record=1, source=source, message="…")

    cause, whole, other = found("cause", "é.jsonl:7#2"), found("effect", "é.jsonl:7"), found("effect", "é.jsonl:7#1")
    assert without_suppressed([cause, whole, other], rules) == [cause, other]


def test_a_finding_on_one_phrase_leaves_those_on_another_phrase_of_the_row() -> None:
    rules = {"cause": Rule("cause", Severity.ERROR, "…", suppresses=("effect", "reward"))}
    one = subject(7)
    cause, same = one.finding(RULE, "…", about="ein_hund"), one.finding(OTHER, "…", about="ein_hund")
    other, row = one.finding(OTHER, "…", about="ein  hund"), one.finding(Rule("reward", Severity.ERROR, "…"), "…")
    assert without_suppressed([cause, same, other, row], rules) == [cause, other]
    assert without_suppressed([one.finding(RULE, "…"), other], rules) == [one.finding(RULE, "…")]
    assert cause.as_dict() == one.finding(RULE, "…").as_dict()


def subject(number: int, *, size_wh: SizeWH | None = (61, 37), profile: Profile | None = None) -> Subject:
    record = Record(Source("é.jsonl", number), images=(ImageRef("é.jpg", FileImage("é.jpg")),))
    return Subject(record, (Verdict(size_wh),), profile, row={"id": number})


RULE, OTHER = Rule("cause", Severity.ERROR, "…"), Rule("effect", Severity.WARNING, "…")
EASYR1 = get_profile("easyr1")


def find(*rules: Rule) -> Callable[[Subject], Iterator[Finding]]:
    def run(one: Subject) -> Iterator[Finding]:
        for rule in rules:
            yield one.finding(rule, "…")

    return run


class Count:
    """Notes which subjects it was shown."""

    def note(self, subjects: Sequence[Subject]) -> list[int]:
        return [one.row["id"] for one in subjects]

    def see(self, note: list[int]) -> Iterable[Finding]:
        del note
        return ()

    def findings(self) -> Iterable[Finding]:
        return ()


def places(found: dict[int, list[Finding]]) -> dict[int, list[str]]:
    return {place: [finding.code for finding in findings] for place, findings in found.items()}


def test_the_checks_of_records_and_those_of_a_trainers_rows_are_run_apart() -> None:
    checks = (
        Check("records", (RULE,), find(RULE)),
        Check("rows", (OTHER,), find(OTHER), applies=lambda profile: profile.name == "easyr1"),
        Check("readers", (Rule("bad-json", Severity.ERROR, "…"),)),
    )
    batch = Batch([subject(1), subject(2)])
    assert places(Suite(checks).record_findings(batch)) == {0: ["cause"], 1: ["cause"]}
    assert places(Suite(checks).row_findings(batch)) == {}
    assert places(Suite(checks, EASYR1).row_findings(batch)) == {0: ["effect"], 1: ["effect"]}
    assert places(Suite(checks, get_profile("rexthinker")).row_findings(batch)) == {}


def test_a_check_of_whose_codes_none_is_wanted_is_not_run_and_one_that_measures_is() -> None:
    def fail(one: Subject) -> Iterator[Finding]:
        raise AssertionError(one)

    checks = (
        Check("cause", (RULE,), fail),
        Check("both", (OTHER, RULE), find(OTHER, RULE)),
        Check("all", (), watch=Count),
    )
    suite = Suite(checks, wanted=Wanted(select=frozenset({"effect"})))
    assert places(Suite(checks[1:], wanted=suite.wanted).record_findings(Batch([subject(1)]))) == {0: ["effect"]}
    assert len(suite.watches()) == 1
    assert [check.name for check in Suite(checks, wanted=Wanted(ignore=frozenset({"cause"}))).of_records] == [
        "both",
        "all",
    ]


def test_what_a_screen_passes_over_is_not_looked_at() -> None:
    checks = (Check("some", (RULE,), find(RULE), screen=lambda subjects: range(1, len(subjects), 2)),)
    batch = Batch([subject(number) for number in range(5)])
    assert places(Suite(checks).record_findings(batch)) == {1: ["cause"], 3: ["cause"]}


def test_rows_of_images_of_unknown_size_are_kept_from_checks_and_watches_that_need_it() -> None:
    checks = (
        Check("sized", (RULE,), find(RULE), applies=lambda _: True, watch=Count),
        Check("any", (OTHER,), find(OTHER), applies=lambda _: True, watch=Count, needs_sizes=False),
        Check("records", (RULE,), find(RULE), watch=Count),
    )
    rows = Batch([subject(1, profile=EASYR1), subject(2, size_wh=None, profile=EASYR1)])
    suite = Suite(checks, EASYR1)
    assert places(suite.row_findings(rows)) == {0: ["cause", "effect"], 1: ["effect"]}
    assert places(suite.record_findings(rows)) == {0: ["cause"], 1: ["cause"]}
    assert suite.notes(rows, rows) == [[1, 2], [1], [1, 2]]  # of records first


def test_only_what_is_reported_makes_other_findings_superfluous() -> None:
    rules = {"cause": Rule("cause", Severity.ERROR, "…", suppresses=("effect",))}
    both = [subject(7).finding(RULE, "…"), subject(7).finding(OTHER, "…"), subject(8).finding(OTHER, "…")]
    assert [f.source for f in without_suppressed(both, rules)] == ["é.jsonl:7", "é.jsonl:8"]
    assert without_suppressed(both[1:], rules) == both[1:]


def test_no_rule_of_the_registry_suppresses_itself_or_one_that_suppresses_it() -> None:
    for rule in RULES.values():
        for code in rule.suppresses:
            assert code in RULES, f"{rule.code} suppresses {code}, which no check finds"
            assert rule.code not in RULES[code].suppresses, f"{rule.code} and {code} suppress each other"
            assert code != rule.code
