"""Reading backends.yaml: the packaged file with the user's entries on top; errors name file and line."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from qlstm_qiskit.errors import OptionError, SpecError, unknown_option
from qlstm_qiskit.hardware.config.secrets import NAME_ADVICE, TOKEN_ADVICE, is_secret, is_secret_key, looks_like_token
from qlstm_qiskit.hardware.config.spec import BackendSpec

#: The entries that every installation has.
PACKAGED = Path(__file__).parents[1] / "backends.yaml"
#: A user's file, in the working folder.
USERS = Path("backends.yaml")

#: The exact interpreter: what the package means by it, whatever a file says. No other backend may have its name.
EXACT = BackendSpec(name="statevector", kind="statevector")

_Key = tuple[str, ...]
#: Values of such keys are names of code and devices, in words.
_NAMES = {("kind",), ("device",), ("provider",)}
#: Values of such keys are not repeated in messages.
_PRIVATE = {"account", "instance", "token_env"}


def load_specs(path: str | Path | None = None) -> dict[str, BackendSpec]:
    """Read the packaged entries and, on top of them, those of `path`, or of ./backends.yaml where there is one.

    An entry of the user's file changes the fields that it gives of the packaged entry of that name, also within nested
    mappings. It replaces the packaged entry as a whole if it gives another `kind`. A new name is a new entry.

    Raises:
        SpecError: A file cannot be read, or an entry cannot be used; the message begins with file and line.
    """
    entries, lines = _read(PACKAGED)
    if path is not None or USERS.is_file():
        changes, places = _read(Path(path) if path is not None else USERS)
        for name, change in changes.items():
            known = entries.get(name, {})
            if change.get("kind", known.get("kind")) != known.get("kind"):
                known = {}
                lines = {key: place for key, place in lines.items() if key[0] != name}
            entries[name] = _merge(known, change)
        lines |= places
    specs = {name: _build(name, entry, lines) for name, entry in entries.items()}
    if specs[EXACT.name] != EXACT:
        raise SpecError(
            f"{lines[EXACT.name,]}: {EXACT.name} is the exact interpreter, which everything else is compared with; it cannot "
            "be changed. Give this entry another name."
        )
    return specs


def find_spec(name: str, path: str | Path | None = None) -> BackendSpec:
    """Return the entry of that name; see `load_specs`.

    Args:
        name: Of the entry.
        path: A file of entries; by default ./backends.yaml where there is one. Either is read on top of the packaged one.

    Raises:
        OptionError: There is none of that name; the message lists those that there are.
        SpecError: A file cannot be used.
    """
    if is_secret(name):
        raise OptionError(f"the name of the backend cannot be used: {NAME_ADVICE}")
    if path is None and name not in _names(USERS):
        entries, lines = _read(PACKAGED)  # whatever else that file is, or holds
        if name in entries:
            return _build(name, entries[name], lines)
    specs = load_specs(path)
    if name not in specs:
        raise unknown_option("backend", name, specs)
    return specs[name]


def names_own_code(spec: BackendSpec, path: str | Path | None = None) -> bool:
    """Whether a backend runs only the package's code, or code that an entry of the user's file names too.

    Args:
        spec: A backend that somebody else may have written down.
        path: The user's file; ./backends.yaml where there is one by default.

    Raises:
        SpecError: The file cannot be used.
    """
    if spec.code is None:
        return True
    return any(own.code == spec.code for own in load_specs(path).values())


def _names(path: Path) -> set[str]:
    """Names of the entries of a file, as far as it can be read."""
    try:
        return _keys(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError):
        return set()


@lru_cache(maxsize=4)
def _keys(text: str) -> set[str]:
    root = yaml.compose(text, Loader=_Loader)
    if not isinstance(root, yaml.MappingNode):
        return set()
    return {key.value for key, _ in root.value if isinstance(key, yaml.ScalarNode)}


def _merge(known: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(known)
    for key, value in change.items():
        nested = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if nested else value
    return merged


class _Loader(yaml.SafeLoader):
    """Plain scalars as in YAML 1.2: `off` is a word and 1e3 a number."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (as the base class has it)


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(0|[1-9][0-9_]*)", list("-+0123456789")),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first)


def _read(path: Path) -> tuple[dict[str, dict[str, Any]], dict[_Key, str]]:
    """Entries by name, and "file:line" of each key in them."""
    try:
        text = path.read_bytes().decode()
    except OSError as error:
        raise SpecError(f"{path} cannot be read: {error.strerror or error}; give a file of backends (backends.yaml).") from None
    except UnicodeDecodeError as error:
        raise SpecError(f"{path} is not a text file in UTF-8 (byte {error.start}).") from None
    content, lines = _parsed(path, text)
    return dict(content), dict(lines)


@lru_cache(maxsize=4)
def _parsed(path: Path, text: str) -> tuple[dict[str, dict[str, Any]], dict[_Key, str]]:
    """As `_read`, once for each text: every model asks for its backend."""
    lines: dict[_Key, str] = {}
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        if root is None:
            return {}, lines
        _inspect(root, path, (), lines, set())
        content = loader.construct_document(root)
    except SpecError:
        raise
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = re.sub("'[^']{4,}'", "...", str(error.problem))  # may quote what stands there
        raise SpecError(f"{path}:{mark.line + 1 if mark else 1}: not valid YAML: {problem}.") from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise SpecError(f"{path} is not valid YAML: it holds a character or a value that cannot be read.") from None
    if not isinstance(content, dict):
        raise SpecError(f"{path}:1: the file must be a mapping from names of backends to their options.")
    for name, entry in content.items():
        if not isinstance(entry, dict):
            raise SpecError(f"{lines[(name,)]}: {name!r} must be a mapping of options, such as `kind: aer`.")
    return content, lines


def _inspect(node: yaml.Node, path: Path, keys: _Key, lines: dict[_Key, str], seen: set[int]) -> None:
    """Note the lines of all keys; refuse credentials, double keys, keys that are not text, and aliases."""
    place = f"{path}:{node.start_mark.line + 1}"
    if id(node) in seen:
        raise SpecError(f"{place}: anchors and aliases are not read in this file; write the value out.")
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            at = f"{path}:{key.start_mark.line + 1}"
            if not isinstance(key, yaml.ScalarNode):
                raise SpecError(f"{at}: a key must be text.")
            if looks_like_token(key.value):
                raise SpecError(f"{at}: {TOKEN_ADVICE}")
            if is_secret_key(key.value):
                raise SpecError(f"{at}: {key.value!r} is refused; {TOKEN_ADVICE}")
            if key.tag != "tag:yaml.org,2002:str":
                raise SpecError(f"{at}: the key {key.value!r} must be text; put it in quotes or rename it.")
            inner = (*keys, key.value)
            if inner in lines:
                raise SpecError(f"{at}: {key.value!r} is given twice (first at {lines[inner]}); remove one.")
            lines[inner] = at
            _inspect(value, path, inner, lines, seen)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            inner = (*keys, str(index))
            lines[inner] = f"{path}:{item.start_mark.line + 1}"
            _inspect(item, path, inner, lines, seen)
    elif looks_like_token(node.value, named=keys[-1:] in _NAMES):
        raise SpecError(f"{place}: the value of {'.'.join(keys)!r} looks like a token; {TOKEN_ADVICE}")


def _build(name: str, entry: Mapping[str, Any], lines: Mapping[_Key, str]) -> BackendSpec:
    if "name" in entry:
        raise SpecError(f"{lines[name, 'name']}: the name of a backend is the key of its entry; leave out name.")
    try:
        return BackendSpec.model_validate({**entry, "name": name})
    except ValidationError as error:
        raise _explained(name, error, lines) from None


def _explained(name: str, error: ValidationError, lines: Mapping[_Key, str]) -> SpecError:
    """The first thing that is wrong, in one line; values of fields that might hold a credential are not repeated."""
    problems = error.errors()
    first = problems[0]
    path: _Key = (name, *map(str, first["loc"] or first.get("ctx", {}).get("field", "").split(".")))
    while path not in lines:  # a missing field, an item of a list, or a branch of a union
        path = path[:-1]
    place, field = lines[path], ".".join(path[1:])
    if first["type"] == "conflict":
        return SpecError(f"{place}: {name}: {first['msg']}")
    if first["type"] == "missing":
        return SpecError(f"{place}: {'.'.join(path)} has no {first['loc'][-1]}; add it.")
    if first["type"] == "extra_forbidden":
        return SpecError(f"{place}: {'.'.join(path[:-1])}: {unknown_option('option', path[-1], _fields(path[1:-1]))}")
    allowed = re.findall("'([^']*)'", first.get("ctx", {}).get("expected", ""))
    if allowed and len(problems) == 1 and isinstance(first["input"], str):
        return SpecError(f"{place}: {name}: {unknown_option(field, first['input'], allowed)}")
    simpler = {"model_type": "a mapping of options", "tuple_type": "a list"}
    given = "not allowed" if field in _PRIVATE else reprlib.repr(first["input"])
    wanted = [
        simpler.get(problem["type"], problem["msg"].removeprefix("Input should be "))
        for problem in problems
        if problem["loc"][: len(path) - 1] == first["loc"][: len(path) - 1]
    ]
    return SpecError(f"{place}: {field} of {name} is {given}; it must be {' or '.join(wanted)}.")


def _fields(keys: _Key) -> list[str]:
    """Names of the options that a (nested) mapping of an entry may hold."""
    model: Any = BackendSpec
    for key in keys:
        annotation = model.model_fields[key].annotation
        model = next(
            kind for kind in (annotation, *get_args(annotation)) if isinstance(kind, type) and issubclass(kind, BaseModel)
        )
    return [field for field in model.model_fields if (model, field) != (BackendSpec, "name")]
