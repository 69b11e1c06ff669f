#include "services/dynamodb/records.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace virga::dynamodb {
namespace {

using Records = std::vector<std::vector<std::string>>;

// The records of `text` given in pieces of `piece` characters.
Records records_of(std::string_view text, size_t piece, std::optional<char> delimiter) {
  RecordReader reader(delimiter);
  Records out;
  const auto take = [&](bool last) {
    while (auto record = reader.next(last)) out.push_back(std::move(*record));
  };
  for (size_t at = 0; at < text.size(); at += piece) {
    reader.add(text.substr(at, piece));
    take(false);
  }
  take(true);
  return out;
}

TEST(Records, CsvIsTheSameWhereverItIsCut) {
  const std::string_view text = "a,b\r\n\"x,\"\"\n\",1\n\n,\n\"\"\nlast,\r";
  const Records expected = {{"a", "b"}, {"x,\"\n", "1"}, {"", ""}, {""}, {"last", "\r"}};
  for (size_t piece = 1; piece <= text.size(); ++piece) EXPECT_EQ(records_of(text, piece, ','), expected) << piece;
}

TEST(Records, LinesAreTheSameWhereverTheyAreCut) {
  const std::string_view text = "{\"a\":\n\n  \n\"one\",two\nend";
  const Records expected = {{"{\"a\":"}, {"\"one\",two"}, {"end"}};
  for (size_t piece = 1; piece <= text.size(); ++piece) EXPECT_EQ(records_of(text, piece, {}), expected) << piece;
}

TEST(Records, WhatNoItemCouldBeIsRefused) {
  const std::string text(4 << 20, 'x');
  EXPECT_THROW(records_of("\"" + text, 1 << 16, ','), Error);
  EXPECT_THROW(records_of(text, 1 << 16, {}), Error);
}

}  // namespace
}  // namespace virga::dynamodb
