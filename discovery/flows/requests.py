"""Requests of layer 7 in a lake, and the names that its DNS answers give to addresses."""

from __future__ import annotations

import duckdb

from discovery.flows.rollup import Scan
from discovery.flows.statements import fill
from discovery.model.edge import Protocol
from discovery.model.requests import ConnectionKey, DnsRequest, HttpRequest, Request

# More distinct requests of one connection than these are not listed; more names of one address neither.
MAX_REQUESTS = 1_000
MAX_NAMES = 64
_PROTOCOLS = {protocol.value: protocol for protocol in Protocol}

# After the rollup, whose tables these are: identities of workloads, and their keys.
_REQUESTS = """
WITH asked AS (
    SELECT DISTINCT
        coalesce(ck.key, f.client_address) AS client, coalesce(sk.key, f.server_address) AS server, f.protocol,
        f.server_port,
        f.l7_protocol, f.http_method, f.http_host, f.http_path, f.dns_query
    FROM {flows} f
    LEFT JOIN workload_of cw ON cw.identity = f.client_identity LEFT JOIN workload_keys ck ON ck.workload = cw.workload
    LEFT JOIN workload_of sw ON sw.identity = f.server_identity LEFT JOIN workload_keys sk ON sk.workload = sw.workload
    WHERE {where_f} AND f.verdict IN ('accepted', 'audit') AND f.l7_protocol IN ('http', 'dns')
)
SELECT * FROM asked
QUALIFY row_number() OVER (
    PARTITION BY client, server, protocol, server_port
    ORDER BY l7_protocol, http_method, http_host, http_path, dns_query
) <= {most}
ORDER BY ALL
"""
_NAMES = """
WITH answers AS (
    SELECT DISTINCT coalesce(ck.key, f.client_address) AS client, unnest(f.dns_answers) AS address, f.dns_query AS name
    FROM {flows} f
    LEFT JOIN workload_of cw ON cw.identity = f.client_identity LEFT JOIN workload_keys ck ON ck.workload = cw.workload
    WHERE {where_f} AND f.verdict IN ('accepted', 'audit') AND f.l7_protocol = 'dns' AND f.dns_query IS NOT NULL
        AND f.dns_answers IS NOT NULL
)
SELECT client, address, list_sort(array_agg(name))[1:{most}] FROM answers WHERE client IS NOT NULL
GROUP BY client, address ORDER BY client, address
"""


def read_requests(connection: duckdb.DuckDBPyConnection, scan: Scan) -> dict[ConnectionKey, tuple[Request | None, ...]]:
    """Return the distinct requests that were let through, by connection, right after the rollup of the same flows. None
    at the end stands for more requests than :data:`MAX_REQUESTS`.
    """
    found: dict[ConnectionKey, list[Request | None]] = {}
    rows = connection.execute(fill(_REQUESTS, {**scan.fields(connection), "most": str(MAX_REQUESTS + 1)})).fetchall()
    for client, server, protocol, port, kind, method, host, path, name in rows:
        listed = found.setdefault((client or "", server or "", _PROTOCOLS.get(protocol), port), [])
        if len(listed) == MAX_REQUESTS:
            listed.append(None)
        elif kind == "http":
            listed.append(HttpRequest(method=method, host=host, path=path))
        else:
            listed.append(None if name is None else DnsRequest(name=name))
    return {key: tuple(listed) for key, listed in found.items()}


def read_names(connection: duckdb.DuckDBPyConnection, scan: Scan) -> dict[tuple[str, str], tuple[str, ...]]:
    """Return the names that were asked for, by the client and the addresses in the answers."""
    rows = connection.execute(fill(_NAMES, {**scan.fields(connection), "most": str(MAX_NAMES)})).fetchall()
    return {(client, address): tuple(names) for client, address, names in rows}
