# SPDX-License-Identifier: MIT
# Read by cpack for each generator: an archive is the tarball that runs anywhere, by a script of its own; a package is what
# `cmake --install` installs.
if(CPACK_GENERATOR MATCHES "^(TGZ|TXZ|TZST|TBZ2|ZIP)$")
  set(CPACK_INSTALL_CMAKE_PROJECTS "")
  set(CPACK_INSTALL_SCRIPTS "${CPACK_OVC_TARBALL}")
  set(CPACK_PACKAGING_INSTALL_PREFIX /)
endif()
