#include "base/http_reason.h"

#include <algorithm>
#include <utility>

namespace virga {

std::string_view http_reason(int status) {
  static constexpr std::pair<int, std::string_view> kReasons[] = {{100, "Continue"},
                                                                  {101, "Switching Protocols"},
                                                                  {200, "OK"},
                                                                  {201, "Created"},
                                                                  {202, "Accepted"},
                                                                  {203, "Non-Authoritative Information"},
                                                                  {204, "No Content"},
                                                                  {205, "Reset Content"},
                                                                  {206, "Partial Content"},
                                                                  {207, "Multi-Status"},
                                                                  {300, "Multiple Choices"},
                                                                  {301, "Moved Permanently"},
                                                                  {302, "Found"},
                                                                  {303, "See Other"},
                                                                  {304, "Not Modified"},
                                                                  {307, "Temporary Redirect"},
                                                                  {308, "Permanent Redirect"},
                                                                  {400, "Bad Request"},
                                                                  {401, "Unauthorized"},
                                                                  {402, "Payment Required"},
                                                                  {403, "Forbidden"},
                                                                  {404, "Not Found"},
                                                                  {405, "Method Not Allowed"},
                                                                  {406, "Not Acceptable"},
                                                                  {408, "Request Timeout"},
                                                                  {409, "Conflict"},
                                                                  {410, "Gone"},
                                                                  {411, "Length Required"},
                                                                  {412, "Precondition Failed"},
                                                                  {413, "Content Too Large"},
                                                                  {414, "URI Too Long"},
                                                                  {415, "Unsupported Media Type"},
                                                                  {416, "Range Not Satisfiable"},
                                                                  {417, "Expectation Failed"},
                                                                  {422, "Unprocessable Content"},
                                                                  {424, "Failed Dependency"},
                                                                  {425, "Too Early"},
                                                                  {426, "Upgrade Required"},
                                                                  {428, "Precondition Required"},
                                                                  {429, "Too Many Requests"},
                                                                  {431, "Request Header Fields Too Large"},
                                                                  {500, "Internal Server Error"},
                                                                  {501, "Not Implemented"},
                                                                  {502, "Bad Gateway"},
                                                                  {503, "Service Unavailable"},
                                                                  {504, "Gateway Timeout"},
                                                                  {505, "HTTP Version Not Supported"},
                                                                  {507, "Insufficient Storage"}};
  const auto found = std::ranges::lower_bound(kReasons, status, {}, [](const auto& row) { return row.first; });
  return found != std::end(kReasons) && found->first == status ? found->second : "Unknown";
}

}  // namespace virga
