-- name: head
SELECT * FROM audit_heads WHERE chain = $chain
-- name: heads
SELECT * FROM audit_heads WHERE begin_byte < 0 ORDER BY day, chain
-- name: in_order
SELECT h.* FROM audit_heads h
JOIN (SELECT chain, min(time) AS began FROM audit_lines GROUP BY chain) f ON f.chain = h.chain
WHERE h.begin_byte < 0 AND NOT h.dropped ORDER BY h.day, f.began, h.chain
-- name: put
INSERT INTO audit_heads (chain, day, begin_byte, end_byte, lines, hash, closed, dropped)
VALUES ($chain, $day, -1, -1, $lines, $hash, $closed, $dropped)
ON CONFLICT (chain) DO UPDATE SET begin_byte = -1, end_byte = -1, lines = excluded.lines, hash = excluded.hash,
    closed = excluded.closed
-- name: insert
INSERT INTO audit_lines (chain, n, time, line)
SELECT unnest($chains::VARCHAR[]), unnest($numbers::BIGINT[]), unnest($times::TIMESTAMP[]), unnest($lines::VARCHAR[])
-- name: newest
SELECT max(n) AS n FROM audit_lines WHERE chain = $chain
-- name: of_chain
SELECT n, line FROM audit_lines WHERE chain = $chain AND n > $after ORDER BY n LIMIT $limit
-- name: chains
SELECT DISTINCT chain FROM audit_lines ORDER BY chain
-- name: page
SELECT chain, n, time, line FROM audit_lines
WHERE time >= $first AND time < $last AND (time, chain, n) < ($time::TIMESTAMP, $chain::VARCHAR, $n::BIGINT)
ORDER BY time DESC, chain DESC, n DESC LIMIT $limit
-- name: old
SELECT DISTINCT day FROM audit_heads WHERE begin_byte < 0 AND day < $before AND NOT dropped ORDER BY day
-- name: drop_lines
DELETE FROM audit_lines WHERE chain IN (SELECT chain FROM audit_heads WHERE begin_byte < 0 AND day = $day)
-- name: drop
UPDATE audit_heads SET dropped = true WHERE begin_byte < 0 AND day = $day
-- name: place
UPDATE audit_heads SET begin_byte = $begin, end_byte = $end WHERE chain = $chain
-- name: clear
DELETE FROM audit_lines
