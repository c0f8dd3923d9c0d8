"""Small builders of Kubernetes objects, and the inventory that they make."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from collectors.inventory import read_inventory
from collectors.inventory_objects import KINDS
from discovery.model.inventory import Inventory

CREATED = "2026-11-01T00:00:00Z"
CREATED_AT = 1_793_491_200_000_000


def object_of(kind: str, name: str, namespace: str = "shop", **parts: Any) -> dict[str, Any]:
    """Return an object; ``owner`` and ``labels`` go to its metadata."""
    metadata: dict[str, Any] = {"name": name, "namespace": namespace, "creationTimestamp": CREATED}
    if "owner" in parts:
        owner_kind, owner_name = parts.pop("owner")
        metadata["ownerReferences"] = [{"kind": owner_kind, "name": owner_name, "controller": True}]
    metadata["labels"] = parts.pop("labels", {})
    known = KINDS.get(kind)
    version = f"{known.group}/{known.versions[0]}".lstrip("/") if known is not None else "example.com/v1"
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **parts}


def pod_of(name: str = "web-0", *addresses: str, **parts: Any) -> dict[str, Any]:
    """Return a pod that runs."""
    status = {"phase": "Running", "podIPs": [{"ip": address} for address in addresses or ("10.0.0.1",)]}
    return object_of("Pod", name, **{"status": status, **parts})


def read(tmp_path: Path, *objects: Any, name: str = "objects.json") -> Inventory:
    """Return the inventory of objects in one JSON list."""
    path = tmp_path / name
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}), "utf-8")
    return read_inventory([path], "east")
