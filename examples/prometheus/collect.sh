#!/bin/sh
# SPDX-License-Identifier: MIT
# What node_exporter is to find in its textfile directory: how a fork of each process stands now, and what the newest log knows.
# Once a minute from cron or a systemd timer, as root (others see their own processes only):
#   collect.sh /var/lib/prometheus/node-exporter [LOG]
set -eu
directory=$1
ovc check --all --openmetrics >"$directory/.ovc_check.$$" || [ $? -eq 1 ]  # 1: some fork would be refused
chmod 644 "$directory/.ovc_check.$$"
mv "$directory/.ovc_check.$$" "$directory/ovc_check.prom"
[ $# -lt 2 ] || ovc export "$2" --to openmetrics -o "$directory/ovc_log.prom"
