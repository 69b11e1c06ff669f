// Every decoder through shape tables: the first byte chooses the protocol, the rest is the body, and for REST also the
// query string. Input that is accepted must survive being written and read again.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/executor.h"
#include "wire/event_stream.h"
#include "wire/findings.h"
#include "wire/protocol.h"
#include "wire/router.h"
#include "wire/test_model.h"

using namespace virga;
using namespace virga::wire;

namespace {

void read_whole(Protocol protocol, std::string_view body) {
  const OperationModel& op = test::kOperations[0];
  test::Input in, again;
  try {
    read_input(protocol, op, HttpRequest(), body, {}, &in);
  } catch (const Error& error) {
    const HttpResponse response = write_error(protocol, op.service, &op, error, "r", "/");
    if (response.status < 400) std::abort();
    return;
  }
  HttpRequest request = write_request(protocol, op, &in);
  const std::string written = run(read_all(*request.body, 1 << 24, door::internal_failure())).value();
  read_input(protocol, op, request, written, {}, &again);
  if (to_json(test::kInput, &in) != to_json(test::kInput, &again)) std::abort();
}

void read_rest(Protocol protocol, std::string_view text) {
  HttpRequest request;
  const size_t line = text.find('\n');
  request.query = text.substr(0, line);
  const std::string_view body = line == std::string_view::npos ? std::string_view() : text.substr(line + 1);
  request.headers.add("x-token", request.query);
  request.headers.add("x-meta-a", request.query);
  test::RestInput in;
  try {
    read_input(protocol, test::kRestOperations[0], request, body, {{"Id", request.query}}, &in);
  } catch (const Error&) {
  }
  Router(test::kS3).find("GET", request.query, request.query, request.headers);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 6) {
    case 0:
      read_whole(Protocol::kJson10, text);
      break;
    case 1:
      read_whole(Protocol::kQuery, text);
      break;
    case 2:
      read_whole(Protocol::kCbor, text);
      break;
    case 3:
      read_rest(Protocol::kRestJson, text);
      break;
    case 4:
      read_rest(Protocol::kRestXml, text);
      break;
    case 5:
      try {
        while (decode_message(text)) {
        }
      } catch (const BadInput&) {
      }
      break;
  }
  return 0;
}
