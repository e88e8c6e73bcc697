"""Functions by name: `file.py:name` or `package.module:name`."""

from __future__ import annotations

import hashlib
import importlib
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from tutelage.config import UserError, nearest


def load_function(path: str) -> Callable[..., Any]:
    """What a path names; UserError if there is no such file or name, or it can't be called."""
    target, colon, name = path.rpartition(":")
    if not colon or not target or not name:
        raise UserError(
            f"The path {path} names no function. Give a file and a function in it, such as "
            "my_reward.py:score, or a module and a function, such as package.module:score."
        )
    module = _file(path, Path(target)) if _is_file(target) else _module(path, target)
    if not hasattr(module, name):
        raise UserError(
            f"The path {path} can't be used: {target} has no {name}."
            f"{nearest(name, _functions(module))}"
        )
    function = getattr(module, name)
    if not callable(function):
        raise UserError(
            f"The path {path} can't be used: {name} is a {type(function).__name__}, no function."
            f"{nearest(name, _functions(module))}"
        )
    return function


def told(error: BaseException, file: str | None) -> str:
    """An error of the user's code in a line: type, message, and where in this file it came up."""
    text = " ".join(str(error).split())
    text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == file]
    return f"{text} ({Path(str(file)).name}, line {lines[-1]})" if lines else text


def _is_file(target: str) -> bool:
    return target.endswith(".py") or "/" in target or "\\" in target


def _functions(module: ModuleType) -> list[str]:
    return [name for name, value in vars(module).items() if callable(value) and name[0] != "_"]


def _file(path: str, target: Path) -> ModuleType:
    """The module in a file, read again only if the file has changed."""
    file = target.expanduser().resolve()
    if not file.is_file():
        beside = [other.name for other in file.parent.glob("*.py")] if file.parent.is_dir() else []
        raise UserError(
            f"The path {path} can't be used: there is no file {target}.{nearest(file.name, beside)}"
        )
    source = file.read_bytes()
    version = hashlib.sha256(str(file).encode() + source).hexdigest()
    name = f"{file.stem}_{version[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    module = ModuleType(name)
    module.__file__ = str(file)
    _find_beside(file.parent)
    sys.modules[name] = module  # as an import does: dataclasses look themselves up there
    try:
        exec(compile(source, str(file), "exec"), vars(module))
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise _import_error(path, target, told(error, str(file))) from error
    return module


def _module(path: str, target: str) -> ModuleType:
    _find_beside(Path.cwd())
    try:
        return importlib.import_module(target)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{target}.".startswith(f"{error.name}."):
            raise _import_error(path, target, told(error, None)) from error
        raise UserError(
            f"The path {path} can't be used: there is no module {error.name} in this folder or "
            "among the installed packages. For a file, give its path with .py."
        ) from None
    except (Exception, SystemExit) as error:
        raise _import_error(path, target, told(error, None)) from error


def _find_beside(folder: Path) -> None:
    """Let modules in a folder be imported, unless an installed one has the same name."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def _import_error(path: str, target: str | Path, reason: str) -> UserError:
    return UserError(f"The path {path} can't be used: importing {target} failed: {reason}.")
