// Queues, topics, buses and schedules with the AWS SDK for JavaScript, which checks SQS's MD5s itself. Prints what it
// found as one JSON object; test_js_events.py judges it.
import { createRequire } from 'node:module';

const require = createRequire(process.env.SDK_ROOT + '/');
const { IAMClient, CreateRoleCommand, PutRolePolicyCommand } = require('@aws-sdk/client-iam');
const sqs = require('@aws-sdk/client-sqs');
const sns = require('@aws-sdk/client-sns');
const eb = require('@aws-sdk/client-eventbridge');
const sch = require('@aws-sdk/client-scheduler');

const [name] = process.argv.slice(2);
const options = { maxAttempts: 1 };
const out = {};
const failure = (promise) => promise.then(() => 'none', (error) => ({ name: error.name, status: error.$metadata.httpStatusCode, kind: error.$fault }));

const queues = new sqs.SQSClient(options);
const policy = JSON.stringify({ Version: '2012-10-17', Statement: [
  { Effect: 'Allow', Principal: { Service: ['sns.amazonaws.com', 'events.amazonaws.com'] }, Action: 'sqs:SendMessage', Resource: '*' }] });
const url = (await queues.send(new sqs.CreateQueueCommand({ QueueName: name, Attributes: { Policy: policy } }))).QueueUrl;
const arn = (await queues.send(new sqs.GetQueueAttributesCommand({ QueueUrl: url, AttributeNames: ['QueueArn'] }))).Attributes.QueueArn;
const receive = async (more) => (await queues.send(new sqs.ReceiveMessageCommand({
  QueueUrl: url, MaxNumberOfMessages: 10, WaitTimeSeconds: 10, MessageAttributeNames: ['All'], ...more }))).Messages ?? [];
// As many messages as asked for, deleted.
const take = async (count) => {
  const found = [];
  for (const end = Date.now() + 20000; found.length < count && Date.now() < end;) {
    const messages = await receive();
    if (messages.length === 0) continue;
    await queues.send(new sqs.DeleteMessageBatchCommand({ QueueUrl: url,
      Entries: messages.map((m, i) => ({ Id: String(i), ReceiptHandle: m.ReceiptHandle })) }));
    found.push(...messages);
  }
  return found;
};

// The SDK fails when an MD5 isn't that of the body it sent or received.
const attributes = { colour: { DataType: 'String', StringValue: 'röd' }, size: { DataType: 'Number.int', StringValue: '7' },
  raw: { DataType: 'Binary', BinaryValue: new Uint8Array([0, 255, 7]) } };
const sent = await queues.send(new sqs.SendMessageCommand({ QueueUrl: url, MessageBody: 'héllo <&> 🎈', MessageAttributes: attributes }));
const [got] = await receive({ MessageSystemAttributeNames: ['All'] });
out.message = { body: got.Body, same: got.MessageId === sent.MessageId, colour: got.MessageAttributes.colour.StringValue,
  raw: [...got.MessageAttributes.raw.BinaryValue], md5: got.MD5OfMessageAttributes === sent.MD5OfMessageAttributes,
  count: got.Attributes.ApproximateReceiveCount, sender: got.Attributes.SenderId };
await queues.send(new sqs.ChangeMessageVisibilityCommand({ QueueUrl: url, ReceiptHandle: got.ReceiptHandle, VisibilityTimeout: 0 }));
out.again = (await take(1)).map((m) => m.Body);
const batch = await queues.send(new sqs.SendMessageBatchCommand({ QueueUrl: url, Entries: [
  { Id: 'a', MessageBody: 'one' }, { Id: 'b', MessageBody: 'two', MessageAttributes: attributes }, { Id: 'c', MessageBody: 'no\u0001' }] }));
out.batch = { good: batch.Successful.map((e) => e.Id), bad: batch.Failed.map((e) => [e.Id, e.SenderFault, e.Code]), bodies: (await take(2)).map((m) => m.Body).sort() };
out.noQueue = await failure(queues.send(new sqs.SendMessageCommand({ QueueUrl: url + 'x', MessageBody: 'x' })));
out.noQueueType = await queues.send(new sqs.GetQueueUrlCommand({ QueueName: name + 'x' })).catch((e) => e instanceof sqs.QueueDoesNotExist);
out.badHandle = await failure(queues.send(new sqs.DeleteMessageCommand({ QueueUrl: url, ReceiptHandle: 'nonsense' })));
out.queues = [];
for await (const page of sqs.paginateListQueues({ client: queues, pageSize: 1 }, { QueueNamePrefix: name })) out.queues.push(...(page.QueueUrls ?? []));
const ordered = (await queues.send(new sqs.CreateQueueCommand({ QueueName: name + '.fifo', Attributes: { FifoQueue: 'true', ContentBasedDeduplication: 'true' } }))).QueueUrl;
const first = await queues.send(new sqs.SendMessageCommand({ QueueUrl: ordered, MessageBody: 'x', MessageGroupId: 'g' }));
const second = await queues.send(new sqs.SendMessageCommand({ QueueUrl: ordered, MessageBody: 'x', MessageGroupId: 'g' }));
out.fifo = { same: first.MessageId === second.MessageId, sequence: /^\d{20}$/.test(first.SequenceNumber) };

const topics = new sns.SNSClient(options);
const topic = (await topics.send(new sns.CreateTopicCommand({ Name: name }))).TopicArn;
const subscription = (await topics.send(new sns.SubscribeCommand({ TopicArn: topic, Protocol: 'sqs', Endpoint: arn, ReturnSubscriptionArn: true,
  Attributes: { RawMessageDelivery: 'true', FilterPolicy: JSON.stringify({ colour: ['röd'] }) } }))).SubscriptionArn;
await topics.send(new sns.PublishCommand({ TopicArn: topic, Message: 'hidden', MessageAttributes: { colour: { DataType: 'String', StringValue: 'blå' } } }));
const published = await topics.send(new sns.PublishBatchCommand({ TopicArn: topic, PublishBatchRequestEntries: [
  { Id: '1', Message: 'från ämnet', MessageAttributes: attributes }, { Id: '2', Message: 'dold' }] }));
const [noted] = await take(1);
out.notified = { body: noted.Body, raw: [...noted.MessageAttributes.raw.BinaryValue], good: published.Successful.map((e) => e.Id) };
out.subscription = (await topics.send(new sns.GetSubscriptionAttributesCommand({ SubscriptionArn: subscription }))).Attributes.Endpoint === arn;
out.topics = 0;
for await (const page of sns.paginateListTopics({ client: topics }, {})) out.topics += page.Topics.filter((t) => t.TopicArn === topic).length;
out.empty = await failure(topics.send(new sns.PublishCommand({ TopicArn: topic, Message: '' })));
out.noTopic = await failure(topics.send(new sns.PublishCommand({ TopicArn: topic + 'x', Message: 'x' })));
out.noTopicType = await topics.send(new sns.GetTopicAttributesCommand({ TopicArn: topic + 'x' })).catch((e) => e instanceof sns.NotFoundException);

const buses = new eb.EventBridgeClient(options);
await buses.send(new eb.CreateEventBusCommand({ Name: name }));
await buses.send(new eb.PutRuleCommand({ Name: name, EventBusName: name, EventPattern: JSON.stringify({ source: ['shop'], detail: { total: [{ numeric: ['>', 10] }] } }) }));
const targets = await buses.send(new eb.PutTargetsCommand({ Rule: name, EventBusName: name, Targets: [{ Id: '1', Arn: arn,
  InputTransformer: { InputPathsMap: { total: '$.detail.total' }, InputTemplate: '{"paid": <total>}' } }] }));
const time = new Date('2026-01-02T03:04:05Z');
const put = await buses.send(new eb.PutEventsCommand({ Entries: [
  { EventBusName: name, Source: 'shop', DetailType: 'Order', Detail: '{"total": 12.5}', Time: time },
  { EventBusName: name, Source: 'shop', DetailType: 'Order', Detail: '{"total": 1}' },
  { EventBusName: name, Source: 'shop', DetailType: 'Order', Detail: 'no json' }] }));
out.event = { body: (await take(1)).map((m) => JSON.parse(m.Body)), refused: targets.FailedEntryCount,
  failed: put.FailedEntryCount, codes: put.Entries.map((e) => e.ErrorCode ?? null) };
out.pattern = (await buses.send(new eb.TestEventPatternCommand({ EventPattern: '{"source":["a"]}', Event: JSON.stringify({ id: '1', account: '1', source: 'a',
  time: '2026-01-02T03:04:05Z', region: 'us-east-1', resources: [], 'detail-type': 'x', detail: {} }) }))).Result;
out.badPattern = await failure(buses.send(new eb.PutRuleCommand({ Name: name, EventBusName: name, EventPattern: '{"source": "shop"}' })));
out.noRule = await failure(buses.send(new eb.DescribeRuleCommand({ Name: name + 'x', EventBusName: name })));
const archive = await buses.send(new eb.CreateArchiveCommand({ ArchiveName: name, EventSourceArn: (await buses.send(new eb.DescribeEventBusCommand({ Name: name }))).Arn }));
out.archive = archive.CreationTime instanceof Date;

const iam = new IAMClient(options);
const role = (await iam.send(new CreateRoleCommand({ RoleName: name, AssumeRolePolicyDocument: JSON.stringify({ Version: '2012-10-17', Statement: [
  { Effect: 'Allow', Principal: { Service: 'scheduler.amazonaws.com' }, Action: 'sts:AssumeRole' }] }) }))).Role.Arn;
await iam.send(new PutRolePolicyCommand({ RoleName: name, PolicyName: 'p', PolicyDocument: JSON.stringify({ Version: '2012-10-17', Statement: [
  { Effect: 'Allow', Action: 'sqs:SendMessage', Resource: arn }] }) }));
const schedules = new sch.SchedulerClient(options);
await schedules.send(new sch.CreateScheduleGroupCommand({ Name: name }));
const at = new Date(Date.now() + 2000).toISOString().slice(0, 19);
const schedule = { Name: name, GroupName: name, ScheduleExpression: `at(${at})`, FlexibleTimeWindow: { Mode: 'OFF' }, ActionAfterCompletion: 'DELETE' };
await schedules.send(new sch.CreateScheduleCommand({ ...schedule, StartDate: new Date('2026-01-01T00:00:00Z'),
  Target: { Arn: 'arn:aws:scheduler:::aws-sdk:sqs:sendMessage', RoleArn: role, Input: JSON.stringify({ QueueUrl: url, MessageBody: 'on time' }) } }));
const kept = await schedules.send(new sch.GetScheduleCommand({ Name: name, GroupName: name }));
out.schedule = { created: kept.CreationDate instanceof Date, start: kept.StartDate?.toISOString(), state: kept.State };
out.twice = await failure(schedules.send(new sch.CreateScheduleCommand({ ...schedule, Target: { Arn: arn, RoleArn: role } })));
out.scheduled = (await take(1)).map((m) => m.Body);
out.noSchedule = await failure(schedules.send(new sch.GetScheduleCommand({ Name: name + 'x' })));
out.badSchedule = await failure(schedules.send(new sch.CreateScheduleCommand({ ...schedule, Name: name + '2', ScheduleExpression: 'rate(1 parsec)', Target: { Arn: arn, RoleArn: role } })));

console.log(JSON.stringify(out));
