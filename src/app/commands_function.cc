// Calling functions and reading their logs.
#include <aws/lambda/ops.h>
#include <aws/logs/ops.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <iterator>
#include <thread>

#include "app/client.h"
#include "app/commands.h"
#include "base/encoding.h"
#include "base/str.h"
#include "base/time.h"

namespace virga::app {
namespace {

constexpr auto kBetweenLooks = std::chrono::milliseconds(250);

std::chrono::seconds parse_duration(const std::string& text) {
  const auto number = text.size() < 2 ? std::nullopt : parse_int(std::string_view(text).substr(0, text.size() - 1));
  const int64_t unit = text.ends_with('s')   ? 1
                       : text.ends_with('m') ? 60
                       : text.ends_with('h') ? 3600
                       : text.ends_with('d') ? 86'400
                                             : 0;
  if (!number || *number < 0 || unit == 0)
    throw UsageError(cat("--since takes a time such as 90s, 10m, 2h or 1d, not '", text, "'"));
  return std::chrono::seconds(*number * unit);
}

}  // namespace

int run_invoke(const Arguments& arguments) {
  Client client(arguments);
  lambda::InvocationRequest request;
  request.function_name = arguments.required(0, "function");
  std::string payload = arguments.get("--payload", "{}");
  if (payload == "-") payload.assign(std::istreambuf_iterator<char>(std::cin), {});
  request.payload = std::move(payload);
  request.log_type = lambda::LogType::Tail;
  const lambda::InvocationResponse answer = client.call<lambda::op::Invoke>(request);
  const std::string log = base64_decode(answer.log_result.value_or("")).value_or("");
  if (arguments.json()) {
    Json out =
        Json::object({{"status", answer.status_code.value_or(0)}, {"version", answer.executed_version.value_or("")}});
    if (answer.function_error) out["error"] = *answer.function_error;
    out["payload"] = answer.payload.value_or("");
    out["log"] = log;
    print(cat(out.dump(), "\n"));
  } else {
    if (arguments.has("--log")) std::fputs(log.c_str(), stderr);
    print(cat(answer.payload.value_or(""), "\n"));
    if (answer.function_error)
      std::fprintf(stderr, "virga: the function failed (%s)\n", answer.function_error->c_str());
  }
  return answer.function_error ? 1 : 0;
}

int run_logs(const Arguments& arguments) {
  Client client(arguments);
  const std::string name = arguments.required(0, "function");
  int64_t from = (SystemClock().now() - parse_duration(arguments.get("--since", "10m"))).millis();
  logs::FilterLogEventsRequest request;
  std::string whose;  // part of the names of its streams, when its group may be others' too
  request.log_group_name = name;
  if (!name.starts_with('/')) {
    request.log_group_name = cat("/aws/lambda/", name);
    lambda::GetFunctionConfigurationRequest ask;
    ask.function_name = name;
    const auto function = client.try_call<lambda::op::GetFunctionConfiguration>(ask);
    if (function && function->logging_config) {
      const std::string plain = function->function_name.value_or(name);
      request.log_group_name = function->logging_config->log_group;
      if (request.log_group_name != cat("/aws/lambda/", plain)) whose = cat("/", plain, "[");
    }
  }
  if (arguments.has("--filter")) request.filter_pattern = arguments.get("--filter");
  const bool follow = arguments.has("--follow");
  // Events of the newest millisecond can still grow: their ids say which were printed.
  std::vector<std::string> printed;
  while (true) {
    request.start_time = from;
    request.next_token.reset();
    do {
      auto page = client.try_call<logs::op::FilterLogEvents>(request);
      if (!page) {
        if (follow && page.error().code == "ResourceNotFoundException") break;  // not called yet: wait for it
        throw CommandError(cat("no log of ", name, ": ", page.error().message));
      }
      for (const logs::FilteredLogEvent& event : page->events.value_or(std::vector<logs::FilteredLogEvent>())) {
        const int64_t time = event.timestamp.value_or(0);
        const std::string id = event.event_id.value_or("");
        const std::string stream = event.log_stream_name.value_or("");
        if (std::ranges::find(printed, id) != printed.end() || stream.find(whose) == std::string::npos) continue;
        if (time > from) printed.clear(), from = time;
        printed.push_back(id);
        std::string message = event.message.value_or("");
        while (message.ends_with('\n')) message.pop_back();
        if (arguments.json()) {
          print(cat(Json::object({{"timestamp", time}, {"stream", stream}, {"message", message}}).dump(), "\n"));
        } else {
          print(cat(iso8601_millis(Time::from_millis(time)), " ", message, "\n"));
        }
      }
      request.next_token = page->next_token;
    } while (request.next_token);
    std::fflush(stdout);
    if (!follow) return 0;
    std::this_thread::sleep_for(kBetweenLooks);
  }
}

}  // namespace virga::app
