// Metrics with the AWS SDK for JavaScript; test_metrics.py judges what it prints.
import { createRequire } from 'node:module';

const require = createRequire(process.env.SDK_ROOT + '/');
const watch = require('@aws-sdk/client-cloudwatch');

const Namespace = process.argv[2];
const client = new watch.CloudWatchClient({ maxAttempts: 1 });
const out = {};
const now = new Date();
const hour = new Date(now - now % 3_600_000 - 3_600_000);
const span = { StartTime: hour, EndTime: new Date(+hour + 3_600_000), Period: 3600 };

// More than 10 KB: the SDK packs it.
const MetricData = Array.from({ length: 500 }, (_, i) => ({ MetricName: 'long-name-of-a-metric-' + i, Value: i + 1, Timestamp: hour }));
await client.send(new watch.PutMetricDataCommand({ Namespace, MetricData }));
out.sum = 0;
const queries = MetricData.map(({ MetricName }, i) => ({ Id: 'q' + i, MetricStat: { Metric: { Namespace, MetricName }, Period: 3600, Stat: 'Sum' } }));
const told = await client.send(new watch.GetMetricDataCommand({ MetricDataQueries: queries, StartTime: span.StartTime, EndTime: span.EndTime }));
for (const result of told.MetricDataResults) out.sum += result.Values[0];
out.listed = 0;
for await (const page of watch.paginateListMetrics({ client }, { Namespace })) out.listed += page.Metrics.length;

await client.send(new watch.PutMetricDataCommand({ Namespace, MetricData: [{ MetricName: 'm', Values: [3], Counts: [2], Timestamp: hour, Unit: 'Bytes/Second' },
  { MetricName: 'm', Value: 7, Timestamp: new Date(+hour + 60_000) }] }));
const one = { Id: 'm', MetricStat: { Metric: { Namespace, MetricName: 'm' }, Period: 60, Stat: 'Average' } };
out.values = (await client.send(new watch.GetMetricDataCommand({ MetricDataQueries: [one], StartTime: span.StartTime, EndTime: span.EndTime }))).MetricDataResults[0].Values;
const points = (await client.send(new watch.GetMetricStatisticsCommand({ Namespace, MetricName: 'm', ...span, Period: 60, Unit: 'Bytes/Second', ExtendedStatistics: ['p90'] }))).Datapoints;
out.percentile = points[0].ExtendedStatistics.p90;
const failure = (promise) => promise.then(() => 'none', (error) => ({ name: error.name, status: error.$metadata.httpStatusCode }));
out.refused = await failure(client.send(new watch.PutMetricDataCommand({ Namespace: 'AWS/X', MetricData: [{ MetricName: 'm', Value: 1 }] })));
out.notANumber = await failure(client.send(new watch.PutMetricDataCommand({ Namespace, MetricData: [{ MetricName: 'm', Value: NaN }] })));

console.log(JSON.stringify(out));
