-- The rollup: flows -> cells -> edges. Portable SQL on purpose (ADR 0002): GROUP BY, CASE, min/max/sum/bit_or and
-- one window; no DuckDB-only syntax beyond what sqlglot translates. Each statement is named by the line "-- name:".
-- {flows} is the scan of the part files, {where} a time filter.
--
-- Parameters come in as tables:
--   workload_of(identity, workload)  workload number of each identity
--   workload_keys(workload, key)     stable key of each workload number
-- {end} is client or server; the statements with it run once for each.

-- name: cells
-- One pass over all rows; nearly all later work is on cells, whose number does not depend on the number of flows. Pods
-- are not in the key: each pair of two workloads' pods would be a cell of its own (ADR 0002).
CREATE OR REPLACE TEMP TABLE cells AS
SELECT
    cluster, client_kind, client_identity, server_kind, server_identity,
    protocol, server_port, icmp_type, verdict, establishment, direction_evidence, reporter, observation_point,
    node, source, l7_protocol, drop_reason, date,
    CAST(sum(flow_records) AS BIGINT) AS flow_records,
    CAST(sum(connections) AS BIGINT) AS connections,
    CAST(sum(bytes_sent) AS BIGINT) AS bytes_sent,
    CAST(sum(bytes_received) AS BIGINT) AS bytes_received,
    min(epoch_us(time)) AS first_seen,
    max(epoch_us(time)) AS last_seen,
    bit_or(CAST(1 AS INTEGER) << CAST((epoch_us(time) // 3600000000) % 24 AS INTEGER)) AS hours
FROM {flows}
WHERE {where}
GROUP BY
    cluster, client_kind, client_identity, server_kind, server_identity, protocol,
    server_port, icmp_type, verdict, establishment, direction_evidence, reporter, observation_point, node, source,
    l7_protocol, drop_reason, date

-- name: points
-- Where a source shows replies at all: only there may silence count as "unanswered". An export filter may keep the
-- answers of one protocol and not of another, and may change from day to day.
CREATE OR REPLACE TEMP TABLE points AS
SELECT source, node, reporter, protocol, date
FROM cells
WHERE establishment IN ('established', 'refused')
GROUP BY source, node, reporter, protocol, date

-- name: keyed
-- Cells with their edge key. Workload identities become workload numbers; the direction is known or not.
CREATE OR REPLACE TEMP TABLE keyed AS
SELECT
    c.cluster, c.client_kind, cw.workload AS client, c.server_kind, sw.workload AS server,
    c.protocol, c.server_port, c.icmp_type, c.direction_evidence <> 'none' AS direction_known,
    CASE c.direction_evidence WHEN 'handshake' THEN 1 WHEN 'flag' THEN 2 WHEN 'listener' THEN 3 WHEN 'inferred' THEN 4
        ELSE 5 END AS evidence_rank,
    c.verdict, c.establishment, c.reporter, c.observation_point, c.source, c.l7_protocol, c.drop_reason, c.date,
    p.source IS NOT NULL AS shows_replies,
    c.flow_records, c.connections, c.bytes_sent, c.bytes_received, c.first_seen, c.last_seen, c.hours
FROM cells c
LEFT JOIN workload_of cw ON cw.identity = c.client_identity
LEFT JOIN workload_of sw ON sw.identity = c.server_identity
LEFT JOIN points p ON p.source = c.source AND p.node IS NOT DISTINCT FROM c.node
    AND p.reporter IS NOT DISTINCT FROM c.reporter AND p.protocol = c.protocol AND p.date = c.date

-- name: sums
-- One row per edge. Records are counted per reporter and observation point, and the largest count is taken:
-- one packet seen at several hooks and from both ends is one (field: duplicate-observations). The good_ columns are of
-- delivered traffic alone: what was dropped is no evidence for what was not.
CREATE OR REPLACE TEMP TABLE sums AS
SELECT
    cluster, client_kind, client, server_kind, server, protocol, server_port, icmp_type, direction_known,
    max(accepted_records) AS accepted_records, max(audit_records) AS audit_records,
    max(denied_records) AS denied_records, max(fault_records) AS fault_records, max(unknown_records) AS unknown_records,
    max(connections) AS connections, max(bytes_sent) AS bytes_sent, max(bytes_received) AS bytes_received,
    min(first_seen) AS first_seen, max(last_seen) AS last_seen, bit_or(hours) AS hours,
    min(evidence_rank) AS evidence_rank,
    min(good_first) AS good_first, max(good_last) AS good_last, bit_or(good_hours) AS good_hours,
    min(good_rank) AS good_rank, max(established) AS established, max(refused) AS refused,
    max(attempted) AS attempted, max(attempted_in_sight) AS attempted_in_sight
FROM (
    SELECT
        cluster, client_kind, client, server_kind, server, protocol, server_port, icmp_type, direction_known,
        reporter, observation_point,
        sum(CASE WHEN verdict = 'accepted' THEN flow_records ELSE 0 END) AS accepted_records,
        sum(CASE WHEN verdict = 'audit' THEN flow_records ELSE 0 END) AS audit_records,
        sum(CASE WHEN verdict = 'denied' THEN flow_records ELSE 0 END) AS denied_records,
        sum(CASE WHEN verdict = 'fault' THEN flow_records ELSE 0 END) AS fault_records,
        sum(CASE WHEN verdict = 'unknown' THEN flow_records ELSE 0 END) AS unknown_records,
        sum(connections) AS connections, sum(bytes_sent) AS bytes_sent, sum(bytes_received) AS bytes_received,
        min(first_seen) AS first_seen, max(last_seen) AS last_seen, bit_or(hours) AS hours,
        min(evidence_rank) AS evidence_rank,
        min(CASE WHEN verdict IN ('accepted', 'audit') THEN first_seen END) AS good_first,
        max(CASE WHEN verdict IN ('accepted', 'audit') THEN last_seen END) AS good_last,
        bit_or(CASE WHEN verdict IN ('accepted', 'audit') THEN hours ELSE 0 END) AS good_hours,
        min(CASE WHEN verdict IN ('accepted', 'audit') THEN evidence_rank END) AS good_rank,
        max(CASE WHEN establishment = 'established' THEN 1 ELSE 0 END) AS established,
        max(CASE WHEN establishment = 'refused' THEN 1 ELSE 0 END) AS refused,
        max(CASE WHEN establishment = 'attempted' THEN 1 ELSE 0 END) AS attempted,
        max(CASE WHEN establishment = 'attempted' AND shows_replies THEN 1 ELSE 0 END) AS attempted_in_sight
    FROM keyed
    GROUP BY
        cluster, client_kind, client, server_kind, server, protocol, server_port, icmp_type, direction_known,
        reporter, observation_point
)
GROUP BY cluster, client_kind, client, server_kind, server, protocol, server_port, icmp_type, direction_known

-- name: contested
-- Edges that one point accepted and another denied: only these need a look at single connections. In a mesh the two
-- points belong to different clusters.
CREATE OR REPLACE TEMP TABLE contested AS
SELECT client_kind, client, server_kind, server, protocol, server_port, icmp_type, direction_known
FROM sums
WHERE direction_known
GROUP BY client_kind, client, server_kind, server, protocol, server_port, icmp_type, direction_known
HAVING max(accepted_records + audit_records) > 0 AND max(denied_records) > 0

-- name: denied_connections
-- Connections of contested edges that some point denied: no other record of those edges needs a closer look.
CREATE OR REPLACE TEMP TABLE denied_connections AS
SELECT f.client_address, f.server_address, f.client_port
FROM {flows} f
LEFT JOIN workload_of cw ON cw.identity = f.client_identity
LEFT JOIN workload_of sw ON sw.identity = f.server_identity
JOIN contested x ON x.client_kind = f.client_kind AND x.server_kind = f.server_kind
    AND x.client IS NOT DISTINCT FROM cw.workload AND x.server IS NOT DISTINCT FROM sw.workload
    AND x.protocol IS NOT DISTINCT FROM f.protocol AND x.server_port IS NOT DISTINCT FROM f.server_port
    AND x.icmp_type IS NOT DISTINCT FROM f.icmp_type
WHERE {where} AND f.verdict = 'denied' AND f.direction_evidence <> 'none'
GROUP BY f.client_address, f.server_address, f.client_port

-- name: contested_rows
-- The records of those connections. An aggregated record spans [time, ends]; a single one is a point in time.
CREATE OR REPLACE TEMP TABLE contested_rows AS
SELECT
    f.cluster, x.client_kind, x.client, x.server_kind, x.server, x.protocol, x.server_port, x.icmp_type,
    f.verdict, f.reporter, f.time, coalesce(f.end_time, f.time) AS ends, f.client_address, f.client_port,
    f.server_address, f.client_pod, f.server_pod, f.flow_records,
    f.client_port IS NOT NULL OR (f.icmp_type IS NOT NULL AND f.client_address IS NOT NULL
        AND f.server_address IS NOT NULL AND f.end_time IS NULL) AS has_tuple
FROM {flows} f
LEFT JOIN workload_of cw ON cw.identity = f.client_identity
LEFT JOIN workload_of sw ON sw.identity = f.server_identity
JOIN contested x ON x.client_kind = f.client_kind AND x.server_kind = f.server_kind
    AND x.client IS NOT DISTINCT FROM cw.workload AND x.server IS NOT DISTINCT FROM sw.workload
    AND x.protocol IS NOT DISTINCT FROM f.protocol AND x.server_port IS NOT DISTINCT FROM f.server_port
    AND x.icmp_type IS NOT DISTINCT FROM f.icmp_type
JOIN denied_connections n ON n.client_address IS NOT DISTINCT FROM f.client_address
    AND n.server_address IS NOT DISTINCT FROM f.server_address AND n.client_port IS NOT DISTINCT FROM f.client_port
WHERE {where} AND f.verdict IN ('accepted', 'audit', 'denied') AND f.direction_evidence <> 'none'

-- name: survivors
-- What stays accepted: all that a contested edge accepted, less the records whose connection another point denied. A
-- connection is the five-tuple within a minute (of ICMP the addresses and the type), and a pod that one of two points
-- does not know tells them not apart; where the source reports no client port, the same interval, unless that point
-- also accepted some of it.
CREATE OR REPLACE TEMP TABLE survivors AS
SELECT
    cluster, client_kind, client, server_kind, server, protocol, server_port, icmp_type, direction_known,
    sum(delivered_records) AS delivered_records
FROM (
SELECT
    k.cluster, k.client_kind, k.client, k.server_kind, k.server, k.protocol, k.server_port, k.icmp_type,
    k.direction_known, sum(k.flow_records) AS delivered_records
FROM keyed k
JOIN contested x ON x.direction_known = k.direction_known AND x.client_kind = k.client_kind
    AND x.server_kind = k.server_kind
    AND x.client IS NOT DISTINCT FROM k.client AND x.server IS NOT DISTINCT FROM k.server
    AND x.protocol IS NOT DISTINCT FROM k.protocol AND x.server_port IS NOT DISTINCT FROM k.server_port
    AND x.icmp_type IS NOT DISTINCT FROM k.icmp_type
WHERE k.verdict IN ('accepted', 'audit')
GROUP BY k.cluster, k.client_kind, k.client, k.server_kind, k.server, k.protocol, k.server_port, k.icmp_type,
    k.direction_known
UNION ALL
SELECT
    cluster, client_kind, client, server_kind, server, protocol, server_port, icmp_type, true AS direction_known,
    -sum(flow_records) AS delivered_records
FROM contested_rows a
WHERE a.verdict <> 'denied' AND EXISTS (
    SELECT 1 FROM contested_rows d
    WHERE d.verdict = 'denied' AND d.client_kind = a.client_kind AND d.client IS NOT DISTINCT FROM a.client
        AND d.server_kind = a.server_kind AND d.server IS NOT DISTINCT FROM a.server
        AND d.protocol = a.protocol AND d.server_port IS NOT DISTINCT FROM a.server_port
        AND d.icmp_type IS NOT DISTINCT FROM a.icmp_type
        AND d.client_address IS NOT DISTINCT FROM a.client_address
        AND d.server_address IS NOT DISTINCT FROM a.server_address
        AND d.client_port IS NOT DISTINCT FROM a.client_port
        AND (d.client_pod IS NOT DISTINCT FROM a.client_pod
            OR (a.has_tuple AND a.client_address IS NOT NULL AND (d.client_pod IS NULL OR a.client_pod IS NULL)))
        AND (d.server_pod IS NOT DISTINCT FROM a.server_pod
            OR (a.has_tuple AND a.server_address IS NOT NULL AND (d.server_pod IS NULL OR a.server_pod IS NULL)))
        AND d.time <= a.ends + INTERVAL 60 SECOND AND d.ends >= a.time - INTERVAL 60 SECOND
        AND (a.has_tuple OR (d.time <= a.ends AND d.ends >= a.time
            AND d.reporter IS DISTINCT FROM a.reporter
            AND NOT EXISTS (
                SELECT 1 FROM contested_rows o
                WHERE o.verdict = 'accepted' AND o.reporter IS NOT DISTINCT FROM d.reporter
                    AND o.client IS NOT DISTINCT FROM a.client AND o.server IS NOT DISTINCT FROM a.server
                    AND o.client_kind = a.client_kind AND o.server_kind = a.server_kind
                    AND o.protocol = a.protocol AND o.server_port IS NOT DISTINCT FROM a.server_port
                    AND o.client_address IS NOT DISTINCT FROM a.client_address
                    AND o.client_port IS NOT DISTINCT FROM a.client_port
                    AND o.server_address IS NOT DISTINCT FROM a.server_address
                    AND o.client_pod IS NOT DISTINCT FROM a.client_pod
                    AND o.server_pod IS NOT DISTINCT FROM a.server_pod
                    AND o.time <= a.ends AND o.ends >= a.time))))
GROUP BY cluster, client_kind, client, server_kind, server, protocol, server_port, icmp_type
)
GROUP BY cluster, client_kind, client, server_kind, server, protocol, server_port, icmp_type, direction_known

-- name: judged
-- The joined verdict and the establishment of each edge.
CREATE OR REPLACE TEMP TABLE judged AS
SELECT
    s.cluster, s.client_kind, s.client, s.server_kind, s.server, s.protocol, s.server_port, s.icmp_type,
    s.direction_known, s.evidence_rank, s.connections, s.bytes_sent, s.bytes_received, s.first_seen, s.last_seen, s.hours,
    s.good_first, s.good_last, s.good_hours, s.good_rank, s.denied_records,
    CASE
        WHEN x.client_kind IS NOT NULL AND s.accepted_records + s.audit_records > 0
            AND coalesce(v.delivered_records, 0) = 0 THEN 'denied'
        -- In audit mode the datapath also traces the packet as forwarded: one AUDIT record tells the truth.
        WHEN s.audit_records > 0 THEN 'audit'
        WHEN s.accepted_records > 0 THEN 'accepted'
        WHEN s.denied_records > 0 THEN 'denied'
        WHEN s.fault_records > 0 THEN 'fault'
        ELSE 'unknown'
    END AS verdict,
    x.client_kind IS NOT NULL AS contested,
    CASE
        WHEN s.established = 1 THEN 'established'
        WHEN s.refused = 1 THEN 'refused'
        WHEN s.attempted_in_sight = 1 AND s.protocol = 'TCP' THEN 'unanswered'
        ELSE 'unknown'
    END AS establishment,
    CASE WHEN s.accepted_records + s.audit_records > 0 THEN s.accepted_records + s.audit_records
        WHEN s.denied_records > 0 THEN s.denied_records
        WHEN s.fault_records > 0 THEN s.fault_records ELSE s.unknown_records END AS flow_records
FROM sums s
LEFT JOIN contested x ON x.direction_known = s.direction_known AND x.client_kind = s.client_kind
    AND x.server_kind = s.server_kind AND x.client IS NOT DISTINCT FROM s.client AND x.server IS NOT DISTINCT FROM s.server
    AND x.protocol IS NOT DISTINCT FROM s.protocol AND x.server_port IS NOT DISTINCT FROM s.server_port
    AND x.icmp_type IS NOT DISTINCT FROM s.icmp_type
LEFT JOIN survivors v ON v.direction_known = s.direction_known AND v.cluster = s.cluster AND v.client_kind = s.client_kind
    AND v.server_kind = s.server_kind AND v.client IS NOT DISTINCT FROM s.client AND v.server IS NOT DISTINCT FROM s.server
    AND v.protocol IS NOT DISTINCT FROM s.protocol AND v.server_port IS NOT DISTINCT FROM s.server_port
    AND v.icmp_type IS NOT DISTINCT FROM s.icmp_type

-- name: busy
-- Port scans: what was not accepted and established, over more than {collapse_ports} ports of one pair, becomes one edge.
CREATE OR REPLACE TEMP TABLE busy AS
SELECT cluster, client_kind, client, server_kind, server, protocol, direction_known, verdict, establishment,
    count(*) AS ports
FROM judged
WHERE server_port IS NOT NULL
    AND (verdict IN ('denied', 'fault', 'unknown') OR establishment IN ('refused', 'unanswered') OR NOT direction_known)
GROUP BY cluster, client_kind, client, server_kind, server, protocol, direction_known, verdict, establishment
HAVING count(*) > {collapse_ports}

-- name: numbered
-- Every judged edge with the port it is reported under: its own, or none when it collapses.
CREATE OR REPLACE TEMP TABLE numbered AS
SELECT j.*, CASE WHEN b.ports IS NULL THEN j.server_port END AS shown_port, coalesce(b.ports, 0) AS collapsed_ports
FROM judged j
LEFT JOIN busy b ON b.cluster = j.cluster AND b.client_kind = j.client_kind AND b.server_kind = j.server_kind
    AND b.client IS NOT DISTINCT FROM j.client AND b.server IS NOT DISTINCT FROM j.server
    AND b.protocol IS NOT DISTINCT FROM j.protocol AND b.direction_known = j.direction_known
    AND b.verdict = j.verdict AND b.establishment = j.establishment AND j.server_port IS NOT NULL

-- name: shown
CREATE OR REPLACE TEMP TABLE shown AS
SELECT cluster, client_kind, client, server_kind, server, protocol, shown_port, icmp_type, direction_known, verdict,
    establishment, max(collapsed_ports) AS collapsed_ports, bool_or(contested) AS contested,
    min(CASE WHEN verdict IN ('accepted', 'audit') THEN good_rank ELSE evidence_rank END) AS evidence_rank,
    sum(flow_records) AS flow_records, sum(denied_records) AS denied_records, sum(connections) AS connections,
    sum(bytes_sent) AS bytes_sent, sum(bytes_received) AS bytes_received,
    min(CASE WHEN verdict IN ('accepted', 'audit') THEN good_first ELSE first_seen END) AS first_seen,
    max(CASE WHEN verdict IN ('accepted', 'audit') THEN good_last ELSE last_seen END) AS last_seen,
    bit_or(CASE WHEN verdict IN ('accepted', 'audit') THEN good_hours ELSE hours END) AS hours,
    row_number() OVER (ORDER BY cluster, client_kind, client, server_kind, server, protocol, shown_port, icmp_type,
        direction_known, verdict, establishment) AS edge
FROM numbered
GROUP BY cluster, client_kind, client, server_kind, server, protocol, shown_port, icmp_type, direction_known, verdict,
    establishment

-- name: edge_of
-- From an edge key to the number of the edge that shows it.
CREATE OR REPLACE TEMP TABLE edge_of AS
SELECT n.cluster, n.client_kind, n.client, n.server_kind, n.server, n.protocol, n.server_port, n.icmp_type,
    n.direction_known, s.edge
FROM numbered n
JOIN shown s ON s.cluster = n.cluster AND s.client_kind = n.client_kind AND s.server_kind = n.server_kind
    AND s.client IS NOT DISTINCT FROM n.client AND s.server IS NOT DISTINCT FROM n.server
    AND s.protocol IS NOT DISTINCT FROM n.protocol AND s.shown_port IS NOT DISTINCT FROM n.shown_port
    AND s.icmp_type IS NOT DISTINCT FROM n.icmp_type AND s.direction_known = n.direction_known
    AND s.verdict = n.verdict AND s.establishment = n.establishment

-- name: members
-- The small sets of each edge: reporters, sources, layer 7 protocols, drop reasons, dates.
CREATE OR REPLACE TEMP TABLE members AS
SELECT e.edge,
    count(DISTINCT k.date) AS days,
    list_sort(array_agg(DISTINCT k.source)) AS sources,
    list_sort(array_agg(DISTINCT k.reporter) FILTER (WHERE k.reporter IS NOT NULL)) AS reporters,
    list_sort(array_agg(DISTINCT k.l7_protocol) FILTER (WHERE k.l7_protocol IS NOT NULL)) AS l7,
    list_sort(array_agg(DISTINCT k.drop_reason) FILTER (WHERE k.drop_reason IS NOT NULL)) AS drop_reasons
FROM keyed k
JOIN edge_of e ON e.cluster = k.cluster AND e.client_kind = k.client_kind AND e.server_kind = k.server_kind
    AND e.client IS NOT DISTINCT FROM k.client AND e.server IS NOT DISTINCT FROM k.server
    AND e.protocol IS NOT DISTINCT FROM k.protocol AND e.server_port IS NOT DISTINCT FROM k.server_port
    AND e.icmp_type IS NOT DISTINCT FROM k.icmp_type AND e.direction_known = k.direction_known
JOIN shown s ON s.edge = e.edge
WHERE s.verdict NOT IN ('accepted', 'audit') OR k.verdict IN ('accepted', 'audit')
GROUP BY e.edge

-- name: pods
-- The pods at one end of each edge.
CREATE OR REPLACE TEMP TABLE {end}_pods AS
SELECT e.edge, count(DISTINCT p.pod) AS pods
FROM (
    SELECT DISTINCT cluster, client_kind, client_identity, server_kind, server_identity, protocol, server_port,
        icmp_type, direction_evidence, verdict, {end}_pod AS pod
    FROM {flows} WHERE {where}
) p
LEFT JOIN workload_of cw ON cw.identity = p.client_identity
LEFT JOIN workload_of sw ON sw.identity = p.server_identity
JOIN edge_of e ON e.cluster = p.cluster AND e.client_kind = p.client_kind AND e.server_kind = p.server_kind
    AND e.client IS NOT DISTINCT FROM cw.workload AND e.server IS NOT DISTINCT FROM sw.workload
    AND e.protocol IS NOT DISTINCT FROM p.protocol AND e.server_port IS NOT DISTINCT FROM p.server_port
    AND e.icmp_type IS NOT DISTINCT FROM p.icmp_type AND e.direction_known = (p.direction_evidence <> 'none')
JOIN shown s ON s.edge = e.edge
WHERE s.verdict NOT IN ('accepted', 'audit') OR p.verdict IN ('accepted', 'audit')
GROUP BY e.edge

-- name: standings
-- Each address of an edge: listed, or what befell it where the edge as a whole did well. One pass, out of core.
CREATE OR REPLACE TEMP TABLE {end}_standings AS
SELECT edge, address, prefix,
    CASE
        WHEN verdict IN ('accepted', 'audit') AND delivered = 0
            THEN CASE WHEN denied = 1 THEN 'denied' ELSE 'fault' END
        WHEN '{end}' = 'server' AND establishment = 'established' AND protocol = 'TCP'
            AND established = 0 AND refused = 1 THEN 'refused'
        WHEN '{end}' = 'server' AND establishment = 'established' AND protocol = 'TCP'
            AND established = 0 AND silent = 1 THEN 'unanswered'
        ELSE 'listed'
    END AS standing
FROM (
    SELECT e.edge, f.{end}_address AS address, min(f.{end}_prefix) AS prefix,
        max(CASE WHEN f.verdict IN ('accepted', 'audit') THEN 1 ELSE 0 END) AS delivered,
        max(CASE WHEN f.verdict = 'denied' THEN 1 ELSE 0 END) AS denied,
        max(CASE WHEN f.establishment = 'established' THEN 1 ELSE 0 END) AS established,
        max(CASE WHEN f.establishment = 'refused' THEN 1 ELSE 0 END) AS refused,
        max(CASE WHEN f.establishment = 'attempted' AND p.source IS NOT NULL THEN 1 ELSE 0 END) AS silent
    FROM {flows} f
    LEFT JOIN points p ON p.source = f.source AND p.node IS NOT DISTINCT FROM f.node
        AND p.reporter IS NOT DISTINCT FROM f.reporter AND p.protocol = f.protocol AND p.date = f.date
    LEFT JOIN workload_of cw ON cw.identity = f.client_identity
    LEFT JOIN workload_of sw ON sw.identity = f.server_identity
    JOIN edge_of e ON e.cluster = f.cluster AND e.client_kind = f.client_kind AND e.server_kind = f.server_kind
        AND e.client IS NOT DISTINCT FROM cw.workload AND e.server IS NOT DISTINCT FROM sw.workload
        AND e.protocol IS NOT DISTINCT FROM f.protocol AND e.server_port IS NOT DISTINCT FROM f.server_port
        AND e.icmp_type IS NOT DISTINCT FROM f.icmp_type AND e.direction_known = (f.direction_evidence <> 'none')
    WHERE {where_f} AND f.{end}_kind <> 'workload' AND f.{end}_address IS NOT NULL
    GROUP BY e.edge, f.{end}_address
)
JOIN shown USING (edge)

-- name: peers
CREATE OR REPLACE TEMP TABLE {end}_peers AS
SELECT edge, address, prefix FROM {end}_standings WHERE standing = 'listed'

-- name: levels
-- How precisely the addresses of an edge can be listed: 0 each one, 1 its /24 or /48, 2 its /16 or /32, 3 its /8 or /16.
-- The level depends on the whole set alone, so merging parts in any order gives the same.
CREATE OR REPLACE TEMP TABLE {end}_levels AS
SELECT edge, count(*) AS addresses,
    CASE
        WHEN count(*) <= {max_addresses} THEN 0
        WHEN approx_count_distinct(prefix) <= {max_addresses} THEN 1
        WHEN approx_count_distinct({wide}) <= {max_addresses} THEN 2
        ELSE 3
    END AS level
FROM {end}_peers
GROUP BY edge

-- name: lists
CREATE OR REPLACE TEMP TABLE {end}_lists AS
SELECT p.edge, max(l.addresses) AS distinct_addresses,
    list_sort(array_agg(DISTINCT CASE
        WHEN l.level = 0 OR p.prefix IS NULL THEN p.address
        WHEN l.level = 1 THEN p.prefix
        WHEN l.level = 2 THEN {wide}
        ELSE {widest}
    END)) AS addresses
FROM {end}_peers p
JOIN {end}_levels l ON l.edge = p.edge
GROUP BY p.edge

-- name: words
-- DNS names, services and pending denials of each edge; rows without them are not even decoded.
CREATE OR REPLACE TEMP TABLE words AS
SELECT e.edge, w.kind, w.word
FROM (
    SELECT DISTINCT f.cluster, f.client_kind, f.client_identity, f.server_kind, f.server_identity, f.protocol,
        f.server_port, f.icmp_type, f.direction_evidence <> 'none' AS direction_known, 'service' AS kind,
        f.service_namespace || '/' || f.service_name AS word
    FROM {flows} f WHERE {where} AND f.service_name IS NOT NULL AND f.service_namespace IS NOT NULL
    UNION ALL
    SELECT DISTINCT f.cluster, f.client_kind, f.client_identity, f.server_kind, f.server_identity, f.protocol,
        f.server_port, f.icmp_type, f.direction_evidence <> 'none', 'name', unnest(f.server_names)
    FROM {flows} f WHERE {where} AND f.server_names IS NOT NULL AND f.verdict IN ('accepted', 'audit')
    UNION ALL
    SELECT DISTINCT f.cluster, f.client_kind, f.client_identity, f.server_kind, f.server_identity, f.protocol,
        f.server_port, f.icmp_type, f.direction_evidence <> 'none', 'name', unnest(f.client_names)
    FROM {flows} f WHERE {where} AND f.client_names IS NOT NULL AND f.verdict IN ('accepted', 'audit')
    UNION ALL
    SELECT DISTINCT f.cluster, f.client_kind, f.client_identity, f.server_kind, f.server_identity, f.protocol,
        f.server_port, f.icmp_type, f.direction_evidence <> 'none', 'pending', unnest(f.pending_denied_by)
    FROM {flows} f WHERE {where} AND f.pending_denied_by IS NOT NULL AND f.verdict = 'accepted'
) w
LEFT JOIN workload_of cw ON cw.identity = w.client_identity
LEFT JOIN workload_of sw ON sw.identity = w.server_identity
JOIN edge_of e ON e.cluster = w.cluster AND e.client_kind = w.client_kind AND e.server_kind = w.server_kind
    AND e.client IS NOT DISTINCT FROM cw.workload AND e.server IS NOT DISTINCT FROM sw.workload
    AND e.protocol IS NOT DISTINCT FROM w.protocol AND e.server_port IS NOT DISTINCT FROM w.server_port
    AND e.icmp_type IS NOT DISTINCT FROM w.icmp_type AND e.direction_known = w.direction_known
GROUP BY e.edge, w.kind, w.word

-- name: vocabulary
CREATE OR REPLACE TEMP TABLE vocabulary AS
SELECT edge,
    list_sort(array_agg(word) FILTER (WHERE kind = 'name')) AS names,
    list_sort(array_agg(word) FILTER (WHERE kind = 'service')) AS services,
    list_sort(array_agg(word) FILTER (WHERE kind = 'pending')) AS pending
FROM (SELECT edge, kind, word, row_number() OVER (PARTITION BY edge, kind ORDER BY word) AS position FROM words)
WHERE position <= {max_words}
GROUP BY edge

-- name: edges
CREATE OR REPLACE TEMP TABLE edges AS
SELECT
    s.edge, s.cluster, s.client_kind, ck.key AS client_workload, s.server_kind, sk.key AS server_workload, s.protocol,
    s.shown_port AS server_port, s.icmp_type, s.direction_known,
    CASE s.evidence_rank WHEN 1 THEN 'handshake' WHEN 2 THEN 'flag' WHEN 3 THEN 'listener' WHEN 4 THEN 'inferred'
        ELSE 'none' END AS direction_evidence,
    s.verdict, s.contested, s.establishment, s.flow_records, s.denied_records, s.connections, s.bytes_sent, s.bytes_received,
    s.first_seen, s.last_seen, s.hours, m.days, m.sources, coalesce(m.reporters, []) AS reporters,
    coalesce(cp.pods, 0) AS client_pods, coalesce(sp.pods, 0) AS server_pods,
    coalesce(cl.addresses, []) AS client_addresses, coalesce(sl.addresses, []) AS server_addresses,
    coalesce(cl.distinct_addresses, 0) AS client_distinct, coalesce(sl.distinct_addresses, 0) AS server_distinct,
    coalesce(v.names, []) AS names, coalesce(m.l7, []) AS l7, coalesce(v.services, []) AS service_names,
    coalesce(m.drop_reasons, []) AS drop_reasons, coalesce(v.pending, []) AS pending_denied_by, s.collapsed_ports
FROM shown s
JOIN members m ON m.edge = s.edge
LEFT JOIN client_pods cp ON cp.edge = s.edge
LEFT JOIN server_pods sp ON sp.edge = s.edge
LEFT JOIN client_lists cl ON cl.edge = s.edge
LEFT JOIN server_lists sl ON sl.edge = s.edge
LEFT JOIN vocabulary v ON v.edge = s.edge
LEFT JOIN workload_keys ck ON ck.workload = s.client
LEFT JOIN workload_keys sk ON sk.workload = s.server

-- name: failed
-- Addresses that an edge did not learn from become edges of their own, with their own verdict or establishment, so that
-- they are reviewed and not lost. They count an address as one record, for that many at least there were.
INSERT INTO edges
SELECT e.* REPLACE (
    CASE WHEN f.standing IN ('denied', 'fault') THEN f.standing ELSE e.verdict END AS verdict,
    CASE WHEN f.standing IN ('denied', 'fault') THEN 'unknown' ELSE f.standing END AS establishment,
    false AS contested, f.addresses AS {end}_addresses, f.total AS {end}_distinct, f.total AS flow_records,
    0 AS denied_records, CAST(NULL AS BIGINT) AS connections, CAST(NULL AS BIGINT) AS bytes_sent,
    CAST(NULL AS BIGINT) AS bytes_received, CAST([] AS VARCHAR[]) AS names,
    CAST([] AS VARCHAR[]) AS pending_denied_by
)
FROM edges e
JOIN (
    SELECT edge, standing, count(*) AS total, list_slice(list_sort(array_agg(address)), 1, {max_addresses}) AS addresses
    FROM {end}_standings WHERE standing <> 'listed' GROUP BY edge, standing
) f ON f.edge = e.edge
WHERE e.verdict IN ('accepted', 'audit') AND e.establishment NOT IN ('refused', 'unanswered')

-- name: governed
-- Ends at which a policy was seen at work: it denied or audited traffic there, or is named as what allowed it. Joined
-- edges cannot tell: a drop at the server says nothing about the client.
CREATE OR REPLACE TEMP TABLE governed AS
SELECT k.key, g.direction, g.policy
FROM (
    SELECT CASE reporter WHEN 'client' THEN client_identity ELSE server_identity END AS identity,
        CASE reporter WHEN 'client' THEN 'egress' ELSE 'ingress' END AS direction, '' AS policy
    FROM cells WHERE reporter IN ('client', 'server') AND verdict IN ('denied', 'audit')
    UNION
    SELECT DISTINCT f.client_identity, 'egress', unnest(f.egress_allowed_by)
    FROM {flows} f WHERE {where} AND f.egress_allowed_by IS NOT NULL
    UNION
    SELECT DISTINCT f.server_identity, 'ingress', unnest(f.ingress_allowed_by)
    FROM {flows} f WHERE {where} AND f.ingress_allowed_by IS NOT NULL
) g
JOIN workload_of w ON w.identity = g.identity
JOIN workload_keys k ON k.workload = w.workload
GROUP BY k.key, g.direction, g.policy
