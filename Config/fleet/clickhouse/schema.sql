-- SPDX-License-Identifier: GPL-3.0-or-later
--
-- clickhouse-client --multiquery < schema.sql. Rows come into `incoming`, which keeps nothing: materialised views make tables of them.
-- Times are UTC. IPv4 addresses stand as IPv6 ones (::ffff:192.0.2.1), so that one column has both; `::` is none.

CREATE DATABASE IF NOT EXISTS portreeve;

CREATE TABLE IF NOT EXISTS portreeve.incoming (source String, process String, event String) ENGINE = Null;

-- One row for each record. What came twice is one row again once ClickHouse has merged it; FINAL has it so at once.
CREATE TABLE IF NOT EXISTS portreeve.events
(
    time DateTime64(6, 'UTC'), last DateTime64(6, 'UTC'), host LowCardinality(String), source IPv6, process UInt32,
    sequence UInt64, lost UInt64, type LowCardinality(String), reason LowCardinality(String), id UInt16,
    action LowCardinality(String), direction LowCardinality(String), cause LowCardinality(String), count UInt64,
    src IPv6, src_port UInt16, dst IPv6, dst_port UInt16, proto LowCardinality(String), icmp_type UInt8, icmp_code UInt8,
    tcp_flags LowCardinality(String), in_iface LowCardinality(String), out_iface LowCardinality(String),
    rule LowCardinality(String), rule_file LowCardinality(String), rule_line UInt32, policy_epoch UInt64,
    community_id String, ended LowCardinality(String), duration_ns UInt64, bytes_toserver UInt64, bytes_toclient UInt64,
    note String, record String CODEC(ZSTD(3)),
    INDEX by_src src TYPE bloom_filter GRANULARITY 4, INDEX by_dst dst TYPE bloom_filter GRANULARITY 4,
    INDEX by_flow community_id TYPE bloom_filter GRANULARITY 4
)
ENGINE = ReplacingMergeTree PARTITION BY toYYYYMMDD(time) ORDER BY (host, time, process, sequence)
TTL toDateTime(time) + INTERVAL 90 DAY
SETTINGS non_replicated_deduplication_window = 10000;

-- One look at the text for all of it: what a record does not have is 0 or empty.
CREATE MATERIALIZED VIEW IF NOT EXISTS portreeve.events_of_rows TO portreeve.events AS
WITH JSONExtract(event, 'Tuple(
         timestamp String, host String, event_type String, src_ip String, src_port UInt16, dest_ip String, dest_port UInt16,
         proto String, icmp_type UInt8, icmp_code UInt8, in_iface String, out_iface String, community_id String,
         tcp Tuple(flags String), flow Tuple(bytes_toserver UInt64, bytes_toclient UInt64),
         portreeve Tuple(last String, sequence UInt64, lost UInt64, reason String, id UInt16, action String, direction String,
             cause String, count UInt64, rule String, rule_file String, rule_line UInt32, policy_epoch UInt64, ended String,
             duration_ns UInt64, note String))') AS e,
     tupleElement(e, 'portreeve') AS p,
     (text) -> ifNull(toIPv6OrNull(text), toIPv6('::')) AS address
SELECT
    parseDateTime64BestEffortOrZero(tupleElement(e, 'timestamp'), 6, 'UTC') AS time,
    parseDateTime64BestEffortOrZero(tupleElement(p, 'last'), 6, 'UTC') AS last,
    tupleElement(e, 'host') AS host, address(source) AS source, toUInt32OrZero(process) AS process,
    tupleElement(p, 'sequence') AS sequence, tupleElement(p, 'lost') AS lost, tupleElement(e, 'event_type') AS type,
    tupleElement(p, 'reason') AS reason, tupleElement(p, 'id') AS id, tupleElement(p, 'action') AS action,
    tupleElement(p, 'direction') AS direction, tupleElement(p, 'cause') AS cause, tupleElement(p, 'count') AS count,
    address(tupleElement(e, 'src_ip')) AS src, tupleElement(e, 'src_port') AS src_port,
    address(tupleElement(e, 'dest_ip')) AS dst, tupleElement(e, 'dest_port') AS dst_port, tupleElement(e, 'proto') AS proto,
    tupleElement(e, 'icmp_type') AS icmp_type, tupleElement(e, 'icmp_code') AS icmp_code,
    tupleElement(tupleElement(e, 'tcp'), 'flags') AS tcp_flags,
    tupleElement(e, 'in_iface') AS in_iface, tupleElement(e, 'out_iface') AS out_iface,
    tupleElement(p, 'rule') AS rule, tupleElement(p, 'rule_file') AS rule_file, tupleElement(p, 'rule_line') AS rule_line,
    tupleElement(p, 'policy_epoch') AS policy_epoch, tupleElement(e, 'community_id') AS community_id,
    tupleElement(p, 'ended') AS ended, tupleElement(p, 'duration_ns') AS duration_ns,
    tupleElement(tupleElement(e, 'flow'), 'bytes_toserver') AS bytes_toserver,
    tupleElement(tupleElement(e, 'flow'), 'bytes_toclient') AS bytes_toclient,
    tupleElement(p, 'note') AS note, event AS record
FROM portreeve.incoming
WHERE isValidJSON(event) AND JSONHas(event, 'portreeve', 'reason');

-- What was no record is kept for a week, as it came.
CREATE TABLE IF NOT EXISTS portreeve.unreadable (at DateTime DEFAULT now(), source String, event String)
ENGINE = MergeTree ORDER BY at TTL at + INTERVAL 7 DAY SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS portreeve.unreadable_rows TO portreeve.unreadable AS
SELECT now() AS at, source, event FROM portreeve.incoming WHERE NOT (isValidJSON(event) AND JSONHas(event, 'portreeve', 'reason'));

-- Packets that were dropped, an hour a row, for two years.
CREATE TABLE IF NOT EXISTS portreeve.drops_hourly
(
    hour DateTime('UTC'), host LowCardinality(String), reason LowCardinality(String), rule LowCardinality(String),
    direction LowCardinality(String), proto LowCardinality(String), dst_port UInt16, packets UInt64, records UInt64
)
ENGINE = SummingMergeTree((packets, records)) PARTITION BY toYYYYMM(hour)
ORDER BY (host, reason, rule, direction, proto, dst_port, hour) TTL hour + INTERVAL 2 YEAR
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS portreeve.drops_of_events TO portreeve.drops_hourly AS
SELECT toStartOfHour(toDateTime(time, 'UTC')) AS hour, host, reason, rule, direction, proto, dst_port,
       sum(count) AS packets, count() AS records
FROM portreeve.events WHERE action IN ('deny', 'observed')
GROUP BY hour, host, reason, rule, direction, proto, dst_port;

-- Who was refused, a day a row, over all hosts.
CREATE TABLE IF NOT EXISTS portreeve.sources_daily
(
    day Date, src IPv6, packets SimpleAggregateFunction(sum, UInt64), hosts AggregateFunction(uniq, String),
    ports AggregateFunction(uniq, UInt16), scans SimpleAggregateFunction(sum, UInt64)
)
ENGINE = AggregatingMergeTree PARTITION BY toYYYYMM(day) ORDER BY (day, src) TTL day + INTERVAL 2 YEAR
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS portreeve.sources_of_events TO portreeve.sources_daily AS
SELECT toDate(time) AS day, src, sumIf(count, action IN ('deny', 'observed')) AS packets, uniqState(toString(host)) AS hosts,
       uniqState(dst_port) AS ports,
       countIf(reason IN ('port-scan', 'os-fingerprint', 'null-scan', 'synfin-scan', 'xmas-scan')) AS scans
FROM portreeve.events
WHERE direction = 'incoming' AND (action IN ('deny', 'observed') OR reason IN ('port-scan', 'os-fingerprint', 'null-scan', 'synfin-scan', 'xmas-scan'))
GROUP BY day, src;

-- When each host was last heard, and what it says that it lost.
CREATE TABLE IF NOT EXISTS portreeve.hosts
(
    host String, heard SimpleAggregateFunction(max, DateTime64(6, 'UTC')), records SimpleAggregateFunction(sum, UInt64),
    lost SimpleAggregateFunction(sum, UInt64)
)
ENGINE = AggregatingMergeTree ORDER BY host SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS portreeve.hosts_of_events TO portreeve.hosts AS
SELECT toString(host) AS host, max(last) AS heard, count() AS records, sum(lost) AS lost FROM portreeve.events GROUP BY host;
