package virga;

import com.amazonaws.services.lambda.runtime.Client;
import com.amazonaws.services.lambda.runtime.ClientContext;
import com.amazonaws.services.lambda.runtime.CognitoIdentity;
import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.LambdaLogger;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;

/** The context of one invocation, out of its frame's header. */
final class Invocation implements Context {
  static long ready;  // when the process was, by the monotonic clock

  private final Map<?, ?> header;

  Invocation(Map<?, ?> header) {
    this.header = header;
  }

  private static String variable(String name) {
    return System.getenv(name);
  }

  private static String text(Map<?, ?> map, String name) {
    Object value = map == null ? null : map.get(name);
    return value == null ? null : value.toString();
  }

  @Override public String getAwsRequestId() { return text(header, "id"); }
  @Override public String getInvokedFunctionArn() { return text(header, "arn"); }
  @Override public String getTenantId() { return text(header, "tenant"); }
  @Override public String getXrayTraceId() { return text(header, "trace"); }
  @Override public String getLogGroupName() { return variable("AWS_LAMBDA_LOG_GROUP_NAME"); }
  @Override public String getLogStreamName() { return variable("AWS_LAMBDA_LOG_STREAM_NAME"); }
  @Override public String getFunctionName() { return variable("AWS_LAMBDA_FUNCTION_NAME"); }
  @Override public String getFunctionVersion() { return variable("AWS_LAMBDA_FUNCTION_VERSION"); }
  @Override public int getMemoryLimitInMB() { return Integer.parseInt(variable("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")); }
  @Override public LambdaLogger getLogger() { return Logger.INSTANCE; }

  @Override
  public int getRemainingTimeInMillis() {
    long deadline = ((Number) header.get("deadline")).longValue();
    // It was sent when this process was not ready.
    if (header.get("ahead") != null) deadline += Math.max(ready - ((Number) header.get("ahead")).longValue(), 0);
    return (int) Math.max(0, deadline - System.currentTimeMillis());
  }

  @Override
  public CognitoIdentity getIdentity() {
    final Map<?, ?> identity = (Map<?, ?>) header.get("cognito");
    return new CognitoIdentity() {
      @Override public String getIdentityId() { return text(identity, "cognitoIdentityId"); }
      @Override public String getIdentityPoolId() { return text(identity, "cognitoIdentityPoolId"); }
    };
  }

  @Override
  public ClientContext getClientContext() {
    final Map<?, ?> context = (Map<?, ?>) header.get("client");
    if (context == null) return null;
    final Map<?, ?> client = (Map<?, ?>) context.get("client");
    return new ClientContext() {
      @Override public Map<String, String> getCustom() { return strings(context.get("custom")); }
      @Override public Map<String, String> getEnvironment() { return strings(context.get("env")); }
      @Override
      public Client getClient() {
        return client == null ? null : new Client() {
          @Override public String getInstallationId() { return text(client, "installation_id"); }
          @Override public String getAppTitle() { return text(client, "app_title"); }
          @Override public String getAppVersionName() { return text(client, "app_version_name"); }
          @Override public String getAppVersionCode() { return text(client, "app_version_code"); }
          @Override public String getAppPackageName() { return text(client, "app_package_name"); }
        };
      }
    };
  }

  private static Map<String, String> strings(Object map) {
    if (!(map instanceof Map)) return Collections.emptyMap();
    Map<String, String> out = new LinkedHashMap<>();
    for (Map.Entry<?, ?> entry : ((Map<?, ?>) map).entrySet()) out.put(entry.getKey().toString(), String.valueOf(entry.getValue()));
    return out;
  }
}
