# SPDX-License-Identifier: MIT
# Building for aarch64 on another machine: cmake -DCMAKE_TOOLCHAIN_FILE=tests/cross/aarch64.cmake -DOVC_CROSS=DIR, with the compiler and
# the libraries that tests/cross/toolchain.sh DIR has put there.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES OVC_CROSS)
if(NOT IS_DIRECTORY "${OVC_CROSS}/root")
  message(FATAL_ERROR "OVC_CROSS: no compiler and libraries there (tests/cross/toolchain.sh DIR)")
endif()
set(CMAKE_C_COMPILER ${OVC_CROSS}/bin/aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER ${OVC_CROSS}/bin/aarch64-linux-gnu-g++)
set(CMAKE_AR ${OVC_CROSS}/bin/aarch64-linux-gnu-ar)
set(CMAKE_RANLIB ${OVC_CROSS}/bin/aarch64-linux-gnu-ranlib)
set(CMAKE_SYSROOT ${OVC_CROSS}/root)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(CMAKE_INSTALL_LIBDIR lib/aarch64-linux-gnu CACHE PATH "As Debian has it; in a cross build CMake does not know")
set(CMAKE_FIND_ROOT_PATH ${OVC_CROSS}/root)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
# The host's pkg-config, told where the libraries are described.
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${CMAKE_SYSROOT})
set(ENV{PKG_CONFIG_LIBDIR} ${CMAKE_SYSROOT}/usr/lib/aarch64-linux-gnu/pkgconfig:${CMAKE_SYSROOT}/usr/share/pkgconfig)
