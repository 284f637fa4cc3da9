// SPDX-License-Identifier: MIT
//
// The call lane as LogReader sees it: an index of the chunks by thread, then records a group (one time mark) at a time.
#include <algorithm>
#include <cstring>
#include <map>
#include <queue>
#include <utility>

#include "tools/log_reader.h"

namespace ovc {
namespace {

using namespace ovcshim;

uint64_t owner_word(const unsigned char* chunk) {
  return __atomic_load_n(reinterpret_cast<const uint64_t*>(chunk), __ATOMIC_ACQUIRE);
}

bool is_claimed(uint64_t owner) { return owner != 0 && chunk_status(owner) != ChunkStatus::kFree; }

// Copies the header if it stays the same owner's meanwhile.
bool copy_header(const unsigned char* chunk, ChunkHeader& header) {
  const uint64_t owner = owner_word(chunk);
  std::memcpy(&header, chunk, sizeof header);
  __atomic_thread_fence(__ATOMIC_ACQUIRE);
  return is_claimed(owner) && owner_word(chunk) == owner && header.owner == owner && header.ready == 1;
}

// Slots of a group that hold no call: the chunk's header, or the time mark.
constexpr uint32_t first_record(uint32_t group) {
  return group == 0 ? static_cast<uint32_t>(kChunkHeaderBytes / kCallRecordBytes) : 1;
}

// Calls that fit before `group` in a chunk. Time marks do not count.
constexpr uint64_t records_before(uint32_t group) {
  constexpr uint64_t kPerGroup = kTimeMarkBytes / kCallRecordBytes;
  return group == 0 ? 0 : kPerGroup - first_record(0) + (group - 1) * (kPerGroup - 1);
}

constexpr unsigned kCallFailedBit = 54;  // behind op, address and alignment

// Word before aux: the writer stores them the other way round, so a word that is there vouches for its aux.
CallRecord load_record(const unsigned char* at) {
  const auto* record = reinterpret_cast<const CallRecord*>(at);
  const uint64_t word = __atomic_load_n(&record->word, __ATOMIC_ACQUIRE);
  return {word, __atomic_load_n(&record->aux, __ATOMIC_RELAXED)};
}

bool is_call(const CallRecord& record) {
  const Op op = call_op(record.word);
  return record.word != 0 && op >= Op::kMalloc && op <= Op::kReallocFrom;
}

}  // namespace

const unsigned char* LogReader::chunk_at(uint64_t index) const {
  return bytes_.data() + header_.calls.offset + index * kChunkBytes;
}

std::vector<CallThread> LogReader::call_threads() const {
  std::map<std::pair<uint32_t, uint32_t>, CallThread> threads;  // a pid or tid used again continues the list
  for (uint64_t i = 0; i < call_chunks(); ++i) {
    ChunkHeader header;
    if (!copy_header(chunk_at(i), header)) continue;
    CallThread& thread = threads[{header.pid, header.tid}];
    thread.log_ = this;
    thread.pid_ = header.pid;
    thread.tid_ = header.tid;
    thread.chunks_.push_back({header.owner, header.claim, header.opened_tick, static_cast<uint32_t>(i)});
  }
  std::vector<CallThread> list;
  for (auto& [key, thread] : threads) {
    // Claims grow with time, over a reuse of the tid too, where sequence numbers start anew.
    std::sort(thread.chunks_.begin(), thread.chunks_.end(), [](const auto& a, const auto& b) { return a.claim < b.claim; });
    list.push_back(std::move(thread));
  }
  return list;
}

// Claimed chunks whose header makes no sense, or that hold a record which is none.
uint64_t LogReader::damaged_chunks() const {
  uint64_t damaged = 0;
  for (uint64_t i = 0; i < call_chunks(); ++i) {
    const unsigned char* chunk = chunk_at(i);
    if (!is_claimed(owner_word(chunk))) continue;
    ChunkHeader header;
    std::memcpy(&header, chunk, sizeof header);
    if (header.ready == 0) continue;  // its claimer died, or is just preparing it
    bool sound = header.ready == 1 && header.tid != 0;
    for (uint64_t at = kChunkHeaderBytes; sound && at < kChunkBytes; at += kCallRecordBytes) {
      const CallRecord record = load_record(chunk + at);
      sound = record.word == 0 || (call_op(record.word) == Op::kTime) == (at % kTimeMarkBytes == 0);
      sound = sound && (record.word == 0 || call_op(record.word) == Op::kTime || is_call(record));
    }
    damaged += !sound;
  }
  return damaged;
}

// The mark after the loaded group: in this chunk, else when the thread's next chunk was opened. 0: none.
uint64_t CallThread::next_mark() const {
  const Chunk& chunk = chunks_[chunk_];
  for (uint32_t group = loaded_group_ + 1; group < kGroups; ++group) {
    const CallRecord mark = load_record(log_->chunk_at(chunk.index) + group * kTimeMarkBytes);
    if (call_op(mark.word) == Op::kTime) return mark.aux;
  }
  return chunk_ + 1 < chunks_.size() ? chunks_[chunk_ + 1].opened_tick : 0;
}

// Loads the next group of the current chunk; false if the chunk has no more, or belongs to another thread by now.
bool CallThread::load_group() {
  const Chunk& chunk = chunks_[chunk_];
  const unsigned char* bytes = log_->chunk_at(chunk.index);
  if (group_ == kGroups) return false;
  if (group_ == 0 && (!copy_header(bytes, header_) || header_.claim != chunk.claim)) return false;
  for (uint32_t i = 0; i < kGroupRecords; ++i)
    records_[i] = load_record(bytes + group_ * kTimeMarkBytes + i * kCallRecordBytes);
  __atomic_thread_fence(__ATOMIC_ACQUIRE);
  // The generation in the owner word changes with the owner; its status may go from owned to closed under us.
  const uint64_t owner = owner_word(bytes);
  if (!is_claimed(owner) || chunk_generation(owner) != chunk_generation(chunk.owner) ||
      chunk_tid(owner) != chunk_tid(chunk.owner))
    return false;
  loaded_group_ = group_++;
  if (loaded_group_ == 0) earliest_ = header_.opened_tick;
  else if (call_op(records_[0].word) == Op::kTime) earliest_ = records_[0].aux;
  const uint64_t next = next_mark();
  latest_ = next >= earliest_ ? next : 0;
  at_ = first_record(loaded_group_);
  return true;
}

bool CallThread::fill() {
  while (chunk_ < chunks_.size()) {
    for (; at_ < kGroupRecords; ++at_)
      if (is_call(records_[at_])) return true;
    if (load_group()) continue;
    ++chunk_;
    group_ = 0;
  }
  return false;
}

bool CallThread::peek_tick(uint64_t& earliest_tick) {
  if (!fill()) return false;
  earliest_tick = earliest_;
  return true;
}

bool CallThread::next(Call& call) {
  while (fill()) {
    const CallRecord record = records_[at_];
    const uint64_t seq = header_.first_seq + records_before(loaded_group_) + at_ - first_record(loaded_group_);
    ++at_;
    if (call_op(record.word) == Op::kReallocFrom) {
      old_address_ = call_address(record.word);
      old_seq_ = seq;
      continue;
    }
    call.op = call_op(record.word);
    call.address = call_address(record.word);
    call.size = call_size(record.aux);
    call.caller = call_caller(record.aux, log_->header_.caller_shift);
    call.old_address = 0;
    if (call.op == Op::kRealloc || call.op == Op::kReallocarray)
      call.old_address = old_seq_ != kUnknown && old_seq_ + 1 == seq ? old_address_ : kUnknown;
    old_seq_ = kUnknown;
    const uint64_t align = call_align_log2(record.word);
    call.alignment = align != 0 && align < 63 ? uint64_t{1} << align : 0;
    call.failed = record.word >> kCallFailedBit & 1;
    call.pid = header_.pid, call.tid = header_.tid;
    call.process = header_.process, call.process_serial = header_.process_serial, call.image = header_.image;
    call.seq = seq;
    call.earliest_tick = earliest_, call.latest_tick = latest_;
    return true;
  }
  return false;
}

void LogReader::for_each_call(const std::function<bool(const Call&)>& each) const {
  std::vector<CallThread> threads = call_threads();
  using Entry = std::pair<uint64_t, size_t>;  // tick, thread
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> queue;
  uint64_t tick = 0;
  for (size_t i = 0; i < threads.size(); ++i)
    if (threads[i].peek_tick(tick)) queue.emplace(tick, i);
  Call call;
  while (!queue.empty()) {
    const size_t i = queue.top().second;
    queue.pop();
    const uint64_t limit = queue.empty() ? UINT64_MAX : queue.top().first;
    bool more = threads[i].next(call);
    while (more) {
      if (!each(call)) return;
      if (!threads[i].peek_tick(tick) || tick > limit) break;
      more = threads[i].next(call);
    }
    more = more && threads[i].peek_tick(tick);
    if (more) queue.emplace(tick, i);
  }
}

}  // namespace ovc
