// SPDX-License-Identifier: MIT
//
// See module_list.h. Two tables: the one in force is never written, the other is filled and then
// put in its place. Same rules as event_lane.cc.
#include "shim/record/module_list.h"

#include <fcntl.h>
#include <link.h>

#include "shim/proc/proc_files.h"
#include "shim/record/event.h"
#include "shim/record/event_lane.h"
#include "shim/record/mapping_writer.h"
#include "shim/record/snapshot.h"
#include "shim/sys/auxv.h"
#include "shim/unwind/backtrace.h"
#include "shim/unwind/memory.h"
#include "shim/unwind/startup_objects.h"

#pragma weak _r_debug

namespace ovcshim {
namespace {

constexpr uint64_t kFirstPauseMs = 100, kLongestPauseMs = 10000;
constexpr uint64_t kForkPauses =
    10;  // a fork's list may take a tenth of the time if the one before brought something new

alignas(4096) constinit ModuleTable tables[2]{};
constinit uint32_t refreshing = 0;
constinit uint64_t next_refresh_tick = 0, pause_ms = kFirstPauseMs;
constinit uint64_t next_fork_tick = 0;  // when a fork may have the list read again
constinit uint64_t last_object =
    0;  // address of the loader's entry for the newest object known; 0: the loader does not tell

// The loader appends to its list (elf/dl-object.c _dl_add_to_namespace_list()) without a word to
// anybody; dlclose frees entries at any time.
bool read_entry(uint64_t address, link_map& entry) {
  if (address != 0 && address == last_startup_entry())
    return sys::copy(&entry, reinterpret_cast<const void*>(address), sizeof entry), true;
  return address != 0 && copy_memory(&entry, address, sizeof entry);
}

uint64_t find_last_object() {
  link_map entry;
  uint64_t last = 0;
  if (!&_r_debug) return 0;
  const uint64_t known = last_startup_entry();
  for (auto at = known ? known : reinterpret_cast<uint64_t>(_r_debug.r_map);
       last != at && read_entry(at, entry);) {
    last = at;
    if (entry.l_next) at = reinterpret_cast<uint64_t>(entry.l_next);
  }
  return last;
}

void write_module(const Module& module, uint64_t* first) {
  Record record{plain_base(Op::kModule)};
  char text[sizeof module.build_id + sizeof module.path];
  sys::copy(text, module.build_id, module.build_id_len);
  sys::copy(text + module.build_id_len, module.path, module.path_len);
  record.base.args[0] = module.start;
  record.base.args[1] = module.end;
  record.base.args[2] = module.bias;
  record.base.args[3] = module.build_id_len;
  if (module.changed_ns)
    record.base.args[4] = module.inode, record.base.args[5] = module.changed_ns;
  record.base.text_len = static_cast<uint16_t>(module.build_id_len + module.path_len);
  record.text = text;
  const uint64_t position = write_event(record);
  if (*first == kUnknown) *first = position;
}

// Without a build id an object's file is told by its number and the time of its last change when
// the object was first seen. The path may be another file's by now.
void note_file(Module& module) {
  char path[sizeof module.path + 1];
  FileStat file{};
  if (module.build_id_len != 0 || module.path_len == 0 || module.path_len == sizeof module.path)
    return;
  sys::copy(path, module.path, module.path_len);
  path[module.path_len] = '\0';
  if (!file_stat(AT_FDCWD, path, file) || !file.is_regular() || file.inode != module.inode) return;
  module.changed_ns = file.changed_ns;
}

// `known`: as they were before; null: nothing was.
void note_files(ModuleTable& table, const ModuleTable* known) {
  for (unsigned i = 0; i < table.count; ++i) {
    Module& module = table.modules[i];
    const Module* same = known ? find_module(*known, module.text_start) : nullptr;
    if (same && same->start == module.start && same->inode == module.inode)
      module.changed_ns = same->changed_ns;
    else note_file(module);
  }
}

bool same_modules(const ModuleTable& a, const ModuleTable& b) {
  if (a.count != b.count) return false;
  for (unsigned i = 0; i < a.count; ++i)
    if (a.modules[i].start != b.modules[i].start || a.modules[i].end != b.modules[i].end ||
        a.modules[i].bias != b.modules[i].bias)
      return false;
  return true;
}

void put_in_force(const ModuleTable* table) {
  g_lineage.image =
      static_cast<uint32_t>(__atomic_add_fetch(&g.header->next_image, 1, __ATOMIC_RELAXED));
  backtrace_forget();
  // release: pairs with the acquire load in modules_now()
  __atomic_store_n(&g_modules, table, __ATOMIC_RELEASE);
  if (g_private->slot != kNoIndex) g.processes[g_private->slot].image = g_lineage.image;
}

// The loader's own mmap calls are not seen, and a list that the ring has passed is none.
void list_mappings_again(ListOccasion occasion) {
  // One that is given up has been written in part: it must be little of the ring.
  constexpr uint64_t kMost = 2000;
  const uint64_t little = most_listed() / 8, most = little < kMost ? little : kMost;
  if (may_list_mappings(occasion)) return write_mapping_list(g_private->module_position, most);
  // too dear now: asked again later
  g_private->listed_at += g.events.count / 8, g_private->listed_units += g.memory.count / 8;
  forget_some_mappings();
}

}  // namespace

void write_modules() {
  uint64_t first = kUnknown;
  const ModuleTable& table = *modules_now();
  for (unsigned i = 0; i < table.count; ++i) write_module(table.modules[i], &first);
  if (first == kUnknown)
    first = __atomic_load_n(&g.header->vital_cursor, __ATOMIC_RELAXED) | kVitalBit;
  g_private->module_position = first;
  if (g_private->slot != kNoIndex) g.processes[g_private->slot].module_position = first;
}

void begin_image_modules(ImageList* list) {
  BigScratch& big = g_private->big;  // nobody else uses it before we are registered
  proof_era_is(proof_era(tick_now()));
  heads_are_proven();
  if (!list || !read_image(*list, tables[0])) read_modules(tables[0], big.io, sizeof big.io);
  note_files(tables[0], nullptr);
  put_in_force(&tables[0]);
  last_object = find_last_object();
}

void keep_modules_known() {
  const uint64_t vitals = __atomic_load_n(&g.header->vital_cursor, __ATOMIC_RELAXED);
  const uint64_t events = __atomic_load_n(&g.header->event_cursor, __ATOMIC_RELAXED);
  const uint64_t units = __atomic_load_n(&g.header->memory_cursor, __ATOMIC_RELAXED);
  const bool modules_passed =
      vitals - (g_private->module_position & ~kVitalBit) > g.vitals.count / 2;
  if (OVC_UNLIKELY(modules_passed)) write_modules();
  // A list is followed by the memory calls after it: without them it is none.
  const bool list_passed = events - g_private->listed_at > g.events.count / 2 ||
                           units - g_private->listed_units > g.memory.count / 2;
  if (OVC_UNLIKELY(modules_passed || list_passed)) list_mappings_again(ListOccasion::kPassed);
}

bool refresh_modules(bool for_fork) {
  const uint64_t now = tick_now(),
                 next = __atomic_load_n(for_fork ? &next_fork_tick : &next_refresh_tick,
                                        __ATOMIC_RELAXED);
  if (is_quiet() || now < next) return false;
  if (__atomic_exchange_n(&refreshing, 1, __ATOMIC_ACQUIRE)) return false;
  ModuleTable& spare = modules_now() == &tables[0] ? tables[1] : tables[0];
  const bool changed = read_modules(spare) && !same_modules(spare, *modules_now());
  pause_ms = changed                          ? kFirstPauseMs
             : pause_ms * 2 < kLongestPauseMs ? pause_ms * 2
                                              : kLongestPauseMs;
  const uint64_t end = tick_now(), pause = pause_ms * g_ticks_per_ms;
  __atomic_store_n(&next_refresh_tick, end + pause, __ATOMIC_RELAXED);
  __atomic_store_n(&next_fork_tick, end + (changed ? kForkPauses * (end - now) : pause),
                   __ATOMIC_RELAXED);
  if (changed) {
    note_files(spare, modules_now());
    put_in_force(&spare);
    write_modules();
    list_mappings_again(ListOccasion::kNewObjects);
  }
  __atomic_store_n(&refreshing, 0, __ATOMIC_RELEASE);
  return changed;
}

void notice_new_objects() {
  link_map entry;
  const uint64_t known = __atomic_load_n(&last_object, __ATOMIC_RELAXED);
  if (is_quiet() || !read_entry(known, entry) || !entry.l_next) return;
  if (tick_now() < __atomic_load_n(&next_refresh_tick, __ATOMIC_RELAXED)) return;
  __atomic_store_n(&last_object, find_last_object(),
                   __ATOMIC_RELAXED);  // first: what comes meanwhile is noticed the next time
  refresh_modules(false);
}

}  // namespace ovcshim
