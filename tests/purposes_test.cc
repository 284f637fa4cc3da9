// SPDX-License-Identifier: MIT
#include "tools/purposes.h"

#include <string>
#include <vector>

#include "tests/catch.h"

using namespace ovc;
using Stack = std::vector<std::string>;

TEST_CASE("stacks that tell what a fork was for") {
  const auto [comm, stack, text] = GENERATE(table<const char*, Stack, const char*>({
      {"redis-server", {"redisFork", "rdbSaveBackground", "bgsaveCommand", "call", "processCommand"}, "BGSAVE"},
      {"redis-server", {"rdbSaveBackground", "bgsaveCommand"}, "BGSAVE"},
      {"redis-server", {"redisFork", "rdbSaveBackground", "serverCron", "aeProcessEvents", "aeMain"}, "save point"},
      {"redis-server", {"redisFork", "rdbSaveBackground"}, "background save"},
      {"redis-server",
       {"redisFork", "rdbSaveBackground", "startBgsaveForReplication", "replicationCron", "serverCron"},
       "replication: full synchronisation by way of the disk"},
      {"redis-server",
       {"redisFork", "rdbSaveToSlavesSockets", "startBgsaveForReplication"},
       "replication: full synchronisation, diskless"},
      {"valkey-server", {"serverFork", "rdbSaveToReplicasSockets"}, "replication: full synchronisation, diskless"},
      {"redis-server", {"redisFork", "rewriteAppendOnlyFileBackground", "bgrewriteaofCommand"}, "BGREWRITEAOF"},
      {"redis-server", {"redisFork", "rewriteAppendOnlyFileBackground", "serverCron"}, "automatic AOF rewrite"},
      {"redis-server", {"redisFork", "RM_Fork", "my_module_command"}, "module fork"},
      {"redis-server", {"daemonize", "main"}, "daemonize"},
      {"redis-sentinel", {"sentinelRunPendingScripts", "sentinelTimer"}, "sentinel script"},
      {"postgres", {"fork_process", "StartBackgroundWorker"}, "background worker"},
      {"postgres", {"fork_process", "StartAutoVacWorker", "ServerLoop", "PostmasterMain"}, "autovacuum worker"},
      {"postgres", {"fork_process", "PostmasterMain"}, "child of the postmaster"},
      {"apache2", {"make_child", "main"}, "worker process"},
      {"php-fpm8.2", {"fpm_children_make"}, "worker process"},
      {"nginx", {"ngx_spawn_process", "ngx_start_worker_processes"}, "worker process"},
      {"bash", {"make_child", "execute_command_internal"}, "shell command"},
      {"bash", {"make_child", "command_substitute"}, "command substitution"},
      {"python3", {"do_fork_exec", "subprocess_fork_exec"}, "subprocess"},
      {"memcached", {"daemonize"}, "daemonize"},
      {"x", {"daemon", "main"}, "daemonize"},
  }));
  CAPTURE(stack);
  CHECK(purpose(stack, comm) == text);
}

TEST_CASE("frames without names, compilers' copies and parameter lists do not matter") {
  CHECK(purpose(Stack{"", "rdbSaveBackground.constprop.0", "", "", "bgsaveCommand(client*)"}, "redis-server") == "BGSAVE");
}

TEST_CASE("the order on the stack matters") {
  CHECK(purpose(Stack{"bgsaveCommand", "rdbSaveBackground"}, "redis-server") == "background save");
}

TEST_CASE("names that more than one program uses need the program") {
  CHECK_FALSE(purpose(Stack{"make_child"}, "myserver"));
  CHECK(purpose(Stack{"make_child"}, "httpd") == "worker process");
}

TEST_CASE("an unknown stack has no purpose") {
  CHECK_FALSE(purpose(Stack{}, "redis-server"));
  CHECK_FALSE(purpose(Stack{"main"}, ""));
  CHECK_FALSE(purpose(Stack{"", ""}, "redis-server"));
}
