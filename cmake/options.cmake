# Compiler and linker settings, and one imported name for each third-party library.
set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

set(VIRGA_OPTIMIZE "-O1" CACHE STRING "Optimisation flags of this preset")
set(VIRGA_PROFILE "" CACHE STRING "use: compile by what runs how often, as cmake/profile.tar.xz knows it; make: find that out")
set(VIRGA_SANITIZE "" CACHE STRING "Sanitizers of this preset")
option(VIRGA_FAULTS "Compile fault and kill points in" OFF)
option(VIRGA_FUZZ "Build the fuzz targets" OFF)
option(VIRGA_UNITY "Compile each folder in batches (clean builds)" OFF)

find_program(CCACHE ccache)
if(CCACHE)
  # A base directory makes objects shareable between work trees.
  set(launcher ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1
    CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime CCACHE_COMPILERCHECK=content ${CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${launcher})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${launcher})
endif()

set(CMAKE_CXX_FLAGS_DEBUG "")
set(CMAKE_CXX_FLAGS_RELEASE "-DNDEBUG")
separate_arguments(optimize NATIVE_COMMAND "${VIRGA_OPTIMIZE}")
if(NOT VIRGA_OPTIMIZE MATCHES "-g")
  list(APPEND optimize -gline-tables-only)
endif()
add_compile_options(${optimize} $<$<NOT:$<CONFIG:Release>>:-fno-omit-frame-pointer> -ffunction-sections -fdata-sections
  -ffile-prefix-map=${CMAKE_SOURCE_DIR}=.
  -Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers -Werror=switch -Werror=return-type -Werror=unused-result
  -Werror=dangling -Werror=uninitialized -fstack-protector-strong)
# Packed relocations and folded functions: a smaller binary that starts sooner.
add_link_options(-fuse-ld=lld -Wl,--gc-sections -Wl,--icf=safe -Wl,-z,pack-relative-relocs -static-libstdc++ -static-libgcc)
# Names of static functions without the folder of their file: the profile is of any clone.
if(VIRGA_PROFILE STREQUAL "make")
  add_compile_options(-fprofile-generate "SHELL:-mllvm -static-func-full-module-prefix=false")
  add_link_options(-fprofile-generate)
elseif(VIRGA_PROFILE STREQUAL "use")
  # Another profile is another option: what was compiled by the last is compiled anew.
  set(archive ${CMAKE_SOURCE_DIR}/cmake/profile.tar.xz)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${archive})
  file(SHA256 ${archive} hash)
  string(SUBSTRING ${hash} 0 12 hash)
  file(ARCHIVE_EXTRACT INPUT ${archive} DESTINATION ${CMAKE_BINARY_DIR}/profile-${hash})
  add_compile_options(-fprofile-use=profile-${hash}/release.profdata "SHELL:-mllvm -static-func-full-module-prefix=false"
    -Wno-profile-instr-out-of-date -Wno-backend-plugin)
endif()
if(VIRGA_SANITIZE)
  add_compile_options(-fsanitize=${VIRGA_SANITIZE} -fno-sanitize-recover=undefined)
  add_link_options(-fsanitize=${VIRGA_SANITIZE})
  string(FIND "${VIRGA_SANITIZE}" "address" with_asan)
endif()
if(VIRGA_FAULTS)
  add_compile_definitions(VIRGA_FAULTS=1)
endif()
add_compile_definitions(VIRGA_VERSION="${PROJECT_VERSION}")
set_property(GLOBAL PROPERTY JOB_POOLS link=1)
set(CMAKE_JOB_POOL_LINK link)

find_package(Threads REQUIRED)
link_libraries(Threads::Threads)

# Static archives from Debian, so that the binary runs where only the C library is.
function(virga_third_party name)
  cmake_parse_arguments(arg "" "" "ARCHIVES;HEADERS;SYSTEM" ${ARGN})
  add_library(third_party_${name} INTERFACE)
  foreach(archive ${arg_ARCHIVES})
    find_library(path_${archive} NAMES lib${archive}.a REQUIRED)
    target_link_libraries(third_party_${name} INTERFACE ${path_${archive}})
  endforeach()
  target_link_libraries(third_party_${name} INTERFACE ${arg_SYSTEM})
endfunction()
virga_third_party(ssl_crypto ARCHIVES crypto SYSTEM dl)
virga_third_party(ssl ARCHIVES ssl crypto SYSTEM dl)
virga_third_party(expat ARCHIVES expat)
virga_third_party(z ARCHIVES z)
virga_third_party(zstd ARCHIVES zstd)
virga_third_party(yaml ARCHIVES yaml)
virga_third_party(pcre2 ARCHIVES pcre2-8)
virga_third_party(nghttp2 ARCHIVES nghttp2)
virga_third_party(seccomp ARCHIVES seccomp)
virga_third_party(rocksdb ARCHIVES rocksdb snappy lz4 zstd bz2 z SYSTEM dl)
find_package(GTest REQUIRED)
