#include <sys/resource.h>

#include <clocale>
#include <csignal>

#include "cli/program.h"

int main(int argc, char** argv) {
  // File names are taken as they are; only what is printed needs the encoding.
  std::setlocale(LC_CTYPE, "C.UTF-8");
  // A reader that goes away is an error of writing; a dump of this process would hold plaintext.
  std::signal(SIGPIPE, SIG_IGN);
  const rlimit no_dump{0, 0};
  setrlimit(RLIMIT_CORE, &no_dump);
  return trainseal::cli::run_program(argc, argv, trainseal::cli::process_environment);
}
