"""Code of the user's that is named on the command line or in a file: FILE.py:NAME, or module:name as Python imports it."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from qlstm_qiskit.errors import OptionError, unknown_option
from qlstm_qiskit.hardware.config.secrets import scrub

#: What to do about a module that is not found: the folder that a command is given in is not where Python looks by itself.
ADVICE = "install it, or put its folder on PYTHONPATH"


@dataclass(frozen=True)
class Named:
    """A name in a file or in a module.

    Attributes:
        what: What it is the name of, for messages.
        place: The file, or the module.
        name: In it.
    """

    what: str
    place: Path | str
    name: str

    @classmethod
    def of(cls, what: str, text: str, folder: Path | None = None) -> Named:
        """Read it from text; `folder` is what a file's path is relative to, where not the working folder.

        Raises:
            OptionError: It is neither of the two, or there is no such file.
        """
        place, _, name = text.rpartition(":")
        is_file = place.endswith(".py") or "/" in place or "\\" in place
        if not place or not name.isidentifier():
            raise OptionError(
                f"{what} is {text!r}; give FILE.py:NAME, such as my_space.py:space, or module:name as Python imports it."
            )
        if not is_file:
            return cls(what, place, name)
        path = Path(place).expanduser() if folder is None else folder / Path(place).expanduser()
        try:
            is_there = path.is_file()
        except (OSError, ValueError):
            is_there = False
        if not is_there:
            raise OptionError(f"{what} is {text!r}, and there is no file {path}; give FILE.py:NAME.")
        return cls(what, path, name)

    def __str__(self) -> str:
        return f"{self.place}:{self.name}"

    @property
    def lasting(self) -> str:
        """The text that finds it from any folder."""
        return f"{self.place.resolve() if isinstance(self.place, Path) else self.place}:{self.name}"

    def load(self) -> Any:
        """What has this name; code is run for it.

        Raises:
            OptionError: It cannot be run or imported, or has no such name.
        """
        if isinstance(self.place, Path):
            module = self._run(self.place)
        else:
            with _aside(self.place):
                module = imported(self.what, self.place, str(self))
        return attribute(module, self.name, str(self.place))

    def call(self, function: Any, **arguments: Any) -> Any:
        """What a function of the user's gives, or `OptionError` with the place in its file where it fails."""
        try:
            with _aside(self.place):
                return function(**arguments)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - of the user's code
            raise self._failed(error) from None

    def _run(self, path: Path) -> ModuleType:
        """A file's module, which no other code finds by its name; its source is read each time, and nothing is written."""
        module = ModuleType(f"_qlstm_{path.stem}")
        module.__file__ = str(path)
        try:
            code = compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
            with _aside(path):
                sys.modules[module.__name__] = module  # dataclasses look there
                exec(code, module.__dict__)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - of the user's code
            raise self._failed(error) from None
        return module

    def _failed(self, error: BaseException) -> OptionError:
        """What is wrong with the user's code, and in which line of its file."""
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(self.place)]
        line = lines[-1] if lines else None
        text = str(error)
        if isinstance(error, SyntaxError) and error.filename == str(self.place):
            line, text = error.lineno, str(error.msg)
        where = f"{self.place}, line {line}" if line else str(self.place)
        return OptionError(f"{self.what} {str(self)!r}: {where}: {type(error).__name__}: {scrub(' '.join(text.split()))}")


def imported(what: str, module: str, given: str) -> ModuleType:
    """A module that `given` names, or `OptionError`, with the line of its code that fails."""
    try:
        return importlib.import_module(module)
    except Exception as error:  # noqa: BLE001 - of somebody else's code, and not chained: its text may repeat a key
        reason = scrub(f"{type(error).__name__}: {error}")
        frames = [frame for frame in traceback.extract_tb(error.__traceback__)[1:] if "importlib" not in frame.filename]
        where = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
        advice = f"; {ADVICE}" if isinstance(error, ImportError) else ""
        raise OptionError(f"{what} {given!r}: cannot import {module!r}: {reason}{where}{advice}.") from None


def attribute(module: ModuleType, name: str, place: str) -> Any:
    """What has a name in a module, or `OptionError`."""
    if not hasattr(module, name):
        raise unknown_option(f"name in {place}", name, [own for own in dir(module) if not own.startswith("_")])
    return getattr(module, name)


def is_gone(path: str) -> bool:
    """Whether there is no module, or no name in it, of "module:name"; code that is there and fails is not gone."""
    place, _, name = path.partition(":")
    try:
        return not hasattr(importlib.import_module(place), name)
    except ModuleNotFoundError as error:
        return f"{place}.".startswith(f"{error.name}.")
    except Exception:  # noqa: BLE001 - of somebody else's code
        return False


def arguments_of(function: Any, known: dict[str, Any]) -> dict[str, Any] | None:
    """Those of `known` that a function takes, by their names; None where it needs others."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return {}
    needed = [
        own.name for own in parameters if own.default is own.empty and own.kind not in (own.VAR_POSITIONAL, own.VAR_KEYWORD)
    ]
    if any(name not in known for name in needed):
        return None
    return {own.name: known[own.name] for own in parameters if own.name in known}


@contextlib.contextmanager
def _aside(place: Path | str) -> Any:
    """Let a file import its neighbours, and what it prints go to standard error: the output is that of the command."""
    before = list(sys.path)
    if isinstance(place, Path):
        sys.path.insert(0, str(place.resolve().parent))
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        sys.path[:] = before
