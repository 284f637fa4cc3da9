# SPDX-License-Identifier: MIT
# Run by `cpack -G TGZ` to fill CMAKE_INSTALL_PREFIX: an ovc that needs no library, the shim, and what goes with them. That ovc comes
# from a build of its own in static/ (minutes, once), unless this build is one with OVC_STATIC. Debug information goes into a second
# tarball beside the first; unpacked into the same folder, debuggers find it.

function(run)
  execute_process(COMMAND ${ARGN} OUTPUT_VARIABLE said ERROR_VARIABLE said RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "failed: ${ARGN}\n${said}")
  endif()
endfunction()

cmake_host_system_information(RESULT jobs QUERY NUMBER_OF_LOGICAL_CORES)
set(reader ${CPACK_OVC_BUILD})
if(NOT CPACK_OVC_STATIC)
  string(APPEND reader /static)
  run(${CMAKE_COMMAND} -S ${CPACK_OVC_SOURCE} -B ${reader} ${CPACK_OVC_ARGUMENTS} -DOVC_STATIC=ON -DOVC_TESTS=OFF)
endif()
run(${CMAKE_COMMAND} --build ${reader} --parallel ${jobs} --target ovc)
run(${CMAKE_COMMAND} --build ${CPACK_OVC_BUILD} --parallel ${jobs} --target ovcshim docs)

set(to ${CMAKE_INSTALL_PREFIX})
set(packaging ${CPACK_OVC_SOURCE}/tools/packaging)
set(docs ${CPACK_OVC_BUILD}/docs)
file(INSTALL ${reader}/ovc ${CPACK_OVC_BUILD}/libovcshim.so DESTINATION ${to} USE_SOURCE_PERMISSIONS)
file(INSTALL ${packaging}/tarball/README ${CPACK_OVC_SOURCE}/LICENSE DESTINATION ${to})
file(INSTALL ${docs}/ovc.1.gz ${docs}/libovcshim.7.gz DESTINATION ${to}/man)
file(INSTALL ${docs}/ovc.bash ${docs}/_ovc ${docs}/ovc.fish DESTINATION ${to}/completions)

# The licences of what is linked into ovc, as Debian keeps them with the libraries.
foreach(package libc6-dev libdw-dev libelf-dev libunwind-dev libstdc++-${CPACK_OVC_COMPILER}-dev zlib1g-dev libbz2-dev liblzma-dev libsqlite3-dev
        libfmt-dev libcli11-dev nlohmann-json3-dev)
  set(copyright ${CPACK_OVC_SYSROOT}/usr/share/doc/${package}/copyright)
  if(EXISTS ${copyright})
    file(READ ${copyright} text)
    file(WRITE ${to}/licences/${package} "${text}")
  endif()
endforeach()

set(debug ${CPACK_TEMPORARY_DIRECTORY}-debug/${CPACK_PACKAGE_FILE_NAME})
file(REMOVE_RECURSE ${debug})
file(MAKE_DIRECTORY ${debug})
foreach(name ovc libovcshim.so)
  run(${CPACK_OVC_OBJCOPY} --only-keep-debug --compress-debug-sections ${to}/${name} ${debug}/${name}.debug)
  run(${CPACK_OVC_OBJCOPY} --strip-all --add-gnu-debuglink=${debug}/${name}.debug ${to}/${name})
endforeach()
run(${CMAKE_COMMAND} -E chdir ${CPACK_TEMPORARY_DIRECTORY}-debug
  ${CMAKE_COMMAND} -E tar czf ${CPACK_PACKAGE_DIRECTORY}/${CPACK_PACKAGE_FILE_NAME}-debug.tar.gz ${CPACK_PACKAGE_FILE_NAME})
