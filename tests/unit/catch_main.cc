// SPDX-License-Identifier: MIT
//
// main() of the unit tests under Catch2 version 2; version 3 brings its own in Catch2WithMain.
#if !__has_include(<catch2/catch_all.hpp>)
#define CATCH_CONFIG_MAIN
#endif
#include "tests/unit/catch.h"
