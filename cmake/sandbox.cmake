# The first process of a sandbox as a library, for interpreters that sandboxes are forked from.
add_library(virga_jail MODULE ${CMAKE_SOURCE_DIR}/src/sandbox/jail/zygote_main.cc ${CMAKE_SOURCE_DIR}/src/sandbox/jail/init.cc
  ${CMAKE_SOURCE_DIR}/src/sandbox/jail/protocol.cc ${CMAKE_SOURCE_DIR}/src/base/str.cc)
target_link_libraries(virga_jail PRIVATE virga_settings)
target_compile_options(virga_jail PRIVATE -Os -fno-sanitize=all -fno-profile-generate -fvisibility=hidden)
file(WRITE ${CMAKE_BINARY_DIR}/generated/jail.map "{ global: virga_serve_forks; local: *; };\n")
target_link_options(virga_jail PRIVATE -fno-sanitize=all -fno-profile-generate -Wl,--version-script=${CMAKE_BINARY_DIR}/generated/jail.map -Wl,--strip-all)
set(jail ${CMAKE_BINARY_DIR}/generated/jail.so)
set_target_properties(virga_jail PROPERTIES PREFIX "" OUTPUT_NAME jail LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/generated)

# What each call of a Python function passes through, for every version of Python.
find_path(python_headers Python.h PATHS /usr/include/python3.11 NO_DEFAULT_PATH REQUIRED)
set(source ${CMAKE_SOURCE_DIR}/src/sandbox/python_calls.cc)
get_target_property(sources virga_sandbox SOURCES)
list(REMOVE_ITEM sources ${source})
set_target_properties(virga_sandbox PROPERTIES SOURCES "${sources}")
add_library(virga_python_calls MODULE ${source})
target_link_libraries(virga_python_calls PRIVATE virga_settings)
target_include_directories(virga_python_calls SYSTEM PRIVATE ${python_headers})
target_compile_options(virga_python_calls PRIVATE -O2 -fno-sanitize=all -fno-profile-generate -fno-exceptions -fvisibility=hidden)
target_link_options(virga_python_calls PRIVATE -fno-sanitize=all -fno-profile-generate -Wl,--strip-all)
set(calls ${CMAKE_BINARY_DIR}/generated/calls.so)
set_target_properties(virga_python_calls PROPERTIES PREFIX "" OUTPUT_NAME calls
  LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/generated)

# The runtimes' bootstraps travel inside the binary.
file(GLOB_RECURSE runtime_files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/sandbox/runtimes/*)
set(embedded ${CMAKE_BINARY_DIR}/generated/sandbox_runtimes.cc)
add_custom_command(OUTPUT ${embedded}
  COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/cmake/embed.py ${embedded} sandbox/embedded.h virga::sandbox
    ${CMAKE_SOURCE_DIR}/src/sandbox/runtimes ${runtime_files} python/jail.so=${jail} python/calls.so=${calls}
  DEPENDS ${runtime_files} virga_jail virga_python_calls ${CMAKE_SOURCE_DIR}/cmake/embed.py COMMENT "Embedding the runtimes" VERBATIM)
target_sources(virga_sandbox PRIVATE ${embedded})
set_property(SOURCE ${CMAKE_SOURCE_DIR}/src/sandbox/jail/jail_test.cc ${CMAKE_SOURCE_DIR}/src/sandbox/java_test.cc PROPERTY
  COMPILE_DEFINITIONS VIRGA_SOURCE="${CMAKE_SOURCE_DIR}")
