package org.crac;

/** Hooks of a snapshot failed; each failure is a suppressed exception of this one. */
public class CheckpointException extends Exception {
  private static final long serialVersionUID = 1;

  public CheckpointException() {}

  public CheckpointException(String message) {
    super(message);
  }
}
