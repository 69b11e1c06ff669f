// One call after another with the AWS SDK for JavaScript, configured as a user's shell is after `eval $(virga env)`.
// Prints what it found as one JSON object; test_sdk.py judges it.
import { createRequire } from 'node:module';

const require = createRequire(process.env.SDK_ROOT + '/');
const { STSClient, GetCallerIdentityCommand, AssumeRoleCommand } = require('@aws-sdk/client-sts');
const { IAMClient, CreateRoleCommand, AttachRolePolicyCommand, GetRoleCommand, paginateListRoles } = require('@aws-sdk/client-iam');
const lambda = require('@aws-sdk/client-lambda');
const logs = require('@aws-sdk/client-cloudwatch-logs');
const dynamo = require('@aws-sdk/client-dynamodb');
const { DynamoDBDocumentClient, PutCommand, GetCommand, TransactWriteCommand } = require('@aws-sdk/lib-dynamodb');
const s3 = require('@aws-sdk/client-s3');
const cfn = require('@aws-sdk/client-cloudformation');
const gateway = require('@aws-sdk/client-apigatewayv2');

const [name, zip] = process.argv.slice(2);
const options = { maxAttempts: 1 };
const out = {};
const failure = (promise) => promise.then(() => 'none', (error) => ({ name: error.name, status: error.$metadata.httpStatusCode, kind: error.$fault }));

const sts = new STSClient(options);
const identity = await sts.send(new GetCallerIdentityCommand({}));
out.identity = { account: identity.Account, arn: identity.Arn, id: identity.$metadata.requestId };

const iam = new IAMClient(options);
const trust = JSON.stringify({ Version: '2012-10-17', Statement: [
  { Effect: 'Allow', Principal: { Service: 'lambda.amazonaws.com', AWS: '*' }, Action: 'sts:AssumeRole' }] });
const role = (await iam.send(new CreateRoleCommand({ RoleName: name, AssumeRolePolicyDocument: trust }))).Role;
await iam.send(new AttachRolePolicyCommand({ RoleName: name, PolicyArn: 'arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole' }));
out.role = { arn: role.Arn, created: role.CreateDate instanceof Date, same: (await iam.send(new GetRoleCommand({ RoleName: name }))).Role.RoleId === role.RoleId };
out.roles = 0;
for await (const page of paginateListRoles({ client: iam, pageSize: 1 }, {})) out.roles += page.Roles.length;
const session = (await sts.send(new AssumeRoleCommand({ RoleArn: role.Arn, RoleSessionName: 'session' }))).Credentials;
const assumed = new STSClient({ ...options, credentials: { accessKeyId: session.AccessKeyId, secretAccessKey: session.SecretAccessKey, sessionToken: session.SessionToken } });
out.assumed = (await assumed.send(new GetCallerIdentityCommand({}))).Arn;
const powerless = new lambda.LambdaClient({ ...options, credentials: { accessKeyId: session.AccessKeyId, secretAccessKey: session.SecretAccessKey, sessionToken: session.SessionToken } });
out.denied = await failure(powerless.send(new lambda.ListFunctionsCommand({})));

const functions = new lambda.LambdaClient(options);
const made = await functions.send(new lambda.CreateFunctionCommand({ FunctionName: name, Runtime: 'nodejs20.x', Handler: 'index.handler', Role: role.Arn,
  Code: { ZipFile: Buffer.from(zip, 'base64') } }));
await lambda.waitUntilFunctionActiveV2({ client: functions, maxWaitTime: 10, minDelay: 1, maxDelay: 1 }, { FunctionName: name });
const answer = await functions.send(new lambda.InvokeCommand({ FunctionName: name, Payload: JSON.stringify({ n: 1 }), LogType: 'Tail' }));
out.invoked = { value: JSON.parse(answer.Payload.transformToString()), tail: Buffer.from(answer.LogResult, 'base64').toString().includes('REPORT') };
out.missing = await failure(functions.send(new lambda.GetFunctionCommand({ FunctionName: name + 'x' })));

const watch = new logs.CloudWatchLogsClient(options);
await watch.send(new logs.CreateLogGroupCommand({ logGroupName: name }));
await watch.send(new logs.CreateLogStreamCommand({ logGroupName: name, logStreamName: 's' }));
await watch.send(new logs.PutLogEventsCommand({ logGroupName: name, logStreamName: 's', logEvents: [{ timestamp: Date.now(), message: 'héllo' }] }));
out.events = (await watch.send(new logs.FilterLogEventsCommand({ logGroupName: name }))).events.map((e) => e.message);

const tables = new dynamo.DynamoDBClient(options);
await tables.send(new dynamo.CreateTableCommand({ TableName: name, BillingMode: 'PAY_PER_REQUEST',
  AttributeDefinitions: [{ AttributeName: 'id', AttributeType: 'S' }], KeySchema: [{ AttributeName: 'id', KeyType: 'HASH' }] }));
await dynamo.waitUntilTableExists({ client: tables, maxWaitTime: 10, minDelay: 1, maxDelay: 1 }, { TableName: name });
const documents = DynamoDBDocumentClient.from(tables);
const item = { id: '1', list: [1, 'two', null, true], map: { deep: { er: 1.5 } }, set: new Set(['a', 'b']), bytes: new Uint8Array([0, 255]) };
await documents.send(new PutCommand({ TableName: name, Item: item }));
const got = (await documents.send(new GetCommand({ TableName: name, Key: { id: '1' } }))).Item;
out.item = { list: got.list, map: got.map, set: [...got.set].sort(), bytes: [...got.bytes] };
out.condition = await failure(documents.send(new PutCommand({ TableName: name, Item: item, ConditionExpression: 'attribute_not_exists(id)' })));
out.cancelled = await documents.send(new TransactWriteCommand({ TransactItems: [
  { Put: { TableName: name, Item: { id: '2' } } },
  { Put: { TableName: name, Item: item, ConditionExpression: 'attribute_not_exists(id)' } }] })).then(() => 'none', (e) => e.CancellationReasons.map((r) => r.Code));

const objects = new s3.S3Client(options);
await objects.send(new s3.CreateBucketCommand({ Bucket: name }));
await objects.send(new s3.PutObjectCommand({ Bucket: name, Key: 'a/ö b.txt', Body: 'text', Metadata: { colour: 'red' }, ContentType: 'text/plain' }));
const object = await objects.send(new s3.GetObjectCommand({ Bucket: name, Key: 'a/ö b.txt' }));
out.object = { text: await object.Body.transformToString(), colour: object.Metadata.colour, type: object.ContentType };
out.keys = (await objects.send(new s3.ListObjectsV2Command({ Bucket: name, Prefix: 'a/' }))).Contents.map((o) => o.Key);
out.noKey = await failure(objects.send(new s3.GetObjectCommand({ Bucket: name, Key: 'nothing' })));
out.head = await failure(objects.send(new s3.HeadObjectCommand({ Bucket: name, Key: 'nothing' })));

const stacks = new cfn.CloudFormationClient(options);
await stacks.send(new cfn.CreateStackCommand({ StackName: name, TemplateBody: JSON.stringify({
  Resources: { Group: { Type: 'AWS::Logs::LogGroup' } }, Outputs: { Name: { Value: { Ref: 'Group' } } } }) }));
await cfn.waitUntilStackCreateComplete({ client: stacks, maxWaitTime: 20, minDelay: 1, maxDelay: 1 }, { StackName: name });
out.stack = (await stacks.send(new cfn.DescribeStacksCommand({ StackName: name }))).Stacks[0].StackStatus;
await stacks.send(new cfn.DeleteStackCommand({ StackName: name }));

const apis = new gateway.ApiGatewayV2Client(options);
await functions.send(new lambda.AddPermissionCommand({ FunctionName: name, StatementId: 'api', Action: 'lambda:InvokeFunction', Principal: 'apigateway.amazonaws.com' }));
const api = await apis.send(new gateway.CreateApiCommand({ Name: name, ProtocolType: 'HTTP', Target: made.FunctionArn }));
out.api = (await (await fetch(`${process.env.AWS_ENDPOINT_URL}/_aws/execute-api/${api.ApiId}/x?n=2`)).json()).got.rawPath;

console.log(JSON.stringify(out));
