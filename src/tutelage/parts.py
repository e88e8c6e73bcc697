"""One configuration as one word of the command line: `kind option=value …`, in quotes.

So an option can take several configurations of different kinds, in the order typed.
"""

from __future__ import annotations

import shlex
from typing import Any

from tyro.constructors import PrimitiveConstructorSpec

from tutelage.config import Config, UserError, kind_of


def typed(text: str) -> dict[str, Any]:
    """The fields that a part names: `tinystories path=a.jsonl seed=1`."""
    try:
        kind, *options = shlex.split(text)
        return {"kind": kind, **dict(option.split("=", 1) for option in options)}
    except ValueError:
        raise UserError(
            f"The part {text!r} can't be read. Write a kind and its options, such as "
            "'fixed prompt=Hello num=2', and quotes around a value with blanks."
        ) from None


def written(part: Config) -> str:
    """A configuration as it is typed, without what is as usual."""
    fields = part.model_dump(mode="json", exclude={"kind"}, exclude_defaults=True)
    options = (f"{name}={value}" for name, value in fields.items())
    return " ".join(map(shlex.quote, (kind_of(type(part)), *options)))


PART = PrimitiveConstructorSpec(
    nargs=1,
    metavar="PART",
    instance_from_str=lambda words: words[0],
    is_instance=lambda value: isinstance(value, str | Config),
    str_from_instance=lambda part: [part if isinstance(part, str) else written(part)],
)
"""How the command line takes a part: as one word, read by a validator of the field."""
