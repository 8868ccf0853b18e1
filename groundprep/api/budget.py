"""What the user's training allows a row to cost, where it differs from the trainer's defaults."""

from __future__ import annotations

from dataclasses import dataclass, replace

from groundprep.checks.tokens import ESTIMATED, TokenCounter, TokenizerTokens
from groundprep.errors import UsageError
from groundprep.profile import Profile


@dataclass(frozen=True, slots=True)
class BudgetConfig:
    """Limits of the training; None: the profile's default.

    Args:
        tokenizer: a directory or hub id whose tokenizer counts; None: an estimate.
        train_batch_size: rows of one batch.
        max_prompt_length, max_response_length: tokens.
        max_length: tokens of prompt and answer together (SFT).
    """

    tokenizer: str | None = None
    train_batch_size: int | None = None
    max_prompt_length: int | None = None
    max_response_length: int | None = None
    max_length: int | None = None


def require_no_budget(config: BudgetConfig) -> None:
    """Raise UsageError if a limit is given although no trainer is named."""
    given = [name for name in config.__slots__ if getattr(config, name) is not None]
    if given:
        raise UsageError(
            "limits on tokens and batches concern a trainer",
            found="--" + given[0].replace("_", "-"),
            expected="--for PROFILE",
        )


def with_budget(profile: Profile, config: BudgetConfig, *, all_rows: bool) -> Profile:
    """Return the profile with the training's limits; if not all rows are read, their number says nothing about a batch."""
    if not all_rows:
        profile = replace(profile, budget=replace(profile.budget, batch_rows=None))
    return profile.with_budget(
        prompt_tokens=config.max_prompt_length,
        response_tokens=config.max_response_length,
        sequence_tokens=config.max_length,
        batch_rows=config.train_batch_size if all_rows else None,
    )


def token_counter(config: BudgetConfig) -> TokenCounter:
    """Return what counts tokens; raises UsageError, HubUnavailableError, MissingDependencyError."""
    return ESTIMATED if config.tokenizer is None else TokenizerTokens(config.tokenizer)
