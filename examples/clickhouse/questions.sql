-- SPDX-License-Identifier: MIT
-- The five questions that are asked most of the logs of a fleet. The table has the columns of `ovc export --to csv`, made by create.sh;
-- `events` may be a Distributed table over many servers. One after the other:
--   clickhouse-client --multiquery --format PrettyCompact <questions.sql

-- 1. Who was refused what, and why? Each row is a host and a command; the newest first.
SELECT host, comm, op, errno, cause, count() AS times, max(time) AS newest
FROM events WHERE errno IS NOT NULL AND cause IS NOT NULL
GROUP BY host, comm, op, errno, cause ORDER BY newest DESC LIMIT 20;

-- 2. Who killed whom? Signals that recorded processes sent, and the children of which their parents were told that a signal ended them.
SELECT host, time, comm, pid, call
FROM events WHERE op IN ('kill', 'tgkill', 'sigqueue', 'pidfd_send_signal')
   OR (op IN ('wait', 'waitpid', 'wait3', 'wait4', 'waitid') AND match(call, 'SIG(KILL|TERM|SEGV|BUS|ABRT)'))
ORDER BY time DESC LIMIT 50;

-- 3. Which children exit with an error though their fork passed? A save that exits 1 has a reason other than memory.
SELECT host, comm, call, count() AS times, max(time) AS newest
FROM events WHERE op IN ('exit', '_exit') AND NOT match(call, '\\(0\\)')
GROUP BY host, comm, call ORDER BY times DESC LIMIT 20;

-- 4. Which forks take long? The parent answers nobody meanwhile. The clone() that libc's fork() makes inside is the same fork.
SELECT host, comm, count() AS forks, round(quantile(0.5)(duration_ns) / 1e6, 2) AS median_ms, round(max(duration_ns) / 1e6, 2) AS slowest_ms
FROM events WHERE op IN ('fork', '_Fork', 'clone') AND duration_ns IS NOT NULL AND errno IS NULL
   AND (flags IS NULL OR position(flags, 'inside-libc') = 0)
GROUP BY host, comm ORDER BY slowest_ms DESC LIMIT 20;

-- 5. Who grows? What each command added to the commit charge, by hour.
SELECT host, comm, toStartOfHour(toDateTime(intDiv(time_ns, 1000000000))) AS hour, round(sum(charge_change_bytes) / 1048576) AS grown_mib
FROM events WHERE charge_change_bytes IS NOT NULL
GROUP BY host, comm, hour HAVING grown_mib > 0 ORDER BY grown_mib DESC LIMIT 20;
