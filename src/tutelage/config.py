"""What every configuration is: a frozen pydantic model whose field docstrings are its help text."""

import difflib
import os
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, NamedTuple, Self, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError


class UserError(ValueError):
    """Something the user can mend: shown as one message, exit status 2, nothing started."""


class Config(BaseModel):
    """Base of every configuration: frozen, no unknown names, docstrings under fields as help.

    A configuration stands beside the thing it configures and has a `build()` that makes it.
    Heavy libraries (torch, transformers, datasets) are imported inside functions of such modules,
    so that `tutelage --help` stays fast.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        validate_default=True,
        defer_build=True,  # until something is validated: --help validates little
    )

    @classmethod
    def recipe_name(cls) -> str:
        """The name of this program on the command line and in config.yaml."""
        return cls.__name__.lower()

    def to_yaml(self) -> str:
        """All fields as YAML that begins with `recipe: NAME`, for `load` to read back equal."""
        import yaml

        values = {"recipe": self.recipe_name()} | self.model_dump(mode="json")
        # Written unescaped, a few control characters would not be read back as they were.
        return yaml.safe_dump(values, sort_keys=False, allow_unicode=False)

    def save(self, path: Path) -> None:
        """Write `to_yaml()` to `path`, which is never half-written."""
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_text(self.to_yaml(), encoding="utf-8")
        os.replace(temporary, path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """The configuration that `save` wrote, refused if it is for another recipe."""
        values = read_yaml(path)
        recipe = values.pop("recipe", None)
        if recipe != cls.recipe_name():
            raise UserError(
                f"{path} is for the recipe {recipe}, not for {cls.recipe_name()}. "
                f"Use `tutelage {recipe}`, or another file."
            )
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise UserError(f"{path}:\n{explain(error, cls, spell='.'.join)}") from None


class Entry(NamedTuple):
    """A program in a registry, named without importing it."""

    target: str
    """Where its configuration is: "module:Class"."""
    summary: str
    """What it does, in one line of `tutelage --help`."""

    def config_class(self) -> type[Config]:
        """The configuration, after importing its module."""
        module, name = self.target.split(":")
        return getattr(import_module(module), name)

    def presets(self) -> dict[str, Callable[[], Config]]:
        """Functions that return ready configurations, by name; the docstrings describe them."""
        return getattr(import_module(self.target.split(":")[0]), "PRESETS", {})


def read_yaml(path: Path) -> dict[str, Any]:
    """The top-level mapping in a YAML file; no mapping, no file or bad syntax is a UserError."""
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"{path} cannot be read: {error.strerror}. Name a saved config.yaml."
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict) or not isinstance(values.get("recipe"), str):
        raise UserError(
            f"{path} does not say which recipe it is for. "
            "A saved config.yaml begins with a line such as `recipe: pretrain`."
        )
    return values


def nearest(name: str, valid: Iterable[str]) -> str:
    """` Did you mean NAME?`, or the empty string when no valid name is near."""
    close = difflib.get_close_matches(name, list(valid), n=1, cutoff=0.5)
    return f" Did you mean {close[0]}?" if close else ""


def sections(annotation: Any) -> dict[str, type[Config]]:
    """The configurations that a field may hold, by kind; empty for a field of plain values.

    A single configuration without a kind has the name "".
    """
    parts = _alternatives(annotation)
    if not all(isinstance(part, type) and issubclass(part, Config) for part in parts):
        return {}
    return {kind_of(part): part for part in parts}


def kind_of(config: type[Config]) -> str:
    """The word that chooses this configuration out of its union, or the empty string."""
    return config.model_fields["kind"].default if "kind" in config.model_fields else ""


def _alternatives(annotation: Any) -> list[Any]:
    """The members of a union, however nested and annotated, without None."""
    if get_origin(annotation) is Annotated:
        return _alternatives(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [part for member in get_args(annotation) for part in _alternatives(member)]
    return [] if annotation is NoneType else [annotation]


def explain(
    error: ValidationError,
    config: type[Config],
    *,
    spell: Callable[[list[str]], str],
) -> str:
    """One sentence for each wrong field, in the words of whoever typed it.

    Args:
        error: What pydantic found.
        config: The configuration that was validated.
        spell: Writes a field's path the way the user would type it.
    """
    details: dict[str, list[Any]] = {}
    owners: dict[str, type[Config]] = {}
    for detail in error.errors():
        names, owner = _field_path(config, detail["loc"])
        details.setdefault(spell(names), []).append(detail)
        owners[spell(names)] = owner
    return "\n".join(_sentence(name, details[name], owners[name]) for name in details)


def _field_path(config: type[Config], loc: tuple[int | str, ...]) -> tuple[list[str], type[Config]]:
    """The field names in an error's location, without union tags, and the last one's owner."""
    names: list[str] = []
    owner, members = config, {"": config}
    for part in loc:
        if part and part in members:
            members = {"": members[str(part)]}
            continue
        if "" not in members or not isinstance(part, str):
            break
        owner = members[""]
        names.append(part)
        field = owner.model_fields.get(part)
        members = sections(field.annotation) if field else {}
    return names, owner


def _sentence(name: str, details: list[Any], owner: type[Config]) -> str:
    """What is wrong with one field; a union of plain types has one detail for each member."""
    first = details[0]
    context = first.get("ctx", {})
    match first["type"]:
        case "value_error":
            error = context["error"]
            return str(error) if isinstance(error, UserError) or not name else f"{name}: {error}"
        case "missing":
            return f"{name} is needed, but nothing was given."
        case "union_tag_not_found":
            return f"{name}.kind is needed, but nothing was given."
        case "extra_forbidden":
            return f"{name} is unknown.{nearest(str(first['loc'][-1]), owner.model_fields)}"
        case "union_tag_invalid":
            kinds = context["expected_tags"].replace("'", "")
            tag = context["tag"]
            return (
                f"{name}.kind is {tag}, but it must be one of {kinds}."
                f"{nearest(tag, kinds.split(', '))}"
            )
    given = repr(first["input"]).removesuffix(".0")
    messages = (detail["msg"].partition(", unable")[0] for detail in details)
    musts = dict.fromkeys(message.removeprefix("Input should ") for message in messages)
    return f"{name} is {given}, but it must {' or '.join(musts)}."
