// SPDX-License-Identifier: MIT
//
// See libc_kind.h.
#include "shim/sys/libc_kind.h"

namespace ovcshim {

unsigned glibc_minor() {
  if (!gnu_get_libc_version) return 0;
  const char* text = gnu_get_libc_version();  // "2.36"
  if (text[0] != '2' || text[1] != '.') return 0;
  unsigned minor = 0;
  for (text += 2; *text >= '0' && *text <= '9'; ++text)
    minor = minor * 10 + static_cast<unsigned>(*text - '0');
  return minor;
}

}  // namespace ovcshim
