#include "services/dynamodb/attribute_value.h"

#include <gtest/gtest.h>

#include "base/cbor.h"
#include "services/dynamodb/test_support.h"

namespace virga::dynamodb {
namespace {

const char* kAll =
    "{'b':{'B':'AAEC'},'bs':{'BS':['AA==','AQ==']},'f':{'BOOL':false},'l':{'L':[{'S':'x'},{'N':'1'},{'L':[]}]},"
    "'m':{'M':{'a':{'S':''},'b':{'M':{}}}},'n':{'N':'-1.5'},'ns':{'NS':['-1','2','10']},'s':{'S':'text'},'ss':{'SS':['"
    "a','b']},"
    "'t':{'BOOL':true},'z':{'NULL':true}}";

TEST(AttributeValue, RoundTripsJson) {
  EXPECT_EQ(json_of(item_of(kAll)), kAll);
  EXPECT_EQ(json_of(item_of("{}")), "{}");
  EXPECT_EQ(json_of(item_of("{'z':{'S':'1'},'a':{'S':'2'},'z':{'S':'3'}}")), "{'a':{'S':'2'},'z':{'S':'3'}}");
}

TEST(AttributeValue, RoundTripsCbor) {
  const Item item = item_of(kAll);
  std::string bytes;
  CborWriter writer(bytes);
  kItemInfo.write_cbor(writer, &item);
  CborReader reader(bytes);
  Item back;
  kItemInfo.read_cbor(reader, &back, "");
  reader.end();
  EXPECT_EQ(back, item);
}

TEST(AttributeValue, EqualValuesHaveEqualBytes) {
  EXPECT_EQ(item_of("{'a':{'NS':['1','2.0']},'b':{'M':{'y':{'N':'1e1'},'x':{'S':''}}}}"),
            item_of("{'b':{'M':{'x':{'S':''},'y':{'N':'10'}}},'a':{'NS':['2','1.00']}}"));
}

TEST(AttributeValue, FindsWithoutReadingTheRest) {
  std::string json = "{";
  for (int i = 0; i < 500; ++i)
    json += (i ? ",'k" : "'k") + std::to_string(i) + "':{'S':'" + std::string(200, 'x') + std::to_string(i) + "'}";
  const Item item = item_of(json + "}");
  EXPECT_EQ(item.size(), 500u);
  EXPECT_EQ(item.find("k123").content(), std::string(200, 'x') + "123");
  EXPECT_FALSE(item.find("k").present());
  EXPECT_FALSE(item.find("k5000").present());
}

TEST(AttributeValue, KeepsMalformedValuesWithAwsWords) {
  const auto fault = [](std::string json) { return std::string(item_of(json).view().malformed()); };
  EXPECT_EQ(fault("{'a':{}}"), "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes");
  EXPECT_EQ(
      fault("{'a':{'S':'a','N':'1'}}"),
      "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes");
  EXPECT_EQ(fault("{'a':{'N':'x'}}"), "The parameter cannot be converted to a numeric value: x");
  EXPECT_EQ(fault("{'a':{'N':''}}"), "The parameter cannot be converted to a numeric value");
  EXPECT_EQ(fault("{'a':{'L':[{'M':{'b':{'N':'1e200'}}}]}}"),
            "Number overflow. Attempting to store a number with magnitude larger than supported range");
  EXPECT_EQ(fault("{'a':{'SS':[]}}"), "One or more parameter values were invalid: An string set  may not be empty");
  EXPECT_EQ(fault("{'a':{'SS':['x','x']}}"),
            "One or more parameter values were invalid: Input collection [x, x] contains duplicates.");
  EXPECT_EQ(fault("{'a':{'NS':['1','1.0']}}"), "Input collection contains duplicates");
  EXPECT_EQ(fault("{'a':{'NULL':false}}"),
            "One or more parameter values were invalid: Null attribute value types must have the value of true");
  EXPECT_EQ(item_of("{'a':{'S':'fine'},'bad':{'N':'x'},'c':{}}").view().malformed_name(), "bad");
  const auto current = [](std::string json) { return std::string(item_of(json).view().malformed(Wording::kCurrent)); };
  EXPECT_EQ(current("{'a':{'N':''}}"), "The parameter cannot be converted to a numeric value: ");
  EXPECT_EQ(current("{'a':{'SS':['','b','a','b','']}}"),
            "One or more parameter values were invalid: Input collection [\"\", \"a\", \"b\", \"b\", \"\"] contains "
            "duplicates.");
  // The older words count exponents in 32 bits.
  for (const auto& [number, older] :
       std::vector<std::pair<std::string, std::string_view>>{{"1e126", "Number overflow"},
                                                             {"1e-131", "Number underflow"},
                                                             {"1e2147483647", "Number underflow"},
                                                             {"1e2147483648", "The parameter cannot"},
                                                             {"1.5e-2147483647", "The parameter cannot"},
                                                             {"-1e99999999999", "The parameter cannot"}}) {
    EXPECT_TRUE(fault("{'a':{'N':'" + number + "'}}").starts_with(older)) << number;
    EXPECT_TRUE(current("{'a':{'N':'" + number + "'}}").starts_with("Number ")) << number;
  }
  std::string deep = "{'a':";
  for (int i = 0; i < 40; ++i) deep += "{'L':[";
  deep += "{'S':''}";
  for (int i = 0; i < 40; ++i) deep += "]}";
  EXPECT_TRUE(fault(deep + "}").starts_with("Nesting Levels have exceeded"));
}

TEST(AttributeValue, ThrowsOnWrongJsonTypes) {
  const auto said = [](std::string json) { return refusal([&] { item_of(json); }); };
  EXPECT_EQ(said("{'a':{'S':1}}"), "NUMBER_VALUE cannot be converted to String");
  EXPECT_EQ(said("{'a':{'S':true}}"), "TRUE_VALUE cannot be converted to String");
  EXPECT_EQ(said("{'a':'x'}"), "Unexpected value type in payload");
  EXPECT_TRUE(said("{'a':{'B':'!'}}").starts_with("Base64 encoded length is expected"));
  EXPECT_THROW(item_of("{'a':"), JsonError);
}

TEST(AttributeValue, CountsSizes) {
  EXPECT_EQ(item_of("{'ab':{'S':'xyz'}}").view().item_size(), 5u);
  EXPECT_EQ(item_of("{'a':{'L':[{'S':'xy'},{'BOOL':true}]}}").view().item_size(), 1u + 3 + 2 + 2 + 1);
  EXPECT_EQ(item_of("{'a':{'M':{'k':{'S':'xy'}}}}").view().item_size(), 1u + 3 + 1 + 1 + 2);
}

TEST(AttributeValue, DamagedBytesThrow) {
  const std::string good = item_of(kAll).bytes();
  for (size_t cut = 1; cut < good.size(); cut += 3) {
    const std::string bytes = good.substr(0, cut);
    try {
      json_of(View(bytes));
    } catch (const std::runtime_error&) {
    }
  }
}

}  // namespace
}  // namespace virga::dynamodb
