# frozen_string_literal: true

# Runs inside the sandbox of a Ruby function: takes frames from Virga on descriptor 3, calls the handler, answers.
#
# A frame is a little-endian length, a type byte and a body; the length counts type and body. It starts before its
# function is known, so everything that doesn't depend on one is done before the first frame.
require 'json'
require 'logger'
require 'socket'
require 'time'

module Virga
  INIT = 1
  INVOKE = 2
  MOUNTED = 3
  RESTORE = 20
  RESTORED = 20
  READY = 1
  INIT_ERROR = 2
  RESPONSE = 3
  ERROR = 4
  LOG_RECORD = "\x1eVLR".b

  class Fault < StandardError
    attr_reader :kind

    def initialize(kind, message)
      super(message)
      @kind = kind
    end
  end

  class Channel
    def initialize(descriptor)
      @socket = UNIXSocket.for_fd(descriptor)
      @socket.close_on_exec = true
      @kept = [] # frames that were passed over
    end

    # The body of the next frame of this kind. What comes before it is received later.
    def await(kind)
      passed = []
      passed << receive until passed.last&.first == kind
      body = passed.pop.last
      @kept.concat(passed)
      body
    end

    def receive
      return @kept.shift unless @kept.empty?

      head = @socket.read(4)
      exit!(0) if head.nil? || head.bytesize < 4
      body = @socket.read(head.unpack1('V'))
      exit!(0) if body.nil?
      [body.getbyte(0), body.byteslice(1..)]
    end

    def send(kind, body = '')
      @socket.write([body.bytesize + 1, kind].pack('VC') + body.b)
      @socket.flush
    end
  end

  # One log event, however many lines it has.
  def self.write_record(text)
    $stdout.flush
    data = text.to_s.b
    IO.for_fd(1, autoclose: false).syswrite(LOG_RECORD + [data.bytesize].pack('V') + data)
  end

  def self.error_document(error)
    kind = error.is_a?(Fault) ? error.kind : "Function<#{error.class}>"
    trace = (error.backtrace || []).reject { |line| line.start_with?(__FILE__) }
    { 'errorMessage' => error.message, 'errorType' => kind, 'stackTrace' => trace }
  end

  def self.logs_json?
    ENV.fetch('AWS_LAMBDA_LOG_FORMAT', '').casecmp?('JSON')
  end

  def self.timestamp(time)
    time.utc.strftime('%Y-%m-%dT%H:%M:%S.%6NZ')
  end

  # As text, what happened and then the document, printed.
  def self.log_error(what, document)
    if logs_json?
      return write_record(JSON.generate({ timestamp: timestamp(Time.now), level: 'ERROR', requestId: @request_id,
                                          **document }.compact))
    end
    $stdout.puts(what, JSON.pretty_generate(document))
    $stdout.flush
  end

  # How the standard Logger writes, with the id of the request.
  class TextFormatter < Logger::Formatter
    def call(severity, time, name, message)
      format("%s, [%s #%d] %5s %s -- %s: %s\n", severity[0], format_datetime(time), Process.pid, severity,
             Virga.request_id, name, msg2str(message))
    end
  end

  class JsonFormatter < Logger::Formatter
    def call(severity, time, name, message)
      error = message.is_a?(Exception) ? message : nil
      line = { timestamp: Virga.timestamp(time), level: severity, message: text(error ? error.message : msg2str(message)),
               requestId: Virga.request_id }
      line[:logger] = text(name) unless name.to_s.empty?
      line.merge!(failure(error)) if error
      "#{JSON.generate(line.compact)}\n"
    end

    private

    def text(value)
      value.to_s.encode('UTF-8', invalid: :replace, undef: :replace)
    end

    def failure(error)
      trace = (error.backtrace || []).map { |line| text(line) }
      place = trace.first&.match(/\A(.+):(\d+):in [`'](.+)'\z/)
      { errorType: error.class.to_s, errorMessage: text(error.message), stackTrace: trace,
        location: place ? "#{place[1]}:#{place[3]}:#{place[2]}" : trace.first }
    end
  end

  # Where loggers of the function's output write.
  class Output
    def write(text)
      Virga.write_record(text.chomp)
    end

    def close; end
  end

  module LoggerPatch
    def initialize(device = nil, *arguments, **options)
      return super unless device.nil? || device.equal?($stdout) || device.equal?($stderr)

      super(Output.new, *arguments, **options)
      @default_formatter = Virga.logs_json? ? JsonFormatter.new : TextFormatter.new
    end
  end
  Logger.prepend(LoggerPatch)

  class << self
    attr_reader :request_id
  end

  def self.load_handler(name)
    parts = name.split('.')
    unless [2, 3].include?(parts.size)
      raise Fault.new('Runtime.MalformedHandlerName',
                      "Invalid handler '#{name}': it must be of the form FILENAME.METHOD or FILENAME.CLASS.METHOD, " \
                      'where FILENAME is a file in the function\'s package without its .rb')
    end
    file, *owner, method = parts
    begin
      require File.join('/var/task', file)
    rescue LoadError => e
      raise Fault.new('Init<LoadError>', e.message)
    end
    target = owner.empty? ? Object.new : Kernel.const_get(owner.first)
    unless target.respond_to?(method, true)
      raise Fault.new('Runtime.HandlerNotFound', "Handler '#{method}' missing on module '#{file}'")
    end
    ->(event, context) { target.send(method, event: event, context: context) }
  end

  def self.initialise(channel, order)
    ENV.replace(order['env']) unless order['env'].empty? # it was started with its own
    channel.await(MOUNTED)
    Dir.chdir('/var/task')
    $LOAD_PATH.unshift('/var/task', '/opt/ruby/lib')
    Gem.paths = { 'GEM_PATH' => ENV.fetch('GEM_PATH', ''), 'GEM_HOME' => ENV.fetch('GEM_HOME', nil) }.compact if ENV['GEM_PATH']
    handler = load_handler(order['handler'])
    write_record('') # what was written before it is the initialisation's
    channel.send(READY)
    handler
  rescue StandardError, ScriptError => e
    document = error_document(e)
    document['errorType'] = document['errorType'].sub(/\AFunction</, 'Init<')
    log_error("Init error when loading handler #{order['handler']}", document)
    channel.send(INIT_ERROR, JSON.generate(document))
    exit!(0)
  end

  def self.invoke(handler, body)
    size = body.unpack1('V')
    header = JSON.parse(body.byteslice(4, size))
    @request_id = header['id']
    ENV['_X_AMZN_TRACE_ID'] = header['trace']
    begin
      event = JSON.parse(body.byteslice(4 + size..).force_encoding(Encoding::UTF_8))
      result = handler.call(event, LambdaContext.new(header))
      [RESPONSE, JSON.generate(result)]
    rescue StandardError, ScriptError, SystemStackError => e
      document = error_document(e)
      log_error(e.is_a?(StandardError) ? 'Error raised from handler method' : 'Critical exception from handler', document)
      [ERROR, JSON.generate(document)]
    end
  end

  def self.run
    $stdout.sync = true
    $stderr.sync = true
    Process.setproctitle('ruby')
    JSON.parse(JSON.generate('warm' => [1, 2.5, nil, 'é']))
    channel = Channel.new(3)
    handler = initialise(channel, JSON.parse(channel.await(INIT)))
    LambdaContext.ready = Process.clock_gettime(Process::CLOCK_MONOTONIC, :millisecond)
    loop do
      kind, body = channel.receive
      next channel.send(RESTORED) if kind == RESTORE
      exit!(1) unless kind == INVOKE
      answer = invoke(handler, body)
      $stdout.flush
      $stderr.flush
      channel.send(*answer)
    end
  end
end

# What handlers are given as `context`.
class LambdaContext
  class << self
    attr_accessor :ready # when it was, by the monotonic clock
  end
  attr_reader :aws_request_id, :invoked_function_arn, :log_group_name, :log_stream_name, :function_name,
              :memory_limit_in_mb, :function_version, :identity, :client_context, :deadline_ms, :tenant_id

  def initialize(header)
    @aws_request_id = header['id']
    @invoked_function_arn = header['arn']
    @deadline_ms = header['deadline']
    @deadline_ms += [LambdaContext.ready - header['ahead'], 0].max if header['ahead'] # it was sent when this process wasn't ready
    @identity = header['cognito']
    @client_context = header['client']
    @tenant_id = header['tenant']
    @log_group_name = ENV.fetch('AWS_LAMBDA_LOG_GROUP_NAME', nil)
    @log_stream_name = ENV.fetch('AWS_LAMBDA_LOG_STREAM_NAME', nil)
    @function_name = ENV.fetch('AWS_LAMBDA_FUNCTION_NAME', nil)
    @memory_limit_in_mb = ENV.fetch('AWS_LAMBDA_FUNCTION_MEMORY_SIZE', nil)
    @function_version = ENV.fetch('AWS_LAMBDA_FUNCTION_VERSION', nil)
  end

  def get_remaining_time_in_millis
    [@deadline_ms - (Time.now.to_f * 1000).to_i, 0].max
  end

  def log(message)
    Virga.write_record(message)
  end
end

Virga.run
