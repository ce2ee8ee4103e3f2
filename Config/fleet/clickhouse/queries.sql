-- SPDX-License-Identifier: GPL-3.0-or-later
--
-- What is asked most. Each stands by itself; values in braces are parameters (clickhouse-client --param_source=192.0.2.7).

-- drops-by-reason: what is dropped, and where, in the last day
SELECT reason, sum(packets) AS packets, uniqExact(host) AS hosts, topK(3)(dst_port) AS ports
FROM portreeve.drops_hourly WHERE hour >= now() - INTERVAL 1 DAY GROUP BY reason ORDER BY packets DESC;

-- rules: which rules refuse most, and since when
SELECT rule, reason, sum(packets) AS packets, uniqExact(host) AS hosts, min(hour) AS since
FROM portreeve.drops_hourly WHERE rule != '' AND hour >= now() - INTERVAL 30 DAY GROUP BY rule, reason ORDER BY packets DESC LIMIT 50;

-- sources: who is refused by the most hosts of the fleet: one who tries all of them is at the top
SELECT replaceOne(toString(src), '::ffff:', '') AS source, uniqMerge(hosts) AS hosts, uniqMerge(ports) AS ports, sum(packets) AS packets, sum(scans) AS scans
FROM portreeve.sources_daily WHERE day >= today() - 1 GROUP BY src ORDER BY hosts DESC, packets DESC LIMIT 50;

-- one-source: all that one source did
SELECT time, host, reason, action, proto, replaceOne(toString(dst), '::ffff:', '') AS destination, dst_port, count, rule
FROM portreeve.events FINAL WHERE src = toIPv6({source:String}) AND time >= now() - INTERVAL 7 DAY ORDER BY time LIMIT 1000;

-- one-flow: one connection, as every host on its way saw it
SELECT time, host, reason, action, direction, count, note FROM portreeve.events FINAL
WHERE community_id = {flow:String} ORDER BY time LIMIT 1000;

-- after-changes: policies that changed in the last day, and what no rule admitted in the quarter of an hour before and after
WITH changes AS (SELECT host, time AS changed, note FROM portreeve.events FINAL WHERE reason = 'policy-changed' AND time >= now() - INTERVAL 1 DAY),
     refused AS (SELECT host, time, count FROM portreeve.events FINAL WHERE action = 'deny'
                 AND reason IN ('out-of-allowed-policy', 'out-of-allowed-policy-open-port', 'unsolicited-udp') AND time >= now() - INTERVAL 25 HOUR)
SELECT host, changed, sumIf(count, time >= changed - INTERVAL 15 MINUTE AND time < changed) AS before,
       sumIf(count, time >= changed AND time < changed + INTERVAL 15 MINUTE) AS after, any(note) AS note
FROM changes LEFT JOIN refused USING (host) GROUP BY host, changed ORDER BY after - before DESC;

-- outgoing: what hosts wanted out for and were refused
SELECT host, proto, replaceOne(toString(dst), '::ffff:', '') AS destination, dst_port, sum(count) AS packets, min(time) AS first, max(last) AS last
FROM portreeve.events FINAL WHERE direction = 'outgoing' AND action = 'deny' AND time >= now() - INTERVAL 1 DAY
GROUP BY host, proto, dst, dst_port ORDER BY packets DESC LIMIT 100;

-- silent: hosts that have said nothing for a day. Quiet hosts exist; Prometheus knows which agents are down
SELECT host, max(heard) AS heard, sum(records) AS records FROM portreeve.hosts GROUP BY host HAVING heard < now() - INTERVAL 1 DAY ORDER BY heard;

-- missing: records that an agent numbered and nobody has here, and events that it gave up itself
SELECT host, process, max(sequence) - min(sequence) + 1 - uniqExact(sequence) AS missing, sum(lost) AS lost
FROM portreeve.events FINAL WHERE time >= now() - INTERVAL 1 DAY GROUP BY host, process HAVING missing > 0 OR lost > 0;

-- connections: the connections that moved most, where they are logged
SELECT host, replaceOne(toString(src), '::ffff:', '') AS source, replaceOne(toString(dst), '::ffff:', '') AS destination, dst_port, rule, ended,
       bytes_toserver, bytes_toclient, duration_ns / 1e9 AS seconds
FROM portreeve.events FINAL WHERE type = 'flow' AND time >= now() - INTERVAL 1 DAY ORDER BY bytes_toserver + bytes_toclient DESC LIMIT 50;

-- in-doubt: what came and was no record
SELECT at, source, substring(event, 1, 200) AS begin FROM portreeve.unreadable ORDER BY at DESC LIMIT 100;
