// SPDX-License-Identifier: MIT
//
// A /proc of another machine as a folder: a calm host with one process, of which each case changes
// what it is about.
#pragma once
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "tools/host/proc_files.h"

namespace ovc::test {

class ProcTree {
 public:
  ProcTree() {
    char name[] = "/tmp/ovc_proc_XXXXXX";
    top_ = mkdtemp(name);
    put("sys/kernel/osrelease", "6.18.44\n")
        .put("sys/kernel/threads-max", "190000\n")
        .put("sys/kernel/pid_max", "32768\n");
    put("sys/vm/overcommit_memory", "0\n")
        .put("sys/vm/overcommit_ratio", "50\n")
        .put("sys/vm/overcommit_kbytes", "0\n");
    put("sys/vm/user_reserve_kbytes", "131072\n").put("sys/vm/admin_reserve_kbytes", "8192\n");
    put("stat", "cpu  1 2 3\ncpu0 1 2 3\ncpu1 1 2 3\nintr 1\n")
        .put("loadavg", "0.1 0.2 0.3 2/300 4000\n");
    put("self/mountinfo",
        "22 1 0:20 / /proc rw - proc proc rw\n"
        "30 1 0:26 / /cg/pids rw - cgroup cgroup rw,pids\n"
        "31 1 0:27 / /cg/memory rw - cgroup cgroup rw,memory\n"
        "32 1 0:28 / /cg/unified rw - cgroup2 cgroup2 rw\n");
    link("self/ns/pid", "pid:[4026531836]").link("self/ns/cgroup", "cgroup:[4026531835]");
    meminfo(8000000, 0, 4000000, 1000000, 0);
    process(100, "server");
  }
  ~ProcTree() { std::filesystem::remove_all(top_); }
  ProcTree(const ProcTree&) = delete;
  ProcTree& operator=(const ProcTree&) = delete;

  SystemRoot root() const { return {top_ + "/proc", top_}; }

  ProcTree& put(const std::string& path, const std::string& text) {
    return put_at(top_ + "/proc/" + path, text);
  }
  ProcTree& put_file(const std::string& path, const std::string& text) {
    return put_at(top_ + "/" + path, text);
  }
  ProcTree& put_group(const std::string& path, const std::string& text) {
    return put_at(top_ + "/cg/" + path, text);
  }
  ProcTree& link(const std::string& path, const std::string& target) {
    const std::string full = top_ + "/proc/" + path;
    std::filesystem::create_directories(std::filesystem::path(full).parent_path());
    std::filesystem::remove(full);
    std::filesystem::create_symlink(target, full);
    return *this;
  }
  ProcTree& remove(const std::string& path) {
    std::filesystem::remove_all(top_ + "/proc/" + path);
    return *this;
  }

  ProcTree& meminfo(uint64_t ram_kb, uint64_t swap_kb, uint64_t limit_kb, uint64_t committed_kb,
                    uint64_t hugetlb_kb) {
    return put("meminfo", "MemTotal: " + std::to_string(ram_kb) +
                              " kB\nMemFree: 500000 kB\nBuffers: 1000 kB\nCached: 90000 kB\n" +
                              "SwapCached: 0 kB\nSwapTotal: " + std::to_string(swap_kb) +
                              " kB\nSwapFree: 0 kB\nShmem: 1000 kB\n" +
                              "KReclaimable: 5000 kB\nSReclaimable: 5000 kB\nCommitLimit: " +
                              std::to_string(limit_kb) +
                              " kB\nCommitted_AS: " + std::to_string(committed_kb) +
                              " kB\nHugetlb: " + std::to_string(hugetlb_kb) + " kB\n");
  }
  // A process of uid 1000 with 4 threads, 400,000 kB of address space and no mapping yet.
  ProcTree& process(unsigned pid, const std::string& comm, const std::string& status_more = "") {
    const std::string folder = std::to_string(pid) + "/";
    put(folder + "comm", comm + "\n");
    put(folder + "stat",
        std::to_string(pid) + " (" + comm + ") S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 4 0 777 0 0\n");
    put(folder + "status",
        "Name: x\nUid:\t1000\t1000\t1000\t1000\nNSpid:\t" + std::to_string(pid) +
            "\nVmSize:\t400000 kB\nThreads:\t4\nCapEff:\t0000000000000000\nSeccomp:\t0\n" +
            status_more);
    put(folder + "statm", "100000 1 1 1 0 1 0\n");
    put(folder + "limits",
        "Limit      Soft Limit    Hard Limit   Units\nMax processes             unlimited   "
        "unlimited  processes\n");
    put(folder + "cgroup", "3:pids:/a/b\n4:memory:/a\n0::/\n");
    put_group("pids/a/b/tasks", "").put_group("memory/a/tasks", "").put_group("unified/x", "");
    link(folder + "ns/user", "user:[4026531837]").link(folder + "ns/pid", "pid:[4026531836]");
    return link(folder + "ns/pid_for_children", "pid:[4026531836]");
  }
  // Its mappings, given as "FLAGS KB": "ac 1000", "nr 4000", "dc ac 8".
  ProcTree& mappings(unsigned pid, std::initializer_list<std::pair<std::string, uint64_t>> list) {
    std::string maps, smaps;
    uint64_t at = 0x10000000;
    for (const auto& [flags, kb] : list) {
      char head[64];
      snprintf(head, sizeof head, "%lx-%lx rw-p 00000000 00:00 0 \n",
               static_cast<unsigned long>(at), static_cast<unsigned long>(at + kb * 1024));
      maps += head;
      smaps += head + std::string("VmFlags: rd wr mr mw me ") + flags + " \n";
      at += kb * 1024 + 0x100000;
    }
    put(std::to_string(pid) + "/maps", maps);
    return put(std::to_string(pid) + "/smaps", smaps);
  }

 private:
  ProcTree& put_at(const std::string& full, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(full).parent_path());
    std::ofstream(full) << text;
    return *this;
  }
  std::string top_;
};

}  // namespace ovc::test
