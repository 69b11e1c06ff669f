// A client of AWS Lambda's Runtime API in one header: waits for events, calls the handler, sends its answers.
// Needs nothing but a C++20 standard library and POSIX sockets.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>

namespace lambda {

struct Event {
  std::string body;  // JSON
  std::string request_id, function_arn, trace_id;
  int64_t deadline_ms = 0;  // since 1970
};

// Text as a JSON string, with its quotes.
inline std::string json_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\u%04x", c);
      out += escaped;
    } else {
      out += c;
    }
  }
  return out + '"';
}

// One connection to the Runtime API, which is kept.
class RuntimeApi {
 public:
  struct Response {
    int status = 0;
    std::map<std::string, std::string> headers;  // names in lower case
    std::string body;
  };

  // `address` is what AWS_LAMBDA_RUNTIME_API says: an IPv4 address and a port.
  explicit RuntimeApi(const std::string& address) : address_(address) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    const auto colon = address.rfind(':');
    if (colon == address.npos || inet_pton(AF_INET, address.substr(0, colon).c_str(), &to.sin_addr) != 1)
      throw std::runtime_error("bad address " + address);
    to.sin_port = htons(static_cast<uint16_t>(std::atoi(address.c_str() + colon + 1)));
    socket_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (socket_ < 0 || connect(socket_, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0)
      throw std::runtime_error("cannot connect to " + address);
  }
  ~RuntimeApi() {
    if (socket_ >= 0) close(socket_);
  }
  RuntimeApi(const RuntimeApi&) = delete;

  Response request(std::string_view method, const std::string& path, std::string_view body = "",
                   std::string_view error_type = "") {
    std::string head = std::string(method) + " /2018-06-01/runtime/" + path + " HTTP/1.1\r\nHost: " + address_ +
                       "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
    if (!error_type.empty()) head += "Lambda-Runtime-Function-Error-Type: " + std::string(error_type) + "\r\n";
    send_all(head + "\r\n");
    send_all(body);

    Response response;
    std::string line = read_line();  // HTTP/1.1 200 OK
    response.status = line.size() > 9 ? std::atoi(line.c_str() + 9) : 0;
    while (!(line = read_line()).empty()) {
      const auto colon = line.find(':');
      if (colon == line.npos) continue;
      std::string name = line.substr(0, colon);
      std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
      const auto value = line.find_first_not_of(' ', colon + 1);
      response.headers[name] = value == line.npos ? "" : line.substr(value);
    }
    if (response.headers["transfer-encoding"] == "chunked") {
      while (const size_t size = std::stoul(read_line(), nullptr, 16)) {
        response.body += read_exactly(size);
        read_line();
      }
      while (!read_line().empty()) {
      }
    } else {
      response.body = read_exactly(std::strtoull(response.headers["content-length"].c_str(), nullptr, 10));
    }
    return response;
  }

 private:
  void send_all(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) throw std::runtime_error("the Runtime API has closed the connection");
      bytes.remove_prefix(static_cast<size_t>(n));
    }
  }
  void read_more() {
    char piece[65536];
    const ssize_t n = recv(socket_, piece, sizeof piece, 0);
    if (n <= 0) throw std::runtime_error("the Runtime API has closed the connection");
    input_.append(piece, static_cast<size_t>(n));
  }
  std::string read_exactly(size_t size) {
    while (input_.size() < size) read_more();
    std::string out = input_.substr(0, size);
    input_.erase(0, size);
    return out;
  }
  std::string read_line() {
    size_t end;
    while ((end = input_.find("\r\n")) == input_.npos) read_more();
    std::string line = read_exactly(end);
    input_.erase(0, 2);
    return line;
  }

  const std::string address_;
  int socket_ = -1;
  std::string input_;  // read, not yet used
};

// Runs `handler` for one event after the other. It answers JSON, or throws.
[[noreturn]] inline void run(const std::function<std::string(const Event&)>& handler) {
  try {
    const char* address = std::getenv("AWS_LAMBDA_RUNTIME_API");
    if (!address) throw std::runtime_error("AWS_LAMBDA_RUNTIME_API is not set: this program runs in Lambda");
    RuntimeApi api(address);
    while (true) {
      RuntimeApi::Response next = api.request("GET", "invocation/next");
      if (next.status != 200) throw std::runtime_error("no event: status " + std::to_string(next.status));
      Event event{std::move(next.body), next.headers["lambda-runtime-aws-request-id"],
                  next.headers["lambda-runtime-invoked-function-arn"], next.headers["lambda-runtime-trace-id"],
                  std::atoll(next.headers["lambda-runtime-deadline-ms"].c_str())};
      const std::string about = "invocation/" + event.request_id;
      try {
        const std::string answer = handler(event);
        api.request("POST", about + "/response", answer);
      } catch (const std::exception& error) {
        const std::string document =
            "{\"errorType\":\"Error\",\"errorMessage\":" + json_string(error.what()) + ",\"stackTrace\":[]}";
        api.request("POST", about + "/error", document, "Error");
      }
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    std::exit(1);
  }
}

}  // namespace lambda
