// SPDX-License-Identifier: MIT
//
// The shim as a guest in a process: a held thread that makes calls, memory that was mapped for
// them, and what has to be as it was afterwards (that memory, errno).
#pragma once
#include <memory>
#include <string>

#include "shim/format/attach_order.h"
#include "tools/attach/chosen_thread.h"
#include "tools/attach/remote_call.h"
#include "tools/attach/running_list.h"

namespace ovc {

class Guest {
 public:
  // What is recorded of the guest's own memory: in the end all, so that the sizes recorded then
  // fit. Else nothing: it is gone before anybody asks, and libc's calls would take room on the
  // thread's stack.
  enum class OwnMemory : uint8_t { kUnrecorded, kRecorded };
  // Chooses a thread; throws Error with what was in the way. `list`: what a step will bring there.
  explicit Guest(const ProcessFacts& facts, OwnMemory own = OwnMemory::kUnrecorded,
                 const RunningList* list = nullptr);
  ~Guest();
  Guest(const Guest&) = delete;
  Guest& operator=(const Guest&) = delete;

  uint32_t tid() const { return thread_->tid(); }
  // Has the loader load the library, unless it is there. ns that it took.
  int64_t load(const std::string& path);
  // One step of the shim's. Throws Error where it could not be made; what the shim said is in the
  // answer.
  ovcshim::AttachOrder step(ovcshim::AttachOrder order, Deadline until);
  const MapLine& shim() const { return shim_; }  // where it begins
  uint64_t shim_end() const { return shim_end_; }
  // Since when its thread is held.
  Deadline begun() const { return begun_; }

 private:
  CallResult checked(CallResult result, const char* what);
  CallResult unmap_region();
  bool map_recorded();
  void map_unrecorded();
  void find_errno();
  void find_shim();
  std::string loadable(const std::string& path, int64_t& fd);
  void close_there(int64_t fd);
  void close_left_over();
  void bring_list(ovcshim::AttachOrder& order);

  const ProcessFacts& facts_;
  Memory memory_;
  ThreadChooser chooser_;
  std::unique_ptr<Tracee> thread_;
  std::vector<MapLine> lines_;
  std::unique_ptr<RemoteCaller> caller_;
  bool on_its_own_ = false;  // the thread ends a call without us: nothing of it is touched any more
  OwnMemory own_;
  const RunningList* list_;
  Deadline begun_;
  uint64_t region_bytes_ = 0, region_ = 0, errno_at_ = 0, entry_ = 0, shim_end_ = 0;
  int errno_before_ = 0;
  MapLine shim_;
};

}  // namespace ovc
