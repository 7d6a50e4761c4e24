"""OpenAPI 3.1 from the route table and the models, so that it cannot say anything else than what is served."""

import re
from collections.abc import Iterable
from functools import cache
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel

from notifier import __doc__ as about
from notifier.web.api.operation import KEY_HEADER, PREFIX, Nothing, Operation

VERSION = "1.0"
PROBLEM = {"$ref": "#/components/schemas/Problem"}
_REF = "#/components/schemas/{model}"


def document(operations: Iterable[Operation], *, title: str, server: str) -> dict[str, Any]:
    """The whole description."""
    paths: dict[str, dict[str, Any]] = {}
    schemas: dict[str, Any] = {"Problem": _problem()}
    for operation in operations:
        entry = _described(operation, schemas)
        paths.setdefault(PREFIX + operation.path, {})[operation.method.lower()] = entry
    return {
        "openapi": "3.1.0",
        "info": {"title": f"{title} API", "version": VERSION, "description": (about or "").strip()},
        "servers": [{"url": server}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _described(operation: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    name = re.sub(r"\W+", "_", f"{operation.method.lower()}{operation.path}").strip("_")
    entry: dict[str, Any] = {
        "operationId": name,
        "summary": operation.summary,
        "description": (operation.handler.__doc__ or "").strip(),
        "parameters": _parameters(operation),
        "responses": _responses(operation, schemas),
        "security": [{"token": []}] if operation.scope else [],
    }
    if operation.body is not Nothing:
        content = {"application/json": {"schema": _schema(operation.body, schemas, "validation")}}
        entry["requestBody"] = {"required": operation.needs_body, "content": content}
    return entry


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": part, "in": "path", "required": True, "schema": {"type": "string"}}
        for part in re.findall(r"{(\w+)}", operation.path)
    ]
    own = _flat(operation.query)
    for name, schema in own.get("properties", {}).items():
        required = name in own.get("required", [])
        found.append({"name": name, "in": "query", "required": required, "schema": schema})
    if operation.writes:
        key = {"type": "string", "minLength": 1, "maxLength": 255}
        found.append({"name": KEY_HEADER, "in": "header", "required": False, "schema": key})
    return found


def _responses(operation: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    content = {"application/json": {"schema": _schema(operation.answer, schemas, "serialization")}}
    found: dict[str, Any] = {
        str(int(operation.status)): {
            "description": HTTPStatus(operation.status).phrase,
            "content": content,
        }
    }
    always = (401, 403, 503) if operation.scope else (503,)
    shed = (429,) if operation.bulk else ()
    for status in sorted({*operation.problems, *always, *shed}):
        found[str(status)] = {
            "description": HTTPStatus(status).phrase,
            "content": {"application/problem+json": {"schema": PROBLEM}},
        }
    return found


def _schema(model: type[BaseModel], schemas: dict[str, Any], mode: Any) -> dict[str, str]:
    """A reference to a model, whose schema and everything it needs are put among the components."""
    own = dict(model.model_json_schema(ref_template=_REF, mode=mode))
    schemas.update(own.pop("$defs", {}))
    schemas[model.__name__] = own
    return {"$ref": _REF.format(model=model.__name__)}


@cache
def _flat(model: type[BaseModel]) -> dict[str, Any]:
    """A query's schema with its enumerations written out: a parameter cannot point into `$defs`."""
    own = model.model_json_schema()
    shared = own.get("$defs", {})
    properties = {
        name: {**schema, **shared[schema["$ref"].rpartition("/")[2]]} if "$ref" in schema else schema
        for name, schema in own.get("properties", {}).items()
    }
    for schema in properties.values():
        schema.pop("$ref", None)
    return {**own, "properties": properties}


def _problem() -> dict[str, Any]:
    """RFC 9457."""
    fault = {
        "type": "object",
        "properties": {"pointer": {"type": "string"}, "detail": {"type": "string"}},
        "required": ["pointer", "detail"],
    }
    return {
        "type": "object",
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "errors": {"type": "array", "items": fault},
            "reference": {"type": "string"},
        },
        "required": ["type", "title", "status", "detail"],
    }
