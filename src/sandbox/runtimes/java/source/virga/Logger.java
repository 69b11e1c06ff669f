package virga;

import com.amazonaws.services.lambda.runtime.LambdaLogger;
import com.amazonaws.services.lambda.runtime.logging.LogLevel;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.LinkedHashMap;
import java.util.Map;

/** What a function logs with its context's logger, as lines of text or as JSON, from its level on. */
public final class Logger implements LambdaLogger {
  public static final Logger INSTANCE = new Logger();
  private static final DateTimeFormatter TIME =
      DateTimeFormatter.ofPattern("yyyy-MM-dd'T'HH:mm:ss.SSS'Z'").withZone(ZoneOffset.UTC);

  private boolean json;
  private LogLevel least = LogLevel.UNDEFINED;
  private volatile Invocation latest;
  private ThreadLocal<Invocation> own;  // a thread's, and that of those it starts, when several invocations run at a time

  private Logger() {}

  void configure(Map<String, String> environment) {
    json = "JSON".equalsIgnoreCase(environment.get("AWS_LAMBDA_LOG_FORMAT"));
    String level = environment.get("AWS_LAMBDA_LOG_LEVEL");
    if (level != null) least = LogLevel.fromString(level);
  }

  boolean logsJson() { return json; }

  void tellApart() { own = new InheritableThreadLocal<>(); }

  void begin(Invocation of) {
    if (own == null) latest = of;
    else own.set(of);
  }

  private boolean takes(LogLevel level) { return level == LogLevel.UNDEFINED || level.compareTo(least) >= 0; }

  @Override public void log(String message) { log(message, LogLevel.UNDEFINED); }
  @Override public void log(byte[] message) { log(message, LogLevel.UNDEFINED); }

  @Override
  public void log(byte[] message, LogLevel level) {
    if (takes(level)) Bootstrap.log(new String(message, StandardCharsets.UTF_8));
  }

  @Override
  public void log(String message, LogLevel level) {
    if (!takes(level)) return;
    if (!json) {
      Bootstrap.log(level == LogLevel.UNDEFINED ? message : "[" + level + "] " + message);
      return;
    }
    Map<String, Object> line = new LinkedHashMap<>();
    line.put("timestamp", TIME.format(Instant.now()));
    line.put("message", message);
    line.put("level", level.toString());
    Invocation of = own == null ? latest : own.get();
    if (of != null) line.put("AWSRequestId", of.getAwsRequestId());
    if (of != null && of.getTenantId() != null) line.put("tenantId", of.getTenantId());
    StringBuilder text = new StringBuilder();
    Json.write(text, line);
    Bootstrap.log(text.append('\n').toString());
  }
}
