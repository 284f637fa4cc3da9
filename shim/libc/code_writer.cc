// SPDX-License-Identifier: MIT
//
// See code_writer.h.
#include "shim/libc/code_writer.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>

#include "shim/sys/auxv.h"
#include "shim/sys/sys.h"

namespace ovcshim {
namespace {

constexpr long kRead = 1, kWrite = 2, kExec = 4;  // PROT_*
constexpr long kGetSeccomp = 21;                  // PR_GET_SECCOMP

uint64_t page_bytes() {
#if defined(__aarch64__)
  if (const uint64_t told = g_auxv ? auxv_value(g_auxv, AT_PAGESZ) : 0) return told;
#endif
  return 4096;
}

bool is_there(const unsigned char* at, const unsigned char* bytes, size_t count) {
  return sys::equal(reinterpret_cast<const char*>(at), reinterpret_cast<const char*>(bytes), count);
}

uint16_t error_of(long result) { return static_cast<uint16_t>(-result); }

}  // namespace

CodeWriter::CodeWriter()
    : mem_(sys::call(__NR_openat, AT_FDCWD, reinterpret_cast<long>("/proc/self/mem"),
                     O_RDWR | O_CLOEXEC)) {
  if (sys::failed(mem_)) outcome_.mem_error = error_of(mem_);
}

CodeWriter::~CodeWriter() {
  if (!sys::failed(mem_)) sys::call(__NR_close, mem_);
}

bool CodeWriter::write(unsigned char* at, const unsigned char* bytes, size_t count) {
  if (!outcome_.mem_error && write_by_mem(at, bytes, count)) return true;
  return !outcome_.mprotect_error && !outcome_.filtered && write_by_mprotect(at, bytes, count);
}

bool CodeWriter::write_data(void* at, uint64_t word) {
  return !sys::failed(mem_) &&
         write_by_mem(static_cast<unsigned char*>(at),
                      reinterpret_cast<const unsigned char*>(&word), sizeof word);
}

bool CodeWriter::write_by_mem(unsigned char* at, const unsigned char* bytes, size_t count) {
  const long n = sys::call(__NR_pwrite64, mem_, reinterpret_cast<long>(bytes),
                           static_cast<long>(count), reinterpret_cast<long>(at));
  if (n == static_cast<long>(count) && is_there(at, bytes, count)) return true;
  // Taken without an error, but not there: something else lies over the file.
  outcome_.mem_error = sys::failed(n) ? error_of(n) : EIO;
  return false;
}

bool CodeWriter::write_by_mprotect(unsigned char* at, const unsigned char* bytes, size_t count) {
  if (sys::call(__NR_prctl, kGetSeccomp) != 0) return outcome_.filtered = true, false;
  const uint64_t page = page_bytes();
  const uint64_t start = reinterpret_cast<uint64_t>(at) & ~(page - 1);
  const uint64_t end = (reinterpret_cast<uint64_t>(at) + count + page - 1) & ~(page - 1);
  const auto protect = [&](long access) {
    return sys::call(__NR_mprotect, static_cast<long>(start), static_cast<long>(end - start),
                     access);
  };
  const long opened = protect(kRead | kWrite | kExec);
  if (sys::failed(opened)) return outcome_.mprotect_error = error_of(opened), false;
  for (size_t i = 0; i < count; ++i) const_cast<volatile unsigned char*>(at)[i] = bytes[i];
  protect(kRead | kExec);
  if (start != charged_page_) outcome_.charged_kb += static_cast<uint32_t>((end - start) / 1024);
  charged_page_ = start;
  return true;
}

}  // namespace ovcshim
