// What is written as Ion is what is read, and what is no Ion is refused.
#include "services/dynamodb/ion.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/json.h"
#include "base/str.h"
#include "services/dynamodb/attribute_codec.h"

namespace virga::dynamodb {
namespace {

Item item_of(std::string_view json) {
  JsonReader in(json);
  return read_json_item(in);
}

std::string ion_of(View item) {
  std::string out;
  append_ion_struct(out, item);
  return out;
}

TEST(Ion, WritesEveryType) {
  EXPECT_EQ(
      ion_of(item_of(R"({"s":{"S":"a\"b\n"},"n":{"N":"1200"},"d":{"N":"-0.05"},"b":{"B":"AP8="},"y":{"BOOL":true},
                               "z":{"NULL":true},"l":{"L":[{"N":"1"},{"M":{}}]},"ss":{"SS":["y","x"]},
                               "ns":{"NS":["2","1.5"]},"bs":{"BS":["AA=="]},"a name":{"S":""},"true":{"S":""}})")),
      R"({'a name':"",b:{{AP8=}},bs:$dynamodb_BS::[{{AA==}}],d:-0.05,l:[1.,{}],n:1200.,ns:$dynamodb_NS::[1.5,2.],)"
      R"(s:"a\"b\n",ss:$dynamodb_SS::["x","y"],'true':"",y:true,z:null})");
}

TEST(Ion, ReadsWhatOthersWrite) {
  const Item expected = item_of(
      R"({"a":{"S":"A\u00e9\ud83d\ude00"},"n":{"N":"1200"},"l":{"L":[{"N":"1000"},{"NULL":true},{"BOOL":false}]}})");
  EXPECT_EQ(read_ion_item("$ion_1_0 {Item:{a:\"\\u0041\\xe9\\ud83d\\ude00\",n:12d2,l:[1_000.0, null.string, false,]}}"),
            expected);
  EXPECT_EQ(read_ion_item(
                "{ // one\n 'Item' /* two */ : { \"l\" : [1e3, null, false], 'n': 1.2d+3, a:\"A\\xe9\\U0001f600\" } ,"
                " Other : [{x:{{ }}}] }"),
            expected);
}

TEST(Ion, RefusesWhatIsNoItem) {
  for (const std::string_view line : {"",
                                      "{}",
                                      "{Item:1}",
                                      "{Item:{{AA==}}}",
                                      "{Item:{a:symbol}}",
                                      "{Item:{a:2020-01-01T}}",
                                      "{Item:{a:0x1F}}",
                                      "{Item:{a:(1)}}",
                                      "{Item:{a:1 b:2}}",
                                      "{Item:{a:[1 2]}}",
                                      "{Item:{a:1,a:2}}",
                                      "{Item:{a:$dynamodb_SS::[]}}",
                                      "{Item:{a:$dynamodb_NS::[1,1.0]}}",
                                      "{Item:{a:$dynamodb_SS::[1]}}",
                                      "{Item:{a:other::1}}",
                                      "{Item:{a:{{A}}}}",
                                      "{Item:{a:\"\\q\"}}",
                                      "{Item:{a:\"\\ud800\"}}",
                                      "{Item:{a:\"\xff\"}}",
                                      "{Item:{a:1}",
                                      "{Item:{a:1}} {}",
                                      "{Item:{a:-}}",
                                      "{Item:{a:1e999}}",
                                      "{Item:{a:/*}}",
                                      "{Item:{a:\"}"}) {
    EXPECT_THROW(read_ion_item(line), Error) << line;
  }
  EXPECT_THROW(read_ion_item(cat("{Item:{a:", std::string(100'000, '['), "}}")), Error);
}

}  // namespace
}  // namespace virga::dynamodb
