# SPDX-License-Identifier: MIT
# What `cmake --install` puts where, and the Debian package: cpack -G DEB in the build directory.

set(OVC_MAINTAINER "ovcshim authors <ovcshim@example.org>" CACHE STRING "Maintainer that the package names")

# --- manual pages and completions, made by the program's own declaration of its command line
add_executable(make_docs tools/cli/make_docs.cc)
target_link_libraries(make_docs PRIVATE ovc_core)
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
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${CMAKE_SOURCE_DIR}/tools/packaging/triggers)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "flight recorder for fork, mmap and malloc")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
"Says why a server's fork was refused: which limit, by how much, at which
mapping, who asked for the fork, and what would let it pass. A preloaded
library records the calls of the unmodified program into a mapped file that
survives its death; ovc reads it. Without the library, ovc check foretells
whether a fork of a running process would pass now.")
include(CPack)
