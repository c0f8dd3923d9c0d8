"""Workloads of a folder of Kubernetes manifests, as ends of connections."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from discovery.model.inventory import NamedPort
from discovery.model.workload import Labels, WorkloadRef, WorkloadVersion
from discovery.verify.ends import PodEnd

_TEMPLATED = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "VirtualMachine")
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def documents(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield every object of a folder's manifests, those in lists one by one."""
    for path in sorted(folder.rglob("*")):
        if path.suffix not in (".yaml", ".yml", ".json") or "connlist_output" in path.name:
            continue
        for document in yaml.load_all(path.read_text(encoding="utf-8"), Loader=_LOADER):
            yield from _items(document)


def _items(document: Any) -> Iterator[dict[str, Any]]:
    """Yield the objects of a document."""
    if isinstance(document, dict) and isinstance(document.get("items"), list):
        kind = str(document.get("kind", "")).removesuffix("List")
        for item in document["items"]:
            yield from _items({"kind": kind, **item} if kind else item)
    elif isinstance(document, dict) and "kind" in document:
        yield document


def population(folder: Path, *, cluster: str = "c1") -> dict[str, PodEnd]:
    """Return one pod per workload, by ``namespace/name[Kind]``; ports by name are known."""
    objects = list(documents(folder))
    namespaces = {
        item["metadata"]["name"]: dict(item["metadata"].get("labels") or {})
        for item in objects
        if item["kind"] == "Namespace"
    }
    found: dict[str, PodEnd] = {}
    for item in objects:
        for kind, name, labels, spec in _pods(item):
            namespace = item["metadata"].get("namespace") or "default"
            told = {**namespaces.get(namespace, {}), "kubernetes.io/metadata.name": namespace}
            version = WorkloadVersion(
                ref=WorkloadRef(cluster=cluster, namespace=namespace, kind=kind, name=name),
                labels=Labels.of({key: str(value) for key, value in labels.items()}),
                service_account=spec.get("serviceAccountName") or "default",
                namespace_labels=Labels.of(told),
                valid_from=0,
                valid_to=1,
            )
            found.setdefault(f"{namespace}/{name}[{kind}]", PodEnd(version=version, ports=_ports(spec)))
    return found


def _pods(item: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any], dict[str, Any]]]:
    """Yield ``(kind, name, pod labels, pod spec)`` of an object that makes pods, or is one."""
    meta, spec = item.get("metadata") or {}, item.get("spec") or {}
    if item["kind"] == "Pod":
        owner = next(iter(meta.get("ownerReferences") or ()), None)
        kind, name = (owner.get("kind", "Pod"), owner["name"]) if owner else ("Pod", meta["name"])
        yield kind, name, meta.get("labels") or {}, spec
    elif item["kind"] in _TEMPLATED:
        template = spec.get("template") or {}
        labels = (template.get("metadata") or {}).get("labels") or {}
        yield item["kind"], meta["name"], labels, template.get("spec") or {}


def _ports(spec: dict[str, Any]) -> tuple[NamedPort, ...]:
    """Return the ports that a pod's containers declare by name."""
    return tuple(
        NamedPort(name=port["name"], protocol=port.get("protocol") or "TCP", number=port["containerPort"])
        for container in spec.get("containers") or ()
        for port in container.get("ports") or ()
        if port.get("name") and port.get("containerPort")
    )
