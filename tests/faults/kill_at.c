/* Preloaded into the program: kills it right before the TRAINSEAL_KILL_AT-th call that changes a file, or its token
 * worker, where TRAINSEAL_KILL_IN is "worker".
 *
 * Counted is every call of the C library by which the program itself can change what lies on a disk, the plain
 * syscall() included. Calls of the PKCS#11 module are not: its store is not ours to protect. Before it dies the
 * process writes the call's name and number to standard error. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_long calls;
static int is_meant;

__attribute__((constructor)) static void look_who_this_is(void) {
  char arguments[64] = {0};
  const int fd = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/cmdline", O_RDONLY);
  const long size = syscall(SYS_read, fd, arguments, sizeof arguments - 1);
  syscall(SYS_close, fd);
  const int is_worker = size > 0 && strcmp(arguments + strlen(arguments) + 1, "token-worker") == 0;
  const char *wanted = getenv("TRAINSEAL_KILL_IN");
  is_meant = is_worker == (wanted != NULL && strcmp(wanted, "worker") == 0);
}

static int is_counted(const void *caller) {
  Dl_info from;
  return dladdr(caller, &from) == 0 || from.dli_fname == NULL || strstr(from.dli_fname, "softhsm") == NULL;
}

static void count(const char *name, const void *caller) {
  const char *limit = getenv("TRAINSEAL_KILL_AT");
  if (limit == NULL || !is_meant || !is_counted(caller)) return;
  const long now = atomic_fetch_add(&calls, 1) + 1;
  if (now != strtol(limit, NULL, 10)) return;
  char message[128];
  const int length = snprintf(message, sizeof message, "killed before call %ld, %s\n", now, name);
  long (*raw)(long, ...) = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
  raw(SYS_write, 2L, message, (long)length);
  raw(SYS_kill, (long)getpid(), (long)SIGKILL);
  for (;;) pause();
}

#define COUNT(name) count(name, __builtin_return_address(0))
#define NEXT(result, name, parameters, arguments)                             \
  result name parameters {                                                    \
    result(*next) parameters = (result(*) parameters)dlsym(RTLD_NEXT, #name); \
    COUNT(#name);                                                             \
    return next arguments;                                                    \
  }
/* Standard output and standard error are no files of a train. */
#define NEXT_ON_FD(result, name, parameters, arguments)                       \
  result name parameters {                                                    \
    result(*next) parameters = (result(*) parameters)dlsym(RTLD_NEXT, #name); \
    if (fd > 2) COUNT(#name);                                                 \
    return next arguments;                                                    \
  }

/* O_TMPFILE has the bit of O_DIRECTORY in it. */
static int creates(int flags) { return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE; }

static int changes(int flags) { return creates(flags) || (flags & O_TRUNC) != 0; }

static mode_t mode_of(int flags, va_list arguments) {
  return creates(flags) ? va_arg(arguments, mode_t) : 0;
}

#define OPEN(name)                                                                                  \
  int name(const char *path, int flags, ...) {                                                      \
    int (*next)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, #name); \
    va_list arguments;                                                                              \
    va_start(arguments, flags);                                                                     \
    const mode_t mode = mode_of(flags, arguments);                                                  \
    va_end(arguments);                                                                              \
    if (changes(flags)) COUNT(#name);                                                               \
    return next(path, flags, mode);                                                                 \
  }
#define OPENAT(name)                                                                                          \
  int name(int folder, const char *path, int flags, ...) {                                                    \
    int (*next)(int, const char *, int, ...) = (int (*)(int, const char *, int, ...))dlsym(RTLD_NEXT, #name); \
    va_list arguments;                                                                                        \
    va_start(arguments, flags);                                                                               \
    const mode_t mode = mode_of(flags, arguments);                                                            \
    va_end(arguments);                                                                                        \
    if (changes(flags)) COUNT(#name);                                                                         \
    return next(folder, path, flags, mode);                                                                   \
  }

OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)
NEXT(int, creat, (const char *path, mode_t mode), (path, mode))
NEXT_ON_FD(ssize_t, write, (int fd, const void *bytes, size_t size), (fd, bytes, size))
NEXT_ON_FD(ssize_t, pwrite, (int fd, const void *bytes, size_t size, off_t at), (fd, bytes, size, at))
NEXT_ON_FD(ssize_t, pwrite64, (int fd, const void *bytes, size_t size, off64_t at), (fd, bytes, size, at))
NEXT_ON_FD(ssize_t, writev, (int fd, const struct iovec *parts, int size), (fd, parts, size))
NEXT(ssize_t, copy_file_range, (int from, off64_t *from_at, int to, off64_t *to_at, size_t size, unsigned flags),
     (from, from_at, to, to_at, size, flags))
NEXT(ssize_t, sendfile, (int to, int from, off_t *at, size_t size), (to, from, at, size))
NEXT(ssize_t, sendfile64, (int to, int from, off64_t *at, size_t size), (to, from, at, size))
NEXT(int, rename, (const char *from, const char *to), (from, to))
NEXT(int, renameat, (int folder, const char *from, int to_folder, const char *to), (folder, from, to_folder, to))
NEXT(int, renameat2, (int folder, const char *from, int to_folder, const char *to, unsigned flags),
     (folder, from, to_folder, to, flags))
NEXT(int, remove, (const char *path), (path))
NEXT(int, unlink, (const char *path), (path))
NEXT(int, unlinkat, (int folder, const char *path, int flags), (folder, path, flags))
NEXT(int, rmdir, (const char *path), (path))
NEXT(int, mkdir, (const char *path, mode_t mode), (path, mode))
NEXT(int, mkdirat, (int folder, const char *path, mode_t mode), (folder, path, mode))
NEXT(int, symlink, (const char *target, const char *path), (target, path))
NEXT(int, symlinkat, (const char *target, int folder, const char *path), (target, folder, path))
NEXT(int, link, (const char *from, const char *to), (from, to))
NEXT(int, linkat, (int folder, const char *from, int to_folder, const char *to, int flags),
     (folder, from, to_folder, to, flags))
NEXT(int, truncate, (const char *path, off_t size), (path, size))
NEXT(int, ftruncate, (int fd, off_t size), (fd, size))
NEXT(int, ftruncate64, (int fd, off64_t size), (fd, size))
NEXT(int, fallocate, (int fd, int mode, off_t at, off_t size), (fd, mode, at, size))
NEXT(int, posix_fallocate, (int fd, off_t at, off_t size), (fd, at, size))
NEXT(int, chmod, (const char *path, mode_t mode), (path, mode))
NEXT(int, fchmod, (int fd, mode_t mode), (fd, mode))
NEXT(int, fchmodat, (int folder, const char *path, mode_t mode, int flags), (folder, path, mode, flags))
NEXT(int, chown, (const char *path, uid_t user, gid_t group), (path, user, group))
NEXT(int, lchown, (const char *path, uid_t user, gid_t group), (path, user, group))
NEXT(int, fchown, (int fd, uid_t user, gid_t group), (fd, user, group))
NEXT(int, fchownat, (int folder, const char *path, uid_t user, gid_t group, int flags),
     (folder, path, user, group, flags))
NEXT(int, futimens, (int fd, const struct timespec times[2]), (fd, times))
NEXT(int, utimensat, (int folder, const char *path, const struct timespec times[2], int flags),
     (folder, path, times, flags))
NEXT(int, fsync, (int fd), (fd))
NEXT(int, fdatasync, (int fd), (fd))
NEXT(int, syncfs, (int fd), (fd))

/* Six words are as many as a system call takes. */
long syscall(long number, ...) {
  long (*next)(long, ...) = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
  va_list arguments;
  long words[6];
  va_start(arguments, number);
  for (int i = 0; i < 6; ++i) words[i] = va_arg(arguments, long);
  va_end(arguments);
  if (number == SYS_renameat2) COUNT("syscall(SYS_renameat2)");
  if (number == SYS_openat2 && changes((int)((const struct open_how *)words[2])->flags)) COUNT("syscall(SYS_openat2)");
  return next(number, words[0], words[1], words[2], words[3], words[4], words[5]);
}
