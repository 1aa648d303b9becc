-- name: all
SELECT * FROM audit_heads WHERE begin_byte >= 0 AND starts_with(chain, $place) ORDER BY day, begin_byte
-- name: open
SELECT * FROM audit_heads WHERE begin_byte >= 0 AND NOT closed AND starts_with(chain, $place) ORDER BY day, begin_byte
-- name: put
INSERT INTO audit_heads (chain, day, begin_byte, end_byte, lines, hash, closed, dropped)
VALUES ($chain, $day, $begin, $end, $lines, $hash, $closed, $dropped)
ON CONFLICT (chain) DO UPDATE SET day = excluded.day, begin_byte = excluded.begin_byte, end_byte = excluded.end_byte,
    lines = excluded.lines, hash = excluded.hash, closed = excluded.closed, dropped = excluded.dropped
-- name: old
SELECT DISTINCT day FROM audit_heads
WHERE begin_byte >= 0 AND day < $before AND NOT dropped AND starts_with(chain, $place) ORDER BY day
-- name: drop
UPDATE audit_heads SET dropped = true WHERE begin_byte >= 0 AND day = $day AND starts_with(chain, $place)
