package virga;

import com.amazonaws.services.lambda.runtime.logging.LogLevel;
import java.io.EOFException;
import java.io.File;
import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.Set;
import java.util.concurrent.Executor;
import java.util.concurrent.Executors;
import org.crac.Core;

/**
 * Runs inside the sandbox of a Java function: takes frames from Virga on descriptor 3, calls the handler, answers.
 *
 * <p>A frame is a little-endian length, a type byte and a body; the length counts type and body. It starts before its
 * function is known, so everything that doesn't depend on one is done before the first frame.
 */
public final class Bootstrap {
  private static final int INIT = 1, INVOKE = 2, MOUNTED = 3, RESTORE = 20;
  private static final int READY = 1, INIT_ERROR = 2, RESPONSE = 3, ERROR = 4, OF = 10, RESTORED = 20, RESTORE_ERROR = 21;
  private static final int MOST_RESPONSE = 6291556;
  private static final byte[] LOG_RECORD = {0x1e, 'V', 'L', 'R'};
  private static final OutputStream LOG = new FileOutputStream(FileDescriptor.out);

  private final InputStream in;
  private final OutputStream out;
  private final Queue<Map.Entry<Integer, byte[]>> kept = new ArrayDeque<>();  // frames that were passed over
  private int type;
  private Executor workers;  // each takes one of several invocations at a time; none: they come one by one

  private Bootstrap(FileDescriptor channel) {
    in = new FileInputStream(channel);
    out = new FileOutputStream(channel);
  }

  /** One log event, however many lines it has. */
  static void log(String text) {
    System.out.flush();
    byte[] data = String.valueOf(text).getBytes(StandardCharsets.UTF_8);
    byte[] record = Arrays.copyOf(LOG_RECORD, 8 + data.length);
    putLength(record, 4, data.length);
    System.arraycopy(data, 0, record, 8, data.length);
    try {
      LOG.write(record);
    } catch (IOException e) {
      // Nobody reads the log any more.
    }
  }

  private static void putLength(byte[] bytes, int at, int length) {
    for (int i = 0; i < 4; i++) bytes[at + i] = (byte) (length >> (8 * i));
  }

  /** The body of the next frame of this kind. What comes before it is received later. */
  private byte[] await(int kind) throws IOException {
    List<Map.Entry<Integer, byte[]>> passed = new ArrayList<>();
    byte[] frame = receive();
    while (type != kind) {
      passed.add(Map.entry(type, frame));
      frame = receive();
    }
    kept.addAll(passed);
    return frame;
  }

  private byte[] receive() throws IOException {
    if (!kept.isEmpty()) {
      Map.Entry<Integer, byte[]> first = kept.remove();
      type = first.getKey();
      return first.getValue();
    }
    byte[] head = read(5);
    int length = (head[0] & 255) | (head[1] & 255) << 8 | (head[2] & 255) << 16 | (head[3] & 255) << 24;
    type = head[4];
    return read(length - 1);
  }

  private byte[] read(int size) throws IOException {
    byte[] bytes = new byte[size];
    for (int at = 0; at < size;) {
      int n = in.read(bytes, at, size - at);
      if (n < 0) throw new EOFException();
      at += n;
    }
    return bytes;
  }

  private synchronized void send(int kind, byte[] body) throws IOException {
    byte[] frame = new byte[5 + body.length];
    putLength(frame, 0, body.length + 1);
    frame[4] = (byte) kind;
    System.arraycopy(body, 0, frame, 5, body.length);
    out.write(frame);
  }

  /** What is said of one of several invocations names it. */
  private void sendOf(String id, int kind, byte[] body) throws IOException {
    if (kind == RESPONSE && body.length > MOST_RESPONSE) {
      Map<String, Object> document = new LinkedHashMap<>();
      document.put("errorType", "Function.ResponseSizeTooLarge");
      document.put("errorMessage", "Response payload size exceeded maximum allowed payload size (" + MOST_RESPONSE + " bytes).");
      kind = ERROR;
      body = Json.bytes(document);
    }
    byte[] name = id.getBytes(StandardCharsets.UTF_8);
    byte[] frame = new byte[name.length + 2 + body.length];
    frame[0] = (byte) name.length;
    System.arraycopy(name, 0, frame, 1, name.length);
    frame[name.length + 1] = (byte) kind;
    System.arraycopy(body, 0, frame, name.length + 2, body.length);
    send(OF, frame);
  }

  private static Map<String, Object> errorDocument(Throwable error) {
    return errorDocument(error, Collections.newSetFromMap(new IdentityHashMap<>()));
  }

  // Without our own frames: the error's trace loses them too. `seen`: causes may go in a circle.
  private static Map<String, Object> errorDocument(Throwable error, Set<Throwable> seen) {
    seen.add(error);
    Map<String, Object> out = new LinkedHashMap<>();
    out.put("errorMessage", error.getMessage() == null ? error.getClass().getName() : error.getMessage());
    out.put("errorType", error.getClass().getName());
    List<StackTraceElement> trace = new ArrayList<>();
    for (StackTraceElement element : error.getStackTrace()) {
      if (element.getClassName().startsWith("virga.")) break;
      if (!element.getClassName().startsWith("jdk.internal.reflect.") && !element.getClassName().startsWith("java.lang.reflect."))
        trace.add(element);
    }
    error.setStackTrace(trace.toArray(new StackTraceElement[0]));
    out.put("stackTrace", trace.stream().map(StackTraceElement::toString).toList());
    if (error.getCause() != null && !seen.contains(error.getCause())) out.put("cause", errorDocument(error.getCause(), seen));
    return out;
  }

  private static byte[] report(Throwable error) {
    Map<String, Object> document = errorDocument(error);
    StringWriter text = new StringWriter();
    text.append(document.get("errorMessage") + ": " + document.get("errorType") + "\n");
    error.printStackTrace(new PrintWriter(text, true));
    Logger.INSTANCE.log(text.append("\n").toString(), Logger.INSTANCE.logsJson() ? LogLevel.ERROR : LogLevel.UNDEFINED);
    return Json.bytes(document);
  }

  // The environment of a Java program is read once, at its start; this one's becomes known later.
  @SuppressWarnings({"unchecked", "rawtypes"})
  private static void setEnvironment(Map<String, String> environment) throws ReflectiveOperationException {
    Class<?> process = Class.forName("java.lang.ProcessEnvironment");
    Map shown = (Map) field(process, "theUnmodifiableEnvironment").get(null);
    field(shown.getClass(), "m").set(shown, new HashMap<>(environment));
    Map raw = (Map) field(process, "theEnvironment").get(null);
    raw.clear();
    Method name = method("java.lang.ProcessEnvironment$Variable");
    Method value = method("java.lang.ProcessEnvironment$Value");
    for (Map.Entry<String, String> entry : environment.entrySet()) {
      raw.put(name.invoke(null, entry.getKey()), value.invoke(null, entry.getValue()));
    }
  }

  private static Method method(String type) throws ReflectiveOperationException {
    Method method = Class.forName(type).getDeclaredMethod("valueOf", String.class);
    method.setAccessible(true);
    return method;
  }

  private static Field field(Class<?> type, String name) throws NoSuchFieldException {
    Field field = type.getDeclaredField(name);
    field.setAccessible(true);
    return field;
  }

  // The function's folder, the jars of its lib folder, then those of the layers.
  private static ClassLoader functionLoader() throws IOException {
    List<URL> urls = new ArrayList<>();
    urls.add(new File("/var/task/").toURI().toURL());
    for (String folder : new String[] {"/var/task/lib", "/opt/java/lib"}) {
      File[] jars = new File(folder).listFiles((directory, name) -> name.endsWith(".jar"));
      if (jars == null) continue;
      Arrays.sort(jars);
      for (File jar : jars) urls.add(jar.toURI().toURL());
    }
    return new URLClassLoader(urls.toArray(new URL[0]), Bootstrap.class.getClassLoader());
  }

  @SuppressWarnings("unchecked")
  private Handler initialise(byte[] frame) throws IOException {
    try {
      Map<String, Object> order = (Map<String, Object>) Json.parse(new String(frame, StandardCharsets.UTF_8));
      Map<String, String> environment = (Map<String, String>) order.get("env");
      if (environment.isEmpty()) environment = System.getenv();  // it was started with its own
      else setEnvironment(environment);
      Logger.INSTANCE.configure(environment);
      await(MOUNTED);
      ClassLoader loader = functionLoader();
      Thread.currentThread().setContextClassLoader(loader);
      Handler handler = new Handler((String) order.get("handler"), loader);
      if (order.get("concurrency") != null) {
        workers = Executors.newFixedThreadPool(((Number) order.get("concurrency")).intValue());
        Logger.INSTANCE.tellApart();
      }
      if (order.get("snapshot") != null) Core.getGlobalContext().beforeCheckpoint(null);
      log("");  // what was written before it is the initialisation's
      send(READY, new byte[0]);
      return handler;
    } catch (Throwable e) {
      send(INIT_ERROR, report(e));
      Runtime.getRuntime().halt(0);
      return null;
    }
  }

  private void restore() throws IOException {
    try {
      Core.getGlobalContext().afterRestore(null);
      System.out.flush();
      send(RESTORED, new byte[0]);
    } catch (Throwable e) {
      send(RESTORE_ERROR, report(e));
      Runtime.getRuntime().halt(0);
    }
  }

  private void invoke(Handler handler, byte[] frame) throws IOException {
    int size = (frame[0] & 255) | (frame[1] & 255) << 8 | (frame[2] & 255) << 16 | (frame[3] & 255) << 24;
    Map<?, ?> header = (Map<?, ?>) Json.parse(new String(frame, 4, size, StandardCharsets.UTF_8));
    Invocation invocation = new Invocation(header);
    String trace = invocation.getXrayTraceId();
    if (workers == null) {
      if (trace != null) System.setProperty("com.amazonaws.xray.traceHeader", trace);
      else System.clearProperty("com.amazonaws.xray.traceHeader");
    }
    int kind = RESPONSE;
    byte[] answer;
    Logger.INSTANCE.begin(invocation);
    try {
      answer = handler.handle(Arrays.copyOfRange(frame, 4 + size, frame.length), invocation);
    } catch (Throwable e) {
      kind = ERROR;
      answer = report(e);
    }
    System.out.flush();
    System.err.flush();
    if (workers == null) send(kind, answer);
    else sendOf(invocation.getAwsRequestId(), kind, answer);
  }

  private void start(Handler handler, byte[] frame) throws IOException {
    if (workers == null) {
      invoke(handler, frame);
      return;
    }
    workers.execute(() -> {
      try {
        invoke(handler, frame);
      } catch (IOException e) {
        Runtime.getRuntime().halt(0);
      }
    });
  }

  // Once through what every function needs, so that the first call finds it loaded.
  private static void rehearse() throws Exception {
    StringBuilder text = new StringBuilder();
    Json.write(text, Binder.unbind(Binder.bind(Json.parse("{\"a\":[1,2.5,null,\"\\u00e9\"],\"b\":{\"c\":true}}"), Object.class)));
    errorDocument(new IllegalStateException("rehearsal"));
    new Invocation(new HashMap<>()).getAwsRequestId();
    functionLoader();
    Class.forName("virga.Handler");
    setEnvironment(new HashMap<>(System.getenv()));
  }

  public static void main(String[] arguments) throws Exception {
    System.setOut(new PrintStream(new FileOutputStream(FileDescriptor.out), true, "UTF-8"));
    System.setErr(new PrintStream(new FileOutputStream(FileDescriptor.err), true, "UTF-8"));
    rehearse();
    if (arguments.length > 0) return;
    FileDescriptor channel = new FileDescriptor();
    field(FileDescriptor.class, "fd").setInt(channel, 3);
    Bootstrap bootstrap = new Bootstrap(channel);
    try {
      Handler handler = bootstrap.initialise(bootstrap.await(INIT));
      Invocation.ready = System.nanoTime() / 1_000_000;
      while (true) {
        byte[] frame = bootstrap.receive();
        if (bootstrap.type == INVOKE) bootstrap.start(handler, frame);
        else if (bootstrap.type == RESTORE) bootstrap.restore();
      }
    } catch (EOFException e) {
      Runtime.getRuntime().halt(0);
    }
  }
}
