"""What a trainer revision does with data, as a value. The profiles themselves are data, in `trainers`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from groundprep.errors import SchemaError
from groundprep.geometry.frames import FRAMES, Frame, SizeWH, Space
from groundprep.geometry.resize import ResizeChain

Unit: TypeAlias = Literal["expression", "category", "image"]


@dataclass(frozen=True, slots=True)
class Budget:
    """What a trainer's default configuration lets a row cost; None where it has no such limit, or none is known.

    Args:
        prompt_tokens: longest prompt, image tokens included; a longer row is dropped, cut or fails.
        response_tokens: longest completion; a longer one is cut.
        sequence_tokens: longest prompt and answer together (SFT).
        template_tokens: about what the trainer itself adds to a prompt: chat marks, system turn, instruction.
        batch_rows: rows of one optimizer or rollout batch; a data set with fewer gives no step.
        batch_named: `batch_rows` is what the user says that the training has, not a default.
        boxes_per_label: boxes of one label that the reward looks at.
        over: what the trainer does with a longer prompt or sequence, for the message: `drops`, `cuts` or `fails`.
    """

    prompt_tokens: int | None = None
    response_tokens: int | None = None
    sequence_tokens: int | None = None
    template_tokens: int = 0
    batch_rows: int | None = None
    batch_named: bool = False
    boxes_per_label: int | None = None
    over: Literal["drops", "cuts", "fails"] = "drops"


@dataclass(frozen=True, slots=True)
class Profile:
    """A trainer's view of data.

    Args:
        name, revision: `rexthinker`, `5038b47`; written `rexthinker@5038b47`.
        title: one line for `groundprep formats`.
        container, dialect: what it reads.
        unit: what one row is.
        chain: the trainer's resize chain.
        converter_chain: the chain that the trainer's own converter assumes, where it differs.
        frame: the frame of the numbers that it is given.
        holds_absent: whether a row may say that its phrase is not in the image.
        needs_answer_in_hint: whether its reward is exact equality with one of the hints.
        launch: how to start it.
        said_frame: the frame of the numbers that the model itself writes, where it is not that of the rows.
        style: how its answers are written, where its dialect knows several styles.
        reward: the name of its default reward (`groundprep score --reward`); empty for SFT, which has none.
        min_ceiling: the score that the right answer of a row should earn at least; `validate --min-ceiling` overrides.
        budget: its default limits on tokens and batch.
    """

    name: str
    revision: str
    title: str
    container: str
    dialect: str
    unit: Unit
    chain: ResizeChain
    frame: Frame
    converter_chain: ResizeChain | None = None
    holds_absent: bool = True
    needs_answer_in_hint: bool = False
    launch: str = ""
    said_frame: Frame | None = None
    style: str = ""
    reward: str = ""
    min_ceiling: float = 0.8
    budget: Budget = Budget()

    @property
    def full_name(self) -> str:
        """`name@revision`."""
        return f"{self.name}@{self.revision}"

    def with_limits(self, min_pixels: int | None, max_pixels: int | None) -> Profile:
        """Return the profile with the user's pixel limits in the place where the trainer's configuration has them."""
        return replace(self, chain=self.chain.with_limits(min_pixels, max_pixels))

    def with_budget(
        self,
        *,
        prompt_tokens: int | None = None,
        response_tokens: int | None = None,
        sequence_tokens: int | None = None,
        batch_rows: int | None = None,
    ) -> Profile:
        """Return the profile with the limits that the user's own configuration of the trainer has, where given."""
        limits = {
            "prompt_tokens": prompt_tokens,
            "response_tokens": response_tokens,
            "sequence_tokens": sequence_tokens,
            "batch_rows": batch_rows,
            "batch_named": True if batch_rows is not None else None,
        }
        given: dict[str, Any] = {name: value for name, value in limits.items() if value is not None}
        return replace(self, budget=replace(self.budget, **given))

    def as_converter(self) -> Profile:
        """Return the profile in the reference converter's frame (`--frame converter`)."""
        return replace(self, chain=self.converter_chain or self.chain)

    def seen_wh(self, size_wh: SizeWH) -> SizeWH:
        """Return the (width, height) that the model sees; raises SizeRefusedError."""
        return self.chain.seen_wh(size_wh)

    def as_metadata(self) -> dict[str, Any]:
        """Return what a file must say so that its numbers can be read again: the value of the `groundprep` key."""
        low, high = self.chain.limits
        return {
            "profile": self.name,
            "revision": self.revision,
            "frame": self.frame.name,
            "limits": {"min_pixels": low, "max_pixels": high},
            "chain": self.chain.as_data(),
            "unit": self.unit,
        }


@dataclass(frozen=True, slots=True)
class RowFrame:
    """The frame that a file's numbers are in: a frame and, for pixels that the model sees, the chain that makes them."""

    frame: Frame
    chain: ResizeChain | None = None

    def __post_init__(self) -> None:
        # No other frame depends on the chain; keeping it would make equal frames compare unequal.
        if self.frame.space is not Space.SEEN:
            object.__setattr__(self, "chain", None)

    def seen_wh(self, size_wh: SizeWH) -> SizeWH | None:
        """Return the seen size, or None if the frame does not depend on it."""
        return None if self.chain is None else self.chain.seen_wh(size_wh)

    @classmethod
    def of_profile(cls, profile: Profile) -> RowFrame:
        """Return the frame that a profile's rows are in."""
        return cls(profile.frame, profile.chain)

    @classmethod
    def from_metadata(cls, metadata: Any) -> RowFrame:
        """Return the frame that a file's `groundprep` metadata states; raises SchemaError if it states none."""
        try:
            return cls(FRAMES[metadata["frame"]], ResizeChain.from_data(metadata["chain"]))
        except (AttributeError, KeyError, TypeError, IndexError) as error:
            raise SchemaError(
                "the file's groundprep metadata cannot be read",
                found=str(error),
                fix="pass --source-frame, or write the file again",
            ) from error
