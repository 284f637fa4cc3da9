// SPDX-License-Identifier: MIT
// A static program: no loader, so no shim. It must run as ever, and ovc must say that it saw
// nothing.
#include <stdio.h>

int main(void) { return puts("hello") < 0; }
