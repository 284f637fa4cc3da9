# SPDX-License-Identifier: MIT
# What `cmake --install` puts where, the Debian package and the tarball: cpack -G DEB, cpack -G TGZ in the build directory.

set(OVC_MAINTAINER "ovcshim authors <ovcshim@example.org>" CACHE STRING "Maintainer that the package names")

# --- manual pages and completions, made by the program's own declaration of its command line
set(OVC_MAKE_DOCS "" CACHE FILEPATH "For a cross build: make_docs of a build for this machine")
if(OVC_MAKE_DOCS)
  add_executable(make_docs IMPORTED)
  set_property(TARGET make_docs PROPERTY IMPORTED_LOCATION ${OVC_MAKE_DOCS})
else()
  add_executable(make_docs tools/cli/make_docs.cc)
  target_link_libraries(make_docs PRIVATE ovc_core)
  if(OVC_STATIC)
    target_link_options(make_docs PRIVATE -static)
  endif()
endif()
find_program(OVC_GZIP gzip REQUIRED)
set(docs ${CMAKE_BINARY_DIR}/docs)
file(MAKE_DIRECTORY ${docs})
set(made_docs "")
function(make_doc kind)
  add_custom_command(OUTPUT ${docs}/${kind} COMMAND make_docs ${kind} ${docs}/${kind} DEPENDS make_docs VERBATIM)
  set(made_docs ${made_docs} ${docs}/${kind} PARENT_SCOPE)
endfunction()
# Packed, as Debian wants them, without name and time in it.
function(pack file)
  cmake_path(GET file FILENAME name)
  add_custom_command(OUTPUT ${docs}/${name}.gz COMMAND ${OVC_GZIP} -9nc ${file} > ${docs}/${name}.gz DEPENDS ${file} VERBATIM)
  set(made_docs ${made_docs} ${docs}/${name}.gz PARENT_SCOPE)
endfunction()
foreach(kind ovc.1 libovcshim.7 ovc.bash _ovc ovc.fish)
  make_doc(${kind})
endforeach()
configure_file(tools/packaging/changelog.in ${docs}/changelog @ONLY)
foreach(file ovc.1 libovcshim.7 changelog)
  pack(${docs}/${file})
endforeach()
add_custom_target(docs ALL DEPENDS ${made_docs})

# --- installation
if(EXISTS /etc/debian_version)
  set(zsh_folder vendor-completions)
else()
  set(zsh_folder site-functions)
endif()
set(OVC_ZSH_COMPLETIONS ${CMAKE_INSTALL_DATADIR}/zsh/${zsh_folder} CACHE STRING "Where zsh looks for completions")
install(TARGETS ovc RUNTIME)
install(TARGETS ovcshim LIBRARY)
install(FILES ${docs}/ovc.1.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${docs}/libovcshim.7.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man7)
install(FILES ${docs}/ovc.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME ovc)
install(FILES ${docs}/_ovc DESTINATION ${OVC_ZSH_COMPLETIONS})
install(FILES ${docs}/ovc.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
install(FILES README.md tools/packaging/copyright ${docs}/changelog.gz DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY examples DESTINATION ${CMAKE_INSTALL_DOCDIR} USE_SOURCE_PERMISSIONS
  REGEX "/examples/[^/]*\\.sh$" EXCLUDE)  # those belong to the source tree
install(FILES tools/packaging/lintian-overrides DESTINATION ${CMAKE_INSTALL_DATADIR}/lintian/overrides RENAME ovcshim)

# --- the Debian package
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME ovcshim)
set(CPACK_PACKAGE_CONTACT ${OVC_MAINTAINER})
set(CPACK_PACKAGING_INSTALL_PREFIX ${CMAKE_INSTALL_PREFIX})
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
  OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION devel)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
if(CMAKE_CROSSCOMPILING AND CMAKE_SYSTEM_PROCESSOR STREQUAL aarch64)
  set(CPACK_DEBIAN_PACKAGE_ARCHITECTURE arm64)
  if(OVC_STATIC)  # then the shim alone needs something; to find it out takes arm64's packages installed
    set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS OFF)
    set(CPACK_DEBIAN_PACKAGE_DEPENDS "libc6 (>= 2.17)")
  endif()
endif()
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${CMAKE_SOURCE_DIR}/tools/packaging/triggers)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "flight recorder for fork, mmap and malloc")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
"Says why a server's fork was refused: which limit, by how much, at which
mapping, who asked for the fork, and what would let it pass. A preloaded
library records the calls of the unmodified program into a mapped file that
survives its death; ovc reads it. Without the library, ovc check foretells
whether a fork of a running process would pass now.")

# --- the tarball that runs anywhere, one an architecture: cpack -G TGZ
set(CPACK_PACKAGE_FILE_NAME ovcshim-${PROJECT_VERSION}-linux-${CMAKE_SYSTEM_PROCESSOR})
set(CPACK_PROJECT_CONFIG_FILE ${CMAKE_SOURCE_DIR}/tools/packaging/generators.cmake)
set(CPACK_OVC_TARBALL ${CMAKE_SOURCE_DIR}/tools/packaging/tarball.cmake)
set(CPACK_OVC_SOURCE ${CMAKE_SOURCE_DIR})
set(CPACK_OVC_BUILD ${CMAKE_BINARY_DIR})
set(CPACK_OVC_STATIC ${OVC_STATIC})
set(CPACK_OVC_OBJCOPY ${CMAKE_OBJCOPY})
set(CPACK_OVC_SYSROOT "${CMAKE_SYSROOT}")
string(REGEX MATCH "^[0-9]+" CPACK_OVC_COMPILER ${CMAKE_CXX_COMPILER_VERSION})
set(CPACK_OVC_ARGUMENTS -G ${CMAKE_GENERATOR})
foreach(name CMAKE_BUILD_TYPE CMAKE_TOOLCHAIN_FILE OVC_CROSS CMAKE_C_COMPILER CMAKE_CXX_COMPILER CMAKE_C_COMPILER_LAUNCHER
        CMAKE_CXX_COMPILER_LAUNCHER OVC_MAKE_DOCS OVC_WERROR OVC_UNITY)
  if(NOT "${${name}}" STREQUAL "")
    list(APPEND CPACK_OVC_ARGUMENTS -D${name}=${${name}})
  endif()
endforeach()
include(CPack)
