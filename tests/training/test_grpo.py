from __future__ import annotations

import importlib.util
from typing import Any

import pytest

from groundprep.errors import ExitCode, MissingDependencyError
from groundprep.rewards import REWARDS
from groundprep.training.grpo import require_extra, text_of, trl_reward


def test_completions_arrive_as_chats_or_as_text() -> None:
    assert text_of([{"role": "assistant", "content": "[1, 2]"}]) == "[1, 2]"
    assert (
        text_of([{"role": "assistant", "content": [{"type": "text", "text": "[1,"}, {"type": "text", "text": " 2]"}]}])
        == "[1, 2]"
    )
    assert text_of("[1, 2]") == "[1, 2]"


def test_a_reward_scores_each_completion_against_its_own_truth() -> None:
    score = trl_reward("rexthinker", REWARDS["rexthinker"])
    chats = [[{"role": "assistant", "content": text}] for text in ("[1, 2, 3, 4]", "[5, 6, 7, 8]")]
    rewards = score(completions=chats, ground_truth=["[1, 2, 3, 4]", "[1, 2, 3, 4]"], prompts=None, trainer_state=None)
    assert rewards == [pytest.approx(0.9), 0.0]
    assert score.__name__ == "rexthinker"


def test_a_missing_extra_names_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec

    def without_trl(name: str, *rest: Any) -> Any:
        return None if name == "trl" else real(name, *rest)

    monkeypatch.setattr(importlib.util, "find_spec", without_trl)
    with pytest.raises(MissingDependencyError, match=r"no trl.*pip install 'groundprep\[train\]'") as caught:
        require_extra()
    assert caught.value.exit_code is ExitCode.ENVIRONMENT
