// SPDX-License-Identifier: MIT
//
// The table. A row matches if its functions all stand on the stack in this order; frames between them do not matter, since
// static functions have no name in a stripped program and inlined ones no frame. First match wins: special before general.
#include "tools/purposes.h"

#include <array>

namespace ovc {
namespace {

constexpr size_t kMostFunctions = 4;

struct PurposeRow {
  std::string_view comm;                                   // prefix of the command name; empty: any
  std::array<std::string_view, kMostFunctions> functions;  // innermost first
  std::string_view text;
};

// clang-format off
constexpr PurposeRow kPurposes[] = {
    // redis src/rdb.c, src/aof.c, src/replication.c, src/module.c, src/debug.c, src/server.c; valkey kept or renamed them
    {"", {"rdbSaveBackground", "startBgsaveForReplication"},            "replication: full synchronisation by way of the disk"},
    {"", {"rdbSaveBackground", "bgsaveCommand"},                        "BGSAVE"},
    {"", {"rdbSaveBackground", "serverCron"},                           "save point"},
    {"", {"rdbSaveBackground"},                                         "background save"},
    {"", {"rdbSaveToSlavesSockets"},                                    "replication: full synchronisation, diskless"},
    {"", {"rdbSaveToReplicasSockets"},                                  "replication: full synchronisation, diskless"},
    {"", {"startBgsaveForReplication"},                                 "replication: full synchronisation"},
    {"", {"rewriteAppendOnlyFileBackground", "bgrewriteaofCommand"},    "BGREWRITEAOF"},
    {"", {"rewriteAppendOnlyFileBackground", "serverCron"},             "automatic AOF rewrite"},
    {"", {"rewriteAppendOnlyFileBackground", "startAppendOnly"},        "AOF rewrite: appendonly was switched on"},
    {"", {"rewriteAppendOnlyFileBackground", "startAppendOnlyWithRetry"}, "AOF rewrite: appendonly was switched on"},
    {"", {"rewriteAppendOnlyFileBackground"},                           "AOF rewrite"},
    {"", {"RM_Fork"},                                                   "module fork"},
    {"", {"VM_Fork"},                                                   "module fork"},
    {"", {"moduleFork"},                                                "module fork"},
    {"", {"ldbStartSession"},                                           "Lua debugger session"},
    {"", {"ldbForkedSession"},                                          "Lua debugger session"},
    {"", {"sentinelRunPendingScripts"},                                 "sentinel script"},
    {"redis-", {"daemonize"},                                           "daemonize"},
    {"valkey-", {"daemonize"},                                          "daemonize"},
    {"", {"redisFork"},                                                 "background child"},
    {"", {"serverFork"},                                                "background child"},
    // PostgreSQL src/backend/postmaster
    {"", {"fork_process", "BackendStartup"},                            "backend for a new connection"},
    {"", {"fork_process", "StartBackgroundWorker"},                     "background worker"},
    {"", {"fork_process", "do_start_bgworker"},                         "background worker"},
    {"", {"fork_process", "maybe_start_bgworkers"},                     "background worker"},
    {"", {"fork_process", "StartAutoVacLauncher"},                      "autovacuum launcher"},
    {"", {"fork_process", "StartAutoVacWorker"},                        "autovacuum worker"},
    {"", {"fork_process", "SysLogger_Start"},                           "log collector"},
    {"", {"fork_process", "pgarch_start"},                              "archiver"},
    {"", {"fork_process", "pgstat_start"},                              "statistics collector"},
    {"", {"fork_process", "StartChildProcess"},                         "auxiliary process"},
    {"", {"fork_process", "postmaster_child_launch"},                   "child of the postmaster"},
    {"postgres", {"fork_process"},                                      "child of the postmaster"},
    // Apache httpd server/mpm
    {"apache2", {"make_child"},                                         "worker process"},
    {"httpd", {"make_child"},                                           "worker process"},
    {"", {"apr_proc_fork"},                                             "apr_proc_fork"},
    {"", {"apr_proc_detach"},                                           "daemonize"},
    {"", {"apr_proc_create"},                                           "program started through APR"},
    // PHP-FPM, nginx, uWSGI
    {"", {"fpm_children_make"},                                         "worker process"},
    {"", {"ngx_spawn_process", "ngx_start_cache_manager_processes"},    "cache manager"},
    {"", {"ngx_spawn_process", "ngx_start_worker_processes"},           "worker process"},
    {"", {"ngx_spawn_process", "ngx_exec_new_binary"},                  "new binary on the fly"},
    {"", {"ngx_spawn_process"},                                         "worker process"},
    {"", {"ngx_daemon"},                                                "daemonize"},
    {"", {"uwsgi_respawn_worker"},                                      "worker process"},
    // Python Modules/posixmodule.c, Modules/_posixsubprocess.c
    {"", {"do_fork_exec"},                                              "subprocess"},
    {"", {"subprocess_fork_exec"},                                      "subprocess"},
    {"", {"os_forkpty"},                                                "os.forkpty"},
    {"", {"os_fork"},                                                   "os.fork"},
    {"python", {"PyOS_BeforeFork"},                                     "os.fork"},
    // Shells, daemons
    {"", {"make_child", "command_substitute"},                          "command substitution"},
    {"", {"make_child", "process_substitute"},                          "process substitution"},
    {"", {"make_child", "execute_command_internal"},                    "shell command"},
    {"bash", {"make_child"},                                            "shell command"},
    {"", {"privsep_preauth"},                                           "privilege separation"},
    {"sshd", {"server_accept_loop"},                                    "new connection"},
    {"memcached", {"daemonize"},                                        "daemonize"},
    // C library and runtimes
    {"", {"daemon"},                                                    "daemonize"},
    {"", {"forkpty"},                                                   "forkpty"},
    {"", {"g_spawn_async_with_pipes_and_fds"},                          "program started through GLib"},
    {"", {"g_spawn_async_with_fds"},                                    "program started through GLib"},
    {"", {"rb_fork_ruby"},                                              "Process.fork"},
    {"", {"Perl_pp_fork"},                                              "fork in Perl"},
    {"", {"Perl_my_popen"},                                             "pipe to a program, in Perl"},
    {"", {"Perl_pp_system"},                                            "system in Perl"},
    {"", {"uv_spawn"},                                                  "program started through libuv"},
    {"", {"childproc"},                                                 "child process of the JVM"},
    {"", {"daemonize"},                                                 "daemonize"},
};
// clang-format on

// A compiler's copies ("f.part.0", "f.constprop.0") and C++ parameter lists are not part of the name.
std::string_view plain_name(std::string_view function) { return function.substr(0, function.find_first_of(".(@")); }

bool on_stack(const PurposeRow& row, std::span<const std::string> functions) {
  size_t wanted = 0;
  for (const auto& function : functions)
    if (wanted < row.functions.size() && !row.functions[wanted].empty() && plain_name(function) == row.functions[wanted])
      ++wanted;
  return wanted == row.functions.size() || row.functions[wanted].empty();
}

}  // namespace

std::optional<std::string_view> purpose(std::span<const std::string> functions, std::string_view comm) {
  for (const auto& row : kPurposes)
    if (comm.substr(0, row.comm.size()) == row.comm && on_stack(row, functions)) return row.text;
  return std::nullopt;
}

}  // namespace ovc
