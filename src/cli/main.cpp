#include <sys/prctl.h>
#include <sys/resource.h>

#include <algorithm>
#include <clocale>
#include <csignal>
#include <exception>
#include <new>
#include <span>
#include <string_view>

#include "base/child.h"
#include "base/text.h"
#include "cli/access/token_worker.h"
#include "cli/output/report.h"
#include "cli/program.h"
#include "service/jobs/runner.h"
#include "token/worker/process.h"

namespace {

/// What nobody else has caught, said as every other error is. All that is left behind is what a kill leaves.
int show_defect(std::string_view what, std::span<char* const> words) {
  using namespace trainseal;
  const Log log(LogLevel::error);
  const cli::CommandObserver observer(log, {true, false});
  const bool json = std::ranges::find(words, std::string_view("--json")) != words.end();
  return cli::Reporter("", {json}, observer)
      .show(
          Error{ErrorCode::internal,
                text("trainseal had to stop in the middle: ", what),
                "`trainseal state check` says whether something has to be finished. Report this, unless the "
                "machine lacked memory",
                {},
                {}});
}

}  // namespace

int main(int argc, char** argv) {
  // File names are taken as they are; only what is printed needs the encoding.
  std::setlocale(LC_CTYPE, "C.UTF-8");
  // A reader that goes away is an error of writing; a dump of this process would hold plaintext.
  std::signal(SIGPIPE, SIG_IGN);
  // Whoever started us may have ignored it, and then the end of a worker would not be told.
  std::signal(SIGCHLD, SIG_DFL);
  const rlimit no_dump{0, 0};
  setrlimit(RLIMIT_CORE, &no_dump);
  // Neither may others of the same user read it, or attach to it.
  prctl(PR_SET_DUMPABLE, 0);
  using namespace trainseal;
  const std::string_view part = argc == 2 ? argv[1] : "";
  if (part == kWorkerCommand) cli::run_token_worker();
  if (part == service::kRunnerCommand) service::serve_jobs(UniqueFd(kChildFd), cli::run_job);
  const std::span<char* const> words(argv, static_cast<std::size_t>(argc));
  try {
    return cli::run_program(argc, argv, cli::process_environment);
  } catch (const std::bad_alloc&) {
    return show_defect("there is not enough memory", words);
  } catch (const std::exception& failure) {
    return show_defect(failure.what(), words);
  }
}
