#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace trainseal {

/// How another program is run: without a shell, in a folder of its own, and never longer than this process
/// lives.
struct ProgramCall {
  std::vector<std::string> arguments;  ///< the program's name first, which is looked up in PATH
  std::filesystem::path folder;        ///< where it runs and keeps its temporary files
  std::uint64_t most_file_bytes = 0;   ///< no file that it writes may become larger
  std::size_t most_output_bytes = 0;   ///< of standard output; a program that says more is ended
  std::chrono::seconds patience{};  ///< how long it may neither read nor write a byte anywhere; in all, four
                                    ///< times that, and a second for each 64 KiB that it reads
};

struct ProgramResult {
  enum class End : std::uint8_t { exited, killed_by_signal, said_too_much, kept_silent, too_slow };
  End end = End::exited;
  int status = 0;      ///< what it exited with, or the signal
  Bytes output;        ///< standard output
  std::string errors;  ///< the end of standard error, 16 KiB at most
};

/// Runs the program to its end. Its environment is ours without what holds secrets of the station. A program
/// that this one did not find has the status 127 and said nothing. Errors: `registry_failed` if no process
/// can be made.
Result<ProgramResult> run_program(const ProgramCall& call);

}  // namespace trainseal
