// SPDX-License-Identifier: MIT
//
// fault_test [options] -- COMMAND...: runs COMMAND plainly, under the shim, and then once for each
// fault of the table; the program's output, messages and end must be those of the plain run. Each
// place in the shim's code that makes a call is taken at its first time; with --times N at N times:
// the first, the last, and those evenly between.
#include <sys/syscall.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <sstream>

#include "fmt/format.h"
#include "tests/fixtures/settings_stay.h"
#include "tests/trust/faults/tracer.h"

namespace {

using namespace faults;
namespace fs = std::filesystem;

struct Row {
  std::string name;
  std::vector<std::string> words;
};

const std::map<std::string, long> kNumbers = {
#define NUMBER(name) \
  { #name, SYS_##name }
    NUMBER(brk),
    NUMBER(capget),
    NUMBER(clock_gettime),
    NUMBER(close),
    NUMBER(fallocate),
    NUMBER(fcntl),
    NUMBER(getcwd),
    NUMBER(getdents64),
    NUMBER(geteuid),
    NUMBER(getpid),
    NUMBER(getppid),
    NUMBER(getrusage),
    NUMBER(gettid),
    NUMBER(kill),
    NUMBER(madvise),
    NUMBER(mmap),
    NUMBER(mprotect),
    NUMBER(mremap),
    NUMBER(munlock),
    NUMBER(munmap),
    NUMBER(nanosleep),
    NUMBER(openat),
    NUMBER(prctl),
    NUMBER(pread64),
    NUMBER(preadv),
    NUMBER(prlimit64),
    NUMBER(pwrite64),
    NUMBER(read),
    NUMBER(readlinkat),
    NUMBER(process_vm_readv),
    NUMBER(renameat2),
    NUMBER(shmget),
    NUMBER(rt_sigprocmask),
    NUMBER(sched_getaffinity),
    NUMBER(statx),
    NUMBER(symlinkat),
    NUMBER(tkill),
    NUMBER(sched_getscheduler),
    NUMBER(uname),
    NUMBER(unlinkat),
    NUMBER(write),
    NUMBER(fstatfs),
    NUMBER(ftruncate),
    NUMBER(getpgid),
    NUMBER(getsockopt),
    NUMBER(ioctl),
    NUMBER(ppoll),
    NUMBER(sendto),
    NUMBER(rt_sigpending),
    NUMBER(rt_sigtimedwait),
    NUMBER(vmsplice),
    NUMBER(newfstatat),
    NUMBER(getresuid),
    NUMBER(arch_prctl),
    NUMBER(clone),
    NUMBER(exit),
    NUMBER(faccessat),
    NUMBER(getegid),
    NUMBER(shmctl),
    NUMBER(statfs),
    NUMBER(sysinfo)};
#undef NUMBER
const std::map<std::string, long> kErrors = {
#define ERROR(name) \
  { #name, name }
    ERROR(EACCES),     ERROR(EAGAIN),   ERROR(EBADF),       ERROR(EBUSY),  ERROR(EDQUOT),
    ERROR(EEXIST),     ERROR(EFAULT),   ERROR(EFBIG),       ERROR(EINTR),  ERROR(EINVAL),
    ERROR(EIO),        ERROR(ELOOP),    ERROR(EMFILE),      ERROR(ENFILE), ERROR(ENODEV),
    ERROR(ENOENT),     ERROR(ENOMEM),   ERROR(ENOSPC),      ERROR(ENOSYS), ERROR(EPERM),
    ERROR(EPIPE),      ERROR(ERANGE),   ERROR(EROFS),       ERROR(ESRCH),  ERROR(EXDEV),
    ERROR(EOPNOTSUPP), ERROR(ENOTSOCK), ERROR(ENOPROTOOPT), ERROR(ENOTTY), ERROR(ENOTCONN)};
#undef ERROR

// Also made by the shim in place of libc's own call, or on the program's behalf.
bool is_shared_with_libc(long nr) {
  return nr == SYS_mmap || nr == SYS_munmap || nr == SYS_madvise || nr == SYS_brk ||
         nr == SYS_mprotect || nr == SYS_mremap || nr == SYS_clone || nr == SYS_vfork;
}

std::vector<Row> read_table(const std::string& path) {
  std::ifstream file(path);
  std::vector<Row> rows;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream words(line);
    Row row;
    words >> row.name;
    row.words.assign(std::istream_iterator<std::string>(words), {});
    rows.push_back(row);
  }
  return rows;
}

Fault parse_fault(const Row& row, std::string word) {
  Fault fault;
  fault.place.nr = kNumbers.at(row.name);
  const auto has = [&word](const std::string& prefix) {
    const bool yes = word.starts_with(prefix);
    if (yes) word.erase(0, prefix.size());
    return yes;
  };
  fault.always = has("always:");
  if (has("after:")) fault.kind = Kind::kAfter;
  if (word == "short") fault.kind = Kind::kShort;
  else if (word != "zero") fault.result = -kErrors.at(word);
  return fault;
}

struct Options {
  std::string shim, table, ovc, base, only, work = "/var/tmp";
  bool any_log_name = false, internals = false, no_log = false;
  std::string rehearse, place, err_kind;
  unsigned shard = 0, shards = 1, times = 1;
  std::vector<std::string> command;
};

std::string whole(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The first lines that differ.
std::string difference(const std::string& seen, const std::string& plain) {
  std::istringstream a(seen), b(plain);
  std::string one, other;
  do {
    if (!std::getline(a, one)) one = "(end)";
    if (!std::getline(b, other)) other = "(end)";
  } while (one == other && one != "(end)");
  return fmt::format(" \"{}\", plainly \"{}\"", one, other);
}

struct Seen {
  Outcome outcome;
  std::string out, err;
  unsigned complaints = 0;
};

class Test {
 public:
  explicit Test(Options options) : o_(std::move(options)), rows_(read_table(o_.table)) {
    std::string name = o_.work + "/faults.XXXXXX";
    work_ = mkdtemp(name.data());
  }
  ~Test() {
    std::error_code error;
    fs::remove_all(work_, error);
  }

  int run_all() {
    plain_ = one({}, false, false);
    if (!o_.base.empty()) {
      const auto at = o_.base.find('=');
      base_ = parse_fault({o_.base.substr(0, at), {}}, o_.base.substr(at + 1));
    }
    const Seen first = one(with_base(), true, true);
    calls_ = first.outcome.calls;
    images_ = first.outcome.images;
    verify(first, "no fault");
    if (!base_ && first.complaints != o_.no_log)
      complain("no fault", "the shim says something, or not what it should");
    if (!base_ && calls_.size() < 20)
      complain("no fault", fmt::format("only {} calls of the shim were seen", calls_.size()));
    complain_of_unknown_calls();
    choose_places();
    for (const Row& row : rows_)
      if (o_.only.empty() || o_.only == row.name) each_word(row);
    fmt::print(
        "{}: {} calls of the shim at {} places; {} faults, {} of them happened; {} complaints\n",
        o_.command[0], calls_.size(), sites_, runs_, reached_, complaints_);
    return complaints_ ? 1 : 0;
  }

 private:
  std::vector<Fault> with_base() const {
    return base_ ? std::vector{*base_} : std::vector<Fault>{};
  }

  bool is_ours(long nr) const { return !is_shared_with_libc(nr) || !o_.internals; }

  Seen one(const std::vector<Fault>& faults, bool shimmed, bool list) {
    const SettingsStay here;
    const fs::path logs = fs::path(work_) / "logs";
    fs::remove_all(logs);
    fs::create_directory(logs);
    if (!o_.place.empty()) fs::copy_file(o_.place, logs / "a.ovc");
    Command command{o_.command, {}, work_ + "/out", work_ + "/err", o_.err_kind};
    if (shimmed)
      command.environment = {{"LD_PRELOAD", o_.shim},
                             {"OVCSHIM_LOG", o_.any_log_name ? fs::relative(logs) / "%c.%p.ovc"
                                             : o_.no_log     ? logs / "nowhere" / "a.ovc"
                                                             : logs / "a.ovc"},
                             {"OVCSHIM_EVENTS_SIZE", "256K"},
                             {"OVCSHIM_CALLS_SIZE", "256K"},
                             {"OVCSHIM_LIBC_INTERNALS", o_.internals ? "1" : "0"},
                             {"OVCSHIM_REHEARSE", o_.rehearse}};
    Seen seen;
    seen.outcome = run(command, faults, list);
    seen.out = whole(command.out);
    std::istringstream messages(whole(command.err));
    for (std::string line; std::getline(messages, line);) {
      if (line.starts_with("ovcshim: ")) ++seen.complaints;
      else seen.err += line + "\n";
    }
    return seen;
  }

  // Which times of which calls are to fail.
  void choose_places() {
    std::map<std::pair<uint64_t, long>, std::vector<Place>> sites;
    for (const Place& place : calls_) sites[{place.site, place.nr}].push_back(place);
    sites_ = sites.size();
    for (const auto& [site, made] : sites) {
      const size_t times = std::min<size_t>(o_.times, made.size());
      for (size_t i = 0; i < times; ++i)
        chosen_.push_back(made[times == 1 ? 0 : i * (made.size() - 1) / (times - 1)]);
    }
  }

  bool is_made(long nr) const {
    return std::any_of(calls_.begin(), calls_.end(),
                       [nr](const Place& place) { return place.nr == nr; });
  }

  void complain_of_unknown_calls() {
    std::set<long> known;
    for (const Row& row : rows_) known.insert(kNumbers.at(row.name));
    for (const Place& place : calls_)
      if (!known.contains(place.nr) && !is_shared_with_libc(place.nr))
        complain("no fault",
                 fmt::format("the shim makes the call {} at {:#x}, which the table does not have",
                             place.nr, place.site));
  }

  void each_word(const Row& row) {
    const long nr = kNumbers.at(row.name);
    if (row.words[0] == "-" || !is_ours(nr) || !is_made(nr)) return;
    if (o_.shard == 0) std::cout << "made: " << row.name << '\n';
    for (const std::string& word : row.words) {
      const Fault fault = parse_fault(row, word);
      if (fault.always) {
        check(row, word, fault);
        continue;
      }
      for (const Place& place : chosen_) {
        if (place.nr != nr) continue;
        Fault here = fault;
        here.place = place;
        check(row, word, here);
      }
    }
  }

  void check(const Row& row, const std::string& word, const Fault& fault) {
    if (turn_++ % o_.shards != o_.shard) return;
    std::vector<Fault> faults{fault};
    if (base_) faults.push_back(*base_);
    const Seen seen = one(faults, true, false);
    ++runs_;
    if (seen.outcome.reached) ++reached_;
    const std::string what = fmt::format("{} {}, process {}, time {}, at {:#x}", row.name, word,
                                         fault.place.process, fault.place.nth, fault.place.site);
    verify(seen, what);
  }

  void verify(const Seen& seen, const std::string& what) {
    if (seen.outcome.hung) return complain(what, "hangs");
    if (seen.outcome.status != plain_.outcome.status)
      complain(what, fmt::format("ends with {:#x}, plainly with {:#x}", seen.outcome.status,
                                 plain_.outcome.status));
    if (seen.out != plain_.out) complain(what, "prints" + difference(seen.out, plain_.out));
    if (seen.err != plain_.err) complain(what, "says" + difference(seen.err, plain_.err));
    if (seen.outcome.most_lines > 1)
      complain(what, fmt::format("{} lines of the shim in one program", seen.outcome.most_lines));
    if (seen.complaints > images_)
      complain(what, fmt::format("{} lines of the shim", seen.complaints));
    logs_are_readable(what);
  }

  void logs_are_readable(const std::string& what) {
    for (const fs::directory_entry& entry : fs::directory_iterator(work_ + "/logs")) {
      const std::string command =
          fmt::format("{} stats '{}' >/dev/null 2>&1", o_.ovc, entry.path().string());
      const int status = std::system(command.c_str());
      if (!WIFEXITED(status) || WEXITSTATUS(status) > 2)
        complain(what, fmt::format("ovc stats: {:#x}", status));
    }
  }

  void complain(const std::string& what, const std::string& wrong) {
    ++complaints_;
    std::cout << "WRONG, " << what << ": " << wrong << std::endl;
  }

  Options o_;
  std::vector<Row> rows_;
  std::string work_;
  std::optional<Fault> base_;
  Seen plain_;
  std::vector<Place> calls_, chosen_;
  uint32_t images_ = 0, turn_ = 0, runs_ = 0, reached_ = 0, complaints_ = 0;
  size_t sites_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Lets each system call of the shim fail and looks at what the program notices"};
  Options o;
  app.add_option("--shim", o.shim)->required();
  app.add_option("--ovc", o.ovc)->required();
  app.add_option("--table", o.table)->required();
  app.add_option("--base", o.base, "a fault for all runs: fallocate=always:EOPNOTSUPP");
  app.add_option("--only", o.only, "this system call alone");
  app.add_option("--work", o.work);
  app.add_option("--rehearse", o.rehearse);
  app.add_option("--place", o.place, "a file that is already there under the log's name");
  app.add_option("--err", o.err_kind, "what descriptor 2 is: pipe, socket, terminal");
  app.add_option("--shard", o.shard);
  app.add_option("--shards", o.shards);
  app.add_option("--times", o.times, "of each place")->check(CLI::PositiveNumber);
  app.add_flag("--template", o.any_log_name,
               "a log's name that does not lead descendants to it, in a folder below this one");
  app.add_flag("--no-log", o.no_log, "a log's name below no folder");
  app.add_flag("--internals", o.internals, "also watch inside libc");
  app.add_option("command", o.command)->required();
  CLI11_PARSE(app, argc, argv);
  return Test(o).run_all();
}
