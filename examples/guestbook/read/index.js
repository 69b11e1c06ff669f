// GET /entries: the guestbook's latest entries, newest first.
const { DynamoDBClient } = require("@aws-sdk/client-dynamodb");
const { DynamoDBDocumentClient, QueryCommand } = require("@aws-sdk/lib-dynamodb");

const BOOK = "guests";
const MOST = 50;
const table = DynamoDBDocumentClient.from(new DynamoDBClient({}));

exports.handler = async () => {
  const { Items: items } = await table.send(
    new QueryCommand({
      TableName: process.env.TABLE,
      KeyConditionExpression: "book = :book",
      ExpressionAttributeValues: { ":book": BOOK },
      ScanIndexForward: false,
      Limit: MOST,
    }),
  );
  console.log(`read ${items.length} entries`);
  const entries = items.map(({ name, text, at }) => ({ name, text, at: at.split("#")[0] }));
  return {
    statusCode: 200,
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ entries }),
  };
};
