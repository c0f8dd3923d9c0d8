-- Direction and duplicates; see settle.py. {new} scans the new parts with file and row, {known} all parts of the lake
-- and of this run, {ported} keeps rows that have ports.

-- name: listeners
-- Ends that were shown to serve a port: by a handshake (proven) or by a source's own flag.
CREATE OR REPLACE TEMP TABLE listeners AS
SELECT server_address AS address, server_port AS port, protocol, bool_or(direction_evidence = 'handshake') AS proven
FROM {known}
WHERE direction_evidence IN ('handshake', 'flag') AND verdict IN ('accepted', 'audit') AND {ported}
GROUP BY server_address, server_port, protocol

-- name: doubtful
-- Records that do not tell who opened the connection, and flags that handshakes contradict.
CREATE OR REPLACE TEMP TABLE doubtful AS
SELECT filename, file_row_number AS row, initiator, protocol, client_address, client_port, server_address, server_port
FROM {new} f
WHERE {ported} AND (initiator = 'unknown' OR (direction_evidence = 'flag'
    AND EXISTS (SELECT 1 FROM listeners l WHERE l.proven AND l.address = f.client_address
        AND l.port = f.client_port AND l.protocol = f.protocol)
    AND NOT EXISTS (SELECT 1 FROM listeners l WHERE l.proven AND l.address = f.server_address
        AND l.port = f.server_port AND l.protocol = f.protocol)))

-- name: connections
-- Connections whose direction some record knows; only those that a doubtful record may belong to.
CREATE OR REPLACE TEMP TABLE connections AS
SELECT DISTINCT client_address, client_port, server_address, server_port, protocol
FROM {known} f
WHERE direction_evidence IN ('handshake', 'flag') AND {ported}
    AND EXISTS (SELECT 1 FROM doubtful d WHERE d.protocol = f.protocol
        AND (d.client_address = f.client_address OR d.server_address = f.client_address)
        AND (d.client_port = f.client_port OR d.server_port = f.client_port))

-- name: spread
-- One local port against many remote ports at several peers: what a server looks like over time.
CREATE OR REPLACE TEMP TABLE spread AS
SELECT address, port, protocol
FROM (
    SELECT client_address AS address, client_port AS port, protocol, server_address AS peer, server_port AS remote
    FROM doubtful WHERE initiator = 'unknown'
    UNION ALL
    SELECT server_address, server_port, protocol, client_address, client_port
    FROM doubtful WHERE initiator = 'unknown'
)
GROUP BY address, port, protocol
HAVING count(DISTINCT remote) >= {infer_ports} AND count(DISTINCT peer) >= {infer_peers}

-- name: decisions
CREATE OR REPLACE TEMP TABLE decisions AS
SELECT filename, row,
    CASE
        WHEN initiator = 'source' THEN 'destination'
        WHEN initiator = 'destination' THEN 'source'
        WHEN straight AND NOT reversed THEN 'source'
        WHEN reversed AND NOT straight THEN 'destination'
        WHEN server_listens AND NOT client_listens THEN 'source'
        WHEN client_listens AND NOT server_listens THEN 'destination'
        WHEN server_spread AND NOT client_spread THEN 'source'
        WHEN client_spread AND NOT server_spread THEN 'destination'
    END AS turned,
    CASE
        WHEN initiator <> 'unknown' THEN 'handshake'
        WHEN straight <> reversed THEN 'flag'
        WHEN server_listens <> client_listens THEN 'listener'
        ELSE 'inferred'
    END AS evidence
FROM (
    SELECT d.filename, d.row, d.initiator,
        s.protocol IS NOT NULL AS straight, r.protocol IS NOT NULL AS reversed,
        lc.protocol IS NOT NULL AS client_listens, ls.protocol IS NOT NULL AS server_listens,
        pc.protocol IS NOT NULL AS client_spread, ps.protocol IS NOT NULL AS server_spread
    FROM doubtful d
    LEFT JOIN connections s ON d.initiator = 'unknown' AND s.protocol = d.protocol
        AND s.client_address = d.client_address AND s.client_port = d.client_port
        AND s.server_address = d.server_address AND s.server_port = d.server_port
    LEFT JOIN connections r ON d.initiator = 'unknown' AND r.protocol = d.protocol
        AND r.client_address = d.server_address AND r.client_port = d.server_port
        AND r.server_address = d.client_address AND r.server_port = d.client_port
    LEFT JOIN listeners lc ON lc.address = d.client_address AND lc.port = d.client_port AND lc.protocol = d.protocol
    LEFT JOIN listeners ls ON ls.address = d.server_address AND ls.port = d.server_port AND ls.protocol = d.protocol
    LEFT JOIN spread pc ON pc.address = d.client_address AND pc.port = d.client_port AND pc.protocol = d.protocol
    LEFT JOIN spread ps ON ps.address = d.server_address AND ps.port = d.server_port AND ps.protocol = d.protocol
)

-- name: suspects
-- A short hash finds records that may repeat; only those are compared column by column.
CREATE OR REPLACE TEMP TABLE suspects AS
SELECT hash({quick}) AS suspect FROM {both} GROUP BY suspect HAVING count(*) > 1

-- name: repeats
-- What is already committed comes first, then the new parts in order: the first record of each identity stays.
CREATE OR REPLACE TEMP TABLE repeats AS
SELECT filename, file_row_number AS row
FROM {both_rows}
WHERE hash({quick}) IN (SELECT suspect FROM suspects)
QUALIFY row_number() OVER (PARTITION BY {identity} ORDER BY filename IN ({committed}) DESC, filename, file_row_number) > 1
    AND filename NOT IN ({committed})
