package virga;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.CustomPojoSerializer;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import com.amazonaws.services.lambda.runtime.RequestStreamHandler;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.lang.reflect.TypeVariable;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.ServiceLoader;

/** A function's handler: "package.Class" that implements one of the two interfaces, or "package.Class::method". */
final class Handler {
  private final Object target;
  private final Method method;
  private final Type input, output;
  private final CustomPojoSerializer serializer;

  Handler(String name, ClassLoader loader) throws Exception {
    String[] parts = name.split("::", 2);
    Class<?> type;
    try {
      type = Class.forName(parts[0], true, loader);
    } catch (ClassNotFoundException e) {
      throw new ClassNotFoundException("Class not found: " + parts[0], e);
    }
    String wanted = parts.length == 2 ? parts[1] : "handleRequest";
    boolean byInterface = wanted.equals("handleRequest");
    if (byInterface && RequestStreamHandler.class.isAssignableFrom(type)) {
      method = RequestStreamHandler.class.getMethod(wanted, InputStream.class, OutputStream.class, Context.class);
      input = output = Object.class;
    } else if (byInterface && RequestHandler.class.isAssignableFrom(type)) {
      method = RequestHandler.class.getMethod(wanted, Object.class, Context.class);
      Type[] types = typesOfHandler(type, Map.of());
      input = types[0];
      output = types[1];
    } else {
      method = pick(type, wanted);
      Type[] types = method.getGenericParameterTypes();
      input = types.length > 0 ? types[0] : Object.class;
      output = method.getGenericReturnType();
    }
    method.setAccessible(true);
    try {
      target = Modifier.isStatic(method.getModifiers()) ? null : type.getConstructor().newInstance();
    } catch (NoSuchMethodException e) {
      throw new NoSuchMethodException("Class " + type.getName() + " has no public zero-argument constructor");
    } catch (InvocationTargetException e) {
      throw e.getCause() instanceof Exception ? (Exception) e.getCause() : e;
    }
    Iterator<CustomPojoSerializer> own = ServiceLoader.load(CustomPojoSerializer.class, loader).iterator();
    serializer = own.hasNext() ? own.next() : null;
  }

  // What RequestHandler takes and gives in `type`, or in what that extends; `known`: of its variables.
  private static Type[] typesOfHandler(Type type, Map<Type, Type> known) {
    Class<?> raw = classOf(type);
    Map<Type, Type> own = new HashMap<>();
    TypeVariable<?>[] variables = raw.getTypeParameters();
    for (int i = 0; i < variables.length; i++) {
      Type given = type instanceof ParameterizedType ? ((ParameterizedType) type).getActualTypeArguments()[i] : Object.class;
      own.put(variables[i], known.getOrDefault(given, given instanceof TypeVariable ? Object.class : given));
    }
    if (raw == RequestHandler.class) return new Type[] {own.get(variables[0]), own.get(variables[1])};
    List<Type> parents = new ArrayList<>(Arrays.asList(raw.getGenericInterfaces()));
    if (raw.getGenericSuperclass() != null) parents.add(raw.getGenericSuperclass());
    for (Type parent : parents) {
      if (RequestHandler.class.isAssignableFrom(classOf(parent))) return typesOfHandler(parent, own);
    }
    throw new IllegalArgumentException(type + " is no handler");
  }

  private static Class<?> classOf(Type type) {
    return (Class<?>) (type instanceof ParameterizedType ? ((ParameterizedType) type).getRawType() : type);
  }

  // Of several methods of the name, the one that takes the context; of those, the one with most parameters.
  private static Method pick(Class<?> type, String name) throws NoSuchMethodException {
    Method best = null;
    for (Method method : type.getMethods()) {
      if (!method.getName().equals(name) || method.isBridge() || Modifier.isAbstract(method.getModifiers())) continue;
      if (best == null || rank(method) > rank(best)) best = method;
    }
    if (best == null || best.getParameterCount() > 3) {
      throw new NoSuchMethodException("No public method named " + name
          + " with appropriate method signature found on class " + type.getName());
    }
    return best;
  }

  private static int rank(Method method) {
    Class<?>[] types = method.getParameterTypes();
    boolean context = types.length > 0 && types[types.length - 1] == Context.class;
    return (context ? 100 : 0) + types.length;
  }

  byte[] handle(byte[] event, Context context) throws Throwable {
    Class<?>[] types = method.getParameterTypes();
    ByteArrayOutputStream streamed = null;
    Object[] arguments = new Object[types.length];
    for (int i = 0; i < types.length; i++) {
      if (types[i] == Context.class) {
        arguments[i] = context;
      } else if (types[i] == InputStream.class) {
        arguments[i] = new ByteArrayInputStream(event);
      } else if (types[i] == OutputStream.class) {
        arguments[i] = streamed = new ByteArrayOutputStream();
      } else if (i == 0) {
        arguments[i] = read(event, input);
      } else {
        throw new NoSuchMethodException("parameter " + (i + 1) + " of " + method + " is none that a handler takes");
      }
    }
    Object result;
    try {
      result = method.invoke(target, arguments);
    } catch (InvocationTargetException e) {
      throw e.getCause();
    }
    if (streamed != null) return streamed.toByteArray();
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    if (serializer != null && result != null) {
      serializer.toJson(result, out, output);
      return out.toByteArray();
    }
    return Json.bytes(method.getReturnType() == void.class ? null : Binder.unbind(result));
  }

  private Object read(byte[] event, Type type) {
    try {
      if (serializer != null) return serializer.fromJson(new ByteArrayInputStream(event), type);
      return Binder.bind(Json.parse(new String(event, StandardCharsets.UTF_8)), type);
    } catch (Exception e) {
      throw new RuntimeException("An error occurred during JSON parsing", e);
    }
  }
}
