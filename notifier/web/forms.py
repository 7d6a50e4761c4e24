"""What a browser sends: read once, capped, checked by a pydantic model, kept as typed for the next page.

A handler writes `filled = read(SignUpForm, await fields(request))` and shows the form again with
`form=filled` while `filled.value` is None. Messages are sentences: a ValueError from a validator,
or the `Says` beside the field for everything else that can be wrong with it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar, get_origin
from urllib.parse import parse_qsl

from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

MOST_FIELDS = 1000
URLENCODED = "application/x-www-form-urlencoded"


class Form(BaseModel):
    """Base of form models. Fields nobody declared (token, decoy) are left alone.

    Defaults are checked too: a browser does not send a box that is not ticked.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", str_strip_whitespace=True, validate_default=True)


@dataclass(frozen=True, kw_only=True)
class Says:
    """The sentence shown when a field is missing or is not one of its choices."""

    sentence: str


class Fields(Mapping[str, Sequence[str]]):
    """Names and values as sent, in order, repeated names included."""

    def __init__(self, pairs: Sequence[tuple[str, str]] = ()) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            self._values.setdefault(name, []).append(value)

    def __getitem__(self, name: str) -> Sequence[str]:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def one(self, name: str) -> str | None:
        """The only value of that name, or None. HTTPBadRequest where it is given twice."""
        values = self._values.get(name, [])
        if len(values) > 1:
            raise web.HTTPBadRequest(text=f"“{name}” was sent more than once.")
        return values[0] if values else None


FIELDS = web.RequestKey("fields", Fields)
Model_co = TypeVar("Model_co", bound=BaseModel, covariant=True)


@dataclass(frozen=True, kw_only=True)
class Filled(Generic[Model_co]):
    """A form with what was typed and what is wrong. `value` is there only when nothing is."""

    value: Model_co | None = None
    typed: Mapping[str, Sequence[str]] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)

    def text(self, name: str, default: str = "") -> str:
        """What stands in a text field."""
        return next(iter(self.typed.get(name, ())), default)

    def has(self, name: str, value: str, *, default: bool = False) -> bool:
        """Is that box or radio ticked? default: before anything was sent."""
        return value in self.typed.get(name, ()) if self.typed else default

    def with_errors(self, errors: Mapping[str, str]) -> "Filled[Model_co]":
        """The same, with more that is wrong (what only the database could tell)."""
        return Filled(typed=self.typed, errors={**self.errors, **errors})


EMPTY: Filled[Form] = Filled()


async def fields(request: web.Request) -> Fields:
    """The urlencoded body, read once. 415 for any other kind, 413 above the route's limit."""
    if FIELDS not in request:
        request[FIELDS] = parsed(await _body(request))
    return request[FIELDS]


def query(request: web.Request) -> Fields:
    """The query string, in the same shape."""
    return parsed(request.rel_url.raw_query_string.encode())


def parsed(body: bytes) -> Fields:
    """Names and values of an urlencoded text; bytes that are no UTF-8 become U+FFFD.

    NUL, which PostgreSQL cannot hold, becomes SUBSTITUTE: still a control character, so that checks see it.
    """
    try:
        pairs = parse_qsl(
            body.decode("utf-8", "replace"),
            keep_blank_values=True,
            max_num_fields=MOST_FIELDS,
            errors="replace",
        )
    except ValueError:
        raise web.HTTPBadRequest(text="The form has too many fields.") from None
    return Fields([(name, value.replace("\x00", "\x1a")) for name, value in pairs])


def read(model: type[Model_co], sent: Fields, *, context: object = None) -> Filled[Model_co]:
    """Check what was sent. HTTPBadRequest where a field with one value has several.

    context reaches validators as `info.context`: the choices there are, the time.
    """
    values: dict[str, object] = {}
    for name, about in model.model_fields.items():
        if name not in sent:
            continue
        is_list = get_origin(about.annotation) in (list, tuple, set, frozenset)
        values[name] = list(sent[name]) if is_list else sent.one(name)
    try:
        value = model.model_validate(values, context=context)
    except ValidationError as error:
        return Filled(typed=sent, errors=_sentences(model, error))
    return Filled(value=value, typed=sent)


def _sentences(model: type[BaseModel], error: ValidationError) -> dict[str, str]:
    """One sentence for each field, in the order of the form."""
    found: dict[str, str] = {}
    for each in error.errors(include_url=False, include_input=False):
        name = str(each["loc"][0]) if each["loc"] else ""
        if name in found:
            continue
        raised = each.get("ctx", {}).get("error")
        says = next((m.sentence for m in _metadata(model, name) if isinstance(m, Says)), None)
        found[name] = str(raised) if isinstance(raised, ValueError) else says or "Check this answer"
    order = list(model.model_fields)
    return dict(sorted(found.items(), key=lambda pair: order.index(pair[0]) if pair[0] in order else 999))


def _metadata(model: type[BaseModel], name: str) -> Sequence[object]:
    return model.model_fields[name].metadata if name in model.model_fields else ()


async def _body(request: web.Request) -> bytes:
    if not request.can_read_body:
        return b""
    if request.content_type != URLENCODED:
        raise web.HTTPUnsupportedMediaType(text="Send the form as a browser does.")
    return await request.read()
