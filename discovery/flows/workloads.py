"""From identities to workloads: joins what different observers knew of the same thing.

The far end of a connection is often reported with less: no workload name, no kind, sometimes no pod. Identities
with the same cluster, namespace, labels and service account are the same pods, so the best name that any
observer reported for them counts, when there is exactly one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from discovery.flows.resolve import endpoint_of, workload_rows_of
from discovery.flows.schema import WORKLOADS
from discovery.model.inventory import Inventory
from discovery.model.workload import Labels, WorkloadRef, WorkloadVersion

_STRENGTH = {"reported": 3, "pod-name": 2, "labels": 1, "namespace": 0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Workloads:
    """All workloads of a lake. ``ref_of`` maps each identity to its workload; ``versions`` are the attribute
    versions, one per identity, sorted.
    """

    ref_of: Mapping[int, WorkloadRef]
    versions: tuple[WorkloadVersion, ...]

    @property
    def by_key(self) -> dict[str, WorkloadRef]:
        """Return the workloads by their stable key."""
        return {ref.key: ref for ref in self.ref_of.values()}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One identity, with all sightings joined: kinds that a source reported, and guesses from pod names."""

    identity: int
    cluster: str
    namespace: str
    kinds: frozenset[str]
    guesses: frozenset[str]
    name: str
    strength: int
    labels: Labels
    service_account: str | None
    namespace_labels: Labels
    first: int
    last: int

    @property
    def attributes(self) -> tuple[str, str, Labels, str | None]:
        """Return what policy can see of the pods."""
        return self.cluster, self.namespace, self.labels, self.service_account


def _pairs(value: Any) -> Labels:
    """Return labels from an Arrow map."""
    return Labels.of(value or ())


def _join(rows: Iterable[Mapping[str, Any]]) -> list[_Row]:
    """Join the sightings of each identity over all runs."""
    joined: dict[int, _Row] = {}
    for row in rows:
        told = frozenset({row["kind"]} - {""})
        kinds, guesses = (told, frozenset[str]()) if row["name_source"] == "reported" else (frozenset[str](), told)
        first, last = row["valid_from"], row["valid_to"]
        seen = joined.get(row["identity"])
        if seen is not None:
            joined[row["identity"]] = replace(
                seen,
                kinds=seen.kinds | kinds,
                guesses=seen.guesses | guesses,
                strength=max(seen.strength, _STRENGTH[row["name_source"]]),
                first=min(seen.first, first),
                last=max(seen.last, last),
            )
            continue
        joined[row["identity"]] = _Row(
            identity=row["identity"],
            cluster=row["cluster"],
            namespace=row["namespace"],
            kinds=kinds,
            guesses=guesses,
            name=row["name"],
            strength=_STRENGTH[row["name_source"]],
            labels=_pairs(row["labels"]),
            service_account=row["service_account"],
            namespace_labels=_pairs(row["namespace_labels"]),
            first=first,
            last=last,
        )
    return sorted(joined.values(), key=lambda row: row.identity)


def _best_names(rows: list[_Row]) -> dict[tuple[str, str, Labels, str | None], tuple[int, frozenset[str]]]:
    """Return, per set of attributes, the strongest kind of name and all names of that strength."""
    best: dict[tuple[str, str, Labels, str | None], tuple[int, frozenset[str]]] = {}
    for row in rows:
        strength, names = best.get(row.attributes, (-1, frozenset()))
        if row.strength > strength:
            best[row.attributes] = (row.strength, frozenset({row.name}))
        elif row.strength == strength:
            best[row.attributes] = (strength, names | {row.name})
    return best


def _named(rows: list[_Row]) -> list[_Row]:
    """Give each identity the best name that any observer reported for the same attributes, when it is unique."""
    best = _best_names(rows)
    named = []
    for row in rows:
        strength, names = best[row.attributes]
        named.append(replace(row, name=next(iter(names))) if row.strength < strength and len(names) == 1 else row)
    return named


def unify(rows: Iterable[Mapping[str, Any]]) -> Workloads:
    """Return the workloads of WORKLOADS rows (times in microseconds since 1970)."""
    named = _named(_join(rows))
    kinds: dict[tuple[str, str, str], set[str]] = {}
    guesses: dict[tuple[str, str, str], set[str]] = {}
    for row in named:
        kinds.setdefault((row.cluster, row.namespace, row.name), set()).update(row.kinds)
        guesses.setdefault((row.cluster, row.namespace, row.name), set()).update(row.guesses)
    ref_of: dict[int, WorkloadRef] = {}
    versions: list[WorkloadVersion] = []
    for row in named:
        place = (row.cluster, row.namespace, row.name)
        own = row.kinds if len(row.kinds) == 1 else kinds[place] or guesses[place]
        kind = next(iter(own)) if len(own) == 1 else ""
        ref = WorkloadRef(cluster=row.cluster, namespace=row.namespace, kind=kind, name=row.name)
        ref_of[row.identity] = ref
        versions.append(
            WorkloadVersion(
                ref=ref,
                labels=row.labels,
                service_account=row.service_account,
                namespace_labels=row.namespace_labels,
                valid_from=row.first,
                valid_to=row.last,
            )
        )
    return Workloads(ref_of=ref_of, versions=tuple(sorted(set(versions), key=_version_order)))


def _version_order(version: WorkloadVersion) -> tuple[Any, ...]:
    """Return a total order; a missing service account sorts first."""
    account = version.service_account
    return version.ref, version.labels, account is not None, account or "", version.valid_from, version.namespace_labels


def read_workloads(files: Iterable[str], inventory: Inventory | None = None) -> Workloads:
    """Return the workloads of a lake's WORKLOADS parts, and those of an inventory.

    What a source saw of a workload that the inventory shows, with fewer labels, was a partial view and no version.
    """
    tables = [pq.ParquetFile(file).read().select(WORKLOADS.names) for file in files]
    seen: list[dict[str, Any]] = []
    if tables:
        table = pa.concat_tables(tables)
        for name in ("valid_from", "valid_to"):
            table = table.set_column(table.schema.get_field_index(name), name, table[name].cast(pa.int64()))
        seen = table.to_pylist()
    if inventory is None:
        return unify(seen)
    shown = frozenset(key for row in seen for key, _ in row["labels"] or ())
    return _without_partial_views(unify([*seen, *workload_rows_of(inventory)]), inventory, shown)


def _without_partial_views(workloads: Workloads, inventory: Inventory, shown: frozenset[str]) -> Workloads:
    """Drop versions that carry a part of the labels of a version that the inventory proves, where the rest has keys
    that the flows never show (``shown`` are those that they do): a view without a key that is shown elsewhere is of a
    time at which the pods did not carry it.
    """
    infos = [endpoint_of(one, inventory) for one in inventory.members]
    proven: dict[tuple[str, str], set[Labels]] = {}
    for info in infos:
        proven.setdefault((info.namespace, info.workload_name), set()).add(Labels.of(info.labels))

    def partial(version: WorkloadVersion) -> bool:
        own = version.labels
        whole = proven.get((version.ref.namespace, version.ref.name), set())
        if version.ref.cluster != inventory.cluster or own in whole:
            return False
        return any(labels.matches(own) and (not own.pairs or shown.isdisjoint(_keys(labels, own))) for labels in whole)

    kept = tuple(version for version in workloads.versions if not partial(version))
    return Workloads(ref_of=workloads.ref_of, versions=kept)


def _keys(labels: Labels, part: Labels) -> set[str]:
    """Return the keys of labels that a part of them lacks."""
    return {key for key, _ in labels.pairs} - {key for key, _ in part.pairs}
