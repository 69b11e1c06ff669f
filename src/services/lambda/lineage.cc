#include "services/lambda/lineage.h"

#include <algorithm>
#include <vector>

#include "base/encoding.h"
#include "base/id.h"
#include "base/str.h"

namespace virga::lambda {
namespace {

constexpr size_t kMostFunctions = 32;  // of a lineage; the oldest are forgotten
constexpr std::string_view kLineage = "Lineage=";

std::string hex(uint64_t value, size_t digits) {
  std::string out(digits, '0');
  for (size_t i = digits; i-- > 0; value >>= 4) out[i] = "0123456789abcdef"[value & 15];
  return out;
}

// A short name of a function: FNV-1a.
std::string name_of(std::string_view function_arn) {
  uint32_t hash = 2166136261u;
  for (const char c : function_arn) hash = (hash ^ static_cast<uint8_t>(c)) * 16777619u;
  return hex(hash, 8);
}

struct Run {
  std::string name;
  int count;
};

// The header taken apart: Lineage=<name>:<count>|<name>:<count>, and its other fields as they are. Some SDKs escape
// what they pass on.
struct Trace {
  std::string others;
  std::vector<Run> runs;
};
Trace parse(std::string_view header) {
  const std::string text = percent_decode(header).value_or(std::string(header));
  Trace out;
  for (const std::string_view field : split(text, ';')) {
    if (field.empty()) continue;
    if (!field.starts_with(kLineage)) {
      append(out.others, out.others.empty() ? "" : ";", field);
      continue;
    }
    for (const std::string_view run : split(field.substr(kLineage.size()), '|')) {
      const auto [name, count] = split_once(run, ':');
      const auto number = parse_int(count);
      if (!name.empty() && number && *number > 0) {
        out.runs.push_back({std::string(name), static_cast<int>(std::min<int64_t>(*number, 32'767))});
      }
    }
  }
  return out;
}

}  // namespace

int runs_before(std::string_view header, std::string_view function_arn) {
  if (header.find(kLineage) == header.npos) return 0;
  const Trace trace = parse(header);
  const std::string name = name_of(function_arn);
  const auto found = std::ranges::find(trace.runs, name, &Run::name);
  return found == trace.runs.end() ? 0 : found->count;
}

std::string begun_trace(Time now) {
  return cat("Root=1-", hex(static_cast<uint64_t>(now.seconds()), 8), "-", hex(random_u64(), 8), hex(random_u64(), 16),
             ";Parent=", hex(random_u64(), 16), ";Sampled=0");
}

std::string trace_through(std::string_view header, std::string_view function_arn, Time now) {
  Trace trace = header.empty() ? Trace() : parse(header);
  if (trace.others.empty()) trace.others = begun_trace(now);
  const std::string name = name_of(function_arn);
  const auto found = std::ranges::find(trace.runs, name, &Run::name);
  if (found == trace.runs.end()) {
    if (trace.runs.size() >= kMostFunctions) trace.runs.erase(trace.runs.begin());
    trace.runs.push_back({name, 1});
  } else {
    ++found->count;
  }
  std::string out = cat(trace.others, ";", kLineage);
  for (size_t i = 0; i < trace.runs.size(); ++i) {
    append(out, i == 0 ? "" : "|", trace.runs[i].name, ":", trace.runs[i].count);
  }
  return out;
}

}  // namespace virga::lambda
