"""Reads a JSON body as strictly as it is meant, and says everything that is wrong with it at once. Pure.

Refused before any model sees it: two members of one name, NaN and numbers too large for a double, half
characters, NUL, nesting without end, anything but an object (RFC 8259; I-JSON, RFC 7493).
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

MOST_ERRORS = 100
Model = TypeVar("Model", bound=BaseModel)


class Body(BaseModel):
    """Base of what comes in: nothing undeclared, nothing of another type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class NotAsked(Exception):
    """The request cannot be served as it stands. errors: JSON pointer (RFC 6901) → a sentence."""

    def __init__(self, status: int, detail: str, errors: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(detail)
        self.status, self.detail, self.errors = status, detail, list(errors)


def read_object(body: bytes) -> Mapping[str, Any]:
    """The object in a body. Raises NotAsked (400)."""
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_without_doubles,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except NotAsked:
        raise
    except UnicodeError:
        raise NotAsked(400, "The body is not UTF-8 text.") from None
    except RecursionError:
        raise NotAsked(400, "The body is nested too deeply.") from None
    except ValueError as error:
        at = f" at character {error.pos}" if isinstance(error, json.JSONDecodeError) else ""
        raise NotAsked(400, f"The body is not JSON{at}.") from None
    if not isinstance(value, dict):
        raise NotAsked(400, "The body must be a JSON object.", [("", "Send an object.")])
    if any("\0" in text for text in _texts(value)):
        raise NotAsked(400, "The body holds a NUL character.")
    return value


def checked(model: type[Model], body: bytes) -> Model:
    """The body as its model. Raises NotAsked: 400 for bad JSON, 422 with every field that needs mending."""
    read_object(body)
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise NotAsked(422, "Some fields need mending.", sentences(error)) from None


def checked_query(model: type[Model], pairs: Mapping[str, Sequence[str]]) -> Model:
    """The query as its model. Raises NotAsked (400)."""
    doubled = [name for name, values in pairs.items() if len(values) > 1]
    if doubled:
        raise NotAsked(400, "A parameter was sent more than once.", [(pointer(doubled[:1]), "Send it once.")])
    try:
        return model.model_validate_strings({name: values[0] for name, values in pairs.items()})
    except ValidationError as error:
        raise NotAsked(400, "Some parameters need mending.", sentences(error)) from None


def sentences(error: ValidationError) -> list[tuple[str, str]]:
    """(pointer, sentence) of every fault."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return [(pointer(each["loc"]), _sentence(each["msg"])) for each in found[:MOST_ERRORS]]


def pointer(parts: Sequence[object]) -> str:
    """A JSON pointer."""
    return "".join("/" + str(part)[:100].replace("~", "~0").replace("/", "~1") for part in parts)


def _sentence(message: str) -> str:
    text = message.removeprefix("Value error, ")
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _texts(value: object) -> Iterator[str]:
    """Every text in it, names of members included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, member in value.items():
            yield name
            yield from _texts(member)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise NotAsked(400, "A name stands twice in one object.", [(pointer([name]), "Send it once.")])
        found[name] = value
    return found


def _refuse_constant(_name: str) -> NoReturn:
    raise NotAsked(400, "NaN and Infinity are not JSON.")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise NotAsked(400, "A number is too large.")
    return number
