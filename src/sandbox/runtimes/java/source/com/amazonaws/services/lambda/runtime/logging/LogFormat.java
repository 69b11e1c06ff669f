package com.amazonaws.services.lambda.runtime.logging;

public enum LogFormat {
  JSON,
  TEXT;

  public static LogFormat fromString(String name) {
    try {
      return valueOf(name.toUpperCase());
    } catch (RuntimeException e) {
      throw new IllegalArgumentException("Invalid log format: '" + name + "'");
    }
  }
}
