# SPDX-License-Identifier: MIT
# Makes a C++ file of the report's page, style and script: cmake -DFROM=FOLDER -DTO=FILE.cc -P embed.cmake
# The hashes are those that the page's Content-Security-Policy names: no other script or style in it is obeyed.
set(digits "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")

# SHA-256 as a policy writes it: base64 of the 32 bytes.
function(policy_hash file result)
  file(SHA256 "${file}" hex)
  set(hex "${hex}0000")  # 66 hex digits and two more that only fill up: 11 groups of 6, each 4 digits of base64
  set(text "")
  foreach(start RANGE 0 60 6)
    string(SUBSTRING "${hex}" ${start} 6 group)
    math(EXPR value "0x${group}")
    foreach(shift 18 12 6 0)
      math(EXPR digit "(${value} >> ${shift}) & 63")
      string(SUBSTRING "${digits}" ${digit} 1 letter)
      string(APPEND text "${letter}")
    endforeach()
  endforeach()
  string(SUBSTRING "${text}" 0 43 text)
  set(${result} "sha256-${text}=" PARENT_SCOPE)
endfunction()

# A raw string; in pieces, because compilers need not take long ones.
function(literal file result)
  file(READ "${file}" text)
  string(FIND "${text}" ")ovcpage\"" clash)
  if(NOT clash EQUAL -1)
    message(FATAL_ERROR "${file} holds the mark that ends it")
  endif()
  set(${result} "R\"ovcpage(${text})ovcpage\"" PARENT_SCOPE)
endfunction()

literal("${FROM}/page.html" page)
literal("${FROM}/page.css" style)
literal("${FROM}/page.js" script)
policy_hash("${FROM}/page.css" style_hash)
policy_hash("${FROM}/page.js" script_hash)
file(WRITE "${TO}" "// Made from tools/report by embed.cmake.
#include \"tools/report_page.h\"

namespace ovc {

const char* const kReportTemplate = ${page};
const char* const kReportStyle = ${style};
const char* const kReportScript = ${script};
const char* const kReportStyleHash = \"${style_hash}\";
const char* const kReportScriptHash = \"${script_hash}\";

}  // namespace ovc
")
