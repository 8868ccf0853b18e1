from __future__ import annotations

import pytest

from groundprep.errors import UsageError
from groundprep.source import Source
from groundprep.trainers import get_profile
from groundprep.training.plan import GrpoSettings, RowSurvey, plan_of
from groundprep.training.rows import TrainRow

PROFILE = get_profile("easyr1").with_limits(3_136, 25_088).as_metadata()


def survey(seen: list[tuple[int, int]]) -> RowSurvey:
    rows = RowSurvey()
    for i, seen_wh in enumerate(seen):
        rows.add(TrainRow(Source("d", i + 1), f"prompt {i}", f"truth {i}", b"", (61, 37), (seen_wh,)))
    return rows


def test_seen_sizes_are_counted_most_frequent_first() -> None:
    assert survey([(56, 84), (84, 56), (84, 56)]).seen_sizes() == {"84x56": 2, "56x84": 1}


def test_the_first_row_of_a_size_is_remembered_for_messages() -> None:
    assert survey([(56, 84), (84, 56), (84, 56)]).first_of_size[(84, 56)] == Source("d", 2)


def test_without_steps_the_data_is_seen_once() -> None:
    assert GrpoSettings(batch_size=4).steps_for(11) == 2


def test_fewer_rows_than_a_step_takes_are_refused() -> None:
    with pytest.raises(UsageError) as caught:
        GrpoSettings(batch_size=4, steps=9).steps_for(3)
    assert caught.value.code == "too-few-rows"


@pytest.mark.parametrize("settings", [GrpoSettings(num_generations=1), GrpoSettings(learning_rate=0.0)])
def test_settings_that_cannot_teach_are_refused(settings: GrpoSettings) -> None:
    with pytest.raises(UsageError):
        settings.require_valid()


def test_the_plan_says_what_will_happen() -> None:
    settings = GrpoSettings(steps=3, batch_size=2, num_generations=4, seed=5)
    plan = plan_of(survey([(84, 56)] * 4), settings, model="m", rewards=("iou",), profile=PROFILE, output="out")
    assert plan["profile"] == "easyr1@b44b311"
    assert plan["limits"] == {"min_pixels": 3_136, "max_pixels": 25_088}
    assert plan["completions"] == 24
    assert plan["passes_over_data"] == 1.5
    assert plan["rewards"] == ["iou"]
    assert [example["prompt"] for example in plan["examples"]] == ["prompt 0", "prompt 1"]
    assert plan["checkpoint"] == "out"
