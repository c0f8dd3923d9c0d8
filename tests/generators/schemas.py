"""The published schemas of the kinds that are written, made strict: an unknown field is an error."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator


def _strict(schema: Any) -> Any:
    """Return the schema with unknown fields refused and set-lists unique, as the API server would with
    ``--validate=strict``.
    """
    if isinstance(schema, list):
        return [_strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    made = {
        # The alternatives of anyOf and oneOf only say which fields must be there.
        key: value if key in {"anyOf", "oneOf", "required", "enum"} else _strict(value)
        for key, value in schema.items()
    }
    if "properties" in schema and isinstance(schema["properties"], dict) and "additionalProperties" not in schema:
        made["additionalProperties"] = False
    if schema.get("x-kubernetes-list-type") == "set":
        made["uniqueItems"] = True
    return made


@cache
def crd_validator(path: Path) -> Draft202012Validator:
    """Return a strict validator for the served version of a CRD file."""
    crd = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)  # noqa: TID251 - the safe C reader
    (schema,) = [version["schema"]["openAPIV3Schema"] for version in crd["spec"]["versions"] if version["served"]]
    return Draft202012Validator(_strict(schema))
