// SPDX-License-Identifier: MIT
//
// See host_files.h.
#include "shim/proc/host_files.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "shim/sys/sys.h"

namespace ovcshim {
namespace {

struct Row {
  const char* path;
  HostFile bit;
};
constexpr Row kFiles[] = {
    {"/proc/meminfo", kFileMeminfo},
    {"/proc/loadavg", kFileLoadavg},
    {"/proc/vmstat", kFileVmstat},
    {"/proc/stat", kFileStat},
    {"/proc/sys/vm/overcommit_memory", kFileOvercommitMemory},
    {"/proc/sys/vm/overcommit_ratio", kFileOvercommitRatio},
    {"/proc/sys/vm/overcommit_kbytes", kFileOvercommitKbytes},
    {"/proc/sys/vm/user_reserve_kbytes", kFileUserReserve},
    {"/proc/sys/vm/admin_reserve_kbytes", kFileAdminReserve},
    {"/proc/sys/vm/max_map_count", kFileMaxMapCount},
    {"/proc/sys/vm/mmap_min_addr", kFileMmapMinAddr},
    {"/proc/sys/kernel/threads-max", kFileThreadsMax},
    {"/proc/sys/kernel/pid_max", kFilePidMax},
};

}  // namespace

long fs_figures(const char* path, long descriptor, FsFigures& out) {
  uint64_t raw[24]{};  // struct statfs: 15 words
  const long answer =
      path ? sys::call(__NR_statfs, reinterpret_cast<long>(path), reinterpret_cast<long>(raw))
           : sys::call(__NR_fstatfs, descriptor, reinterpret_cast<long>(raw));
  if (!sys::failed(answer)) out = {raw[0], raw[1], raw[2], raw[3], raw[4], raw[5], raw[6]};
  return answer;
}

void add_kernel_totals(Facts& facts) {
  struct {
    uint64_t uptime, loads[3], ram, free_ram, shared, buffers, swap, free_swap;
    uint16_t tasks, pad;
    uint64_t high, free_high;
    uint32_t unit;
    uint32_t room[8];
  } info{};
  if (sys::failed(sys::call(__NR_sysinfo, reinterpret_cast<long>(&info)))) return;
  const uint64_t unit = info.unit ? info.unit : 1;
  facts.add(FactKey::kSysinfoRamKb,
            unit % 1024 ? info.ram * unit / 1024 : info.ram * (unit / 1024));
  facts.add(FactKey::kSysinfoSwapKb,
            unit % 1024 ? info.swap * unit / 1024 : info.swap * (unit / 1024));
  facts.add(FactKey::kSysinfoTasks, info.tasks);
}

void add_foreign_files(Facts& facts) {
  uint64_t foreign = 0, type = kUnknown;
  for (const Row& row : kFiles) {
    FsFigures fs{};
    const long answer = fs_figures(row.path, -1, fs);
    if (answer == -ENOENT) continue;
    if (sys::failed(answer)) return;
    if (fs.type == kProcFs) continue;
    if (!foreign) type = fs.type;
    foreign |= row.bit;
  }
  facts.add(FactKey::kForeignFiles, foreign);
  facts.add(FactKey::kForeignFsType, type);
}

void add_place_files(Facts& facts) {
  struct Sign {
    const char* path;
    uint32_t bit;
  };
  constexpr Sign kSigns[] = {{"/.dockerenv", kPlaceDocker},
                             {"/run/.containerenv", kPlacePodman},
                             {"/var/run/secrets/kubernetes.io", kPlaceKubernetes}};
  uint64_t found = 0;
  for (const Sign& sign : kSigns) {
    const long answer =
        sys::call(__NR_faccessat, AT_FDCWD, reinterpret_cast<long>(sign.path), F_OK);
    if (answer == 0) found |= sign.bit;
    else if (answer != -ENOENT && answer != -ENOTDIR && answer != -EACCES) return;
  }
  facts.add(FactKey::kPlaceFiles, found);
}

}  // namespace ovcshim
