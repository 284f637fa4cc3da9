// SPDX-License-Identifier: MIT
//
// The table. A row matches if its functions all stand on the stack in this order; frames between
// them do not matter, since static functions have no name in a stripped program and inlined ones no
// frame. Where a program forks for one reason only, the file that made the call says it, without a
// name. First match wins: special before general.
#include "tools/symbols/purposes.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <span>

#include "tools/log/names.h"

namespace ovc {
namespace {

using namespace ovcshim;

constexpr size_t kMostFunctions = 4;

struct PurposeRow {
  std::string_view comm;                                   // prefix of the command name; empty: any
  std::array<std::string_view, kMostFunctions> functions;  // innermost first
  std::string_view text;
  std::string_view object = {};  // prefix of the name of the file that made the call; empty: any
  std::string_view call = {};    // prefix of the call's; empty: any
};

// clang-format off
constexpr PurposeRow kPurposes[] = {
    // redis src/rdb.c, src/aof.c, src/replication.c, src/module.c, src/debug.c, src/server.c;
    // valkey kept or renamed them
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
    // Since version 17; who calls it has no name in a stripped program: kRoles
    {"", {"fork_process", "postmaster_child_launch"},                   "child of the postmaster"},
    // ServerLoop calls the others by their names: what it forks itself is a BackendStartup that the
    // compiler has put into it
    {"", {"fork_process", "ServerLoop"},                                "backend for a new connection"},
    {"postgres", {"fork_process"},                                      "child of the postmaster"},
    {"", {"OpenPipeStream"},                                            "program of COPY ... PROGRAM", "", "popen"},
    {"", {"RestoreArchivedFile"},                                       "restore_command", "", "system"},
    {"", {"PgArchiverMain"},                                            "archive_command", "", "system"},
    {"pg_ctl", {},                                                      "postmaster", "pg_ctl", "fork"},
    // Apache httpd server/mpm, modules/generators. Workers run with make_child on their stacks:
    // only its own call is meant
    {"", {"make_child"},                                                "worker process", "mod_mpm_"},
    {"apache2", {"make_child"},                                         "worker process", "apache2"},
    {"httpd", {"make_child"},                                           "worker process", "httpd"},
    {"", {},                                                            "CGI daemon", "mod_cgid"},
    {"", {"apr_proc_create", "run_cgi_child"},                          "CGI program"},
    {"", {"apr_proc_create", "cgid_server"},                            "CGI program"},
    {"", {"apr_proc_fork"},                                             "apr_proc_fork"},
    {"", {"apr_proc_detach"},                                           "daemonize"},
    {"", {"apr_proc_create"},                                           "program started through APR"},
    // nginx: also what its workers run has ngx_spawn_process on the stack. What the master starts
    // again needs no other function.
    {"", {"ngx_spawn_process", "ngx_start_cache_manager_processes"},    "cache manager or loader", "nginx"},
    {"", {"ngx_spawn_process", "ngx_start_worker_processes"},           "worker process", "nginx"},
    {"", {"ngx_spawn_process", "ngx_exec_new_binary"},                  "new binary on the fly", "nginx"},
    {"", {"ngx_spawn_process"},                                         "worker or cache process", "nginx"},
    {"", {"ngx_daemon"},                                                "daemonize"},
    // PHP
    {"", {"fpm_children_make"},                                         "worker process", "php-fpm"},
    {"", {"fpm_unix_init_main"},                                        "daemonize", "php-fpm"},
    {"", {"php_pcntl_fork"},                                            "pcntl_fork in a PHP script"},
    {"", {"zif_pcntl_fork"},                                            "pcntl_fork in a PHP script"},
    {"", {"zif_pcntl_rfork"},                                           "pcntl_rfork in a PHP script"},
    {"", {},                                                            "pcntl_fork in a PHP script", "pcntl", "fork"},
    {"", {"php_exec"},                                                  "program started by PHP (exec, system, ...)"},
    // Built in and without names of their own; proc_open forks as well before 8.3
    {"", {"php_execute_script"},                                        kForkByPhp, "php", "fork"},
    {"", {"php_execute_script"},                                        kForkByPhp, "libphp", "fork"},
    {"", {"php_execute_script_ex"},                                     kForkByPhp, "php", "fork"},
    {"", {"php_execute_script_ex"},                                     kForkByPhp, "libphp", "fork"},
    {"", {"php_execute_script"},                                        kProgramByPhp, "php"},
    {"", {"php_execute_script"},                                        kProgramByPhp, "libphp"},
    {"", {"php_execute_script_ex"},                                     kProgramByPhp, "php"},  // 8.4
    {"", {"php_execute_script_ex"},                                     kProgramByPhp, "libphp"},
    // uWSGI
    {"", {"uwsgi_respawn_worker"},                                      "worker process"},
    // CPython Modules/posixmodule.c, Modules/_posixsubprocess.c: <method ...>: see method_names.h.
    // os.popen is a subprocess
    {"", {"do_fork_exec"},                                              "subprocess"},
    {"", {"subprocess_fork_exec"},                                      "subprocess"},
    {"", {"<method fork_exec>"},                                        "subprocess"},
    {"", {"os_forkpty"},                                                "os.forkpty"},
    {"", {"<method forkpty>"},                                          "os.forkpty"},
    {"", {"os_fork"},                                                   "os.fork"},
    {"", {"<method fork>"},                                             "os.fork"},
    {"", {"os_posix_spawn"},                                            "os.posix_spawn"},
    {"", {"os_posix_spawnp"},                                           "os.posix_spawn"},
    {"", {"<method posix_spawn>"},                                      "os.posix_spawn"},
    {"", {"<method posix_spawnp>"},                                     "os.posix_spawn"},
    {"", {"os_system"},                                                 "os.system"},
    {"", {"<method system>"},                                           "os.system"},
    {"", {},                                                            "subprocess", "_posixsubprocess"},
    {"", {},                                                            "subprocess", "python", "vfork"},
    {"", {},                                                            "subprocess", "libpython", "vfork"},
    // Shells, make, daemons
    {"", {"make_child", "command_substitute"},                          "command substitution"},
    {"", {"make_child", "process_substitute"},                          "process substitution"},
    {"", {"make_child", "execute_command_internal"},                    "shell command"},
    {"bash", {"make_child"},                                            "shell command"},
    {"", {},                                                            "shell command", "dash"},
    {"", {},                                                            "the command it limits", "timeout"},
    {"", {},                                                            "command of xargs", "xargs"},
    {"", {},                                                            "-exec of find", "find"},
    {"make", {"child_execute_job", "func_shell_base"},                  "$(shell ...) in a makefile"},
    {"make", {"child_execute_job"},                                     "recipe line"},
    {"", {"privsep_preauth"},                                           "privilege separation"},
    {"sshd", {"server_accept_loop"},                                    "new connection"},
    {"", {},                                                            "daemonize", "memcached"},
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
    {"", {"Java_java_lang_ProcessImpl_forkAndExec"},                    "program started by Java"},
    {"", {"Java_java_lang_UNIXProcess_forkAndExec"},                    "program started by Java"},
    {"", {"daemonize"},                                                 "daemonize"},
    {"", {},                                                            "daemonize", "", "daemon"},
    {"", {},                                                            "forkpty", "", "forkpty"},
    {"", {},                                                            "program started through popen", "", "popen"},
    {"", {},                                                            "program started through system", "", "system"},
};
// clang-format on

// Told by the child's own end, where the fork's stack is the same for several: PostgreSQL's
// children, by the function that each of them stays in until it ends (src/backend/postmaster; the
// first that is on the stack counts).
struct RoleRow {
  std::string_view function, role;
};
constexpr std::string_view kHaveRoles[] = {"auxiliary process", "background worker",
                                           "child of the postmaster"};

// clang-format off
constexpr RoleRow kRoles[] = {
    {"CheckpointerMain",       "checkpointer"},
    {"BackgroundWriterMain",   "background writer"},
    {"WalWriterMain",          "WAL writer"},
    {"StartupProcessMain",     "startup process"},
    {"PgArchiverMain",         "archiver"},
    {"WalReceiverMain",        "WAL receiver"},
    {"WalSummarizerMain",      "WAL summarizer"},
    {"ReplSlotSyncWorkerMain", "slot sync worker"},
    {"IoWorkerMain",           "IO worker"},
    {"SysLoggerMain",          "log collector"},
    {"AutoVacLauncherMain",    "autovacuum launcher"},
    {"AutoVacWorkerMain",      "autovacuum worker"},
    {"ApplyLauncherMain",      "logical replication launcher"},
    {"BackgroundWorkerMain",   "background worker"},
    {"BackendMain",            "backend for a new connection"},
};
// clang-format on

// A compiler's copies ("f.part.0", "f.constprop.0") and C++ parameter lists are not part of the
// name.
std::string_view plain_name(std::string_view function) {
  return function.substr(0, function.find_first_of(".(@"));
}

bool on_stack(const PurposeRow& row, std::span<const std::string> functions) {
  size_t wanted = 0;
  for (const auto& function : functions)
    if (wanted < row.functions.size() && !row.functions[wanted].empty() &&
        plain_name(function) == row.functions[wanted])
      ++wanted;
  return wanted == row.functions.size() || row.functions[wanted].empty();
}

bool matches(const PurposeRow& row, const Asker& asker) {
  return asker.comm.starts_with(row.comm) && asker.object.starts_with(row.object) &&
         asker.call.starts_with(row.call) && on_stack(row, asker.functions);
}

}  // namespace

std::optional<std::string_view> purpose(const Asker& asker) {
  for (const auto& row : kPurposes)
    if (matches(row, asker)) return row.text;
  return std::nullopt;
}

bool is_save(std::string_view purpose) {
  constexpr std::string_view kSaves[] = {"BGSAVE",      "save point",      "background save",
                                         "replication", "BGREWRITEAOF",    "automatic AOF rewrite",
                                         "AOF rewrite", "background child"};
  return std::ranges::any_of(kSaves, [&](auto save) { return purpose.starts_with(save); });
}

bool runs_program(std::string_view purpose) {
  constexpr std::string_view kOthers[] = {"CGI program", "subprocess", "sentinel script",
                                          "pipe to a program, in Perl", "system in Perl"};
  return purpose.starts_with("program ") ||
         std::ranges::find(kOthers, purpose) != std::end(kOthers);
}

std::optional<std::string_view> role(std::string_view purpose,
                                     const std::vector<std::string>& functions_at_end) {
  if (std::ranges::find(kHaveRoles, purpose) == std::end(kHaveRoles)) return std::nullopt;
  for (const auto& row : kRoles)
    for (const auto& function : functions_at_end)
      if (plain_name(function) == row.function) return row.role;
  return std::nullopt;
}

Asker asker_of(const LogReader& log, Symbols& symbols, const Event& event) {
  const EventBase& b = event.base;
  Asker asker{{}, {}, {}, op_name(b.op)};
  asker.comm = log.comm_at(b);
  for (const Frame& frame : symbols.stack(b.image, event.frames, Detail::kNames)) {
    if (asker.object.empty() && !is_plumbing(frame.module)) asker.object = frame.module;
    asker.functions.push_back(frame.function);
  }
  if (event.frames.empty() && b.caller != 0)
    asker.object = symbols.module_of(b.image, b.caller - 1);
  return asker;
}

}  // namespace ovc
