# SPDX-License-Identifier: MIT
# Makes a C++ file of the report's page, style and script: cmake -DFROM=FOLDER -DTO=FILE.cc -P embed.cmake
# The hashes are those that the page's Content-Security-Policy names: no other script or style in it is obeyed.
set(digits "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")

# One script, in a scope of its own, of parts that build on those before them.
set(script_parts chart time_axis timeline processes address_space flame_graph tables page)

# SHA-256 as a policy writes it: base64 of the 32 bytes.
function(policy_hash content result)
  string(SHA256 hex "${content}")
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

# A raw string of C++.
function(literal content result)
  string(FIND "${content}" ")ovcpage\"" clash)
  if(NOT clash EQUAL -1)
    message(FATAL_ERROR "the page holds the mark that ends it")
  endif()
  set(${result} "R\"ovcpage(${content})ovcpage\"" PARENT_SCOPE)
endfunction()

file(READ "${FROM}/page.html" page)
file(READ "${FROM}/page.css" style)
set(script "\"use strict\";\n(() => {\n")
foreach(part ${script_parts})
  file(READ "${FROM}/${part}.js" text)
  string(APPEND script "${text}")
endforeach()
string(APPEND script "})();\n")
policy_hash("${style}" style_hash)
policy_hash("${script}" script_hash)
foreach(text page style script)
  literal("${${text}}" ${text})
endforeach()
file(WRITE "${TO}" "// Made from tools/report by embed.cmake.
#include \"tools/report/report_page.h\"

namespace ovc {

const char* const kReportTemplate = ${page};
const char* const kReportStyle = ${style};
const char* const kReportScript = ${script};
const char* const kReportStyleHash = \"${style_hash}\";
const char* const kReportScriptHash = \"${script_hash}\";

}  // namespace ovc
")
