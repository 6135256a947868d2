#pragma once

#include "base/result.h"
#include "service/jobs/messages.h"

namespace trainseal::service {

/// Whether this kernel can confine a job as it has to be: Landlock (Linux 5.13) with renames between folders
/// (5.19). `service_unavailable` otherwise.
Result<void> check_can_confine();

/// Takes from this process, for good, what a job does not need: files outside of `confinement` (Landlock),
/// and the system calls by which programs are run, the network is used, other processes are looked into or
/// the kernel is configured (seccomp; they fail with EPERM). One thread only may run. Fails with
/// `service_unavailable` if the kernel refuses: then the job must not begin.
Result<void> confine(const Confinement& confinement);

}  // namespace trainseal::service
