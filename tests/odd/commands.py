"""Odd command lines, made of the commands and options that there are."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer
from typer.models import OptionInfo

from qlstm_qiskit.cli.app import app
from tests.odd import oracles
from tests.odd.cases import Case
from tests.odd.command_results import JUDGES, printed, value_of
from tests.odd.damage import Damage, shown
from tests.odd.good import Good
from tests.odd.results import copied

# fmt: off
#: What each command is given beside what is odd. A command that is not here gets what it must have.
GIVEN: dict[str, list[str]] = {
    "train": [
        "--csv", "wave.csv", "--target", "value", "--model", "config1", "--hidden-size", "1", "--depth", "1", "--epochs", "1",
        "--window", "2", "--out", "out",
    ],
    "evaluate": ["run"],
    "predict": ["run", "--csv", "wave.csv", "--out", "out.csv"],
    "derive": ["search", "--out", "out", "--strategy", "weight"],
    "transpile": ["run", "--backend", "fake-manila"],
    "export": ["run", "--format", "qpy", "--out", "out"],
    "table": ["--study", "study.yaml", "--rows", "persistence", "--jobs", "1", "--out", "study"],
    "scaling": ["--axes", "window", "--epochs", "1", "--seeds", "1", "--repeats", "1", "--out", "scaling"],
    "report": ["run", "--out", "out.html"],
    "space show": ["--n-qubits", "2"],
    "space analyze": ["--n-qubits", "2", "--samples", "2"],
    "backends certify": ["aer-exact"],
    "backends check": ["fake-manila"],
    "backends plan": ["run", "--backend", "fake-manila"],
    "jobs show": ["run", "1"],
}

#: Options that say how long something goes on: more is longer, until Ctrl-C.
LONG = {"epochs", "spsa_resamplings"}
#: Options that say how many processes work; many of them are no matter of this test.
FEW = {"jobs"}

INTEGERS = (
    "0", "-1", "1", "2", "3", "5", "7", "30", "-0", "+3", " 3 ", "03", "1.0", "1.5", "1e3", "nan", "inf", "", "abc", "0x10",
    "1_000", "\uff13", "true", "2147483648", "100000000000", "9223372036854775808", "9" * 30, "9" * 5000, "1,000", "--", "-",
)
NUMBERS = (
    "0", "-1", "0.5", "1", "0.999999", "-0.0", "1e-3", "1e-400", "1e400", "1e300", "-1e300", "nan", "inf", "-inf", "", "abc",
    "0,5", "\u00bd", "50%", "1e", "0x1p-1", "1_0.5", "\uff10.5", " 0.5 ", "9" * 400, "true",
)
WORDS = (
    "", " ", "none", "null", "0", "-1", "a", "A,B", ",", ",,", "value", "value,value", "value,other", "other", "Value", "paper",
    "statevector", "aer-shots", "fake-manila", "ibm", "tuned", "softmax", "linear", "adam", "config2", "lstm", "damped_shm",
    "qasm3", "depth",
    "\u00e4\u4e2d\U0001f600", "\u202eabc", "[red]x[/red]", "[/x]", "a\nb", "\x1b[31m", "%s{0}", "=1+1", "../x",
    "a" * 3000, "x=y", "keep=2", "x=", "=y", "a.b.c=1", "x=[1]", "x={a: 1}", "x=!!python/name:os.sep", "--", "-", "-h", "'",
    '"', "\\", "$HOME", "*", "\udce4",
)
PATHS = (
    "", " ", ".", "missing", "missing/x", "wave.csv", "wave.csv/x", "run", "run/config.json", "run/model.safetensors", "search",
    "study", "scaling", "derived", "backends.yaml", "study.yaml", "a b/\u00f6 \u4e2d", "x" * 300, "/dev/null", "~", "-", "out",
    "out.csv", "out.html", "[red]", "a\nb", "x.gz", "x.parquet", "empty", "link", "loop", "folder", "\udce4", "%s",
)
# fmt: on

POOLS = {"int": INTEGERS, "float": NUMBERS, "word": WORDS, "path": PATHS}


@dataclass(frozen=True)
class Parameter:
    """An option or an argument, as the command's function has it.

    Attributes:
        name: Of the function's parameter.
        flag: The option; empty for an argument.
        kind: "int", "float", "path", "word", or "bool" for what has no value.
        required: Whether it must be given.
    """

    name: str
    flag: str
    kind: str
    required: bool


def leaves(group: typer.Typer = app, words: tuple[str, ...] = ()) -> Iterator[tuple[str, list[Parameter]]]:
    """All commands, by the words that name them, with their parameters: new ones are found by themselves."""
    for info in group.registered_commands:
        name = info.name or info.callback.__name__.replace("_", "-")  # type: ignore[union-attr]
        yield " ".join((*words, name)), list(_parameters(info.callback))  # type: ignore[arg-type]
    for inner in group.registered_groups:
        yield from leaves(inner.typer_instance, (*words, str(inner.name)))  # type: ignore[arg-type]


def _parameters(callback: Callable[..., Any]) -> Iterator[Parameter]:
    hints = get_type_hints(callback, include_extras=True)
    for name, parameter in inspect.signature(callback).parameters.items():
        if get_origin(hints[name]) is not Annotated:
            continue  # the context
        kind, info = get_args(hints[name])[:2]
        text = str(kind)
        known = {"int": "int", "float": "float", "bool": "bool", "Path": "path"}
        found = next((own for word, own in known.items() if re.search(rf"\b{word}\b", text)), "word")
        flag = ""
        if isinstance(info, OptionInfo):
            flag = next((own for own in info.param_decls or () if own.startswith("--")), f"--{name.replace('_', '-')}").split(
                "/"
            )[0]
        yield Parameter(name, flag, found, parameter.default is inspect.Parameter.empty)


def command_case(rng: Random, good: Good, here: Path) -> Case:
    """A command with an odd option, argument or form."""
    name, parameters = rng.choice(_weighted())
    copied(good, here, "search", "derived", "study", "scaling", "wave.csv", "backends.yaml", "study.yaml")
    copied(good, here, run="device/run" if name.startswith("jobs") else "run")
    _odd_places(here)
    given = GIVEN.get(name) or _needed(parameters)
    arguments, what, names, values = _odd(rng, parameters, list(given))
    out = value_of(arguments, "--out")
    case = Case(Damage(f"qlstm {name}: {what}"), [*name.split(), *arguments], outs=("out", "out.csv", "out.html"))
    said = [value.strip() or "''" for value in values]  # an empty one as messages quote it
    case.words = (*names, *said, *(Path(value).name for value in values), "unexpected", "missing", "option", "give", "axis")
    case.long = bool(LONG & {n.replace("-", "_") for n in names})
    case.reads = name not in ("table", "scaling")
    case.judge = lambda text: JUDGES.get(name, printed)(arguments, text, here, out)
    case.halted = lambda: (here / "out" / "model.safetensors").exists() and oracles.model_of(here / "out")
    return case


def _weighted() -> list[tuple[str, list[Parameter]]]:
    """Commands, as often as they have options."""
    return [(name, parameters) for name, parameters in leaves() for _ in range(1 + len(parameters) // 2)]


def _odd_places(here: Path) -> None:
    (here / "empty").write_bytes(b"")
    (here / "folder").mkdir()
    (here / "link").symlink_to("nowhere")
    (here / "loop").symlink_to("loop")
    (here / "x.gz").write_bytes(b"\x1f\x8bno archive")


def _needed(parameters: list[Parameter]) -> list[str]:
    """What a command must be given: the run folder, or a first guess."""
    words = []
    for parameter in parameters:
        if parameter.required:
            value = "out" if parameter.name == "out" else "run" if parameter.kind == "path" else "1"
            words += [parameter.flag, value] if parameter.flag else [value]
    return words


def _odd(rng: Random, parameters: list[Parameter], words: list[str]) -> tuple[list[str], str, list[str], list[str]]:
    """The words with one thing odd: what it is, and the names and values of the options in question."""
    options = [item for item in parameters if item.flag]
    arguments = [item for item in parameters if not item.flag]
    kind = rng.choices(("value", "two", "argument", "form"), (10, 3, 3, 3))[0]
    if kind == "argument" and arguments:
        place = rng.randrange(len(arguments))
        value = rng.choice(POOLS[arguments[place].kind])
        words = [*words[:place], value, *words[place + 1 :]]
        return words, f"the argument {shown(value)}", [arguments[place].name], [value]
    if kind == "form":
        return _odd_form(rng, options, words)
    names, values = [], []
    for option in rng.sample(options, min(len(options), 2 if kind == "two" else 1)):
        names.append(option.flag.strip("-"))
        if option.kind == "bool":
            words = [*words, option.flag]
            continue
        value = _odd_value(rng, option, several=kind == "two")
        values.append(value)
        words = [*_without(words, option.flag), option.flag, value]
    return words, " ".join(f"--{name}" for name in names) + " " + " ".join(map(shown, values)), names, values


def _odd_value(rng: Random, option: Parameter, *, several: bool) -> str:
    if option.name in FEW:
        return rng.choice(["0", "-1", "1", "1.5", "abc", ""])
    if option.name in LONG and several:
        return "1"
    return rng.choice(POOLS[option.kind])


def _odd_form(rng: Random, options: list[Parameter], words: list[str]) -> tuple[list[str], str, list[str], list[str]]:
    option = rng.choice(options)
    flag = option.flag
    value = value_of(words, flag) or rng.choice(["1", "value", "run"])
    name = flag.strip("-")
    forms = {
        "without a value": [*_without(words, flag), flag],
        "unknown": [*words, flag + "x", value],
        "with capitals": [*words, flag.upper(), value],
        "twice": [*words, flag, value, flag, value] if option.kind != "bool" else [*words, flag, flag],
        "with an equals sign": [*_without(words, flag), f"{flag}={value}"],
        "as one word with a space": [*_without(words, flag), f"{flag} {value}"],
        "with one dash": [*words, flag[1:], value],
        "an argument more": [*words, "more"],
        "an empty word": [*words, ""],
        "nothing given": [],
        "after two dashes": ["--", *words],
        "help": [*words, "--help"],
    }
    kind = rng.choice(list(forms))
    return forms[kind], f"{flag} {kind}", [name], [value]


def _without(words: list[str], flag: str) -> list[str]:
    if flag not in words:
        return words
    place = words.index(flag)
    return words[:place] + words[place + 2 :]
