package virga;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** JSON text to maps, lists, strings, numbers, booleans and null, and back. */
final class Json {
  private final String text;
  private int at;
  private int depth;

  private Json(String text) {
    this.text = text;
  }

  static Object parse(String text) {
    Json json = new Json(text);
    Object value = json.value();
    json.space();
    if (json.at != text.length()) throw json.bad("the end");
    return value;
  }

  private IllegalArgumentException bad(String expected) {
    return new IllegalArgumentException("expected " + expected + " at character " + at + " of the JSON text");
  }

  private void space() {
    while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) at++;
  }

  private char peek() {
    space();
    if (at >= text.length()) throw bad("a value");
    return text.charAt(at);
  }

  private boolean skip(char c) {
    if (peek() != c) return false;
    at++;
    return true;
  }

  private Object value() {
    if (++depth > 1000) throw bad("less depth");
    Object out;
    switch (peek()) {
      case '{':
        out = object();
        break;
      case '[':
        out = array();
        break;
      case '"':
        out = string();
        break;
      case 't':
        out = word("true", Boolean.TRUE);
        break;
      case 'f':
        out = word("false", Boolean.FALSE);
        break;
      case 'n':
        out = word("null", null);
        break;
      default:
        out = number();
    }
    depth--;
    return out;
  }

  private Object word(String word, Object meaning) {
    if (!text.startsWith(word, at)) throw bad(word);
    at += word.length();
    return meaning;
  }

  private Map<String, Object> object() {
    Map<String, Object> out = new LinkedHashMap<>();
    at++;
    if (skip('}')) return out;
    do {
      if (peek() != '"') throw bad("a name");
      String name = string();
      if (!skip(':')) throw bad("':'");
      out.put(name, value());
    } while (skip(','));
    if (!skip('}')) throw bad("'}'");
    return out;
  }

  private List<Object> array() {
    List<Object> out = new ArrayList<>();
    at++;
    if (skip(']')) return out;
    do {
      out.add(value());
    } while (skip(','));
    if (!skip(']')) throw bad("']'");
    return out;
  }

  private String string() {
    int begin = ++at;
    while (at < text.length() && text.charAt(at) != '"' && text.charAt(at) != '\\') at++;
    if (at < text.length() && text.charAt(at) == '"') return text.substring(begin, at++);
    StringBuilder out = new StringBuilder().append(text, begin, at);
    while (true) {
      if (at >= text.length()) throw bad("'\"'");
      char c = text.charAt(at++);
      if (c == '"') return out.toString();
      if (c != '\\') {
        out.append(c);
        continue;
      }
      if (at >= text.length()) throw bad("an escape");
      c = text.charAt(at++);
      int plain = "bfnrt".indexOf(c);
      if (plain >= 0) {
        out.append("\b\f\n\r\t".charAt(plain));
      } else if (c == 'u') {
        if (at + 4 > text.length()) throw bad("four digits");
        out.append((char) Integer.parseInt(text.substring(at, at + 4), 16));
        at += 4;
      } else {
        out.append(c);
      }
    }
  }

  private Number number() {
    int begin = at;
    boolean whole = true;
    while (at < text.length() && "+-0123456789.eE".indexOf(text.charAt(at)) >= 0) {
      if (".eE".indexOf(text.charAt(at)) >= 0) whole = false;
      at++;
    }
    if (begin == at) throw bad("a value");
    String digits = text.substring(begin, at);
    if (!whole) return Double.valueOf(digits);
    if (digits.length() < 10) return Integer.valueOf(digits);
    if (digits.length() < 19) {
      long value = Long.parseLong(digits);
      if (value == (int) value) return (int) value;
      return value;
    }
    return new BigInteger(digits);
  }

  static byte[] bytes(Object value) {
    StringBuilder out = new StringBuilder();
    write(out, value);
    return out.toString().getBytes(StandardCharsets.UTF_8);
  }

  static void write(StringBuilder out, Object value) {
    if (value == null || value instanceof Boolean) {
      out.append(value);
    } else if (value instanceof BigDecimal) {
      out.append(((BigDecimal) value).toPlainString());
    } else if (value instanceof Number) {
      double d = ((Number) value).doubleValue();
      out.append(Double.isNaN(d) || Double.isInfinite(d) ? "\"" + value + "\"" : value.toString());
    } else if (value instanceof Map) {
      char before = '{';
      for (Map.Entry<?, ?> entry : ((Map<?, ?>) value).entrySet()) {
        out.append(before);
        quote(out, String.valueOf(entry.getKey()));
        out.append(':');
        write(out, entry.getValue());
        before = ',';
      }
      out.append(before == '{' ? "{}" : "}");
    } else if (value instanceof Iterable) {
      char before = '[';
      for (Object element : (Iterable<?>) value) {
        out.append(before);
        write(out, element);
        before = ',';
      }
      out.append(before == '[' ? "[]" : "]");
    } else {
      quote(out, value.toString());
    }
  }

  private static void quote(StringBuilder out, String text) {
    out.append('"');
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      if (c == '"' || c == '\\') {
        out.append('\\').append(c);
      } else if (c >= ' ') {
        out.append(c);
      } else {
        int plain = "\b\f\n\r\t".indexOf(c);
        if (plain >= 0) out.append('\\').append("bfnrt".charAt(plain));
        else out.append(String.format("\\u%04x", (int) c));
      }
    }
    out.append('"');
  }
}
