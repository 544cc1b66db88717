"""The OpenAPI 3.1 document of the control API, made from the routes and the Structs that they take and answer.

Served at ``/openapi.json``. Says nothing that the code does not do: it is generated, not written.
"""

from typing import Any

import msgspec

from quantd.control.refusal import Problem
from quantd.control.routes import ROUTES, Route
from quantd.control.streaming import MEDIA_TYPE

ID_PATTERN = "^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$"
"""What may stand for ``{id}`` in a path."""
_REF = "#/components/schemas/{name}"


def document(version: str) -> dict[str, Any]:
    """Return the document as plain data."""
    built = [route for route in ROUTES]
    types: list[Any] = list(dict.fromkeys([Problem, *(r.takes for r in built), *(r.answers for r in built)]))
    references, components = msgspec.json.schema_components(types, ref_template=_REF)
    schemas = dict(zip(types, references, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in built:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas, components)
    queries = {route.takes.__name__ for route in built if route.method == "GET"}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "quantd control API",
            "version": version,
            "description": "Amounts are decimal text, times nanoseconds since 1970 UTC. On this machine only.",
        },
        "paths": paths,
        "components": {
            "schemas": {name: one for name, one in components.items() if name not in queries},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


def _operation(route: Route, schemas: dict[Any, Any], components: dict[str, Any]) -> dict[str, Any]:
    opens = " or ".join((*route.scopes, "admin") if "admin" not in route.scopes else route.scopes)
    operation: dict[str, Any] = {
        "operationId": f"{route.method.lower()}_{route.path.removeprefix('/v1/').replace('/{id}', '').replace('/', '_')}",
        "summary": route.summary,
        "description": f"Takes a token with the scope {opens}.",
        "responses": {"default": _answer("Why it was not carried out", schemas[Problem], "application/problem+json")},
    }
    media_type = MEDIA_TYPE if route.is_stream else "application/json"
    operation["responses"]["200"] = _answer(route.summary, schemas[route.answers], media_type)
    if route.is_stream:
        operation["description"] += " Server-sent events: the data of each is a document of this schema."
    parameters = []
    if "{id}" in route.path:
        schema = {"type": "string", "pattern": ID_PATTERN}
        parameters.append({"name": "id", "in": "path", "required": True, "schema": schema})
    if route.method == "GET":
        taken = components[route.takes.__name__]
        parameters += [
            {"name": name, "in": "query", "required": name in taken.get("required", ()), "schema": _given(schema)}
            for name, schema in taken["properties"].items()
        ]
    else:
        body = {"application/json": {"schema": schemas[route.takes]}}
        operation["requestBody"] = {"required": True, "content": body}
    if parameters:
        operation["parameters"] = parameters
    return operation


def _given(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a query parameter: leaving it out is how none is said."""
    arms = [arm for arm in schema.get("anyOf", ()) if arm.get("type") != "null"]
    return arms[0] if len(arms) == 1 else {key: value for key, value in schema.items() if value is not None}


def _answer(description: str, schema: dict[str, Any], media_type: str) -> dict[str, Any]:
    return {"description": description, "content": {media_type: {"schema": schema}}}
