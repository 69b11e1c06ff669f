# The first process of a sandbox as a library, for interpreters that sandboxes are forked from.
add_library(virga_jail MODULE ${CMAKE_SOURCE_DIR}/src/sandbox/jail/zygote_main.cc ${CMAKE_SOURCE_DIR}/src/sandbox/jail/init.cc
  ${CMAKE_SOURCE_DIR}/src/sandbox/jail/protocol.cc ${CMAKE_SOURCE_DIR}/src/base/str.cc)
target_link_libraries(virga_jail PRIVATE virga_settings)
target_compile_options(virga_jail PRIVATE -Os -fno-sanitize=all -fvisibility=hidden)
file(WRITE ${CMAKE_BINARY_DIR}/generated/jail.map "{ global: virga_serve_forks; local: *; };\n")
target_link_options(virga_jail PRIVATE -fno-sanitize=all -Wl,--version-script=${CMAKE_BINARY_DIR}/generated/jail.map -Wl,--strip-all)
set(jail ${CMAKE_BINARY_DIR}/generated/jail.so)
set_target_properties(virga_jail PROPERTIES PREFIX "" OUTPUT_NAME jail LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/generated)

# The runtimes' bootstraps travel inside the binary.
file(GLOB_RECURSE runtime_files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/sandbox/runtimes/*)
set(embedded ${CMAKE_BINARY_DIR}/generated/sandbox_runtimes.cc)
add_custom_command(OUTPUT ${embedded}
  COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/cmake/embed.py ${embedded} sandbox/embedded.h virga::sandbox
    ${CMAKE_SOURCE_DIR}/src/sandbox/runtimes ${runtime_files} python/jail.so=${jail}
  DEPENDS ${runtime_files} virga_jail ${CMAKE_SOURCE_DIR}/cmake/embed.py COMMENT "Embedding the runtimes" VERBATIM)
target_sources(virga_sandbox PRIVATE ${embedded})
set_property(SOURCE ${CMAKE_SOURCE_DIR}/src/sandbox/jail/jail_test.cc ${CMAKE_SOURCE_DIR}/src/sandbox/java_test.cc PROPERTY
  COMPILE_DEFINITIONS VIRGA_SOURCE="${CMAKE_SOURCE_DIR}")
