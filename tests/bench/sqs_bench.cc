// Loads SQS over HTTP with signed requests: each connection sends, receives and deletes messages of 1 KB in turn.
//   sqs_bench <port> <queue url> <connections> <batch: 1 or 10> <seconds> [fill <bytes>]
// prints {"cycles": …, "seconds": …, "p50_us": …, "p99_us": …}: messages that went the whole way;
// with `fill`, messages of so many bytes that were sent, and stay in the queue.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "base/crypto.h"
#include "base/encoding.h"
#include "base/json.h"
#include "base/str.h"
#include "base/time.h"
#include "wire/http.h"
#include "wire/protocol.h"
#include "wire/sigv4.h"

namespace {

using namespace virga;
using std::chrono::steady_clock;

class Client {
 public:
  explicit Client(uint16_t port) : host_(cat("127.0.0.1:", port)), fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      throw std::runtime_error("no connection");
    }
    const int on = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  ~Client() { ::close(fd_); }

  // The body of the answer.
  std::string call(std::string_view operation, const std::string& body) {
    wire::HttpRequest request;
    request.method = "POST";
    request.target = request.path = "/";
    request.headers.add("host", host_);
    request.headers.add("content-type", "application/x-amz-json-1.0");
    request.headers.add("x-amz-target", cat("AmazonSQS.", operation));
    wire::sigv4::sign(request, {"test", "test", ""}, "us-east-1", "sqs", hex_encode(sha256(body)), clock_.now(),
                      wire::sigv4::Flavour::kJson);
    std::string bytes = "POST / HTTP/1.1\r\n";
    for (const auto& [name, value] : request.headers.fields()) append(bytes, name, ": ", value, "\r\n");
    append(bytes, "content-length: ", body.size(), "\r\n\r\n", body);
    for (size_t sent = 0; sent < bytes.size();) {
      const ssize_t n = ::send(fd_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
      if (n <= 0) throw std::runtime_error("the connection was closed");
      sent += static_cast<size_t>(n);
    }
    return answer();
  }

 private:
  std::string answer() {
    std::string got;
    size_t head = std::string::npos, length = 0;
    while (head == std::string::npos || got.size() < head + 4 + length) {
      char buffer[65536];
      const ssize_t n = ::recv(fd_, buffer, sizeof buffer, 0);
      if (n <= 0) throw std::runtime_error("the connection was closed");
      got.append(buffer, static_cast<size_t>(n));
      if (head != std::string::npos) continue;
      head = got.find("\r\n\r\n");
      if (head == std::string::npos) continue;
      const std::string low = lower(std::string_view(got).substr(0, head));
      const size_t at = low.find("content-length:");
      const auto value = at == std::string::npos
                             ? std::nullopt
                             : parse_int(trim(split(std::string_view(low).substr(at + 15), '\r')[0]));
      length = static_cast<size_t>(value.value_or(0));
    }
    if (got.compare(9, 3, "200") != 0) throw std::runtime_error(got);
    return got.substr(head + 4);
  }

  std::string host_;
  int fd_;
  SystemClock clock_;
};

std::vector<std::string_view> handles_in(std::string_view answer) {
  constexpr std::string_view kName = "\"ReceiptHandle\":\"";
  std::vector<std::string_view> out;
  for (size_t at = answer.find(kName); at != answer.npos; at = answer.find(kName, at)) {
    at += kName.size();
    out.push_back(answer.substr(at, answer.find('"', at) - at));
  }
  return out;
}

struct Bodies {
  std::string send, receive;
};

Bodies bodies(const std::string& url, int batch, size_t bytes) {
  const std::string text(bytes, 'x');
  const std::string queue = cat("{\"QueueUrl\":\"", url, "\",");
  Bodies out;
  out.receive = cat(queue, "\"MaxNumberOfMessages\":", batch, "}");
  if (batch == 1) {
    out.send = cat(queue, "\"MessageBody\":\"", text, "\"}");
    return out;
  }
  out.send = cat(queue, "\"Entries\":[");
  for (int i = 0; i < batch; ++i) {
    append(out.send, i == 0 ? "" : ",", "{\"Id\":\"", i, "\",\"MessageBody\":\"", text, "\"}");
  }
  out.send += "]}";
  return out;
}

std::string delete_body(const std::string& url, int batch, const std::vector<std::string_view>& handles) {
  std::string out = cat("{\"QueueUrl\":\"", url, "\",");
  if (batch == 1) return cat(out, "\"ReceiptHandle\":\"", handles[0], "\"}");
  out += "\"Entries\":[";
  for (size_t i = 0; i < handles.size(); ++i) {
    append(out, i == 0 ? "" : ",", "{\"Id\":\"", i, "\",\"ReceiptHandle\":\"", handles[i], "\"}");
  }
  out += "]}";
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 6) return 2;
  const auto port = static_cast<uint16_t>(std::stoi(argv[1]));
  const std::string url = argv[2];
  const int connections = std::stoi(argv[3]), batch = std::stoi(argv[4]);
  const double seconds = std::stod(argv[5]);
  const bool fill = argc > 7;
  const Bodies body = bodies(url, batch, fill ? std::stoul(argv[7]) : 1024);
  const bool single = batch == 1;
  std::atomic<bool> counting = false, over = false;
  std::atomic<uint64_t> cycles = 0;
  std::vector<std::vector<double>> times(static_cast<size_t>(connections));
  std::vector<std::thread> threads;
  for (int i = 0; i < connections; ++i) {
    threads.emplace_back([&, i] {
      Client client(port);
      while (!over) {
        const auto begun = steady_clock::now();
        client.call(single ? "SendMessage" : "SendMessageBatch", body.send);
        if (fill) {
          cycles += static_cast<uint64_t>(batch);
          continue;
        }
        const std::string received = client.call("ReceiveMessage", body.receive);
        const auto handles = handles_in(received);
        if (handles.empty()) continue;
        client.call(single ? "DeleteMessage" : "DeleteMessageBatch", delete_body(url, batch, handles));
        if (!counting) continue;
        cycles += handles.size();
        times[static_cast<size_t>(i)].push_back(
            std::chrono::duration<double, std::micro>(steady_clock::now() - begun).count());
      }
    });
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  counting = true;
  const auto begun = steady_clock::now();
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  const uint64_t measured = cycles;
  const double took = std::chrono::duration<double>(steady_clock::now() - begun).count();
  over = true;
  for (std::thread& thread : threads) thread.join();
  // What is in the queue, the last that were under way included.
  const uint64_t done = fill ? cycles.load() : measured;
  std::vector<double> all;
  for (const auto& part : times) all.insert(all.end(), part.begin(), part.end());
  std::ranges::sort(all);
  const auto at = [&](double share) {
    return all.empty() ? 0.0 : all[static_cast<size_t>(share * static_cast<double>(all.size() - 1))];
  };
  std::printf("{\"cycles\": %llu, \"seconds\": %.3f, \"p50_us\": %.0f, \"p99_us\": %.0f}\n",
              static_cast<unsigned long long>(done), took, at(0.5), at(0.99));
}
