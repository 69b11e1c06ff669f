#include "base/cbor.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/encoding.h"

namespace virga {
namespace {

template <class F>
std::string written(F write) {
  std::string out;
  CborWriter w(out);
  write(w);
  return hex_encode(out);
}

TEST(CborWriter, WritesTheExamplesOfTheRfc) {
  EXPECT_EQ(written([](CborWriter& w) { w.integer(23); }), "17");
  EXPECT_EQ(written([](CborWriter& w) { w.integer(1000000); }), "1a000f4240");
  EXPECT_EQ(written([](CborWriter& w) { w.integer(-1000); }), "3903e7");
  EXPECT_EQ(written([](CborWriter& w) { w.integer(INT64_MIN); }), "3b7fffffffffffffff");
  EXPECT_EQ(written([](CborWriter& w) { w.real(1.1); }), "fb3ff199999999999a");
  EXPECT_EQ(written([](CborWriter& w) { w.real(100000); }), "fa47c35000");
  EXPECT_EQ(written([](CborWriter& w) { w.string("IETF"); }), "6449455446");
  EXPECT_EQ(written([](CborWriter& w) { w.time(Time::from_seconds(1363896240)); }), "c11a514b67b0");
  EXPECT_EQ(written([](CborWriter& w) {
              w.begin_map();
              w.key("a");
              w.array(1);
              w.boolean(true);
              w.end();
            }),
            "bf616181f5ff");
}

TEST(CborReader, ReadsWhatWasWritten) {
  std::string out;
  CborWriter w(out);
  w.map(3);
  w.key("i");
  w.integer(-5);
  w.key("t");
  w.time(Time::from_millis(1714564800123));
  w.key("b");
  w.bytes(std::string_view("\0\xFF", 2));
  CborReader in(out);
  std::string key, bytes;
  in.begin_map();
  ASSERT_TRUE(in.next_key(key));
  EXPECT_EQ(in.read_integer(), -5);
  ASSERT_TRUE(in.next_key(key));
  EXPECT_EQ(in.read_time(), Time::from_millis(1714564800123));
  ASSERT_TRUE(in.next_key(key));
  in.read_bytes(bytes);
  EXPECT_EQ(bytes.size(), 2u);
  EXPECT_FALSE(in.next_key(key));
  in.end();
}

TEST(CborReader, ReadsOtherEncodings) {
  const std::string half = *hex_decode("f93c00");
  EXPECT_EQ(CborReader(half).read_double(), 1.0);
  const std::string small = *hex_decode("f90001");
  EXPECT_EQ(CborReader(small).read_double(), 5.960464477539063e-8);
  const std::string infinite = *hex_decode("f9fc00");
  EXPECT_EQ(CborReader(infinite).read_double(), -INFINITY);
  const std::string chunks = *hex_decode("7f657374726561646d696e67ff");
  std::string text;
  CborReader(chunks).read_string(text);
  EXPECT_EQ(text, "streaming");
  const std::string nested = *hex_decode("bf6346756ef563416d7421ff");
  CborReader in(nested);
  in.skip_value();
  in.end();
}

TEST(CborReader, RefusesMalformedBytes) {
  for (const std::string_view hex : {"", "1c", "18", "62c328", "7f", "7f01ff", "a161", "81", "bf6161ff", "f8ff", "1f",
                                     "c1", "5b7fffffffffffffff00"}) {
    const std::string bytes = *hex_decode(hex);
    CborReader in(bytes);
    EXPECT_THROW(in.skip_value(), CborError) << hex;
  }
  const std::string deep(100'000, '\x81');
  EXPECT_THROW(CborReader(deep).skip_value(), CborError);
  const std::string wide = *hex_decode("1bffffffffffffffff");
  EXPECT_THROW(CborReader(wide).read_integer(), CborError);
}

}  // namespace
}  // namespace virga
