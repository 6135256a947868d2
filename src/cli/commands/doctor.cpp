#include "cli/checkup/checkup.h"
#include "cli/commands/command_table.h"

namespace trainseal::cli {

namespace {

Result<Report> run_doctor(Context& context) {
  Checkup checkup;
  const auto configuration = context.configuration();
  if (configuration)
    check_installation(checkup, context, **configuration, nullptr);
  else
    checkup.problem("settings", configuration.error());
  return std::move(checkup).report();
}

}  // namespace

void add_doctor_command(CommandTable& table) {
  table.add("doctor", "Check settings, trust, state, module, token, PIN and key, and say what to do",
            run_doctor);
}

}  // namespace trainseal::cli
