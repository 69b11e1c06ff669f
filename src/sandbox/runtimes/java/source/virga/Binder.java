package virga;

import java.lang.reflect.Array;
import java.lang.reflect.Constructor;
import java.lang.reflect.Field;
import java.lang.reflect.GenericArrayType;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.lang.reflect.TypeVariable;
import java.lang.reflect.WildcardType;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collection;
import java.util.Date;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/** Parsed JSON to a function's own classes and back, by their setters and getters as beans have them. */
final class Binder {
  private Binder() {}

  static Object bind(Object json, Type type) throws ReflectiveOperationException {
    if (type instanceof ParameterizedType) {
      ParameterizedType generic = (ParameterizedType) type;
      Class<?> raw = (Class<?>) generic.getRawType();
      Type[] arguments = generic.getActualTypeArguments();
      if (json == null) return raw == Optional.class ? Optional.empty() : null;
      if (Map.class.isAssignableFrom(raw)) {
        Map<Object, Object> out = new LinkedHashMap<>();
        for (Map.Entry<?, ?> entry : ((Map<?, ?>) json).entrySet()) {
          out.put(bind(entry.getKey(), arguments[0]), bind(entry.getValue(), arguments[1]));
        }
        return out;
      }
      if (Collection.class.isAssignableFrom(raw) || raw == Iterable.class) {
        Collection<Object> out = Set.class.isAssignableFrom(raw) ? new LinkedHashSet<>() : new ArrayList<>();
        for (Object element : (Collection<?>) json) out.add(bind(element, arguments[0]));
        return out;
      }
      if (raw == Optional.class) return Optional.ofNullable(bind(json, arguments[0]));
      return bean((Map<?, ?>) json, raw, generic);
    }
    if (type instanceof GenericArrayType) {
      return array(json, ((GenericArrayType) type).getGenericComponentType());
    }
    if (type instanceof WildcardType) return bind(json, ((WildcardType) type).getUpperBounds()[0]);
    if (type instanceof TypeVariable) return json;
    return plain(json, (Class<?>) type);
  }

  private static Object array(Object json, Type element) throws ReflectiveOperationException {
    if (json == null) return null;
    List<?> list = (List<?>) json;
    Class<?> raw = element instanceof Class ? (Class<?>) element : Object.class;
    if (element instanceof ParameterizedType) raw = (Class<?>) ((ParameterizedType) element).getRawType();
    Object out = Array.newInstance(raw, list.size());
    for (int i = 0; i < list.size(); i++) Array.set(out, i, bind(list.get(i), element));
    return out;
  }

  private static Object plain(Object json, Class<?> type) throws ReflectiveOperationException {
    if (json == null) return type.isPrimitive() ? Array.get(Array.newInstance(type, 1), 0) : null;
    if (type == Object.class || type == Map.class || type == List.class || type == Collection.class) return json;
    if (type == String.class || type == CharSequence.class) {
      if (json instanceof String) return json;
      StringBuilder out = new StringBuilder();
      Json.write(out, json);
      return out.toString();
    }
    if (type == boolean.class || type == Boolean.class) return json instanceof Boolean ? json : Boolean.valueOf(json.toString());
    if (type == char.class || type == Character.class) return json.toString().charAt(0);
    if (type.isPrimitive() || Number.class.isAssignableFrom(type)) return number(json, type);
    if (type == byte[].class) return Base64.getDecoder().decode(json.toString());
    if (type == ByteBuffer.class) return ByteBuffer.wrap(Base64.getDecoder().decode(json.toString()));
    if (type.isArray()) return array(json, type.getComponentType());
    if (type == Date.class) return Date.from(instant(json));
    if (type == Instant.class) return instant(json);
    if (type.getName().equals("org.joda.time.DateTime")) {
      return type.getConstructor(Object.class).newInstance(json instanceof Number ? ((Number) json).longValue() : json);
    }
    if (type.isEnum()) {
      for (Object constant : type.getEnumConstants()) {
        if (((Enum<?>) constant).name().equals(json.toString())) return constant;
      }
      throw new IllegalArgumentException("no " + type.getSimpleName() + " is named " + json);
    }
    if (Map.class.isAssignableFrom(type) && !type.isInterface()) {
      @SuppressWarnings("unchecked")
      Map<Object, Object> out = (Map<Object, Object>) type.getDeclaredConstructor().newInstance();
      out.putAll((Map<?, ?>) json);
      return out;
    }
    if (!(json instanceof Map)) {
      throw new IllegalArgumentException("a " + type.getName() + " can't be made of " + json.getClass().getSimpleName());
    }
    return bean((Map<?, ?>) json, type, null);
  }

  private static Instant instant(Object json) {
    if (json instanceof Number) {
      // AWS's events hold seconds with a fraction where they hold numbers, and milliseconds when they are that large.
      double number = ((Number) json).doubleValue();
      return Instant.ofEpochMilli(number > 100_000_000_000.0 ? (long) number : Math.round(number * 1000));
    }
    return Instant.parse(json.toString());
  }

  private static Object number(Object json, Class<?> type) {
    BigDecimal value = new BigDecimal(json.toString());
    if (type == int.class || type == Integer.class) return value.intValue();
    if (type == long.class || type == Long.class) return value.longValue();
    if (type == double.class || type == Double.class) return value.doubleValue();
    if (type == float.class || type == Float.class) return value.floatValue();
    if (type == short.class || type == Short.class) return value.shortValue();
    if (type == byte.class || type == Byte.class) return value.byteValue();
    if (type == BigInteger.class) return value.toBigInteger();
    return type == BigDecimal.class ? value : (Object) value.doubleValue();
  }

  private static String key(String name) {
    return name.replace("-", "").replace("_", "").toLowerCase();
  }

  private static Object bean(Map<?, ?> json, Class<?> type, ParameterizedType generic) throws ReflectiveOperationException {
    Map<String, Object> values = new HashMap<>();
    for (Map.Entry<?, ?> entry : json.entrySet()) values.put(key(entry.getKey().toString()), entry.getValue());
    if (isRecord(type)) return record(values, type);
    Constructor<?> constructor = type.getDeclaredConstructor();
    constructor.setAccessible(true);
    Object out = constructor.newInstance();
    for (Method method : type.getMethods()) {
      String name = method.getName();
      if (!name.startsWith("set") || name.length() < 4 || method.getParameterCount() != 1) continue;
      if (method.isBridge()) continue;
      String property = key(name.substring(3));
      if (!values.containsKey(property)) continue;
      method.setAccessible(true);
      method.invoke(out, bind(values.get(property), resolve(method.getGenericParameterTypes()[0], generic)));
    }
    for (Field field : type.getFields()) {
      if (Modifier.isStatic(field.getModifiers()) || Modifier.isFinal(field.getModifiers())) continue;
      if (values.containsKey(key(field.getName()))) {
        field.set(out, bind(values.get(key(field.getName())), resolve(field.getGenericType(), generic)));
      }
    }
    return out;
  }

  private static Type resolve(Type type, ParameterizedType owner) {
    if (!(type instanceof TypeVariable) || owner == null) return type;
    TypeVariable<?>[] names = ((Class<?>) owner.getRawType()).getTypeParameters();
    for (int i = 0; i < names.length; i++) {
      if (names[i].equals(type)) return owner.getActualTypeArguments()[i];
    }
    return type;
  }

  private static boolean isRecord(Class<?> type) {
    return type.getSuperclass() != null && type.getSuperclass().getName().equals("java.lang.Record");
  }

  // Records came after the oldest Java that compiles this file, so they are read by their one constructor's parameters.
  private static Object record(Map<String, Object> values, Class<?> type) throws ReflectiveOperationException {
    List<Field> fields = components(type);
    Class<?>[] types = new Class<?>[fields.size()];
    Object[] arguments = new Object[fields.size()];
    for (int i = 0; i < types.length; i++) {
      types[i] = fields.get(i).getType();
      arguments[i] = bind(values.get(key(fields.get(i).getName())), fields.get(i).getGenericType());
    }
    Constructor<?> constructor = type.getDeclaredConstructor(types);
    constructor.setAccessible(true);
    return constructor.newInstance(arguments);
  }

  private static List<Field> components(Class<?> type) {
    List<Field> out = new ArrayList<>();
    for (Field field : type.getDeclaredFields()) {
      if (!Modifier.isStatic(field.getModifiers())) out.add(field);
    }
    return out;
  }

  /** A handler's answer as what Json writes. */
  static Object unbind(Object value) throws ReflectiveOperationException {
    if (value == null || value instanceof Boolean || value instanceof Number || value instanceof CharSequence
        || value instanceof Character) {
      return value;
    }
    if (value instanceof Enum) return ((Enum<?>) value).name();
    if (value instanceof Optional) return unbind(((Optional<?>) value).orElse(null));
    if (value instanceof Date) return ((Date) value).getTime();
    if (value instanceof Instant) return ((Instant) value).toEpochMilli() / 1000.0;
    if (value instanceof byte[]) return Base64.getEncoder().encodeToString((byte[]) value);
    if (value instanceof ByteBuffer) {
      byte[] bytes = new byte[((ByteBuffer) value).remaining()];
      ((ByteBuffer) value).duplicate().get(bytes);
      return Base64.getEncoder().encodeToString(bytes);
    }
    if (value instanceof Map) {
      Map<String, Object> out = new LinkedHashMap<>();
      for (Map.Entry<?, ?> entry : ((Map<?, ?>) value).entrySet()) {
        out.put(String.valueOf(entry.getKey()), unbind(entry.getValue()));
      }
      return out;
    }
    if (value instanceof Iterable) {
      List<Object> out = new ArrayList<>();
      for (Object element : (Iterable<?>) value) out.add(unbind(element));
      return out;
    }
    if (value.getClass().isArray()) {
      List<Object> out = new ArrayList<>();
      for (int i = 0; i < Array.getLength(value); i++) out.add(unbind(Array.get(value, i)));
      return out;
    }
    if (value.getClass().getName().startsWith("java.") || value.getClass().getName().startsWith("org.joda.")) {
      return value.toString();
    }
    Map<String, Object> out = new LinkedHashMap<>();
    if (isRecord(value.getClass())) {
      for (Field field : components(value.getClass())) {
        field.setAccessible(true);
        out.put(field.getName(), unbind(field.get(value)));
      }
      return out;
    }
    for (Method method : value.getClass().getMethods()) {
      String name = method.getName();
      if (method.getParameterCount() != 0 || method.isBridge() || Modifier.isStatic(method.getModifiers())) continue;
      int prefix = name.startsWith("get") ? 3 : name.startsWith("is") && method.getReturnType() == boolean.class ? 2 : 0;
      if (prefix == 0 || name.length() == prefix || name.equals("getClass")) continue;
      method.setAccessible(true);
      out.put(Character.toLowerCase(name.charAt(prefix)) + name.substring(prefix + 1), unbind(method.invoke(value)));
    }
    for (Field field : value.getClass().getFields()) {
      if (!Modifier.isStatic(field.getModifiers())) out.putIfAbsent(field.getName(), unbind(field.get(value)));
    }
    return out;
  }
}
