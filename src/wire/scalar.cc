#include "wire/scalar.h"

#include <cmath>
#include <limits>

#include "base/encoding.h"
#include "base/str.h"
#include "wire/access.h"

namespace virga::wire {

namespace {

std::string real_text(double d, std::string_view shortest) {
  if (std::isnan(d)) return "NaN";
  if (std::isinf(d)) return d > 0 ? "Infinity" : "-Infinity";
  return shortest.find_first_of(".e") == std::string_view::npos ? cat(shortest, ".0") : std::string(shortest);
}

[[noreturn]] void bad(std::string_view text, std::string_view type) {
  throw BadInput{cat("'", text, "' can not be converted to ", type)};
}

int64_t integer_of(std::string_view text, int64_t least, int64_t most, std::string_view type) {
  const std::optional<int64_t> value = parse_int(trim(text));
  if (!value || *value < least || *value > most) bad(text, type);
  return *value;
}

double real_of(std::string_view text, std::string_view type) {
  text = trim(text);
  if (text == "NaN") return std::numeric_limits<double>::quiet_NaN();
  if (text == "Infinity") return std::numeric_limits<double>::infinity();
  if (text == "-Infinity") return -std::numeric_limits<double>::infinity();
  const std::optional<double> value = parse_double(text);
  if (!value || !std::isfinite(*value)) bad(text, type);
  return *value;
}

Time time_of(std::string_view text) {
  text = trim(text);
  if (const std::optional<Time> time = parse_iso8601(text)) return *time;
  if (const std::optional<Time> time = parse_http_date(text)) return *time;
  if (const std::optional<Time> time = parse_amz_date(text)) return *time;
  const std::optional<double> seconds = parse_double(text);
  if (!seconds || !(std::abs(*seconds) < 9e12)) bad(text, "a Timestamp");
  return Time{std::llround(*seconds * 1e6)};
}

}  // namespace

bool is_scalar(const Shape& shape) {
  switch (shape.kind) {
    case Kind::kBoolean:
    case Kind::kInteger:
    case Kind::kLong:
    case Kind::kFloat:
    case Kind::kDouble:
    case Kind::kString:
    case Kind::kEnum:
    case Kind::kBlob:
    case Kind::kTimestamp:
      return true;
    default:
      return false;
  }
}

std::string scalar_text(const Shape& shape, const void* value, TimestampFormat format) {
  switch (shape.kind) {
    case Kind::kBoolean:
      return *static_cast<const bool*>(value) ? "true" : "false";
    case Kind::kInteger:
      return cat(*static_cast<const int32_t*>(value));
    case Kind::kLong:
      return cat(*static_cast<const int64_t*>(value));
    case Kind::kFloat:
      return real_text(*static_cast<const float*>(value), cat(*static_cast<const float*>(value)));
    case Kind::kDouble:
      return real_text(*static_cast<const double*>(value), cat(*static_cast<const double*>(value)));
    case Kind::kString:
      return *static_cast<const std::string*>(value);
    case Kind::kEnum:
      return std::string(enum_name(shape, shape.enumeration->get(value)));
    case Kind::kBlob:
      return base64_encode(*static_cast<const std::string*>(value));
    case Kind::kTimestamp: {
      const Time time = *static_cast<const Time*>(value);
      switch (format_of(shape, format)) {
        case TimestampFormat::kEpochSeconds:
          return epoch_seconds(time);
        case TimestampFormat::kHttpDate:
          return http_date(time);
        case TimestampFormat::kDefault:
        case TimestampFormat::kIso8601:
          return iso8601(time);
      }
      return iso8601(time);
    }
    default:
      return {};
  }
}

void read_scalar(const Shape& shape, std::string_view text, void* value, const Path& at, Findings& findings) {
  switch (shape.kind) {
    case Kind::kBoolean:
      if (equals_ignoring_case(text, "true") || text == "1") {
        *static_cast<bool*>(value) = true;
      } else if (equals_ignoring_case(text, "false") || text == "0") {
        *static_cast<bool*>(value) = false;
      } else {
        bad(text, "a Boolean");
      }
      return;
    case Kind::kInteger:
      *static_cast<int32_t*>(value) = static_cast<int32_t>(integer_of(text, INT32_MIN, INT32_MAX, "an Integer"));
      return;
    case Kind::kLong:
      *static_cast<int64_t*>(value) = integer_of(text, INT64_MIN, INT64_MAX, "a Long");
      return;
    case Kind::kFloat:
      *static_cast<float*>(value) = static_cast<float>(real_of(text, "a Float"));
      return;
    case Kind::kDouble:
      *static_cast<double*>(value) = real_of(text, "a Double");
      return;
    case Kind::kString:
      if (!is_utf8(text)) throw BadInput{"text is not valid UTF-8"};
      static_cast<std::string*>(value)->assign(text);
      return;
    case Kind::kEnum:
      if (!enum_value(shape, text, value)) findings.no_such_value(at, shape, text);
      return;
    case Kind::kBlob: {
      std::optional<std::string> bytes = base64_decode(trim(text));
      if (!bytes) bad(text, "a Blob");
      *static_cast<std::string*>(value) = std::move(*bytes);
      return;
    }
    case Kind::kTimestamp:
      *static_cast<Time*>(value) = time_of(text);
      return;
    default:
      throw BadInput{"a value that is no simple one stands where text is expected"};
  }
}

}  // namespace virga::wire
