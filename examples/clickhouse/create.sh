#!/bin/sh
# SPDX-License-Identifier: MIT
# The statement that makes a ClickHouse table for `ovc export --to csv`: figures are Int64, all else is text. LOG is any log.
#   create.sh LOG | clickhouse-client
#   ovc export LOG --to csv --null '\N' --host "$(uname -n)" | clickhouse-client --query 'INSERT INTO events FORMAT CSVWithNames'
# Then: questions.sql
set -eu
text='host|boot_id|log|lane|time|comm|exe|op|flags|outcome|errno|cause|address|caller|call|stack'
columns=$(ovc export "$1" --to csv | head -n 1 | tr -d '\r' | tr ',' '\n' |
  sed -E -e "s/^($text)\$/\\1 Nullable(String)/" -e t -e 's/$/ Nullable(Int64)/' | sed -E -e 's/^(op|time_ns) Nullable\((.*)\)/\1 \2/')
echo "CREATE TABLE events ($(echo "$columns" | paste -sd, -)) ENGINE = MergeTree ORDER BY (op, time_ns)"
