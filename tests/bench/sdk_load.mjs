// One operation over and over through the AWS SDK for JavaScript: `sdk_load.mjs ENDPOINT NAME SECONDS CONNECTIONS REQUESTS`,
// where REQUESTS is a file with the inputs that are sent in turn. Prints how many were answered in a second.
import { DynamoDBClient, GetItemCommand, PutItemCommand } from '@aws-sdk/client-dynamodb';
import { GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import { readFileSync } from 'node:fs';

const [endpoint, name, seconds, connections, requests] = process.argv.slice(2);
const inputs = JSON.parse(readFileSync(requests, 'utf8'));
const options = {
  endpoint,
  region: 'us-east-1',
  maxAttempts: 1,
  requestHandler: { httpAgent: { keepAlive: true, maxSockets: Number(connections) } },
};
const [client, Command] = {
  identity: () => [new STSClient(options), GetCallerIdentityCommand],
  put: () => [new DynamoDBClient(options), PutItemCommand],
  get: () => [new DynamoDBClient(options), GetItemCommand],
}[name]();

const warmUp = 500;
let answered = 0;
let began;
const end = () => began !== undefined && performance.now() - began > seconds * 1000;

async function connection() {
  while (!end()) {
    await client.send(new Command(inputs[answered++ % inputs.length]));
    if (answered === warmUp) began = performance.now();
  }
}

await Promise.all(Array.from({ length: Number(connections) }, connection));
console.log((answered - warmUp) / ((performance.now() - began) / 1000));
