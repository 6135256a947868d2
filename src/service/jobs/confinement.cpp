#include "service/jobs/confinement.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include "base/file.h"
#include "base/text.h"

namespace trainseal::service {
namespace {

constexpr std::uint64_t kRefer = LANDLOCK_ACCESS_FS_REFER;
// Of Linux's header of 6.2 and later; Debian 12's has the rest.
constexpr std::uint64_t kTruncate = std::uint64_t{1} << 14;

constexpr std::uint64_t kRead = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr std::uint64_t kWrite = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
                                 LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |
                                 LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SYM;
/// What is taken from everybody: sockets, pipes and devices are not made by any job.
constexpr std::uint64_t kNeverGiven = LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_SOCK |
                                      LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK;
/// Of a rule for something that is no folder.
constexpr std::uint64_t kOfFiles =
    LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_EXECUTE | kTruncate;

std::unexpected<Error> cannot_confine(std::string_view call, int reason) {
  return fail(
      Error{ErrorCode::service_unavailable,
            text("this machine cannot confine a job: ", std::strerror(reason)),
            "the kernel needs Landlock (Linux 5.19 or later, \"landlock\" in /sys/kernel/security/lsm) and "
            "seccomp; nothing was done",
            std::string(call),
            {}});
}

int landlock_abi() {
  return static_cast<int>(
      ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION));
}

/// Rules for the file system that can only become narrower.
class Rules {
 public:
  static Result<Rules> make() {
    const int abi = landlock_abi();
    if (abi < 2) return cannot_confine("landlock_create_ruleset", abi < 0 ? errno : ENOSYS);
    const std::uint64_t handled =
        kRead | kWrite | kNeverGiven | kRefer | LANDLOCK_ACCESS_FS_EXECUTE | (abi >= 3 ? kTruncate : 0);
    landlock_ruleset_attr attributes{};
    attributes.handled_access_fs = handled;
    UniqueFd fd(static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0)));
    if (!fd) return cannot_confine("landlock_create_ruleset", errno);
    return Rules(std::move(fd), handled);
  }

  /// What is not there needs no rule.
  Result<void> allow(const std::string& path, std::uint64_t access) {
    const UniqueFd target(::open(path.c_str(), O_PATH | O_CLOEXEC));
    if (!target) return errno == ENOENT ? Result<void>() : cannot_confine("open", errno);
    struct stat status{};
    if (::fstat(target.get(), &status) != 0) return cannot_confine("fstat", errno);
    landlock_path_beneath_attr rule{};
    rule.allowed_access = access & handled_ & (S_ISDIR(status.st_mode) ? ~std::uint64_t{0} : kOfFiles);
    rule.parent_fd = target.get();
    if (::syscall(SYS_landlock_add_rule, fd_.get(), LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0) return {};
    return cannot_confine("landlock_add_rule", errno);
  }

  Result<void> apply() const {
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return cannot_confine("prctl", errno);
    if (::syscall(SYS_landlock_restrict_self, fd_.get(), 0) == 0) return {};
    return cannot_confine("landlock_restrict_self", errno);
  }

 private:
  Rules(UniqueFd fd, std::uint64_t handled) : fd_(std::move(fd)), handled_(handled) {}
  UniqueFd fd_;
  std::uint64_t handled_;
};

/// What programs of this system read to run at all.
constexpr std::array kSystemFolders = {"/usr",
                                       "/lib",
                                       "/lib64",
                                       "/bin",
                                       "/etc/ssl",
                                       "/etc/ld.so.cache",
                                       "/etc/resolv.conf",
                                       "/etc/hosts",
                                       "/etc/nsswitch.conf",
                                       "/etc/host.conf",
                                       "/etc/gai.conf",
                                       "/etc/passwd",
                                       "/etc/group",
                                       "/etc/localtime",
                                       "/etc/containers",
                                       "/etc/ca-certificates",
                                       "/proc",
                                       "/sys/fs/cgroup",
                                       "/run/systemd/resolve"};

Result<void> confine_files(const Confinement& confinement) {
  TRY(auto rules, Rules::make());
  const std::uint64_t execute = confinement.programs ? LANDLOCK_ACCESS_FS_EXECUTE : 0;
  for (const char* folder : kSystemFolders) TRY_DO(rules.allow(folder, kRead | execute));
  for (const char* device : {"/dev/null", "/dev/urandom", "/dev/random", "/dev/zero"})
    TRY_DO(rules.allow(device, kRead | LANDLOCK_ACCESS_FS_WRITE_FILE | kTruncate));
  for (const auto& path : confinement.readable) TRY_DO(rules.allow(path, kRead));
  for (const auto& path : confinement.writable)
    TRY_DO(rules.allow(path, kRead | kWrite | kRefer | kTruncate));
  return rules.apply();
}

/// Never needed by a job.
constexpr std::array kForbidden = {
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(kcmp),
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(pivot_root),
    SCMP_SYS(chroot),
    SCMP_SYS(open_tree),
    SCMP_SYS(move_mount),
    SCMP_SYS(fsopen),
    SCMP_SYS(fsmount),
    SCMP_SYS(mount_setattr),
    SCMP_SYS(unshare),
    SCMP_SYS(setns),
    SCMP_SYS(bpf),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(io_uring_setup),
    SCMP_SYS(io_uring_enter),
    SCMP_SYS(keyctl),
    SCMP_SYS(add_key),
    SCMP_SYS(request_key),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(delete_module),
    SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load),
    SCMP_SYS(reboot),
    SCMP_SYS(swapon),
    SCMP_SYS(swapoff),
    SCMP_SYS(acct),
    SCMP_SYS(settimeofday),
    SCMP_SYS(clock_settime),
    SCMP_SYS(adjtimex),
    SCMP_SYS(sethostname),
    SCMP_SYS(setdomainname),
    SCMP_SYS(syslog),
    SCMP_SYS(quotactl),
    SCMP_SYS(iopl),
    SCMP_SYS(ioperm),
    SCMP_SYS(modify_ldt),
    SCMP_SYS(name_to_handle_at),
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(fanotify_init),
    SCMP_SYS(lookup_dcookie),
    SCMP_SYS(vmsplice),
    SCMP_SYS(mknod),
    SCMP_SYS(mknodat),
    SCMP_SYS(personality),
    SCMP_SYS(setuid),
    SCMP_SYS(setgid),
    SCMP_SYS(setresuid),
    SCMP_SYS(setresgid),
    SCMP_SYS(setgroups),
};
constexpr std::array kPrograms = {SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(fork), SCMP_SYS(vfork)};
constexpr std::array kNetwork = {SCMP_SYS(socket), SCMP_SYS(connect), SCMP_SYS(bind),
                                 SCMP_SYS(listen), SCMP_SYS(accept),  SCMP_SYS(accept4)};

Result<void> confine_calls(const Confinement& confinement) {
  const std::unique_ptr<void, decltype(&seccomp_release)> filter(seccomp_init(SCMP_ACT_ALLOW),
                                                                 &seccomp_release);
  if (!filter) return cannot_confine("seccomp_init", ENOMEM);
  const auto forbid = [&](const auto& calls) {
    int failed = 0;
    for (const int call : calls)
      if (failed == 0) failed = seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EPERM), call, 0);
    return failed;
  };
  int failed = forbid(kForbidden);
  if (failed == 0 && !confinement.programs) failed = forbid(kPrograms);
  if (failed == 0 && !confinement.network) failed = forbid(kNetwork);
  if (failed == 0) failed = seccomp_load(filter.get());
  if (failed != 0) return cannot_confine("seccomp", -failed);
  return {};
}

}  // namespace

Result<void> check_can_confine() {
  if (const int abi = landlock_abi(); abi < 2) return cannot_confine("landlock_create_ruleset", ENOSYS);
  return {};
}

Result<void> confine(const Confinement& confinement) {
  TRY_DO(confine_files(confinement));
  return confine_calls(confinement);
}

}  // namespace trainseal::service
