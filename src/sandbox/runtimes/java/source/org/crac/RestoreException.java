package org.crac;

/** Hooks of a restore failed; each failure is a suppressed exception of this one. */
public class RestoreException extends Exception {
  private static final long serialVersionUID = 1;

  public RestoreException() {}

  public RestoreException(String message) {
    super(message);
  }
}
