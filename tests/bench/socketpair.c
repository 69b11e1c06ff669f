// The bare round trip: a process sends some bytes over a Unix socket pair and waits for as many from another, which waits
// for them. Prints the median of the microseconds.
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { kBytes = 512, kMost = 100000 };

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int by_size(const void* a, const void* b) {
  const double one = *(const double*)a, other = *(const double*)b;
  return (one > other) - (one < other);
}

int main(int count, char** arguments) {
  static double took[kMost];
  const int rounds = count > 1 ? atoi(arguments[1]) : 0;
  char bytes[kBytes] = {0};
  int ends[2];
  if (rounds < 1 || rounds > kMost || socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return 2;
  if (fork() == 0) {
    close(ends[0]);
    while (read(ends[1], bytes, kBytes) > 0 && write(ends[1], bytes, kBytes) == kBytes) {
    }
    _exit(0);
  }
  close(ends[1]);
  for (int i = 0; i < rounds; ++i) {
    const double began = now();
    if (write(ends[0], bytes, kBytes) != kBytes || read(ends[0], bytes, kBytes) != kBytes) return 1;
    took[i] = now() - began;
  }
  qsort(took, (size_t)rounds, sizeof took[0], by_size);
  printf("%.2f\n", took[rounds / 2]);
  return 0;
}
