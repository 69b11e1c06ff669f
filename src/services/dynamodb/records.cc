#include "services/dynamodb/records.h"

#include <algorithm>

#include "base/str.h"
#include "services/dynamodb/errors.h"
#include "services/dynamodb/limits.h"

namespace virga::dynamodb {

namespace {
// JSON writes a byte in six characters at most.
constexpr size_t kMostRecord = 8 * kMaxItemSize;

void check_size(size_t bytes) {
  if (bytes > kMostRecord) throw validation("A record is larger than any item");
}
}  // namespace

void RecordReader::add(std::string_view text) {
  text_.erase(0, at_);
  searched_ -= std::min(searched_, at_);
  at_ = 0;
  text_ += text;
}

std::optional<std::vector<std::string>> RecordReader::next_line(bool last) {
  while (at_ < text_.size()) {
    const size_t end = text_.find('\n', std::max(at_, searched_));
    if (end == std::string::npos && !last) {
      searched_ = text_.size();
      check_size(text_.size() - at_);
      return std::nullopt;
    }
    std::string line = text_.substr(at_, end == std::string::npos ? end : end - at_);
    at_ = end == std::string::npos ? text_.size() : end + 1;
    check_size(line.size());
    if (!trim(line).empty()) return std::vector<std::string>{std::move(line)};
  }
  return std::nullopt;
}

std::optional<std::vector<std::string>> RecordReader::end_record() {
  std::optional<std::vector<std::string>> out;
  if (any_ || record_.size() > 1) out = std::move(record_);
  record_.assign(1, {});
  bytes_ = 0;
  any_ = false;
  return out;
}

std::optional<std::vector<std::string>> RecordReader::next(bool last) {
  if (!delimiter_) return next_line(last);
  for (; at_ < text_.size(); ++at_) {
    const char c = text_[at_];
    const bool ends = at_ + 1 >= text_.size();
    // What these mean depends on what follows.
    if (ends && !last && (c == '\r' || (quoted_ && c == '"'))) return std::nullopt;
    const char following = ends ? '\0' : text_[at_ + 1];
    check_size(++bytes_);
    if (quoted_) {
      if (c != '"') {
        record_.back() += c;
      } else if (following == '"') {
        record_.back() += c;
        ++at_;
      } else {
        quoted_ = false;
      }
    } else if (c == '"' && record_.back().empty()) {
      quoted_ = any_ = true;
    } else if (c == *delimiter_) {
      record_.emplace_back();
    } else if (c == '\n') {
      if (auto record = end_record()) {
        ++at_;
        return record;
      }
    } else if (c != '\r' || following != '\n') {
      record_.back() += c;
      any_ = true;
    }
  }
  return last ? end_record() : std::nullopt;
}

}  // namespace virga::dynamodb
