from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from groundprep.rewards.tags import ANSWER, FENCE, first_between, last_between

texts = st.lists(st.sampled_from(["<answer>", "</answer>", "```json", "```", "a", "\n", "é"]), max_size=12).map("".join)


@given(texts, st.sampled_from([ANSWER, FENCE]))
def test_texts_are_those_of_the_pattern_that_trainers_use(text: str, tags: tuple[str, str]) -> None:
    found = re.findall(f"{tags[0]}(.*?){tags[1]}", text, re.DOTALL)
    assert first_between(text, tags) == (found[0] if found else None)
    assert last_between(text, tags) == (found[-1] if found else None)
