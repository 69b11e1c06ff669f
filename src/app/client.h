// The command line's half of the wire: typed calls to a running Virga (or AWS itself), signed, from plain blocking
// code.
#pragma once

#include <expected>
#include <memory>
#include <optional>
#include <string>

#include "app/command.h"
#include "base/json.h"
#include "wire/http.h"
#include "wire/shape.h"
#include "wire/sigv4.h"

namespace virga::app {

// What a service refused with.
struct Refusal {
  std::string code, message;
  int status = 0;
};

class Client {
 public:
  // Endpoint, region and keys from the arguments and the environment, as the AWS tools take them.
  explicit Client(const Arguments& arguments);
  ~Client();

  // The answer, or the service's refusal. Throws CommandError when nothing answers.
  template <class Op>
  std::expected<typename Op::Output, Refusal> try_call(const typename Op::Input& in) {
    typename Op::Output out{};
    if (auto error = send(Op::model(), &in, &out)) return std::unexpected(std::move(*error));
    return out;
  }
  // The same; a refusal is a CommandError that says what was asked and what was answered.
  template <class Op>
  typename Op::Output call(const typename Op::Input& in) {
    auto out = try_call<Op>(in);
    if (!out) refuse(Op::model(), out.error());
    return std::move(*out);
  }
  // GET, or another method, of one of Virga's own paths: the JSON it answers.
  Json get(const std::string& path, const std::string& method = "GET");

  const std::string& endpoint() const { return endpoint_; }
  const std::string& region() const { return region_; }

 private:
  std::optional<Refusal> send(const wire::OperationModel& op, const void* in, void* out);
  [[noreturn]] void refuse(const wire::OperationModel& op, const Refusal& refusal) const;
  wire::HttpResponse exchange(wire::HttpRequest request, std::string& body);

  std::string endpoint_, region_;
  wire::sigv4::Identity identity_;
  struct Connection;
  std::unique_ptr<Connection> connection_;
};

}  // namespace virga::app
