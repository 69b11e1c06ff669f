// Loaded before a program, puts its wall clock forward or back by the microseconds that the file VIRGA_TEST_CLOCK holds,
// while it runs: as an operator or a time server does.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t* moved;

__attribute__((constructor)) static void attach(void) {
  const char* path = getenv("VIRGA_TEST_CLOCK");
  const int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (fd < 0) return;
  void* mapped = mmap(NULL, sizeof *moved, PROT_READ, MAP_SHARED, fd, 0);
  close(fd);
  if (mapped != MAP_FAILED) moved = mapped;
}

int clock_gettime(clockid_t id, struct timespec* t) {
  const int failed = (int)syscall(SYS_clock_gettime, id, t);
  if (failed || id != CLOCK_REALTIME || !moved) return failed;
  const int64_t nanos = (int64_t)t->tv_nsec + *moved % 1000000 * 1000 + 1000000000;
  t->tv_sec += *moved / 1000000 + nanos / 1000000000 - 1;
  t->tv_nsec = nanos % 1000000000;
  return 0;
}

int gettimeofday(struct timeval* restrict t, void* restrict zone) {
  struct timespec now;
  (void)zone;
  const int failed = clock_gettime(CLOCK_REALTIME, &now);
  t->tv_sec = now.tv_sec;
  t->tv_usec = now.tv_nsec / 1000;
  return failed;
}
