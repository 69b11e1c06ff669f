// Keys and records of Pipes. The only file that knows how they are spelled.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "kernel/context.h"
#include "kv/db.h"
#include "kv/key.h"
#include "kv/record.h"

namespace virga::pipes {

using kernel::Home;

struct PipeRecord {
  std::string name;
  std::string id;          // of the mapping by which its source is read
  std::string definition;  // a CreatePipeRequest as JSON, without tags
  std::map<std::string, std::string> tags;
  Time created, modified;
  std::string pending;  // what it is while its mapping is on the way: "CREATING", "STOPPING"
  std::string failed;   // "CREATE_FAILED"; empty: it did not fail
  std::string reason;   // of that
  template <class A>
  void fields(A& a) {
    a(1, name), a(2, id), a(3, definition), a(4, tags), a(5, created), a(6, modified), a(7, pending), a(8, failed);
    a(9, reason);
  }
};

inline std::string pipes_prefix(const Home& home) {
  return kv::KeyWriter("pipe").text(home.account).text(home.region).take();
}
inline std::string pipe_key(const Home& home, const std::string& name) {
  return kv::KeyWriter("pipe").text(home.account).text(home.region).text(name).take();
}
inline std::string pipe_arn(const Home& home, const std::string& name) {
  return "arn:aws:pipes:" + home.region + ":" + home.account + ":pipe/" + name;
}

inline Task<std::optional<PipeRecord>> find_pipe(kv::Reader& reader, Home home, std::string name) {
  const auto bytes = co_await reader.get(pipe_key(home, name));
  if (!bytes) co_return std::nullopt;
  co_return kv::decode<PipeRecord>(*bytes);
}

}  // namespace virga::pipes
