"""A pipeline file: YAML with variables and steps, each step a verb with its arguments, checked before anything runs.

    vars: {out: demo}
    steps:
      - verb: convert
        src: toy_data/toy.rexthinker.jsonl
        dst: ${vars.out}/train.parquet
        for: easyr1

A step's arguments are the fields of the verb's own configuration, so a verb needs nothing here but a line in VERBS.
Names of files are relative to the current directory, as on the command line. Refused: aliases and anchors (a few lines of
them can mean gigabytes), duplicate keys, tags, unknown keys.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from typing import Any, Literal, NamedTuple, TypeAlias, Union, get_type_hints

import msgspec

from groundprep.api.yaml_text import parse_yaml, read_yaml
from groundprep.errors import UsageError

RENAMED = {
    "SourceConfig.paths": "src",
    "SourceConfig.from_name": "from",
    "DetectorOptions.name": "detector",
    "CandidateSettings.policy": "answer_policy",
    "profile": "for",
    "AgainstConfig.paths": "against",
    "AgainstConfig.image_root": "against_image_root",
}
"""Fields that have another name in a file, as they have on the command line: `Class.field`, or `field` in every class."""

HIDDEN = frozenset({"assumed_dialect", "assumed_frame", "frame_may_stay_unknown", "hint_frame"})
"""Fields that a library caller may set and a person never does."""

FailOn: TypeAlias = Literal["error", "warning", "never"]

_VARIABLE = re.compile(r"\$\{([^}]*)\}")


class Verb(NamedTuple):
    """Where a verb's library function and its configuration are; imported when a pipeline uses it."""

    module: str
    config: str
    function: str
    fails_on_findings: bool = False
    """The verb has the argument `fail_on`, which decides what its result means and not what it does."""


VERBS = {
    "add-candidates": Verb("groundprep.api.add_candidates", "AddCandidatesConfig", "add_candidates"),
    "convert": Verb("groundprep.api.convert", "ConvertConfig", "convert"),
    "sample": Verb("groundprep.api.sample", "SampleConfig", "sample"),
    "split": Verb("groundprep.api.split", "SplitConfig", "split"),
    "train": Verb("groundprep.api.train", "TrainConfig", "train"),
    "validate": Verb("groundprep.api.validate", "ValidateConfig", "validate", fails_on_findings=True),
    "vis": Verb("groundprep.api.vis", "VisConfig", "vis"),
}


@dataclass(frozen=True, slots=True)
class Step:
    """One step, checked.

    Args:
        name: unique in its file: as given, else the verb, with a number if the verb comes more than once.
        arguments: as in the file, variables filled in.
        config: the verb's configuration.
        fail_on: the severity of findings at which the step fails; None for verbs that find nothing.
    """

    name: str
    verb: str
    arguments: dict[str, Any]
    config: Any
    fail_on: FailOn | None = None

    def run(self, **callbacks: Any) -> Any:
        """Call the library function; raises what it raises."""
        return _load(self.verb)[1](self.config, **callbacks)


@dataclass(frozen=True, slots=True)
class Recipe:
    """A pipeline file, checked: its variables and its steps."""

    path: str
    vars: dict[str, Any]
    steps: tuple[Step, ...]

    def as_data(self) -> dict[str, Any]:
        """Return what will run, with every variable and override filled in."""
        steps = [{"verb": step.verb, "name": step.name} | step.arguments for step in self.steps]
        return {"vars": self.vars, "steps": steps}


class RecipeFile(msgspec.Struct, forbid_unknown_fields=True):
    """What a pipeline file holds."""

    steps: list[dict[str, Any]]
    vars: dict[str, Any] = {}


def read_recipe(path: str, overrides: Sequence[str] = (), shared: Mapping[str, Any] | None = None) -> Recipe:
    """Return the pipeline of a file; raises UsageError (`pipeline-unreadable`, `pipeline-invalid`, `pipeline-override`).

    Args:
        path: a YAML file.
        overrides: `vars.NAME=VALUE` or `STEP.ARGUMENT=VALUE`; VALUE is YAML.
        shared: arguments for every step whose verb has them and that does not say otherwise.
    """
    data = _load_yaml(path)
    _require_known(data, ("steps", "vars"), path, "key")
    try:
        file = msgspec.convert(data, RecipeFile)
    except msgspec.ValidationError as error:
        raise _invalid(path, str(error), "steps: a list of {verb: …, arguments}") from error
    if not file.steps:
        raise _invalid(path, "there are no steps", "at least one step")
    steps = _named(file.steps, path)
    for override in overrides:
        _override(override, file.vars, steps)
    filled = {name: _fill(step, file.vars, f"{path}: {name}") for name, step in steps.items()}
    return Recipe(path, file.vars, tuple(_step(path, name, step, shared or {}) for name, step in filled.items()))


def recipe_type() -> type[msgspec.Struct]:
    """Return the type of a whole pipeline file, every verb's arguments included: what its JSON Schema is made from."""
    steps: Any = Union[tuple(step_type(verb) for verb in VERBS)]  # noqa: UP007 (built from a list)
    return msgspec.defstruct(
        "Pipeline",
        [("steps", list[steps]), ("vars", dict[str, Any], msgspec.field(default_factory=dict))],
        forbid_unknown_fields=True,
        kw_only=True,
    )


class Argument(NamedTuple):
    """One argument of a verb.

    Args:
        path: the field of the configuration, after the fields of the configurations around it.
        name: what a pipeline file calls it.
        type: what it may be.
        default: its value where a file does not say it; MISSING: a file must.
    """

    path: tuple[str, ...]
    name: str
    type: Any
    default: Any

    @property
    def key(self) -> str:
        """A name that no other argument of the verb has."""
        return "__".join(self.path)


@cache
def step_type(verb: str) -> type[msgspec.Struct]:
    """Return the type of one verb's step, made from its configuration: same fields, same types, same defaults."""
    arguments = tuple(_iter_arguments(_load(verb)[0]))
    columns: list[Any] = [("name", str | None, None)]
    if VERBS[verb].fails_on_findings:
        columns.append(("fail_on", FailOn, "error"))
    for argument in arguments:
        kind = str | argument.type if argument.type == tuple[str, ...] else argument.type
        columns.append((argument.key, kind) if argument.default is MISSING else (argument.key, kind, argument.default))
    return msgspec.defstruct(
        "".join(part.capitalize() for part in verb.split("-")) + "Step",
        columns,
        kw_only=True,
        rename={argument.key: argument.name for argument in arguments},
        tag_field="verb",
        tag=verb,
        forbid_unknown_fields=True,
    )


@cache
def _load(verb: str) -> tuple[type[Any], Callable[..., Any]]:
    module = import_module(VERBS[verb].module)
    return getattr(module, VERBS[verb].config), getattr(module, VERBS[verb].function)


def _iter_arguments(config: type[Any], path: tuple[str, ...] = (), outer: Any = MISSING) -> Iterator[Argument]:
    """Yield the arguments that make up a configuration; `outer` is the instance that stands in if a file says nothing."""
    hints = get_type_hints(config)
    for item in fields(config):
        if item.name in HIDDEN:
            continue
        default = item.default
        if outer is not MISSING:
            default = getattr(outer, item.name)
        elif callable(item.default_factory):
            default = item.default_factory()
        if _is_config(hints[item.name]):
            yield from _iter_arguments(hints[item.name], (*path, item.name), default)
            continue
        own = RENAMED.get(f"{config.__name__}.{item.name}", RENAMED.get(item.name, item.name))
        yield Argument((*path, item.name), own, hints[item.name], default)


def _is_config(hint: Any) -> bool:
    return isinstance(hint, type) and is_dataclass(hint)


def _configured(config: type[Any], values: Mapping[str, Any], path: tuple[str, ...] = ()) -> Any:
    """Return the configuration that these values, by the keys of their arguments, make."""
    hints = get_type_hints(config)
    given: dict[str, Any] = {}
    for item in fields(config):
        if item.name in HIDDEN:
            continue
        hint = hints[item.name]
        if _is_config(hint):
            given[item.name] = _configured(hint, values, (*path, item.name))
            continue
        value = values["__".join((*path, item.name))]
        given[item.name] = (value,) if hint == tuple[str, ...] and isinstance(value, str) else value
    return config(**given)


def _step(path: str, name: str, step: Mapping[str, Any], shared: Mapping[str, Any]) -> Step:
    """Check one step against the type of its verb."""
    where = f"{path}: {name}"
    verb, kind = step["verb"], step_type(step["verb"])
    known = [item.encode_name for item in msgspec.structs.fields(kind)]
    _require_known(step, ["verb", *known], where, "argument")
    arguments = {key: value for key, value in step.items() if key not in ("verb", "name")}
    arguments = {key: value for key, value in shared.items() if key in known} | arguments
    try:
        typed = msgspec.convert({"verb": verb} | arguments, kind)
    except msgspec.ValidationError as error:
        raise _invalid(where, str(error).replace("`$.", "`"), f"the arguments of `groundprep {verb}`") from error
    values = msgspec.structs.asdict(typed)
    return Step(name, verb, arguments, _configured(_load(verb)[0], values), values.get("fail_on"))


def _named(steps: Sequence[dict[str, Any]], path: str) -> dict[str, dict[str, Any]]:
    """Return the steps by name; raises UsageError for an unknown verb or a name that comes twice."""
    verbs = []
    for number, step in enumerate(steps, start=1):
        verb = step.get("verb")
        if not isinstance(verb, str) or verb not in VERBS:
            found = "a step without verb" if verb is None else verb
            raise _invalid(f"{path}: step {number}", "no such verb", ", ".join(VERBS), found, str(verb), VERBS)
        verbs.append(verb)
    named: dict[str, dict[str, Any]] = {}
    for number, (verb, step) in enumerate(zip(verbs, steps, strict=True)):
        numbered = f"{verb}-{verbs[: number + 1].count(verb)}" if verbs.count(verb) > 1 else verb
        name = step.get("name") or numbered
        if not isinstance(name, str) or name in named or name == "vars" or "." in name or "=" in name:
            raise _invalid(
                f"{path}: step {number + 1}", "this name cannot be used", "a unique name without . and =", name
            )
        named[name] = step
    return named


def _override(text: str, variables: dict[str, Any], steps: Mapping[str, dict[str, Any]]) -> None:
    """Apply one `--set a.b=c`; raises UsageError."""
    key, equals, value = text.partition("=")
    place, dot, name = key.partition(".")
    if not (equals and dot and name):
        raise UsageError(
            "an override has another form",
            code="pipeline-override",
            found=text,
            expected="vars.NAME=VALUE or STEP.ARGUMENT=VALUE",
        )
    if place != "vars" and place not in steps:
        raise _unknown("an override names no step", place, ["vars", *steps], text)
    if place == "vars" and name not in variables:
        raise _unknown("an override names no variable", name, list(variables), text)
    parsed = parse_yaml(value, source=f"--set {text}", invalid="pipeline-invalid")
    if place == "vars":
        variables[name] = parsed
    else:
        steps[place][name] = parsed


def _fill(value: Any, variables: Mapping[str, Any], where: str) -> Any:
    """Replace `${vars.x}`: a string that is nothing else takes the variable's type."""
    if isinstance(value, dict):
        return {key: _fill(item, variables, where) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill(item, variables, where) for item in value]
    if not isinstance(value, str):
        return value
    whole = _VARIABLE.fullmatch(value)
    if whole is not None:
        return _variable(whole[1], variables, where)
    return _VARIABLE.sub(lambda match: str(_variable(match[1], variables, where)), value)


def _variable(reference: str, variables: Mapping[str, Any], where: str) -> Any:
    name = reference.removeprefix("vars.")
    if name == reference or name not in variables:
        raise _unknown("no such variable", reference, [f"vars.{known}" for known in variables], where)
    return variables[name]


def _require_known(given: Mapping[str, Any], known: Sequence[str], where: str, what: str) -> None:
    for key in given:
        if key not in known:
            raise _unknown(f"no such {what}", str(key), list(known), where)


def _unknown(message: str, found: str, known: Sequence[str], where: str) -> UsageError:
    return _invalid(where, message, ", ".join(known), found, found, known)


def _invalid(
    where: str,
    message: str,
    expected: str,
    found: object = None,
    guessed: str = "",
    known: Sequence[str] | Mapping[str, Any] = (),
) -> UsageError:
    near = get_close_matches(guessed, list(known), n=1)
    fix = f"did you mean {near[0]}?" if near else None
    text = message[0].lower() + message[1:]
    return UsageError(text, code="pipeline-invalid", source=where, found=found, expected=expected, fix=fix)


def _load_yaml(path: str) -> dict[str, Any]:
    value = read_yaml(path, what="pipeline file", unreadable="pipeline-unreadable", invalid="pipeline-invalid")
    if not isinstance(value, dict):
        raise _invalid(path, "a pipeline file is a mapping", "steps: […]", value)
    return value
