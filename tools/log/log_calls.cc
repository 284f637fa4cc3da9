// SPDX-License-Identifier: MIT
//
// The call lane as LogReader sees it: an index of the chunks by thread, then records a group (one
// time mark) at a time.
#include <algorithm>
#include <cstring>
#include <map>
#include <queue>
#include <utility>

#include "shim/format/call_address.h"
#include "tools/log/log_reader.h"

namespace ovc {
namespace {

using namespace ovcshim;

uint64_t owner_word(const unsigned char* chunk) {
  return __atomic_load_n(reinterpret_cast<const uint64_t*>(chunk), __ATOMIC_ACQUIRE);
}

bool is_claimed(uint64_t owner) { return owner != 0 && chunk_status(owner) != ChunkStatus::kFree; }

// Whose content stands in the chunk; kUnknown while it is changed. Not the owner word: a new owner
// stands there while the old one's header and records are not yet cleared.
uint64_t held_claim(const unsigned char* chunk) {
  const auto* header = reinterpret_cast<const ChunkHeader*>(chunk);
  if (__atomic_load_n(&header->ready, __ATOMIC_ACQUIRE) != 1) return kUnknown;
  return __atomic_load_n(&header->claim, __ATOMIC_RELAXED);
}

// Copies the header if it stays the same claim's meanwhile.
bool copy_header(const unsigned char* chunk, ChunkHeader& header) {
  const uint64_t claim = held_claim(chunk);
  std::memcpy(&header, chunk, sizeof header);
  __atomic_thread_fence(__ATOMIC_ACQUIRE);
  return claim != kUnknown && is_claimed(header.owner) && held_claim(chunk) == claim;
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

// Word before aux: the writer stores them the other way round, so a word that is there vouches for
// its aux.
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
  return bytes_.at(header_.calls.offset + index * kChunkBytes, kChunkBytes);
}

uint64_t LogReader::next_written_chunk(uint64_t index) const {
  if (index >= call_chunks()) return index;
  const uint64_t data = bytes_.next_data(header_.calls.offset + index * kChunkBytes);
  return std::min((data - header_.calls.offset) / kChunkBytes, call_chunks());
}

// Claims grow with time, over a reuse of the tid too, where sequence numbers start anew. Chunks
// stand in the order of their claims, from the cursor on around the ring, but for those that were
// passed over because their threads live.
std::vector<CallThread> LogReader::call_threads() const {
  std::map<std::pair<uint32_t, uint32_t>, CallThread>
      threads;  // a pid or tid used again continues the list
  uint64_t cursor = 0;
  std::memcpy(&cursor, bytes_.at(offsetof(FileHeader, chunk_cursor), sizeof cursor), sizeof cursor);
  const uint64_t count = call_chunks();
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t index = (cursor % count + i) % count;
    if (const uint64_t written = next_written_chunk(index); written != index) {
      i += written - index - 1;
      continue;
    }
    ChunkHeader header;
    if (!copy_header(chunk_at(index), header)) continue;
    CallThread& thread = threads[{header.pid, header.tid}];
    thread.add(header, static_cast<uint32_t>(index));
  }
  std::vector<CallThread> list;
  for (auto& [key, thread] : threads) {
    thread.log_ = this;
    thread.sort();
    list.push_back(std::move(thread));
  }
  return list;
}

void CallThread::add(const ChunkHeader& header, uint32_t index) {
  call_.pid = header.pid, call_.tid = header.tid;
  sorted_ = sorted_ && (chunks_.empty() || header.claim > newest_claim_);
  newest_claim_ = std::max(newest_claim_, header.claim);
  chunks_.push_back(index);
}

void CallThread::sort() {
  if (sorted_) return;
  std::vector<std::pair<uint64_t, uint32_t>> by_claim;
  for (const uint32_t index : chunks_) {
    ChunkHeader header;
    std::memcpy(&header, log_->chunk_at(index), sizeof header);
    by_claim.emplace_back(header.claim, index);
  }
  std::sort(by_claim.begin(), by_claim.end());
  std::transform(by_claim.begin(), by_claim.end(), chunks_.begin(),
                 [](const auto& entry) { return entry.second; });
}

// The header of one of the thread's chunks, unless another thread has taken it, or this one again,
// since the list was made.
bool CallThread::read_header(size_t chunk, ChunkHeader& header) const {
  return copy_header(log_->chunk_at(chunks_[chunk]), header) && header.pid == call_.pid &&
         header.tid == call_.tid && header.claim <= newest_claim_;
}

// Claimed chunks whose header makes no sense, or that hold a record which is none.
uint64_t LogReader::damaged_chunks() const {
  uint64_t damaged = 0;
  for (uint64_t i = next_written_chunk(0); i < call_chunks(); i = next_written_chunk(i + 1)) {
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

// The mark after the loaded group: in this chunk, else when the thread's next chunk was opened. 0:
// none.
uint64_t CallThread::next_mark(const unsigned char* bytes) const {
  for (uint32_t group = group_; group < kGroups; ++group) {
    const CallRecord mark = load_record(bytes + group * kTimeMarkBytes);
    if (call_op(mark.word) == Op::kTime) return mark.aux;
  }
  ChunkHeader next;
  return chunk_ + 1 < chunks_.size() && read_header(chunk_ + 1, next) ? next.opened_tick : 0;
}

bool CallThread::open_chunk() {
  if (!read_header(chunk_, header_)) return false;
  call_.process = header_.process, call_.process_serial = header_.process_serial,
  call_.image = header_.image;
  call_.earliest_tick = header_.opened_tick;
  return true;
}

// Loads the next group of the current chunk; false if the chunk has no more, or belongs to another
// thread by now.
bool CallThread::load_group() {
  if (group_ == kGroups || (group_ == 0 && !open_chunk())) return false;
  const unsigned char* bytes = log_->chunk_at(chunks_[chunk_]);
  for (uint32_t i = 0; i < kGroupRecords; ++i)
    records_[i] = load_record(bytes + group_ * kTimeMarkBytes + i * kCallRecordBytes);
  __atomic_thread_fence(__ATOMIC_ACQUIRE);
  if (held_claim(bytes) != header_.claim) return false;
  if (group_ != 0 && call_op(records_[0].word) == Op::kTime) call_.earliest_tick = records_[0].aux;
  at_ = first_record(group_);
  seq_of_slot_0_ = header_.first_seq + records_before(group_) - at_;
  ++group_;
  const uint64_t next = next_mark(bytes);
  call_.latest_tick = next >= call_.earliest_tick ? next : 0;
  return true;
}

bool CallThread::next() {
  bool begun = false;
  for (; chunk_ < chunks_.size(); ++chunk_, group_ = 0) {
    do {
      while (at_ < kGroupRecords) {
        const CallRecord record = records_[at_++];
        if (!is_call(record)) continue;
        if (!std::exchange(begun, true)) mark_ = call_.earliest_tick;
        if (take(record)) return true;
      }
    } while (load_group());
  }
  return false;
}

// False for the first half of a realloc, which says what was given to it.
bool CallThread::take(const CallRecord& record) {
  const Op op = call_op(record.word);
  const uint64_t seq = seq_of_slot_0_ + at_ - 1;
  if (op == Op::kReallocFrom) {
    old_address_ = whole_call_address(record.word);
    old_seq_ = seq;
    return false;
  }
  const uint64_t align = call_align_log2(record.word);
  call_.op = op;
  call_.address = whole_call_address(record.word);
  call_.size = call_size(record.aux);
  call_.caller = call_caller(record.aux, log_->header_.caller_shift);
  const bool has_old = op == Op::kRealloc || op == Op::kReallocarray;
  call_.old_address = !has_old                                      ? 0
                      : old_seq_ != kUnknown && old_seq_ + 1 == seq ? old_address_
                                                                    : kUnknown;
  old_seq_ = kUnknown;
  call_.alignment = align != 0 && align < 63 ? uint64_t{1} << align : 0;
  call_.failed = record.word >> kCallFailedBit & 1;
  call_.seq = seq;
  return true;
}

void LogReader::for_each_call(const std::function<bool(const Call&)>& each) const {
  std::vector<CallThread> threads = call_threads();
  using Entry = std::pair<uint64_t, size_t>;  // mark, thread
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> queue;
  for (size_t i = 0; i < threads.size(); ++i)
    if (threads[i].next()) queue.emplace(threads[i].mark(), i);
  while (!queue.empty()) {
    CallThread& thread = threads[queue.top().second];
    const size_t i = queue.top().second;
    queue.pop();
    const uint64_t limit = queue.empty() ? UINT64_MAX : queue.top().first;
    bool more = true;
    do {
      if (!each(thread.call())) return;
    } while ((more = thread.next()) && thread.mark() <= limit);
    if (more) queue.emplace(thread.mark(), i);
  }
}

}  // namespace ovc
