package com.amazonaws.services.lambda.runtime;

import java.io.InputStream;
import java.io.OutputStream;
import java.lang.reflect.Type;

/** A function's own way between JSON and its classes, found by java.util.ServiceLoader. */
public interface CustomPojoSerializer {
  <T> T fromJson(InputStream input, Type type);
  <T> T fromJson(String input, Type type);
  <T> void toJson(T value, OutputStream output, Type type);
}
