#pragma once

#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <csignal>
#include <cstdint>
#include <functional>

namespace trainseal::test {

/// True if the system call may change a file or force it to the disk. `openat` counts if it may create.
inline bool changes_a_file(const __ptrace_syscall_info& call) {
  constexpr std::array kChanges = {
      SYS_write,  SYS_pwrite64, SYS_mkdirat,  SYS_unlinkat,  SYS_renameat2, SYS_linkat,    SYS_symlinkat,
      SYS_fchmod, SYS_fchmodat, SYS_fchownat, SYS_ftruncate, SYS_fsync,     SYS_fdatasync, SYS_syncfs,
#ifdef SYS_rename  // the older calls do not exist on every machine
      SYS_mkdir,  SYS_unlink,   SYS_rmdir,    SYS_rename,    SYS_renameat,  SYS_link
#endif
  };
  const auto number = static_cast<long>(call.entry.nr);
  if (number == SYS_openat) return (call.entry.args[2] & O_CREAT) != 0;
  return std::ranges::find(kChanges, number) != kChanges.end();
}

/// Runs `work` in a child process and kills that just before its call number `change` (from 0) that changes a
/// file. True if `work` got to its end before.
inline bool finishes_before(unsigned change, const std::function<void()>& work) {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0 || raise(SIGSTOP) != 0) _exit(1);
    try {
      work();
    } catch (...) {  // a failed check, already told: the test belongs to the parent
      _exit(1);
    }
    _exit(0);
  }

  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(WIFSTOPPED(status));
  REQUIRE(ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) == 0);
  long signal = 0;  // what the child is to get, as it would without us
  for (unsigned changes = 0;;) {
    REQUIRE(ptrace(PTRACE_SYSCALL, child, nullptr, signal) == 0);
    REQUIRE(waitpid(child, &status, 0) == child);
    if (WIFEXITED(status)) {
      REQUIRE(WEXITSTATUS(status) == 0);
      return true;
    }
    REQUIRE(WIFSTOPPED(status));
    const bool is_call = WSTOPSIG(status) == (SIGTRAP | 0x80);
    signal = is_call ? 0 : WSTOPSIG(status);
    if (!is_call) continue;
    __ptrace_syscall_info call{};
    REQUIRE(ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof call, &call) > 0);
    if (call.op != PTRACE_SYSCALL_INFO_ENTRY || !changes_a_file(call) || changes++ != change) continue;
    REQUIRE(kill(child, SIGKILL) == 0);
    REQUIRE(waitpid(child, &status, 0) == child);
    return false;
  }
}

}  // namespace trainseal::test
