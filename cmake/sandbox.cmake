# The runtimes' bootstraps travel inside the binary.
file(GLOB_RECURSE runtime_files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/sandbox/runtimes/*)
set(embedded ${CMAKE_BINARY_DIR}/generated/sandbox_runtimes.cc)
add_custom_command(OUTPUT ${embedded}
  COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/cmake/embed.py ${embedded} sandbox/embedded.h virga::sandbox
    ${CMAKE_SOURCE_DIR}/src/sandbox/runtimes ${runtime_files}
  DEPENDS ${runtime_files} ${CMAKE_SOURCE_DIR}/cmake/embed.py COMMENT "Embedding the runtimes" VERBATIM)
target_sources(virga_sandbox PRIVATE ${embedded})
set_property(SOURCE ${CMAKE_SOURCE_DIR}/src/sandbox/jail/jail_test.cc ${CMAKE_SOURCE_DIR}/src/sandbox/java_test.cc PROPERTY
  COMPILE_DEFINITIONS VIRGA_SOURCE="${CMAKE_SOURCE_DIR}")
