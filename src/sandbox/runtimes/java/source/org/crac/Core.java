package org.crac;

import java.lang.ref.WeakReference;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/** The coordination that functions register their hooks with. It holds resources weakly: who registers one keeps it. */
public final class Core {
  private static final Context<Resource> GLOBAL = new Global();

  private Core() {}

  public static Context<Resource> getGlobalContext() {
    return GLOBAL;
  }

  /** Snapshots are taken when a version is published, never on demand. */
  public static void checkpointRestore() throws CheckpointException, RestoreException {
    throw new UnsupportedOperationException("a snapshot is taken when a version is published");
  }

  private static final class Global extends Context<Resource> {
    private final List<WeakReference<Resource>> registered = new ArrayList<>();

    @Override
    public synchronized void register(Resource resource) {
      registered.removeIf(each -> each.get() == null);
      registered.add(new WeakReference<>(resource));
    }

    private synchronized List<Resource> living() {
      List<Resource> out = new ArrayList<>();
      for (WeakReference<Resource> each : registered) {
        Resource resource = each.get();
        if (resource != null) out.add(resource);
      }
      return out;
    }

    @Override
    public void beforeCheckpoint(Context<? extends Resource> context) throws CheckpointException {
      List<Resource> resources = living();
      Collections.reverse(resources);
      CheckpointException failure = null;
      for (Resource resource : resources) {
        try {
          resource.beforeCheckpoint(this);
        } catch (Exception e) {
          if (failure == null) failure = new CheckpointException(e.toString());
          failure.addSuppressed(e);
        }
      }
      if (failure != null) throw failure;
    }

    @Override
    public void afterRestore(Context<? extends Resource> context) throws RestoreException {
      RestoreException failure = null;
      for (Resource resource : living()) {
        try {
          resource.afterRestore(this);
        } catch (Exception e) {
          if (failure == null) failure = new RestoreException(e.toString());
          failure.addSuppressed(e);
        }
      }
      if (failure != null) throw failure;
    }
  }
}
