#include <gtest/gtest.h>

#include "kv/record.h"
#include "services/dynamodb/limits.h"
#include "services/dynamodb/ops_test_world.h"
#include "services/dynamodb/recovery.h"
#include "services/dynamodb/store.h"

namespace virga::dynamodb {
namespace {

const char* kSimple =
    "{'TableName':'tab','BillingMode':'PAY_PER_REQUEST','AttributeDefinitions':[{'AttributeName':'p','AttributeType':'"
    "S'}],"
    "'KeySchema':[{'AttributeName':'p','KeyType':'HASH'}]}";
const char* kRich =
    "{'TableName':'rich','BillingMode':'PAY_PER_REQUEST','AttributeDefinitions':[{'AttributeName':'p','AttributeType':'"
    "S'},"
    "{'AttributeName':'s','AttributeType':'N'},{'AttributeName':'g','AttributeType':'S'},{'AttributeName':'l','"
    "AttributeType':'S'}],"
    "'KeySchema':[{'AttributeName':'p','KeyType':'HASH'},{'AttributeName':'s','KeyType':'RANGE'}],"
    "'GlobalSecondaryIndexes':[{'IndexName':'gsi','KeySchema':[{'AttributeName':'g','KeyType':'HASH'},{'AttributeName':"
    "'s','KeyType':'RANGE'}],"
    "'Projection':{'ProjectionType':'ALL'}}],"
    "'LocalSecondaryIndexes':[{'IndexName':'lsi','KeySchema':[{'AttributeName':'p','KeyType':'HASH'},{'AttributeName':'"
    "l','KeyType':'RANGE'}],"
    "'Projection':{'ProjectionType':'KEYS_ONLY'}}]}";

std::string put(const std::string& table, const std::string& item, const std::string& more = "") {
  return "{'TableName':'" + table + "','Item':" + item + more + "}";
}

TEST(Tables, LiveAndDie) {
  World w;
  EXPECT_EQ(w.call("CreateTable", kSimple)["TableDescription"].string_or("TableStatus"), "CREATING");
  EXPECT_EQ(w.call("CreateTable", kSimple).string_or("error"), "ResourceInUseException");
  Json table = w.call("DescribeTable", "{'TableName':'tab'}")["Table"];
  EXPECT_EQ(table.string_or("TableStatus"), "ACTIVE");
  EXPECT_EQ(table.string_or("TableArn"), "arn:aws:dynamodb:us-east-1:000000000000:table/tab");
  EXPECT_EQ(w.text("ListTables", "{}"), "{'TableNames':['tab']}");
  EXPECT_EQ(w.text("PutItem", put("tab", "{'p':{'S':'a'}}")), "{}");
  EXPECT_EQ(w.call("DescribeTable", "{'TableName':'tab'}")["Table"]["ItemCount"].as_int(), 1);
  EXPECT_EQ(w.call("UpdateTable", "{'TableName':'tab','DeletionProtectionEnabled':true}")["TableDescription"].string_or(
                "TableStatus"),
            "UPDATING");
  EXPECT_EQ(w.call("DeleteTable", "{'TableName':'tab'}").string_or("error"), "ValidationException");
  w.call("UpdateTable", "{'TableName':'tab','DeletionProtectionEnabled':false}");
  EXPECT_EQ(w.call("DeleteTable", "{'TableName':'tab'}")["TableDescription"].string_or("TableStatus"), "DELETING");
  EXPECT_EQ(w.message("DescribeTable", "{'TableName':'tab'}"), "Requested resource not found: Table: tab not found");
  // A new table of the same name has nothing of the old one.
  w.call("CreateTable", kSimple);
  EXPECT_EQ(w.text("GetItem", "{'TableName':'tab','Key':{'p':{'S':'a'}}}"), "{}");
}

TEST(Tables, AreAsManyAsAnAccountMayHave) {
  World w;
  w.call("CreateTable", kSimple);
  run(w.db->transact([&](kv::Txn& tx) -> Task<void> {
    const auto one = co_await tx.scan(tables_of("000000000000", "us-east-1"), {.limit = 1});
    for (size_t i = 2; i < kMaxTables; ++i)
      tx.put(table_key({"000000000000", "us-east-1", cat("u", i)}), one.front().value);
  })).value();
  const std::string other = replace_all(kSimple, "'tab'", "'one-more'");
  EXPECT_EQ(w.call("CreateTable", other)["TableDescription"].string_or("TableStatus"), "CREATING");
  EXPECT_EQ(w.message("CreateTable", replace_all(kSimple, "'tab'", "'two-more'")),
            "Subscriber limit exceeded: There is a limit of 2500 tables per subscriber");
  w.call("DeleteTable", "{'TableName':'one-more'}");
  EXPECT_EQ(w.call("CreateTable", other)["TableDescription"].string_or("TableStatus"), "CREATING");
}

TEST(Tables, SchemasAreChecked) {
  World w;
  const auto refused = [&](std::string rest) {
    return w.message("CreateTable", "{'TableName':'tab','BillingMode':'PAY_PER_REQUEST'," + rest + "}");
  };
  const std::string p = "'AttributeDefinitions':[{'AttributeName':'p','AttributeType':'S'}]";
  EXPECT_EQ(refused(p + ",'KeySchema':[{'AttributeName':'q','KeyType':'HASH'}]"),
            "One or more parameter values were invalid: Some index key attributes are not defined in "
            "AttributeDefinitions. Keys: [q], "
            "AttributeDefinitions: [p]");
  EXPECT_EQ(refused(p + ",'KeySchema':[{'AttributeName':'p','KeyType':'RANGE'}]"),
            "Invalid KeySchema: The first KeySchemaElement is not a HASH key type");
  EXPECT_EQ(
      w.message("CreateTable", "{'TableName':'tab'," + p + ",'KeySchema':[{'AttributeName':'p','KeyType':'HASH'}]}"),
      "One or more parameter values were invalid: ReadCapacityUnits and WriteCapacityUnits must both be specified when "
      "BillingMode is PROVISIONED");
  EXPECT_TRUE(
      refused(p + ",'KeySchema':[{'AttributeName':'p','KeyType':'HASH'}],'StreamSpecification':{'StreamEnabled':true}")
          .find("UpdateViewType") != std::string::npos);
}

TEST(Items, PutGetUpdateDelete) {
  World w;
  w.call("CreateTable", kSimple);
  EXPECT_EQ(w.text("PutItem", put("tab", "{'p':{'S':'a'},'n':{'N':'1.0'}}")), "{}");
  EXPECT_EQ(w.text("GetItem", "{'TableName':'tab','Key':{'p':{'S':'a'}}}"), "{'Item':{'n':{'N':'1'},'p':{'S':'a'}}}");
  EXPECT_EQ(w.text("PutItem", put("tab", "{'p':{'S':'a'},'n':{'N':'2'}}", ",'ReturnValues':'ALL_OLD'")),
            "{'Attributes':{'n':{'N':'1'},'p':{'S':'a'}}}");
  EXPECT_EQ(
      w.text("UpdateItem",
             "{'TableName':'tab','Key':{'p':{'S':'a'}},'UpdateExpression':'ADD n :one','ExpressionAttributeValues':"
             "{':one':{'N':'1'}},'ReturnValues':'UPDATED_NEW'}"),
      "{'Attributes':{'n':{'N':'3'}}}");
  EXPECT_EQ(
      w.text("UpdateItem",
             "{'TableName':'tab','Key':{'p':{'S':'new'}},'AttributeUpdates':{'x':{'Value':{'S':'y'},'Action':'PUT'}},"
             "'ReturnValues':'ALL_NEW'}"),
      "{'Attributes':{'p':{'S':'new'},'x':{'S':'y'}}}");
  EXPECT_EQ(
      w.text("GetItem",
             "{'TableName':'tab','Key':{'p':{'S':'a'}},'ProjectionExpression':'n','ReturnConsumedCapacity':'TOTAL'}"),
      "{'Item':{'n':{'N':'3'}},'ConsumedCapacity':{'TableName':'tab','CapacityUnits':0.5}}");
  EXPECT_EQ(w.text("DeleteItem", "{'TableName':'tab','Key':{'p':{'S':'a'}},'ReturnValues':'ALL_OLD'}"),
            "{'Attributes':{'n':{'N':'3'},'p':{'S':'a'}}}");
  EXPECT_EQ(w.text("GetItem", "{'TableName':'tab','Key':{'p':{'S':'a'}}}"), "{}");
}

TEST(Items, Conditions) {
  World w;
  w.call("CreateTable", kSimple);
  const std::string absent = ",'ConditionExpression':'attribute_not_exists(p)'";
  EXPECT_EQ(w.text("PutItem", put("tab", "{'p':{'S':'a'},'v':{'N':'1'}}", absent)), "{}");
  EXPECT_EQ(w.text("PutItem", put("tab", "{'p':{'S':'a'}}", absent)),
            "{'error':'ConditionalCheckFailedException','message':'The conditional request failed'}");
  EXPECT_EQ(
      w.text("PutItem", put("tab", "{'p':{'S':'a'}}", absent + ",'ReturnValuesOnConditionCheckFailure':'ALL_OLD'")),
      "{'Item':{'p':{'S':'a'},'v':{'N':'1'}},'error':'ConditionalCheckFailedException','message':'The conditional "
      "request failed'}");
  EXPECT_EQ(w.text("PutItem", put("tab", "{'p':{'S':'a'}}", ",'Expected':{'v':{'Value':{'N':'2'}}}")).substr(0, 42),
            "{'error':'ConditionalCheckFailedException'");
  EXPECT_EQ(
      w.text("PutItem",
             put("tab", "{'p':{'S':'a'}}",
                 ",'Expected':{'v':{'AttributeValueList':[{'N':'0'},{'N':'2'}],'ComparisonOperator':'BETWEEN'}}")),
      "{}");
  EXPECT_EQ(
      w.message("PutItem", put("tab", "{'p':{'S':'a'}}", absent + ",'Expected':{'v':{'Value':{'N':'2'}}}")),
      "1 validation error detected: Can not use both expression and non-expression parameters in the same request: "
      "Non-expression parameters: {Expected} "
      "Expression parameters: {ConditionExpression}");
  // A conflicting commit runs the body again and comes to the same answer.
  kv::inject_conflicts(*w.db, 3);
  EXPECT_EQ(
      w.text("UpdateItem",
             "{'TableName':'tab','Key':{'p':{'S':'c'}},'UpdateExpression':'ADD n :one','ExpressionAttributeValues':"
             "{':one':{'N':'1'}},'ReturnValues':'ALL_NEW'}"),
      "{'Attributes':{'n':{'N':'1'},'p':{'S':'c'}}}");
}

TEST(Items, KeysAreChecked) {
  World w;
  w.call("CreateTable", kRich);
  EXPECT_EQ(w.message("PutItem", put("rich", "{'p':{'S':'a'}}")),
            "One or more parameter values were invalid: Missing the key s in the item");
  EXPECT_EQ(w.message("PutItem", put("rich", "{'p':{'N':'1'},'s':{'N':'1'}}")),
            "One or more parameter values were invalid: Type mismatch for key p expected: S actual: N");
  EXPECT_EQ(
      w.message("PutItem", put("rich", "{'p':{'S':'a'},'s':{'N':'1'},'g':{'N':'1'}}")),
      "One or more parameter values were invalid: Type mismatch for Index Key g Expected: S Actual: N IndexName: gsi");
  EXPECT_EQ(w.message("GetItem", "{'TableName':'rich','Key':{'p':{'S':'a'}}}"),
            "The provided key element does not match the schema");
  EXPECT_EQ(w.message("PutItem", put("none", "{'p':{'S':'a'}}")), "Requested resource not found");
  EXPECT_EQ(
      w.message("UpdateItem", "{'TableName':'rich','Key':{'p':{'S':'a'},'s':{'N':'1'}},'UpdateExpression':'REMOVE s'}"),
      "One or more parameter values were invalid: Cannot update attribute s. This attribute is part of the key");
}

TEST(Query, RangesOrdersPages) {
  World w;
  w.call("CreateTable", kRich);
  for (int i : {-5, 0, 3, 10, 20}) {
    w.call("PutItem", put("rich", "{'p':{'S':'a'},'s':{'N':'" + std::to_string(i) + "'},'g':{'S':'g'},'v':{'N':'" +
                                      std::to_string(i) + "'}}"));
  }
  w.call("PutItem", put("rich", "{'p':{'S':'b'},'s':{'N':'1'},'g':{'S':'g'},'l':{'S':'x'},'z':{'S':'far'}}"));
  const auto sorts = [&](std::string rest) {
    std::string out;
    Json answer = w.call("Query", "{'TableName':'rich'," + rest + "}");
    if (const Json* error = answer.find("message")) return error->as_string();
    for (const Json& item : answer["Items"].as_array())
      out += (out.empty() ? "" : " ") + item.find("s")->find("N")->as_string();
    if (const Json* last = answer.find("LastEvaluatedKey")) out += " ... " + last->find("s")->find("N")->as_string();
    return out;
  };
  const std::string values = ",'ExpressionAttributeValues':{':p':{'S':'a'}";
  EXPECT_EQ(sorts("'KeyConditionExpression':'p = :p'" + values + "}"), "-5 0 3 10 20");
  EXPECT_EQ(sorts("'ScanIndexForward':false,'KeyConditionExpression':'p = :p'" + values + "}"), "20 10 3 0 -5");
  EXPECT_EQ(sorts("'KeyConditionExpression':'p = :p AND s > :s'" + values + ",':s':{'N':'0'}}"), "3 10 20");
  EXPECT_EQ(sorts("'KeyConditionExpression':'p = :p AND s <= :s'" + values + ",':s':{'N':'0'}}"), "-5 0");
  EXPECT_EQ(
      sorts("'KeyConditionExpression':'p = :p AND s BETWEEN :s AND :t'" + values + ",':s':{'N':'0'},':t':{'N':'10'}}"),
      "0 3 10");
  EXPECT_EQ(sorts("'Limit':2,'KeyConditionExpression':'p = :p'" + values + "}"), "-5 0 ... 0");
  EXPECT_EQ(sorts("'Limit':2,'ExclusiveStartKey':{'p':{'S':'a'},'s':{'N':'0'}},'KeyConditionExpression':'p = :p'" +
                  values + "}"),
            "3 10 ... 10");
  EXPECT_EQ(sorts("'ScanIndexForward':false,'ExclusiveStartKey':{'p':{'S':'a'},'s':{'N':'3'}},'KeyConditionExpression':"
                  "'p = :p'" +
                  values + "}"),
            "0 -5");
  EXPECT_EQ(sorts("'IndexName':'gsi','KeyConditionExpression':'g = :p and s < "
                  ":s','ExpressionAttributeValues':{':p':{'S':'g'},':s':{'N':'3'}}"),
            "-5 0 1");
  EXPECT_EQ(
      sorts(
          "'IndexName':'gsi','Limit':3,'KeyConditionExpression':'g = :p','ExpressionAttributeValues':{':p':{'S':'g'}}"),
      "-5 0 1 ... 1");
  EXPECT_EQ(sorts("'FilterExpression':'v > :v','KeyConditionExpression':'p = :p'" + values + ",':v':{'N':'5'}}"),
            "10 20");
  EXPECT_EQ(sorts("'KeyConditions':{'p':{'AttributeValueList':[{'S':'a'}],'ComparisonOperator':'EQ'},'s':{'"
                  "AttributeValueList':[{'N':'3'}],"
                  "'ComparisonOperator':'GE'}}"),
            "3 10 20");
  EXPECT_EQ(sorts("'KeyConditionExpression':'s = :p'" + values + "}"), "Query condition missed key schema element: p");
  EXPECT_EQ(sorts("'KeyConditionExpression':'p > :p'" + values + "}"), "Query key condition not supported");
  EXPECT_EQ(sorts("'KeyConditionExpression':'p = :p','FilterExpression':'s > :s'" + values + ",':s':{'N':'0'}}"),
            "Filter Expression can only contain non-primary key attributes: Primary key attribute: s");
  // The local index holds keys only: other attributes are fetched from the table when asked for.
  const std::string local =
      "{'TableName':'rich','IndexName':'lsi','KeyConditionExpression':'p = "
      ":p','ExpressionAttributeValues':{':p':{'S':'b'}}";
  EXPECT_EQ(w.call("Query", local + "}")["Items"].dump(), R"([{"l":{"S":"x"},"p":{"S":"b"},"s":{"N":"1"}}])");
  EXPECT_EQ(w.call("Query", local + ",'Select':'ALL_ATTRIBUTES'}")["Items"].as_array()[0].find("z")->dump(),
            R"({"S":"far"})");
  EXPECT_EQ(w.text("Query", local + ",'Select':'COUNT'}"), "{'Count':1,'ScannedCount':1}");
}

TEST(Query, PagesEndAtAMegabyte) {
  World w;
  w.call("CreateTable", kRich);
  const std::string big(300 * 1024, 'x');
  for (int i = 0; i < 6; ++i) {
    w.call("PutItem", put("rich", "{'p':{'S':'a'},'s':{'N':'" + std::to_string(i) + "'},'v':{'S':'" + big + "'}}"));
  }
  Json first = w.call(
      "Query", "{'TableName':'rich','KeyConditionExpression':'p = :p','ExpressionAttributeValues':{':p':{'S':'a'}}}");
  EXPECT_EQ(first["Count"].as_int(), 4);
  EXPECT_EQ(first["LastEvaluatedKey"]["s"]["N"].as_string(), "3");
}

TEST(Scan, SegmentsCoverTheTableOnce) {
  World w;
  w.call("CreateTable", kSimple);
  for (int i = 0; i < 60; ++i) w.call("PutItem", put("tab", "{'p':{'S':'k" + std::to_string(i) + "'}}"));
  int64_t total = 0;
  for (int segment = 0; segment < 4; ++segment) {
    const int64_t count =
        w.call("Scan", "{'TableName':'tab','TotalSegments':4,'Segment':" + std::to_string(segment) + "}")["Count"]
            .as_int();
    EXPECT_GT(count, 2);
    total += count;
  }
  EXPECT_EQ(total, 60);
  std::string start;
  int64_t paged = 0;
  for (;;) {
    Json page = w.call("Scan", "{'TableName':'tab','Limit':7" + start + "}");
    paged += page["Count"].as_int();
    const Json* last = page.find("LastEvaluatedKey");
    if (!last) break;
    start = ",'ExclusiveStartKey':" + last->dump();
  }
  EXPECT_EQ(paged, 60);
}

// The orders in which AWS was seen to scan these keys.
TEST(Scan, ComesInTheOrderOfAws) {
  World w;
  w.call("CreateTable", kSimple);
  w.call("CreateTable",
         "{'TableName':'num','BillingMode':'PAY_PER_REQUEST','AttributeDefinitions':[{'AttributeName':'p','"
         "AttributeType':'N'}],"
         "'KeySchema':[{'AttributeName':'p','KeyType':'HASH'}]}");
  const auto order = [&](const std::string& table, const std::string& type, const std::vector<std::string>& keys) {
    for (const std::string& key : keys) w.call("PutItem", put(table, "{'p':{'" + type + "':'" + key + "'}}"));
    std::vector<std::string> out;
    for (const Json& item : w.call("Scan", "{'TableName':'" + table + "'}")["Items"].as_array()) {
      out.push_back(item.find("p")->find(type)->as_string());
    }
    return out;
  };
  const std::vector<std::string> texts = {"2", "8", "9",    "1",       "6", "hello", "0",
                                          "5", "4", "äáöü", "aardman", "7", "3",     "zapf"};
  EXPECT_EQ(order("tab", "S", texts), texts);
  const std::vector<std::string> numbers = {"7", "999.9", "8", "3", "2", "-999.9",   "9",
                                            "4", "-0.09", "6", "1", "0", "0.012345", "5"};
  EXPECT_EQ(order("num", "N", numbers), numbers);
}

TEST(Items, EndlessConflictsAreRefused) {
  World w;
  w.call("CreateTable", kSimple);
  kv::inject_conflicts(*w.db, 1000);
  EXPECT_EQ(w.call("PutItem", put("tab", "{'p':{'S':'a'}}")).string_or("error"), "TransactionConflictException");
}

TEST(Indexes, FollowTheItem) {
  World w;
  w.call("CreateTable", kRich);
  const std::string query =
      "{'TableName':'rich','IndexName':'gsi','KeyConditionExpression':'g = "
      ":g','ExpressionAttributeValues':{':g':{'S':'";
  const auto count = [&](std::string g) { return w.call("Query", query + g + "'}}}")["Count"].as_int(); };
  const std::string key = "'TableName':'rich','Key':{'p':{'S':'a'},'s':{'N':'1'}}";
  w.call("PutItem", put("rich", "{'p':{'S':'a'},'s':{'N':'1'},'g':{'S':'one'}}"));
  EXPECT_EQ(count("one"), 1);
  w.call("UpdateItem", "{" + key + ",'UpdateExpression':'SET g = :g','ExpressionAttributeValues':{':g':{'S':'two'}}}");
  EXPECT_EQ(count("one"), 0);
  EXPECT_EQ(count("two"), 1);
  w.call("UpdateItem", "{" + key + ",'UpdateExpression':'REMOVE g'}");
  EXPECT_EQ(count("two"), 0);
  w.call("PutItem", put("rich", "{'p':{'S':'a'},'s':{'N':'1'},'g':{'S':'one'}}"));
  w.call("DeleteItem", "{" + key + "}");
  EXPECT_EQ(count("one"), 0);
}

TEST(Indexes, AreAddedToExistingItemsAndRemoved) {
  World w;
  w.call("CreateTable", kSimple);
  for (int i = 0; i < 250; ++i) {
    w.call("PutItem",
           put("tab", "{'p':{'S':'k" + std::to_string(i) + "'},'g':{'S':'" + (i % 2 ? "odd" : "even") + "'}}"));
  }
  w.call("UpdateTable",
         "{'TableName':'tab','AttributeDefinitions':[{'AttributeName':'g','AttributeType':'S'}],'"
         "GlobalSecondaryIndexUpdates':[{'Create':"
         "{'IndexName':'gsi','KeySchema':[{'AttributeName':'g','KeyType':'HASH'}],'Projection':{'ProjectionType':'KEYS_"
         "ONLY'}}}]}");
  std::string status;
  for (int i = 0; i < 100 && status != "ACTIVE"; ++i) {
    status = w.call("DescribeTable", "{'TableName':'tab'}")["Table"]["GlobalSecondaryIndexes"].as_array()[0].string_or(
        "IndexStatus");
  }
  EXPECT_EQ(status, "ACTIVE");
  const std::string query =
      "{'TableName':'tab','IndexName':'gsi','Select':'COUNT','KeyConditionExpression':'g = "
      ":g','ExpressionAttributeValues':{':g':{'S':'odd'}}}";
  EXPECT_EQ(w.call("Query", query)["Count"].as_int(), 125);
  w.call("UpdateTable", "{'TableName':'tab','GlobalSecondaryIndexUpdates':[{'Delete':{'IndexName':'gsi'}}]}");
  EXPECT_EQ(w.message("Query", query), "The table does not have the specified index: gsi");
}

TEST(Batch, WritesAndGets) {
  World w;
  w.call("CreateTable", kSimple);
  EXPECT_EQ(
      w.text(
          "BatchWriteItem",
          "{'RequestItems':{'tab':[{'PutRequest':{'Item':{'p':{'S':'a'}}}},{'PutRequest':{'Item':{'p':{'S':'b'}}}}]}}"),
      "{'UnprocessedItems':{}}");
  EXPECT_EQ(w.text("BatchGetItem", "{'RequestItems':{'tab':{'Keys':[{'p':{'S':'a'}},{'p':{'S':'nope'}}]}}}"),
            "{'Responses':{'tab':[{'p':{'S':'a'}}]},'UnprocessedKeys':{}}");
  EXPECT_EQ(w.message("BatchWriteItem",
                      "{'RequestItems':{'tab':[{'PutRequest':{'Item':{'p':{'S':'a'}}}},{'DeleteRequest':{'Key':{'p':{'"
                      "S':'a'}}}}]}}"),
            "Provided list of item keys contains duplicates");
  EXPECT_EQ(w.message("BatchGetItem", "{'RequestItems':{'tab':{'Keys':[{'p':{'S':'a'}},{'p':{'S':'a'}}]}}}"),
            "Provided list of item keys contains duplicates");
}

TEST(Transact, AllOrNothing) {
  World w;
  w.call("CreateTable", kSimple);
  w.call("PutItem", put("tab", "{'p':{'S':'a'},'n':{'N':'1'}}"));
  const std::string good =
      "{'TransactItems':[{'Put':{'TableName':'tab','Item':{'p':{'S':'b'}}}},{'Update':{'TableName':'tab','Key':{'p':{'"
      "S':'a'}},"
      "'UpdateExpression':'ADD n :one','ExpressionAttributeValues':{':one':{'N':'1'}}}}],'ClientRequestToken':'token'}";
  EXPECT_EQ(w.text("TransactWriteItems", good), "{}");
  EXPECT_EQ(w.text("TransactWriteItems", good), "{}");  // a repetition does nothing
  EXPECT_EQ(w.call("GetItem", "{'TableName':'tab','Key':{'p':{'S':'a'}}}")["Item"]["n"]["N"].as_string(), "2");
  EXPECT_EQ(
      w.text("TransactWriteItems",
             "{'TransactItems':[{'Put':{'TableName':'tab','Item':{'p':{'S':'c'}}}}],'ClientRequestToken':'token'}")
          .substr(0, 44),
      "{'error':'IdempotentParameterMismatchExcepti");
  Json cancelled =
      w.call("TransactWriteItems",
             "{'TransactItems':[{'Put':{'TableName':'tab','Item':{'p':{'S':'x'}}}},{'ConditionCheck':{'TableName':'tab'"
             ",'Key':{'p':{'S':'a'}},"
             "'ConditionExpression':'attribute_not_exists(p)','ReturnValuesOnConditionCheckFailure':'ALL_OLD'}}]}");
  EXPECT_EQ(cancelled.string_or("error"), "TransactionCanceledException");
  EXPECT_EQ(
      cancelled.string_or("message"),
      "Transaction cancelled, please refer cancellation reasons for specific reasons [None, ConditionalCheckFailed]");
  EXPECT_EQ(
      cancelled["CancellationReasons"].dump(),
      R"([{"Code":"None"},{"Code":"ConditionalCheckFailed","Message":"The conditional request failed","Item":{"n":{"N":"2"},"p":{"S":"a"}}}])");
  EXPECT_EQ(w.text("GetItem", "{'TableName':'tab','Key':{'p':{'S':'x'}}}"), "{}");
  EXPECT_EQ(w.text("TransactGetItems",
                   "{'TransactItems':[{'Get':{'TableName':'tab','Key':{'p':{'S':'b'}}}},{'Get':{'TableName':'tab','Key'"
                   ":{'p':{'S':'zz'}}}}]}"),
            "{'Responses':[{'Item':{'p':{'S':'b'}}},{}]}");
  EXPECT_EQ(w.message("TransactWriteItems",
                      "{'TransactItems':[{'Put':{'TableName':'tab','Item':{'p':{'S':'x'}}}},{'Delete':{'TableName':'"
                      "tab','Key':{'p':{'S':'x'}}}}]}"),
            "Transaction request cannot include multiple operations on one item");
}

TEST(Expiry, DeletesWhatIsDue) {
  World w;
  w.call("CreateTable", kSimple);
  const int64_t now = w.clock.now().seconds();
  w.call("PutItem", put("tab", "{'p':{'S':'old'},'e':{'N':'" + std::to_string(now + 10) + "'}}"));
  EXPECT_EQ(
      w.text("UpdateTimeToLive", "{'TableName':'tab','TimeToLiveSpecification':{'Enabled':true,'AttributeName':'e'}}"),
      "{'TimeToLiveSpecification':{'Enabled':true,'AttributeName':'e'}}");
  w.call("PutItem", put("tab", "{'p':{'S':'soon'},'e':{'N':'" + std::to_string(now + 20) + "'}}"));
  w.call("PutItem", put("tab", "{'p':{'S':'late'},'e':{'N':'" + std::to_string(now + 9000) + "'}}"));
  w.call("PutItem", put("tab", "{'p':{'S':'never'}}"));
  const int64_t five_years = kOldestExpiry.count();
  w.call("PutItem", put("tab", "{'p':{'S':'mistaken'},'e':{'N':'" + std::to_string(now - five_years) + "'}}"));
  w.call("PutItem", put("tab", "{'p':{'S':'very old'},'e':{'N':'" + std::to_string(now - five_years + 900) + "'}}"));
  std::string status;
  for (int i = 0; i < 100 && status != "ENABLED"; ++i) {
    status = w.call("DescribeTimeToLive", "{'TableName':'tab'}")["TimeToLiveDescription"].string_or("TimeToLiveStatus");
  }
  EXPECT_EQ(status, "ENABLED");
  w.clock.advance(std::chrono::seconds(100));
  (void)run([&]() -> Task<void> {
    w.timers.start();
    for (int i = 0; i < 300; ++i) {
      co_await sleep_for(std::chrono::milliseconds(10));
      const auto rows = co_await w.db->snapshot()->scan(kv::prefix_range(std::string("ddb\0\1e", 6)));
      if (rows.size() == 2) break;
    }
    co_await w.timers.stop();
  }());
  EXPECT_EQ(w.call("Scan", "{'TableName':'tab'}")["Count"].as_int(), 3);
  EXPECT_EQ(w.text("GetItem", "{'TableName':'tab','Key':{'p':{'S':'very old'}}}"), "{}");
  EXPECT_EQ(w.message("UpdateTimeToLive",
                      "{'TableName':'tab','TimeToLiveSpecification':{'Enabled':true,'AttributeName':'e'}}"),
            "TimeToLive is already enabled");
  const char* disable = "{'TableName':'tab','TimeToLiveSpecification':{'Enabled':false,'AttributeName':'e'}}";
  w.clock.advance(std::chrono::minutes(29));
  EXPECT_EQ(w.message("UpdateTimeToLive", disable),
            "Time to live has been modified multiple times within a fixed interval");
  w.clock.advance(std::chrono::minutes(2));
  EXPECT_EQ(w.message("UpdateTimeToLive", disable), "no error");
  EXPECT_EQ(w.message("UpdateTimeToLive", disable), "TimeToLive is already disabled");
}

TEST(Tags, AreKept) {
  World w;
  w.call("CreateTable", kSimple);
  const std::string arn = "'ResourceArn':'arn:aws:dynamodb:us-east-1:000000000000:table/tab'";
  EXPECT_EQ(w.text("TagResource", "{" + arn + ",'Tags':[{'Key':'a','Value':'1'},{'Key':'b','Value':'2'}]}"), "{}");
  EXPECT_EQ(w.text("UntagResource", "{" + arn + ",'TagKeys':['a']}"), "{}");
  EXPECT_EQ(w.text("ListTagsOfResource", "{" + arn + "}"), "{'Tags':[{'Key':'b','Value':'2'}]}");
}

TEST(Backups, AreRestoredWholeOrNotDeleted) {
  World w;
  w.call("CreateTable", kSimple);
  w.call("PutItem", put("tab", "{'p':{'S':'a'}}"));
  const std::string arn =
      w.call("CreateBackup", "{'TableName':'tab','BackupName':'one'}").find("BackupDetails")->string_or("BackupArn");
  const std::string backup = "{'BackupArn':'" + arn + "'}";
  w.call("RestoreTableFromBackup", "{'TargetTableName':'made','BackupArn':'" + arn + "'}");
  EXPECT_EQ(w.text("DeleteItem", "{'TableName':'made','Key':{'p':{'S':'a'}}}"), "{}");

  // The restore again, as a process that ended early left it.
  const std::string row = table_key({w.ctx.account, w.ctx.region, "made"});
  ASSERT_TRUE(run(w.db->transact([&](kv::Txn& tx) -> Task<void> {
    const Table made = kv::decode<Table>(*co_await tx.get(row));
    const std::string from = backup_key(w.ctx.account, w.ctx.region, arn.substr(arn.rfind('/') + 1));
    const Job job{JobKind::kRestoreBackup, {w.ctx.account, w.ctx.region, "made"}, made.number, from, {}, {}, {}};
    tx.put(job_key("again"), kv::encode(job));
  })));
  EXPECT_EQ(w.call("DeleteBackup", backup).string_or("error"), "BackupInUseException");
  kv::inject_conflicts(*w.db, 1);
  ASSERT_TRUE(run(w.service.start()));
  EXPECT_EQ(w.text("GetItem", "{'TableName':'made','Key':{'p':{'S':'a'}}}"), "{'Item':{'p':{'S':'a'}}}");
  EXPECT_EQ(w.call("DeleteBackup", backup).string_or("error"), "");
}

TEST(Access, AsksPerTableWithKeys) {
  World w;
  w.call("CreateTable", kRich);
  w.ctx.principal.kind = kernel::Principal::Kind::kUser;
  PutItemInput in;
  in.table_name = "rich";
  in.item = Item::of_bytes(
      make_item({{"p", AttributeValue::string("me").view()}, {"x", AttributeValue::string("y").view()}}).bytes());
  const auto asked = w.operation("PutItem").access(w.ctx, &in);
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_EQ(asked[0].action, "dynamodb:PutItem");
  EXPECT_EQ(asked[0].resource, "arn:aws:dynamodb:us-east-1:000000000000:table/rich");
  // The schema is known only after a first use, until then every value may be the key.
  const std::vector<std::string> both = {"me", "y"};
  EXPECT_EQ(asked[0].conditions[0].second, both);
  w.call("DescribeTable", "{'TableName':'rich'}");
  EXPECT_EQ(w.operation("PutItem").access(w.ctx, &in)[0].conditions[0].second, std::vector<std::string>{"me"});
}

}  // namespace
}  // namespace virga::dynamodb
