// SPDX-License-Identifier: MIT
//
// See export_sqlite_schema.h. Names end in their unit; NULL is what is not known. INTEGER has 64
// bits with a sign: what is larger (a request of SIZE_MAX bytes) becomes REAL, and stands exactly
// in events.call.
#include "tools/export/export_sqlite_schema.h"

namespace ovc {

const char* const kExportTables = R"(
-- What the log says of itself and of the machine when it was begun.
CREATE TABLE machine (name TEXT, value);
CREATE TABLE processes (
  process INTEGER PRIMARY KEY, pid INTEGER, parent_pid INTEGER, comm TEXT, exe TEXT, uid INTEGER,
  started TEXT, started_ns INTEGER, ended_ns INTEGER, exit_status INTEGER, images INTEGER, threads INTEGER,
  requested_bytes INTEGER, shim_mapped_bytes INTEGER, shim_charge_bytes INTEGER,
  peak_vm_size_bytes INTEGER, peak_resident_bytes INTEGER, peak_data_bytes INTEGER);
-- Exact counts, of all calls that were ever made. process NULL: processes whose place was used again, threads without a place.
CREATE TABLE totals (process INTEGER REFERENCES processes, op TEXT, calls INTEGER, failed INTEGER);
-- Exact sums by stack and call, of all processes, whatever the log has forgotten since; empty: an older shim's log has none.
-- charged_now: and until its process ended. promised: charged at once for shared memory. NULL: the log does not tell.
CREATE TABLE growth (
  comm TEXT, stack_id INTEGER REFERENCES stacks, op TEXT, charged_now_bytes INTEGER, charged_ever_bytes INTEGER, promised_bytes INTEGER,
  uncharged_bytes INTEGER, mapped_bytes INTEGER, calls INTEGER, failed INTEGER, asked_bytes INTEGER, failed_bytes INTEGER);
-- Readings that stay whatever the log forgot: the first of each span of time, with the reading process's own figures, and the lowest
-- and highest Committed_AS of all readings in it.
CREATE TABLE readings (
  kind TEXT, time TEXT, time_ns INTEGER, committed_as_bytes INTEGER, commit_limit_bytes INTEGER, pid INTEGER, comm TEXT,
  vm_size_bytes INTEGER, resident_bytes INTEGER, data_bytes INTEGER);
CREATE TABLE stacks (stack_id INTEGER PRIMARY KEY, caller TEXT, cut INTEGER);
CREATE TABLE frames (
  frame_id INTEGER PRIMARY KEY, text TEXT, function TEXT, module TEXT, offset INTEGER, source TEXT, inlined INTEGER);
CREATE TABLE stack_frames (
  stack_id INTEGER REFERENCES stacks, number INTEGER, frame_id INTEGER REFERENCES frames, PRIMARY KEY (stack_id, number)) WITHOUT ROWID;
CREATE TABLE facts (position INTEGER, name TEXT, value);
CREATE TABLE mappings (
  position INTEGER, number INTEGER, start TEXT, end TEXT, bytes INTEGER, permissions TEXT, kind TEXT,
  accounted INTEGER, noreserve INTEGER, dontfork INTEGER, rss_bytes INTEGER, anonymous_bytes INTEGER, swap_bytes INTEGER);
CREATE TABLE forks (
  position INTEGER PRIMARY KEY, time TEXT, time_ns INTEGER, pid INTEGER, tid INTEGER, comm TEXT, call TEXT, purpose TEXT,
  asked_by TEXT, errno TEXT, duration_ns INTEGER, charge_bytes INTEGER, committed_change_bytes INTEGER,
  child_pid INTEGER, child_program TEXT, fate TEXT, fate_seen_by TEXT, lived_ns INTEGER, max_rss_bytes INTEGER, page_faults INTEGER);
-- One for all equal ones: same process, call, caller, errno and cause.
CREATE TABLE refusals (
  refusal INTEGER PRIMARY KEY, first TEXT, first_ns INTEGER, last_ns INTEGER, count INTEGER, pid INTEGER, comm TEXT, op TEXT,
  errno TEXT, cause TEXT, summary TEXT, meaning TEXT, rule TEXT, asked_by TEXT, purpose TEXT, requested_bytes INTEGER,
  charge_bytes INTEGER, charged_mappings INTEGER, refused_at TEXT, committed_as_bytes INTEGER, commit_limit_bytes INTEGER,
  headroom_bytes INTEGER, short_by INTEGER, short_unit TEXT, error_band INTEGER, borderline INTEGER, caller_coped INTEGER,
  passes_mode_0 INTEGER, passes_mode_1 INTEGER, passes_mode_2 INTEGER,
  needs_overcommit_ratio INTEGER, needs_overcommit_kbytes INTEGER, needs_more_swap_mib INTEGER, advice TEXT, notes TEXT);
CREATE TABLE refusal_events (refusal INTEGER REFERENCES refusals, position INTEGER);
CREATE TABLE ends (
  end TEXT, comm TEXT, pid INTEGER, time TEXT, time_ns INTEGER, exact INTEGER, signal TEXT, count INTEGER, notes TEXT);
CREATE TABLE losses (name TEXT PRIMARY KEY, count INTEGER, what TEXT) WITHOUT ROWID;
CREATE TABLE not_seen (what TEXT);
)";

const char* const kExportViews = R"(
CREATE INDEX events_by_position ON events (position);
CREATE INDEX events_by_op ON events (op, time_ns);
CREATE INDEX facts_by_position ON facts (position);

-- What was refused, and which limit said no?
CREATE VIEW v_refusals AS
  SELECT first AS time, comm, pid, op, errno, cause, count, charge_bytes, headroom_bytes, short_by, short_unit, asked_by, summary
  FROM refusals WHERE NOT caller_coped ORDER BY first_ns;

-- How long did forks take, and what became of the children?
CREATE VIEW v_forks AS
  SELECT time, comm, pid, call, coalesce(purpose, asked_by) AS asked_by, duration_ns / 1e6 AS duration_ms, charge_bytes,
         CASE WHEN errno IS NOT NULL THEN 'refused: ' || errno ELSE coalesce(fate, 'no end recorded') END AS fate,
         child_pid, lived_ns / 1e9 AS lived_s
  FROM forks ORDER BY time_ns;

-- Which processes gained most of what the commit limit counts, and which mapped most? A sum of unknowns is unknown. total() never
-- overflows as sum() does on a damaged log, and is exact to 9 PB.
CREATE VIEW v_top_allocators AS
  SELECT comm, pid, iif(count(charge_change_bytes), CAST(total(max(charge_change_bytes, 0)) AS INTEGER), NULL) AS charged_bytes,
         CAST(total(max(size_change_bytes, 0)) AS INTEGER) AS mapped_bytes,
         iif(count(charge_change_bytes), CAST(total(charge_change_bytes) AS INTEGER), NULL) AS net_charge_bytes,
         count(*) - count(charge_change_bytes) AS calls_not_known, count(*) AS calls
  FROM events WHERE size_change_bytes IS NOT NULL GROUP BY comm, pid ORDER BY charged_bytes DESC;

-- Which functions of the program asked for it? From the exact sums, if there are any, else from the records.
CREATE VIEW v_growth_by_caller AS
  SELECT g.comm, s.caller, iif(count(charged_ever_bytes) AND count(promised_bytes),
                               CAST(total(charged_ever_bytes) + total(promised_bytes) AS INTEGER), NULL) AS charged_bytes,
         CAST(total(mapped_bytes) AS INTEGER) AS mapped_bytes, sum(calls - failed) AS calls
  FROM growth g LEFT JOIN stacks s USING (stack_id)
  WHERE charged_ever_bytes IS NOT 0 OR promised_bytes IS NOT 0 OR mapped_bytes > 0 GROUP BY 1, 2
  UNION ALL
  SELECT e.comm, coalesce(s.caller, e.caller),
         iif(count(charge_change_bytes), CAST(total(max(charge_change_bytes, 0)) AS INTEGER), NULL),
         CAST(total(max(size_change_bytes, 0)) AS INTEGER), count(*)
  FROM events e LEFT JOIN stacks s USING (stack_id)
  WHERE (charge_change_bytes > 0 OR size_change_bytes > 0) AND NOT EXISTS (SELECT 1 FROM growth) GROUP BY 1, 2
  ORDER BY charged_bytes DESC;

-- How did Committed_AS come near CommitLimit? Only what was read: nothing is filled in between.
CREATE VIEW v_commit_timeline AS
  SELECT time, time_ns - coalesce(reading_age_ns, 0) AS read_at_ns, committed_as_bytes, commit_limit_bytes,
         commit_limit_bytes - committed_as_bytes AS left_bytes, 100.0 * committed_as_bytes / commit_limit_bytes AS percent, comm, pid, op
  FROM events WHERE committed_as_bytes IS NOT NULL
  UNION ALL
  SELECT time, time_ns, committed_as_bytes, commit_limit_bytes, commit_limit_bytes - committed_as_bytes,
         100.0 * committed_as_bytes / commit_limit_bytes, comm, pid, NULL
  FROM readings WHERE committed_as_bytes IS NOT NULL ORDER BY read_at_ns;

-- Rows that can stand in one table with those of other logs: ATTACH many and UNION ALL.
CREATE VIEW v_fleet_events AS
  SELECT (SELECT value FROM machine WHERE name = 'host' LIMIT 1) AS host, (SELECT value FROM machine WHERE name = 'boot_id') AS boot_id,
         (SELECT value FROM machine WHERE name = 'log') AS log, * FROM events;
)";

}  // namespace ovc
