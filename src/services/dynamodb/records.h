// The records of a text that comes in pieces, of any size: an import's object is never there whole. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace virga::dynamodb {

class RecordReader {
 public:
  // Without a delimiter each line that is not blank is a record of one field. With one it is CSV: quotes may hold
  // delimiters and line ends.
  explicit RecordReader(std::optional<char> delimiter) : delimiter_(delimiter) {}

  void add(std::string_view text);
  // The next record that is there whole; `last`: no more text comes. Throws ValidationException when one is larger than
  // any item could be.
  std::optional<std::vector<std::string>> next(bool last);

 private:
  std::optional<std::vector<std::string>> next_line(bool last);
  std::optional<std::vector<std::string>> end_record();

  const std::optional<char> delimiter_;
  std::string text_;
  size_t at_ = 0;        // in text_: what is before it has been read
  size_t searched_ = 0;  // in text_: up to here there is no line end
  // Of a CSV record that is not over.
  std::vector<std::string> record_{1};
  size_t bytes_ = 0;
  bool quoted_ = false, any_ = false;
};

}  // namespace virga::dynamodb
