#include <sys/prctl.h>
#include <sys/resource.h>

#include <clocale>
#include <csignal>
#include <string_view>

#include "cli/access/token_worker.h"
#include "cli/program.h"
#include "token/worker/process.h"

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
  if (argc == 2 && argv[1] == std::string_view(trainseal::kWorkerCommand)) trainseal::cli::run_token_worker();
  return trainseal::cli::run_program(argc, argv, trainseal::cli::process_environment);
}
