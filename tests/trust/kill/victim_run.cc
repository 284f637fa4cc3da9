// SPDX-License-Identifier: MIT
//
// See victim_run.h. The driver is the subreaper of the victim's orphans, so that it can wait until
// the last one is dead.
#include "tests/trust/kill/victim_run.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <random>
#include <stdexcept>

namespace kill_test {
namespace {

constexpr time_t kStartSeconds = 60;  // a busy machine is no defect

void sleep_us(uint64_t us) {
  timespec rest{static_cast<time_t>(us / 1000000), static_cast<long>(us % 1000000 * 1000)};
  while (nanosleep(&rest, &rest) != 0 && errno == EINTR) {}
}

void wait_for_start(Journal& journal) {
  const timespec limit{kStartSeconds, 0};
  while (__atomic_load_n(&journal.started, __ATOMIC_ACQUIRE) == 0)
    if (syscall(SYS_futex, &journal.started, FUTEX_WAIT, 0, &limit) != 0 && errno == ETIMEDOUT)
      throw std::runtime_error("the victim does not start");
}

[[noreturn]] void become_victim(const Place& place, const Plan& plan) {
  setpgid(0, 0);
  const std::string environment[] = {"LD_PRELOAD=" + place.shim,
                                     "OVCSHIM_LOG=" + place.log(),
                                     "OVCSHIM_EVENTS_SIZE=" + plan.events_size,
                                     "OVCSHIM_CALLS_SIZE=" + plan.calls_size,
                                     "OVCSHIM_STACK_DEPTH=" + plan.stack_depth,
                                     "OVCSHIM_LIBC_INTERNALS=" + plan.internals};
  char* strings[std::size(environment) + 1] = {};
  for (size_t i = 0; i < std::size(environment); ++i)
    strings[i] = const_cast<char*>(environment[i].c_str());
  const std::string journal = place.journal();
  char* argv[] = {const_cast<char*>(place.victim.c_str()), const_cast<char*>(journal.c_str()),
                  nullptr};
  execve(argv[0], argv, strings);
  _exit(127);
}

}  // namespace

Plan::Plan(uint64_t of_seed) : seed(of_seed) {
  std::mt19937_64 random(seed);
  const auto draw = [&](uint64_t below) { return static_cast<uint32_t>(random() % below); };
  threads = draw(5);
  mapper = 2 + draw(2) * 18 + draw(10);
  forks = 60 + draw(300);
  const uint32_t lanes = draw(4);  // three of four are tiny, so that they wrap
  events_size = lanes == 0 ? "16M" : lanes == 1 ? "1M" : "64K";
  calls_size = lanes == 0 ? "64M" : lanes == 2 ? "1M" : "64K";
  stack_depth = draw(2) ? "32" : "0";
  internals = draw(2) ? "1" : "0";
  if (lanes == 3 && draw(4) == 0) threads = 28;  // more threads than the call lane has chunks
  at_start = draw(12) == 0;
  moment_us = draw(at_start ? 6000 : draw(12) == 0 ? 80000 : 15000);
}

std::string Plan::text() const {
  return fmt::format(
      "seed {}: {} threads, events lane {}, call lane {}, {} frames, libc's calls {}, killed {} us "
      "after its {}",
      seed, threads, events_size, calls_size, stack_depth, internals, moment_us,
      at_start ? "exec" : "first call");
}

JournalFile::JournalFile(const Place& place, const Plan& plan) {
  unlink(place.journal().c_str());
  const int fd = open(place.journal().c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  void* there = MAP_FAILED;
  if (fd >= 0 && ftruncate(fd, sizeof(Journal)) == 0)
    there = mmap(nullptr, sizeof(Journal), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (fd >= 0) close(fd);
  if (there == MAP_FAILED) throw std::runtime_error("cannot make " + place.journal());
  journal_ = static_cast<Journal*>(there);
  journal_->seed = plan.seed | 1;
  journal_->threads = plan.threads;
  journal_->mapper = plan.mapper;
  journal_->forks = plan.forks;
}

JournalFile::~JournalFile() { munmap(journal_, sizeof(Journal)); }

void run_and_kill(const Place& place, const Plan& plan, Journal& journal) {
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  unlink(place.log().c_str());
  const pid_t victim = fork();
  if (victim < 0) throw std::runtime_error("cannot fork");
  if (victim == 0) become_victim(place, plan);
  setpgid(victim, victim);
  if (!plan.at_start) wait_for_start(journal);
  sleep_us(plan.moment_us);
  kill(-victim, SIGKILL);
  kill(victim, SIGKILL);
  int status = 0;
  waitpid(victim, &status, 0);
  while (wait(nullptr) > 0 || errno == EINTR) {}
  if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
    throw std::runtime_error(fmt::format("the victim ended by itself, wait status {}", status));
}

}  // namespace kill_test
