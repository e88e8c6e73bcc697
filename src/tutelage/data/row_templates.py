"""Templates over the fields of a row, in a sandbox: a template is input like any other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tutelage.config import UserError, nearest


class RowTemplate:
    """A Jinja template over the fields of a row.

    Args:
        text: The template; backslash and n, as typed on a command line, are a new line.
        option: How the template is called in messages.
    """

    def __init__(self, text: str, option: str) -> None:
        from jinja2 import StrictUndefined, TemplateSyntaxError, meta
        from jinja2.sandbox import SandboxedEnvironment

        self.option = option
        environment = SandboxedEnvironment(
            undefined=StrictUndefined, keep_trailing_newline=True, finalize=_refuse_null
        )
        text = text.replace("\\n", "\n")
        try:
            self.names = frozenset(meta.find_undeclared_variables(environment.parse(text)))
            """Fields that the template names."""
            self._template = environment.from_string(text)
        except TemplateSyntaxError as error:
            reason = (error.message or "bad syntax").rstrip(".")
            raise UserError(
                f"{option} is not a Jinja template: {reason} (line {error.lineno}). Write fields "
                "as {{ name }}."
            ) from None

    def render(self, row: Mapping[str, Any]) -> str:
        """The text for a row."""
        from jinja2 import TemplateError, UndefinedError

        try:
            return self._template.render(row)
        except _NullError:
            nulls = [name for name in sorted(self.names) if row.get(name, "") is None]
            what = f"{' and '.join(map(repr, nulls))} is null" if nulls else "a value is null"
            raise UserError(
                f"{self.option} writes nothing, as {what} in this row. Mend the row, or write such "
                "as {{ name or '' }}."
            ) from None
        except UndefinedError as error:
            raise self._unknown(row, error.message) from None
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError) as error:
            reason = str(error).strip().rstrip(".") or type(error).__name__
            raise UserError(
                f"{self.option} can't be filled in with this row: {reason}. Change the template or "
                "the row."
            ) from None

    def _unknown(self, row: Mapping[str, Any], reason: str | None) -> UserError:
        missing = sorted(self.names - set(row))
        if not missing:
            return UserError(f"{self.option} can't be filled in with this row: {reason}.")
        there = ", ".join(map(repr, row)) or "none"
        return UserError(
            f"{self.option} names {' and '.join(map(repr, missing))}, but the row's fields are "
            f"{there}.{nearest(missing[0], row)}"
        )


class _NullError(Exception):
    """A template would write None."""


def _refuse_null(value: object) -> object:
    if value is None:
        raise _NullError
    return value
