"""Kubernetes objects from files, each as the shape of its kind: YAML documents or JSON, objects or lists of objects.

Objects of other kinds are passed over; an object of a kind that is read but does not fit its shape, or that is of a
version that is not read, is an error with its place: an inventory with holes would make a workload look as if it did
not exist.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import yaml

from collectors.inventory_routes import (
    IngressObject,
    MonitorObject,
    RouteObject,
)
from collectors.inventory_settings import ConfigMapObject, FelixObject
from collectors.inventory_wire import (
    ApiServiceObject,
    DefinitionObject,
    EndpointSlice,
    NamespaceObject,
    NodeObject,
    PodObject,
    ReplicaSetObject,
    ServiceObject,
    TemplateObject,
    WebhookObject,
)
from discovery.model.errors import InputError

Objects = Mapping[tuple[str, str, str], Any]
"""Objects by kind, namespace ("" where the kind has none) and name."""

HINT = (
    "make it with: kubectl get -A -o yaml pods,services,endpointslices,namespaces,nodes,deployments,replicasets,"
    "statefulsets,daemonsets,jobs,cronjobs,validatingwebhookconfigurations,mutatingwebhookconfigurations,"
    "apiservices,crds,ingresses (and servicemonitors,httproutes,grpcroutes,felixconfigurations where there are some)"
)
# The loader in C is an order of magnitude faster; the one in Python stands in where the library was built without it.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MAX_DEPTH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind that is read: its API group, the versions whose shape is known, and whether it is in a namespace."""

    group: str
    versions: tuple[str, ...]
    shape: type[Any]
    namespaced: bool = True


_GATEWAY = "gateway.networking.k8s.io"
_ADMISSION = "admissionregistration.k8s.io"
KINDS: dict[str, Kind] = {
    "Pod": Kind(group="", versions=("v1",), shape=PodObject),
    "Service": Kind(group="", versions=("v1",), shape=ServiceObject),
    "ConfigMap": Kind(group="", versions=("v1",), shape=ConfigMapObject),
    "Node": Kind(group="", versions=("v1",), shape=NodeObject, namespaced=False),
    "Namespace": Kind(group="", versions=("v1",), shape=NamespaceObject, namespaced=False),
    "EndpointSlice": Kind(group="discovery.k8s.io", versions=("v1",), shape=EndpointSlice),
    "Deployment": Kind(group="apps", versions=("v1",), shape=TemplateObject),
    "StatefulSet": Kind(group="apps", versions=("v1",), shape=TemplateObject),
    "DaemonSet": Kind(group="apps", versions=("v1",), shape=TemplateObject),
    "ReplicaSet": Kind(group="apps", versions=("v1",), shape=ReplicaSetObject),
    "Job": Kind(group="batch", versions=("v1",), shape=TemplateObject),
    "CronJob": Kind(group="batch", versions=("v1",), shape=TemplateObject),
    "ValidatingWebhookConfiguration": Kind(group=_ADMISSION, versions=("v1",), shape=WebhookObject, namespaced=False),
    "MutatingWebhookConfiguration": Kind(group=_ADMISSION, versions=("v1",), shape=WebhookObject, namespaced=False),
    "CustomResourceDefinition": Kind(
        group="apiextensions.k8s.io", versions=("v1",), shape=DefinitionObject, namespaced=False
    ),
    "APIService": Kind(group="apiregistration.k8s.io", versions=("v1",), shape=ApiServiceObject, namespaced=False),
    "Ingress": Kind(group="networking.k8s.io", versions=("v1",), shape=IngressObject),
    "ServiceMonitor": Kind(group="monitoring.coreos.com", versions=("v1",), shape=MonitorObject),
    "FelixConfiguration": Kind(group="projectcalico.org", versions=("v3",), shape=FelixObject, namespaced=False),
    "HTTPRoute": Kind(group=_GATEWAY, versions=("v1", "v1beta1"), shape=RouteObject),
    "GRPCRoute": Kind(group=_GATEWAY, versions=("v1", "v1alpha2"), shape=RouteObject),
    "TCPRoute": Kind(group=_GATEWAY, versions=("v1", "v1alpha2"), shape=RouteObject),
    "TLSRoute": Kind(group=_GATEWAY, versions=("v1", "v1alpha2", "v1alpha3"), shape=RouteObject),
    "UDPRoute": Kind(group=_GATEWAY, versions=("v1", "v1alpha2"), shape=RouteObject),
}
# Groups in which a kind stood before it moved to the one that is read.
_FORMER = {("extensions", "Ingress"), ("extensions", "Deployment"), ("extensions", "DaemonSet")}


def read_objects(paths: Iterable[Path]) -> Objects:
    """Return the objects that files hold together; of two that are the same object the one read last counts.

    Raises :class:`InputError` for a file that cannot be read or parsed, for an object that does not fit its kind, and
    for files that hold no object that an inventory reads.
    """
    objects: dict[tuple[str, str, str], Any] = {}
    clusters: set[str] = set()
    for path in paths:
        for place, found in _objects(path):
            kind = _kind_of(found, place)
            if kind is None:
                continue
            name = str(found["kind"])
            try:
                typed = msgspec.convert(found, kind.shape)
            except (msgspec.ValidationError, ValueError) as error:
                raise InputError(f"{place}: a {name} that is none: {error}", hint=HINT) from error
            # kubectl reads a manifest without a namespace so.
            namespace = (typed.metadata.namespace or "default") if kind.namespaced else ""
            typed.metadata.namespace = namespace
            objects[name, namespace, typed.metadata.name] = typed
            if (name, typed.metadata.name) == ("Namespace", "kube-system") and typed.metadata.uid:
                clusters.add(typed.metadata.uid)
    if not objects:
        raise InputError("inventory: no object of the kinds that an inventory reads", hint=HINT)
    if len(clusters) > 1:
        raise InputError("inventory: the files are of several clusters", hint="give the files of one cluster")
    return objects


def _kind_of(found: Mapping[str, Any], place: str) -> Kind | None:
    """Return the kind of an object that is read, or None for others. Raises :class:`InputError` for versions that are
    not read: their shapes differ.
    """
    name, version = found.get("kind"), found.get("apiVersion")
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None or version is None:
        return kind
    group, _, release = str(version).rpartition("/")
    former = (group, name) in _FORMER
    if group != kind.group and not former:
        return None
    if former or release not in kind.versions:
        wanted = f"{kind.group}/{kind.versions[0]}".lstrip("/")
        raise InputError(
            f"{place}: a {name} of {str(version)[:64]}, which is not read", hint=f"ask the cluster for {wanted}; {HINT}"
        )
    return kind


def _objects(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the objects of a file with their places; lists are opened."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", hint="check the path and its permissions") from error
    try:
        documents: list[Any]
        if raw.lstrip()[:1] in (b"{", b"["):
            documents = [msgspec.json.decode(raw)]
        else:
            documents = list(yaml.load_all(raw, Loader=_LOADER))
        plain = _Plain(len(raw)).of(documents)
    except (msgspec.MsgspecError, yaml.YAMLError, ValueError, RecursionError) as error:
        text = " ".join(str(error).split())[:300]
        raise InputError(f"{path}: neither YAML nor JSON of objects: {text}", hint=HINT) from error
    for seen, one in enumerate(_opened(plain, None), 1):
        if isinstance(one, Mapping):
            yield f"{path}: object {seen}", one
        elif one is not None:
            raise InputError(f"{path}: object {seen} is no object", hint=HINT)


class _Plain:
    """Copies a value without members that are null: to Kubernetes they are not there.

    A value is no larger than its text, unless aliases of YAML repeat a part of it; kubectl writes none.
    """

    def __init__(self, size: int) -> None:
        """Take the size of the text in bytes as the most values there can be."""
        self._left = size + 1

    def of(self, value: Any, depth: int = 0) -> Any:
        """Return the copy. Raises ``ValueError`` for a value that is deeper or larger than any object."""
        self._left -= 1
        if self._left < 0 or depth > _MAX_DEPTH:
            raise ValueError("nested too deeply, or parts of it are repeated by aliases")
        if isinstance(value, Mapping):
            return {key: self.of(member, depth + 1) for key, member in value.items() if member is not None}
        return [self.of(member, depth + 1) for member in value] if isinstance(value, list) else value


def _opened(value: Any, kind: Mapping[str, Any] | None) -> Iterator[Any]:
    """Yield what lists hold, lists in lists too. ``kind`` is what a typed list says for its items."""
    if isinstance(value, list):
        for child in value:
            yield from _opened(child, kind)
    elif isinstance(value, Mapping) and isinstance(value.get("items"), list):
        yield from _opened(value["items"], _items_of(value))
    else:
        yield {**kind, **value} if kind and isinstance(value, Mapping) else value


def _items_of(listed: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return what a typed list (``PodList``) says for its items; None for ``List``, whose items say it themselves."""
    kind = listed.get("kind")
    if not isinstance(kind, str) or kind == "List" or not kind.endswith("List"):
        return None
    known = {"kind": kind.removesuffix("List")}
    return known | ({"apiVersion": listed["apiVersion"]} if "apiVersion" in listed else {})
