// What a service, the door or a library says when it refuses. An Error is a value: it is co_returned from
// coroutines, thrown only by pure code, and turned into bytes in one place (wire/errors.cc).
#pragma once

#include <cstdint>
#include <exception>
#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace virga {

class Json;

enum class Fault : uint8_t { kSender, kReceiver };

// One error of one service, as its model declares it. Generated, static, never copied.
struct ErrorShape {
  std::string_view code;  // as AWS spells it on the wire: "ResourceNotFoundException"
  uint16_t status = 400;  // HTTP status
  Fault fault = Fault::kSender;
  std::string_view query_code;  // the code of the service's query-protocol days where it differs, else empty
  std::string_view message_name = "message";  // of the message member in JSON and CBOR: some models write "Message"
};

struct Error {
  const ErrorShape* shape;
  std::string message;                  // for the caller
  std::shared_ptr<const Json> members;  // further members of the error shape by wire name; null when none
  std::string internal;                 // for our log only
};

// An operation that failed: a refusal (Error) or something nobody expected (an exception: a bug, a full disk).
using Failure = std::variant<Error, std::exception_ptr>;

template <class T>
using Result = std::expected<T, Failure>;

// The Error inside a failure, or null when it is an unexpected exception.
inline const Error* error_of(const Failure& failure) { return std::get_if<Error>(&failure); }
template <class T>
const Error* error_of(const Result<T>& result) {
  return result ? nullptr : error_of(result.error());
}

// The failure of a catch block: an Error that pure code threw, or the exception itself.
Failure current_failure() noexcept;
// One line for a log: "ResourceNotFoundException: no such table", or the exception's what().
std::string describe(const Failure& failure);

}  // namespace virga
