// Runs inside the sandbox of a Node.js function: takes frames from Virga on descriptor 3, calls the handler, answers.
//
// A frame is a little-endian length, a type byte and a body; the length counts type and body. It starts before its
// function is known, so everything that doesn't depend on one is done before the first frame.
'use strict';

const fs = require('fs');
const net = require('net');
const path = require('path');
const util = require('util');
const { pathToFileURL } = require('url');
const { Writable } = require('stream');
const { AsyncLocalStorage } = require('async_hooks');
const Module = require('module');

const INIT = 1, INVOKE = 2, MOUNTED = 3, ENVIRONMENT = 4, ROUSE = 5, RESTORE = 20;
const READY = 1, INIT_ERROR = 2, RESPONSE = 3, ERROR = 4, STREAM_BEGIN = 5, STREAM_CHUNK = 6, STREAM_END = 7, STREAM_ERROR = 8,
  FATAL = 9, OF = 10, RESTORED = 20;

const TASK = '/var/task';
const STREAMING = Symbol.for('aws.lambda.runtime.handler.streaming');
const HIGH_WATER_MARK = Symbol.for('aws.lambda.runtime.handler.streaming.highWaterMark');

// ---- channel

const channel = new net.Socket({ fd: 3, readable: true, writable: true, manualStart: true });
let descriptor = 3;

// At once where the channel takes it, which is quicker than a stream's way.
function send(kind, body, done) {
  const size = body === undefined ? 0 : Buffer.byteLength(body);
  let frame = Buffer.allocUnsafe(5 + size);
  frame.writeUInt32LE(size + 1, 0);
  frame[4] = kind;
  if (typeof body === 'string') frame.write(body, 5);
  else if (body) frame.set(body, 5);
  if (channel.writableLength === 0) {
    let written = 0;
    try {
      written = fs.writeSync(descriptor, frame);
    } catch (e) {
      if (e.code !== 'EAGAIN') process.exit(0);
    }
    if (written === frame.length) {
      if (done) done();
      return true;
    }
    frame = frame.subarray(written);
  }
  return channel.write(frame, done);
}

// Several invocations run at a time: what is said of one names it.
let concurrent = false;
// Handlers give an answer or a promise of one, and know of no other way to: from Node.js 24 on, and in Managed Instances.
let promised = false;
const MOST_RESPONSE = 6291556;

function sendOf(id, kind, body, done) {
  if (!concurrent) return send(kind, body, done);
  let data = body === undefined ? Buffer.alloc(0) : Buffer.isBuffer(body) ? body : Buffer.from(body, 'utf8');
  if (kind === RESPONSE && data.length > MOST_RESPONSE) {
    kind = ERROR;
    data = Buffer.from(JSON.stringify({
      errorType: 'Function.ResponseSizeTooLarge',
      errorMessage: `Response payload size exceeded maximum allowed payload size (${MOST_RESPONSE} bytes).`,
    }));
  }
  return send(OF, Buffer.concat([Buffer.from([Buffer.byteLength(id)]), Buffer.from(id), Buffer.from([kind]), data]), done);
}

let parts = [];
let partsSize = 0;
let needed = 5;
function take(chunk) {
  parts.push(chunk);
  partsSize += chunk.length;
  while (partsSize >= needed) {
    const pending = parts.length === 1 ? parts[0] : Buffer.concat(parts, partsSize);
    const size = 4 + pending.readUInt32LE(0);
    if (pending.length < size) {
      parts = [pending];
      needed = size;
      return;
    }
    const body = pending.subarray(5, size);
    const kind = pending[4];
    const rest = pending.subarray(size);
    parts = rest.length ? [rest] : [];
    partsSize = rest.length;
    needed = 5;
    receive(kind, body);
  }
}

// ---- log

let requestId, tenantId;  // of the latest invocation
const storage = new AsyncLocalStorage();  // the id of the invocation that runs, when there may be several
const idOfNow = () => (concurrent ? storage.getStore() : requestId);
const RECORD = Buffer.from('\x1eVLR', 'latin1');

// One log event, however many lines it has. Written at once: what a crash leaves unwritten is what one looks for.
function writeRecord(text) {
  const data = Buffer.from(text, 'utf8');
  const frame = Buffer.allocUnsafe(8 + data.length);
  RECORD.copy(frame, 0);
  frame.writeUInt32LE(data.length, 4);
  data.copy(frame, 8);
  let at = 0;
  while (at < frame.length) {
    try {
      at += fs.writeSync(1, frame, at);
    } catch (e) {
      if (e.code !== 'EAGAIN') return;
    }
  }
}

const LEVELS = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'];
let logsJson = false;

const errorFields = (error) => ({
  errorType: error instanceof RuntimeError ? error.name.replace('Runtime.', '') : error.constructor?.name ?? 'UnknownError',
  errorMessage: error.message,
  stackTrace: typeof error.stack === 'string' ? error.stack.split('\n') : error.stack,
});

// What is logged alone stays the value it is; several are formatted, and the first error among them is told apart.
function jsonLine(level, message, ...others) {
  const line = { timestamp: new Date().toISOString(), level, requestId: idOfNow() };
  if (tenantId) line.tenantId = tenantId;
  line.message = message;
  if (others.length === 0) {
    try {
      return JSON.stringify(line, (_, value) => (value instanceof Error ? { ...errorFields(value), ...value } : value));
    } catch {
      line.message = util.format(message);
      return JSON.stringify(line);
    }
  }
  line.message = util.format(message, ...others);
  const error = others.find((other) => other instanceof Error);
  return JSON.stringify(error ? { ...line, ...errorFields(error) } : line);
}

function patchConsole(env) {
  logsJson = (env.AWS_LAMBDA_LOG_FORMAT || '').toUpperCase() === 'JSON';
  const least = Math.max(0, LEVELS.indexOf((env.AWS_LAMBDA_LOG_LEVEL || '').toUpperCase()));
  const log = (level) => {
    if (LEVELS.indexOf(level) < least) return () => {};
    if (logsJson) return (...args) => writeRecord(jsonLine(level, ...args));
    return (...args) => writeRecord(`${new Date().toISOString()}\t${idOfNow()}\t${level}\t${util.format(...args)}\n`);
  };
  console.trace = log('TRACE');
  console.debug = log('DEBUG');
  console.log = log('INFO');
  console.info = log('INFO');
  console.warn = log('WARN');
  console.error = log('ERROR');
  console.fatal = log('FATAL');
}

// ---- errors

class RuntimeError extends Error {
  constructor(name, message, trace) {
    super(message);
    Object.defineProperty(this, 'name', { value: name });
    if (trace) this.stack = trace;
  }
}

function errorDocument(error) {
  if (util.types.isNativeError(error) || (error && error.name && error.message !== undefined && error.stack !== undefined)) {
    return {
      errorType: String(error.name || 'Error').replace(/\x7f/g, '%7F'),
      errorMessage: String(error.message).replace(/\x7f/g, '%7F'),
      trace: typeof error.stack === 'string' ? error.stack.replace(/\x7f/g, '%7F').split('\n') : [],
    };
  }
  return { errorType: typeof error, errorMessage: String(error), trace: [] };
}

// What the log shows of an error: its own properties too, and the errors among them likewise, as AWS's runtime prints them.
function loggable(value) {
  if (!(value instanceof Error)) return value;
  const shown = { errorType: value.name, errorMessage: value.message, code: value.code, ...value };
  if (typeof value.stack === 'string') shown.stack = value.stack.split('\n');
  return shown;
}

function loggedError(error) {
  try {
    return JSON.stringify(error, (_, value) => loggable(value));
  } catch {
    return JSON.stringify(errorDocument(error));
  }
}

function logFailure(what, thrown) {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  if (logsJson) return console.error(error);
  writeRecord(`${new Date().toISOString()}\t${idOfNow()}\tERROR\t${what} \t${loggedError(error)}\n`);
}

// ---- handler

function resolveInPackage(root, modulePath, name) {
  const base = modulePath ? path.resolve(root, modulePath, name) : `${root}/${name}`;
  for (const extension of ['', '.js', '.mjs', '.cjs']) {
    const file = base + extension;
    try {
      if (fs.existsSync(file) && fs.statSync(file).isFile()) return file;
    } catch {}
  }
  try {
    return Module.createRequire(path.join(root, 'x.js')).resolve(path.join(root, modulePath, name));
  } catch {}
  try {
    return Module.createRequire(path.join(root, 'x.js')).resolve(path.join(modulePath, name));
  } catch {}
  return undefined;
}

// The type that the package.json over a file gives it; undefined where there is none.
function typeOf(file) {
  for (let directory = path.dirname(file); ; directory = path.dirname(directory)) {
    const settings = `${directory}/package.json`;
    if (fs.existsSync(settings)) {
      try {
        return JSON.parse(fs.readFileSync(settings, 'utf8')).type ?? 'none';
      } catch {
        return 'none';
      }
    }
    if (directory === '/' || directory === TASK) return undefined;
  }
}

// What require() does once it has found the file, which is no link in the function's own folder. Where nothing says what
// the file is, and nobody looks on, it is compiled at once.
function requireFound(file, folder, type) {
  if (path.dirname(file) !== folder || fs.lstatSync(file).isSymbolicLink()) return require(file);
  const made = new Module(file, module);
  require.cache[file] = made;
  try {
    if (type === undefined && file.endsWith('.js') && known.NODE_OPTIONS === undefined) {
      made.filename = file;
      made.paths = Module._nodeModulePaths(folder);
      made._compile(fs.readFileSync(file, 'utf8'), file);
      made.loaded = true;
    } else {
      made.load(file);
    }
  } catch (e) {
    delete require.cache[file];
    throw e;
  }
  return made.exports;
}

async function loadHandler(text, folder) {
  if (text.includes('..')) throw new RuntimeError('Runtime.MalformedHandlerName', `'${text}' is not a valid handler name. Use absolute paths when specifying root directories in handler names.`);
  const slash = text.lastIndexOf('/') + 1;
  const root = text.slice(0, slash);
  const rest = text.slice(slash);
  const dot = rest.indexOf('.');
  if (dot <= 0 || dot === rest.length - 1) throw new RuntimeError('Runtime.MalformedHandlerName', 'Bad handler');
  const name = rest.slice(0, dot);
  const exported = rest.slice(dot + 1);
  const file = resolveInPackage(folder, root, name);
  if (!file) {
    throw new RuntimeError('Runtime.ImportModuleError', `Error: Cannot find module '${name}'\nRequire stack:\n- /var/runtime/index.mjs`);
  }
  let loaded;
  try {
    const type = file.endsWith('.js') ? typeOf(file) : undefined;
    loaded = type === 'module' || file.endsWith('.mjs') ? await import(pathToFileURL(file).href) : requireFound(file, folder, type);
  } catch (e) {
    if (e instanceof SyntaxError) throw new RuntimeError('Runtime.UserCodeSyntaxError', String(e), e.stack);
    if (e && (e.code === 'MODULE_NOT_FOUND' || e.code === 'ERR_MODULE_NOT_FOUND')) {
      throw new RuntimeError('Runtime.ImportModuleError', String(e), e.stack);
    }
    if (e && e.code === 'ERR_REQUIRE_ESM') throw new RuntimeError('Runtime.ImportModuleError', String(e), e.stack);
    throw e;
  }
  const find = (from) => exported.split('.').reduce((nested, key) => (nested === undefined || nested === null ? undefined : nested[key]), from);
  let handler = find(loaded);
  if (handler === undefined && loaded && typeof loaded.default === 'object') handler = find(loaded.default);
  if (handler === undefined) throw new RuntimeError('Runtime.HandlerNotFound', `${text} is undefined or not exported`);
  if (typeof handler !== 'function') throw new RuntimeError('Runtime.HandlerNotFound', `${text} is not a function`);
  if (promised && handler.length >= 3 && handler[STREAMING] !== 'response') {
    throw new RuntimeError('Runtime.CallbackHandlerDeprecated',
      `Handlers with a callback are not supported ${concurrent ? 'in Managed Instances' : 'by Node.js 24 and later'}: ${text} has to be async.`);
  }
  return handler;
}

// ---- streaming

class ResponseStream extends Writable {
  constructor(invocation) {
    super({ highWaterMark: 64 * 1024 });
    this.invocation = invocation;
    this.contentType = 'application/octet-stream';
    this.begun = false;
  }
  setContentType(type) {
    if (this.begun) throw new RuntimeError('InvalidStreamingOperation', 'Cannot set content-type, too late.');
    this.contentType = type;
  }
  begin() {
    if (this.begun) return;
    this.begun = true;
    sendOf(this.invocation.id, STREAM_BEGIN, this.contentType);
  }
  write(chunk, encoding, callback) {
    // Objects are written as JSON, as AWS's stream does.
    if (typeof chunk !== 'string' && !Buffer.isBuffer(chunk) && !(chunk instanceof Uint8Array)) chunk = JSON.stringify(chunk);
    return super.write(chunk, encoding, callback);
  }
  _write(chunk, encoding, callback) {
    this.begin();
    if (this.invocation.done) return callback();
    if (sendOf(this.invocation.id, STREAM_CHUNK, chunk)) return callback();
    channel.once('drain', () => callback());
  }
  _final(callback) {
    this.begin();
    callback();
  }
}

class HttpResponseStream {
  static from(stream, prelude) {
    stream.setContentType('application/vnd.awslambda.http-integration-response');
    stream.write(JSON.stringify(prelude));
    stream.write(new Uint8Array(8));
    return stream;
  }
}

globalThis.awslambda = {
  streamifyResponse: (handler, options) => {
    handler[STREAMING] = 'response';
    if (options && options.highWaterMark !== undefined) handler[HIGH_WATER_MARK] = parseInt(options.highWaterMark, 10);
    return handler;
  },
  HttpResponseStream,
};

// ---- invocations

let handler;
const running = new Set();  // invocations

class Invocation {
  constructor(id) {
    this.id = id;
    this.done = false;
    this.waiting = null;  // what to send once the event loop is empty
    this.stream = null;
  }
  finish(kind, body) {
    if (this.done) return;
    this.done = true;
    this.waiting = null;
    running.delete(this);
    if (running.size === 0) channel.ref();
    sendOf(this.id, kind, body);
  }
  succeed(result) {
    let text;
    try {
      text = JSON.stringify(result === undefined ? null : result);
      if (text === undefined) text = 'null';
    } catch (e) {
      return this.fail(new RuntimeError('Runtime.MarshalError', `Unable to stringify response body`));
    }
    this.finish(RESPONSE, text);
  }
  fail(error) {
    if (this.done) return;
    logFailure('Invoke Error', error);
    const document = JSON.stringify(errorDocument(error));
    if (this.stream && this.stream.begun) return this.finish(STREAM_ERROR, document);
    this.finish(ERROR, document);
  }
  whenIdle(action) {
    if (concurrent) return action();
    this.waiting = action;
    channel.unref();
  }
}

// The event loop may run empty, which says something of an invocation that is alone.
function mayEmpty() {
  if (!concurrent) channel.unref();
}

process.on('beforeExit', () => {
  for (const invocation of [...running]) {
    if (invocation.waiting) {
      invocation.waiting();
    } else if (invocation.stream) {
      invocation.fail(new RuntimeError('Runtime.NodeJsExit', 'The runtime stream ended before the handler did'));
    } else {
      // Nothing is left that could settle the handler's promise or call its callback: AWS answers null.
      invocation.finish(RESPONSE, 'null');
    }
  }
});

let facts;  // of the function: what every context has

function describeFunction(env) {
  facts = {
    functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION,
    functionName: env.AWS_LAMBDA_FUNCTION_NAME,
    memoryLimitInMB: env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: env.AWS_LAMBDA_LOG_STREAM_NAME,
  };
}

function makeContext(header, invocation) {
  const done = (error, result) => (error ? invocation.fail(error) : invocation.succeed(result));
  const context = {
    ...(promised ? {} : { callbackWaitsForEmptyEventLoop: true }),
    ...facts,
    clientContext: header.client,
    identity: header.cognito,
    invokedFunctionArn: header.arn,
    awsRequestId: header.id,
    tenantId: header.tenant,
    getRemainingTimeInMillis: () => Math.max(0, header.deadline - Date.now()),
  };
  if (context.tenantId === undefined) delete context.tenantId;
  if (promised) return context;
  context.done = (error, result) => {
    if (context.callbackWaitsForEmptyEventLoop && !error) return invocation.whenIdle(() => done(error, result));
    done(error, result);
  };
  context.succeed = (result) => done(null, result);
  context.fail = (error) => done(error === undefined || error === null ? 'handled' : error);
  return context;
}

function call(header, text) {
  const invocation = new Invocation(header.id);
  running.add(invocation);
  let event;
  try {
    event = JSON.parse(text);
  } catch (e) {
    return invocation.fail(new RuntimeError('Runtime.UnmarshalError', `Unable to parse the event: ${e.message}`));
  }
  const context = makeContext(header, invocation);
  try {
    if (handler[STREAMING] === 'response') return callStreaming(invocation, event, context);
    if (promised) {
      Promise.resolve(handler(event, context)).then((value) => invocation.succeed(value), (error) => invocation.fail(error));
      return mayEmpty();
    }
    const callback = (error, result) => {
      if (invocation.done) return;
      if (error) return invocation.fail(error);
      if (!context.callbackWaitsForEmptyEventLoop) return invocation.succeed(result);
      invocation.whenIdle(() => invocation.succeed(result));
    };
    const result = handler(event, context, callback);
    if (result !== null && typeof result === 'object' && typeof result.then === 'function') {
      result.then((value) => invocation.succeed(value), (error) => invocation.fail(error));
      mayEmpty();  // a promise that nothing can settle any more ends the invocation
    } else if (handler.length < 3 && !invocation.done && !invocation.waiting) {
      // A plain function that cannot call back: it is done when nothing is left to run.
      invocation.whenIdle(() => invocation.succeed(undefined));
    } else if (!invocation.done && !invocation.waiting) {
      mayEmpty();
    }
  } catch (error) {
    invocation.fail(error);
  }
}

function callStreaming(invocation, event, context) {
  const stream = new ResponseStream(invocation);
  invocation.stream = stream;
  const finished = new Promise((resolve, reject) => {
    stream.on('finish', resolve);
    stream.on('error', reject);
  });
  const result = handler(event, stream, context);
  if (!result || typeof result.then !== 'function') {
    return invocation.fail(new RuntimeError('Streaming', 'Streaming does not support non-async handlers.'));
  }
  result.then(() => {
    if (!stream.writableEnded && !stream.destroyed && !stream.writableNeedDrain && stream.listenerCount('pipe') === 0) stream.end();
    return finished;
  }).then(() => invocation.finish(STREAM_END), (error) => invocation.fail(error));
  mayEmpty();
}

function failUnhandled(what, error, status) {
  logFailure(what, error);
  const document = JSON.stringify(errorDocument(error));
  if (running.size) {
    for (const invocation of running) invocation.done = true;
    send(FATAL, document, () => process.exit(status));
  } else if (!handler) {
    failed = true;
    send(INIT_ERROR, document, () => process.exit(status));
  } else {
    process.exit(status);
  }
}
process.on('uncaughtException', (error) => failUnhandled('Uncaught Exception', error, 129));
process.on('unhandledRejection', (reason, promise) => {
  const error = new RuntimeError('Runtime.UnhandledPromiseRejection', String(reason));
  error.reason = reason;
  error.promise = promise;
  failUnhandled('Unhandled Promise Rejection', error, 128);
});

// ---- frames

let known = { ...process.env };  // before the function's
let order;            // what the instance is, until it is initialised
let whole = false;    // its environment is
let mounted = false;  // the function's files are in place
let loading = false;  // the function is
let failed = false;   // its initialisation has
let early = [];       // invocations that came before it was ready
let readyAt;          // by the monotonic clock, in milliseconds

// What Node looks for modules by; worked out at its start, and again only for another.
const searched = (env) => `${env.NODE_PATH}:${env.HOME}`;
let searching = searched(known);

// Each look at process.env and each change of it is a call of C's.
function setEnvironment(before, after) {
  for (const key of Object.keys(before)) if (!(key in after)) delete process.env[key];
  for (const key of Object.keys(after)) if (after[key] !== before[key]) process.env[key] = after[key];
}

function prepare() {
  concurrent = (order.concurrency || 1) > 1;
  promised = concurrent || parseInt(order.runtime?.slice('nodejs'.length)) >= 24;
  const env = Object.keys(order.env).length > 0 ? order.env : known;  // none: it was started with its own
  setEnvironment(known, env);
  describeFunction(env);
  if (searched(env) !== searching) {
    searching = searched(env);
    Module._initPaths();
  }
  patchConsole(env);
  whole = !order.more;
}

// Once all that it needs is here.
function initialise() {
  if (!whole || !mounted) return;
  const folder = descriptor === 3 ? TASK : __dirname;
  process.chdir(folder);
  loading = true;
  loadHandler(order.handler, folder).then(
    // What it left to be done at once is done by then, and a rejection that nobody handles has failed it.
    (loaded) => setImmediate(() => {
      if (failed) return;
      handler = loaded;
      readyAt = Math.floor(Number(process.hrtime.bigint()) / 1e6);
      if (descriptor === 3) writeRecord('');  // what was written before it is the initialisation's
      send(READY);
      if (descriptor === 3) takeInvocation();
      for (const body of early.splice(0)) receive(INVOKE, body);
    }),
    (error) => {
      logFailure('Uncaught Exception', error);
      send(INIT_ERROR, JSON.stringify(errorDocument(error)), () => process.exit(1));
    });
}

// Until the function is being loaded nothing else is to be done: its frames are waited for, which is quicker than being
// told of them.
function awaitChunk() {
  const chunk = Buffer.allocUnsafeSlow(65536);
  const size = fs.readSync(3, chunk);
  if (size === 0) process.exit(0);
  take(chunk.subarray(0, size));
}

function awaitOrders() {
  channel._handle.setBlocking(true);
  while (!loading) awaitChunk();
  channel._handle.setBlocking(false);
}

// The first invocation is mostly there by now. Only then frames are told as they come.
function takeInvocation() {
  if (early.length === 0) {
    try {
      awaitChunk();
    } catch {}
  }
  setImmediate(() => {
    channel.on('data', take);
    channel.on('end', () => process.exit(0));
    channel.on('error', () => process.exit(0));
  });
}

function receive(kind, body) {
  if (kind === INIT) {
    order = JSON.parse(body.toString('utf8'));
    prepare();
    initialise();
  } else if (kind === ENVIRONMENT) {
    Object.assign(process.env, JSON.parse(body.toString('utf8')));
    whole = true;
    initialise();
  } else if (kind === MOUNTED) {
    mounted = true;
    initialise();
  } else if (kind === INVOKE) {
    if (!handler) return early.push(body);
    const size = body.readUInt32LE(0);
    const header = JSON.parse(body.toString('utf8', 4, 4 + size));
    if (header.ahead) header.deadline += Math.max(readyAt - header.ahead, 0);  // it was sent when this process wasn't ready
    if (concurrent) return storage.run(header.id, () => call(header, body.toString('utf8', 4 + size)));
    requestId = header.id;
    tenantId = header.tenant;
    if (header.trace) process.env._X_AMZN_TRACE_ID = header.trace;
    else delete process.env._X_AMZN_TRACE_ID;
    call(header, body.toString('utf8', 4 + size));
  } else if (kind === ROUSE) {
    rouse();
  } else if (kind === RESTORE) {
    send(RESTORED);
  } else {
    process.exit(1);
  }
}

function frame(kind, body) {
  const head = Buffer.alloc(5);
  head.writeUInt32LE(body.length + 1, 0);
  head[4] = kind;
  return Buffer.concat([head, body]);
}

const rehearsal = (file) =>
  Buffer.from(JSON.stringify({ handler: `${file}.handler`, env: { ...known, WARM_UP: 'x'.repeat(40) }, more: true }));
let sample;  // an order of ours
let plain;   // the console as it is before a function's

// A function is on its way, and its beginning done for nothing meanwhile: it finds warm what it needs.
function rouse() {
  if (partsSize || order) return;  // it is here
  order = JSON.parse(sample.toString('utf8'));
  prepare();
  setEnvironment(order.env, known);
  Object.assign(console, plain);
  order = undefined;
}

// A function of ours is initialised and called, with its answers going nowhere, so that a first call finds everything
// warm. Nothing is read from the channel before.
async function rehearse(file) {
  take(frame(INIT, rehearsal(file)));
  take(frame(MOUNTED, Buffer.alloc(0)));
  take(frame(ENVIRONMENT, Buffer.from('{}')));
  while (!handler) await new Promise(setImmediate);
  const header = Buffer.from(JSON.stringify({ id: '', deadline: 0 }));
  const size = Buffer.alloc(4);
  size.writeUInt32LE(header.length, 0);
  take(frame(INVOKE, Buffer.concat([size, header, Buffer.from('{"warm":[1,"é",null]}')])));
  while (running.size) await new Promise(setImmediate);
  handler = requestId = order = undefined;
  mounted = whole = loading = false;
  setEnvironment(process.env, known);
  delete require.cache[path.join(__dirname, `${file}.js`)];
}

(async () => {
  plain = { ...console };
  sample = rehearsal('warm');
  errorDocument(new Error('warm'));
  Module._initPaths();
  descriptor = fs.openSync('/dev/null', 'r+');
  fs.readSync(descriptor, Buffer.alloc(1));
  for (const file of ['warm', 'warm', 'warmed']) await rehearse(file);
  fs.closeSync(descriptor);
  descriptor = 3;
  Object.assign(console, plain);
  awaitOrders();
})();
