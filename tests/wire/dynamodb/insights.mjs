// Contributor insights with the AWS SDK for JavaScript; test_insights.py judges what it prints.
import { createRequire } from 'node:module';

const require = createRequire(process.env.SDK_ROOT + '/');
const dynamo = require('@aws-sdk/client-dynamodb');
const watch = require('@aws-sdk/client-cloudwatch');

const TableName = process.argv[2];
const tables = new dynamo.DynamoDBClient({ maxAttempts: 1 });
const metrics = new watch.CloudWatchClient({ maxAttempts: 1 });
const out = {};
const failure = (promise) => promise.then(() => 'none', (error) => ({ name: error.name, status: error.$metadata.httpStatusCode }));
const update = async (ContributorInsightsAction, ContributorInsightsMode) => {
  const told = await tables.send(new dynamo.UpdateContributorInsightsCommand({ TableName, ContributorInsightsAction, ContributorInsightsMode }));
  return { status: told.ContributorInsightsStatus, mode: told.ContributorInsightsMode };
};
const rules = async () => (await tables.send(new dynamo.DescribeContributorInsightsCommand({ TableName }))).ContributorInsightsRuleList;
const kinds = (names) => names.map((name) => name.split('-')[1]);

await update('ENABLE');
const first = await rules();
out.narrowed = await update('ENABLE', 'THROTTLED_KEYS');
const narrow = await rules();
out.narrow = kinds(narrow);
out.kept = first.includes(narrow[0]);
await update('ENABLE');
const now = await rules();
out.widened = kinds(now);
out.listed = (await tables.send(new dynamo.ListContributorInsightsCommand({ TableName }))).ContributorInsightsSummaries.map((s) => s.ContributorInsightsMode);

for (const p of ['a', 'b', 'a']) await tables.send(new dynamo.GetItemCommand({ TableName, Key: { p: { S: p } }, ConsistentRead: true }));
const report = (more) => metrics.send(new watch.GetInsightRuleReportCommand({ RuleName: now[0], Period: 60,
  StartTime: new Date(Date.now() - 600_000), EndTime: new Date(Date.now() + 600_000), ...more }));
const told = await report({ Metrics: ['UniqueContributors'] });
out.contributors = told.Contributors.map((c) => [c.Keys, c.ApproximateAggregateValue]);
out.unique = told.ApproximateUniqueCount;
const rule = (await metrics.send(new watch.DescribeInsightRulesCommand({}))).InsightRules.find((r) => r.Name === now[0]);
out.rule = { managed: rule.ManagedRule, state: rule.State };
out.missing = await failure(report({ RuleName: 'nowhere' }));
out.invalid = await failure(report({ Period: 61 }));
out.disabled = await update('DISABLE', 'THROTTLED_KEYS');

console.log(JSON.stringify(out));
