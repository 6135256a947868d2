/* Preloaded into the program: stops it, by SIGSTOP, when its work is done and its token worker still lives, so that
 * a test can look into the memory of both. Both write into the file TRAINSEAL_STOP_RECORD what the kernel would dump of
 * them. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static void record(const char *who) {
  const char *path = getenv("TRAINSEAL_STOP_RECORD");
  if (path == NULL) return;
  struct rlimit core;
  getrlimit(RLIMIT_CORE, &core);
  char line[128];
  const int length = snprintf(line, sizeof line, "%s dumpable=%d core=%lu\n", who, prctl(PR_GET_DUMPABLE), (unsigned long)core.rlim_max);
  const int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
  if (fd < 0 || write(fd, line, (size_t)length) != length) abort();
  close(fd);
}

/* The program closes its end of the worker's socket when nobody needs the token any more. */
int shutdown(int fd, int how) {
  int (*next)(int, int) = (int (*)(int, int))dlsym(RTLD_NEXT, "shutdown");
  record("program");
  raise(SIGSTOP);
  return next(fd, how);
}

/* The worker's end. */
void _exit(int status) {
  void (*next)(int) = (void (*)(int))dlsym(RTLD_NEXT, "_exit");
  record("worker");
  next(status);
  abort();
}
