// SPDX-License-Identifier: MIT
#include "tools/symbols/purposes.h"

#include <string>
#include <vector>

#include "tests/unit/catch.h"

using namespace ovc;
using Stack = std::vector<std::string>;

namespace {

auto purpose(const Stack& stack, const char* comm) {
  return ovc::purpose({stack, comm, "", "fork"});
}

}  // namespace

TEST_CASE("stacks that tell what a fork was for") {
  const auto [comm, stack, text] = GENERATE(table<const char*, Stack, const char*>({
      {"redis-server",
       {"redisFork", "rdbSaveBackground", "bgsaveCommand", "call", "processCommand"},
       "BGSAVE"},
      {"redis-server", {"rdbSaveBackground", "bgsaveCommand"}, "BGSAVE"},
      {"redis-server",
       {"redisFork", "rdbSaveBackground", "serverCron", "aeProcessEvents", "aeMain"},
       "save point"},
      {"redis-server", {"redisFork", "rdbSaveBackground"}, "background save"},
      {"redis-server",
       {"redisFork", "rdbSaveBackground", "startBgsaveForReplication", "replicationCron",
        "serverCron"},
       "replication: full synchronisation by way of the disk"},
      {"redis-server",
       {"redisFork", "rdbSaveToSlavesSockets", "startBgsaveForReplication"},
       "replication: full synchronisation, diskless"},
      {"valkey-server",
       {"serverFork", "rdbSaveToReplicasSockets"},
       "replication: full synchronisation, diskless"},
      {"redis-server",
       {"redisFork", "rewriteAppendOnlyFileBackground", "bgrewriteaofCommand"},
       "BGREWRITEAOF"},
      {"redis-server",
       {"redisFork", "rewriteAppendOnlyFileBackground", "serverCron"},
       "automatic AOF rewrite"},
      {"redis-server", {"redisFork", "RM_Fork", "my_module_command"}, "module fork"},
      {"redis-server", {"daemonize", "main"}, "daemonize"},
      {"redis-sentinel", {"sentinelRunPendingScripts", "sentinelTimer"}, "sentinel script"},
      {"postgres", {"fork_process", "StartBackgroundWorker"}, "background worker"},
      {"postgres",
       {"fork_process", "StartAutoVacWorker", "ServerLoop", "PostmasterMain"},
       "autovacuum worker"},
      {"postgres",
       {"fork_process", "ServerLoop", "PostmasterMain"},
       "backend for a new connection"},
      {"postgres",
       {"fork_process", "postmaster_child_launch", "", "ServerLoop", "PostmasterMain"},
       "child of the postmaster"},
      {"postgres",
       {"fork_process", "postmaster_child_launch", "BackendStartup", "ServerLoop"},
       "backend for a new connection"},
      {"postgres",
       {"fork_process", "do_start_bgworker", "ServerLoop", "PostmasterMain"},
       "background worker"},
      {"postgres", {"fork_process", "PostmasterMain"}, "child of the postmaster"},
      {"bash", {"make_child", "execute_command_internal"}, "shell command"},
      {"bash", {"make_child", "command_substitute"}, "command substitution"},
      {"python3", {"do_fork_exec", "subprocess_fork_exec"}, "subprocess"},
      {"python3", {"", "<method fork>", "", "PyObject_Vectorcall"}, "os.fork"},
      {"gunicorn", {"", "", "<method fork_exec>", "", "_PyObject_MakeTpCall"}, "subprocess"},
      {"make", {"child_execute_job", "new_job"}, "recipe line"},
      {"make", {"child_execute_job", "func_shell_base"}, "$(shell ...) in a makefile"},
      {"x", {"daemon", "main"}, "daemonize"},
  }));
  CAPTURE(stack);
  CHECK(purpose(stack, comm) == text);
}

TEST_CASE("frames without names, compilers' copies and parameter lists do not matter") {
  CHECK(purpose(Stack{"", "rdbSaveBackground.constprop.0", "", "", "bgsaveCommand(client*)"},
                "redis-server") == "BGSAVE");
}

TEST_CASE("the order on the stack matters") {
  CHECK(purpose(Stack{"bgsaveCommand", "rdbSaveBackground"}, "redis-server") == "background save");
}

TEST_CASE("where a program forks for one reason only, the file that made the call tells") {
  const auto [object, call, text] = GENERATE(table<const char*, const char*, const char*>({
      {"memcached", "fork", "daemonize"},
      {"dash", "fork", "shell command"},
      {"dash", "vfork", "shell command"},
      {"python3.11", "vfork", "subprocess"},
      {"_posixsubprocess.cpython-311-x86_64-linux-gnu.so", "fork", "subprocess"},
      {"anything", "popen", "program started through popen"},
      {"anything", "daemon", "daemonize"},
  }));
  CAPTURE(object, call);
  CHECK(ovc::purpose({{""}, "x", object, call}) == text);
  CHECK_FALSE(ovc::purpose({{""}, "x", "libother.so", "fork"}));
}

TEST_CASE(
    "a server's workers have its functions on their stacks: what modules fork there is something "
    "else") {
  const auto [object, stack, text] = GENERATE(table<const char*, Stack, const char*>({
      {"mod_mpm_event.so", {"make_child", "ap_run_mpm", "main"}, "worker process"},
      {"libapr-1.so.0",
       {"apr_proc_create", "run_cgi_child", "ap_run_handler", "make_child", "ap_run_mpm"},
       "CGI program"},
      {"libapr-1.so.0", {"apr_proc_create", "cgid_server", "ap_run_post_config"}, "CGI program"},
      {"mod_cgid.so", {"", "ap_run_post_config", "main"}, "CGI daemon"},
      {"nginx", {"ngx_spawn_process", "ngx_start_worker_processes"}, "worker process"},
      {"nginx",
       {"ngx_spawn_process", "ngx_start_cache_manager_processes"},
       "cache manager or loader"},
      {"nginx", {"ngx_spawn_process", "ngx_master_process_cycle"}, "worker or cache process"},
      {"php-fpm8.2", {"fpm_children_make", "", "_start"}, "worker process"},
      {"php-fpm8.2",
       {"php_exec", "execute_ex", "php_execute_script"},
       "program started by PHP (exec, system, ...)"},
  }));
  CAPTURE(object, stack);
  CHECK(ovc::purpose({stack, "x", object, "fork"}) == text);
  if (stack.front() != "apr_proc_create" && stack.front() != "php_exec")
    CHECK_FALSE(ovc::purpose({stack, "x", "libother.so", "fork"}));
}

TEST_CASE("what the interpreter forks for is not known from its name alone") {
  CHECK_FALSE(ovc::purpose({{"", "PyObject_Vectorcall"}, "python3", "python3.11", "fork"}));
}

TEST_CASE("names that more than one program uses need the program") {
  CHECK_FALSE(purpose(Stack{"make_child"}, "myserver"));
  CHECK(ovc::purpose({{"make_child"}, "httpd", "httpd", "fork"}) == "worker process");
}

TEST_CASE("an unknown stack has no purpose") {
  CHECK_FALSE(purpose(Stack{}, "redis-server"));
  CHECK_FALSE(purpose(Stack{"main"}, ""));
  CHECK_FALSE(purpose(Stack{"", ""}, "redis-server"));
}

TEST_CASE("a child's end tells which of several it was") {
  CHECK(role("auxiliary process", {"SignalHandlerForCrashExit", "", "CheckpointerMain",
                                   "AuxiliaryProcessMain"}) == "checkpointer");
  CHECK(
      role("child of the postmaster", {"proc_exit", "ApplyLauncherMain", "BackgroundWorkerMain"}) ==
      "logical replication launcher");
  CHECK(role("child of the postmaster", {"proc_exit", "PostgresMain", "BackendMain"}) ==
        "backend for a new connection");
  CHECK_FALSE(role("auxiliary process", {"proc_exit", "AuxiliaryProcessMain"}));
  CHECK_FALSE(role("worker process", {"CheckpointerMain"}));
}
