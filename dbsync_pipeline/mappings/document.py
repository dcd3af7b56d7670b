"""Reads one YAML file into its model, so that every complaint names the file, the line, the reason and the mend."""

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any, TypeVar, cast

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from dbsync_pipeline.errors import MappingError
from dbsync_pipeline.mappings.spec import MisplacedError

MEND = "Correct the file; `dbsync mapping validate` checks it again."

_Model = TypeVar("_Model", bound=BaseModel)


def read_file(path: Path, model: type[_Model]) -> _Model:
    """Read one YAML file into its model.

    Raises:
        MappingError: it is no YAML, or does not fit the model; every problem is named with its line.
    """
    try:
        node, data = _parse(path.read_text(encoding="utf-8"))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise MappingError(f"{path}:{line}: not YAML: {error.problem}", "Mend the syntax at that line.") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise MappingError(f"{path}:1: cannot be read: {error}", "Save the file as UTF-8 text.") from None
    try:
        return model.model_validate(data)
    except ValidationError as error:
        problems = [_problem(path, node, problem) for problem in error.errors(include_url=False, include_input=False)]
        raise MappingError("; ".join(problems), MEND) from None


def location(path: Path, *parts: int | str) -> str:
    """Return `file:line` of a part of a mapping file, such as `"columns", 2`, or of what holds it."""
    node, _ = _parse(path.read_text(encoding="utf-8"))
    return f"{path}:{_line_of(node, parts)}"


class _Loader(yaml.SafeLoader):
    """YAML in which `on` and `no` are words, as in YAML 1.2, and no key stands twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value]
        for key, _ in node.value:
            if keys.count(key.value) > 1:
                raise yaml.MarkedYAMLError(problem=f"{key.value!r} stands twice", problem_mark=key.start_mark)
        return super().construct_mapping(node, deep=deep)


_BOOLEAN = "tag:yaml.org,2002:bool"
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _BOOLEAN]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _word in ("true", "True", "TRUE", "false", "False", "FALSE"):
    _Loader.yaml_implicit_resolvers[_word[0]].insert(0, (_BOOLEAN, re.compile(f"^{_word}$")))


def _parse(text: str) -> tuple[yaml.Node | None, object]:
    """Return what stands where, and what it says; most of a command's start is spent here."""
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        return node, None if node is None else cast("object", loader.construct_document(node))  # pyright: ignore[reportUnknownMemberType] -- PyYAML is untyped
    finally:
        loader.dispose()  # pyright: ignore[reportUnknownMemberType] -- likewise


def _problem(path: Path, node: yaml.Node | None, problem: ErrorDetails) -> str:
    # A rule about several parts of a file says itself which one it objects to.
    cause = problem.get("ctx", {}).get("error")
    place = (*problem["loc"], *(cause.place if isinstance(cause, MisplacedError) else ()))
    name = ".".join(map(str, place))
    return (
        f"{path}:{_line_of(node, place)}: {f'{name}: ' if name else ''}{problem['msg'].removeprefix('Value error, ')}"
    )


def _line_of(node: yaml.Node | None, place: tuple[int | str, ...]) -> int:
    """Return the line, from 1, of the innermost part of the place that the file holds."""
    line = node.start_mark.line + 1 if node is not None else 1
    for part in place:
        child = _child(node, part)
        if child is None:
            return line
        line, node = child
    return line


def _child(node: yaml.Node | None, part: int | str) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return key.start_mark.line + 1, value
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part].start_mark.line + 1, node.value[part]
    return None
