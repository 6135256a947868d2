#include "cli/output/open_trains.h"

#include <algorithm>

#include "base/text.h"
#include "cli/commands/trains.h"
#include "state/plain_folders.h"
#include "state/records.h"

namespace trainseal::cli {

namespace {

OpenTrain make(std::string what, const std::vector<std::string>& command, const char* state,
               const std::string& train, const std::string& place, const std::optional<std::string>& out,
               const std::string& since) {
  OpenTrain open{std::move(what), command_line(command), {}};
  open.fields = {{"state", state}, {"train", train}, {"place", place}};
  open.fields["out"] = out ? nlohmann::ordered_json(*out) : nullptr;
  open.fields["since"] = since;
  open.fields["command"] = open.command;
  return open;
}

OpenTrain of_record(const Record& record) {
  const std::string train = text("train ", record.train_id, ", station ", record.station);
  if (record.sealed) {
    return make(text(train, ": sealed at ", *record.sealed, ", its plaintext is still in ", record.place),
                {"discard", record.place}, "sealed", record.train_id, record.place, record.out, record.time);
  }
  std::vector<std::string> command = {"post-run", record.place};
  if (record.out) command.insert(command.end(), {"--results", *record.out, "--wipe"});
  return make(text(train, ": released at ", record.time, " from ", record.place,
                   record.out ? text(" into ", *record.out) : std::string(", in place")),
              command, "released", record.train_id, record.place, record.out, record.time);
}

OpenTrain of_folder(const PlainFolder& folder) {
  return make(text("train ", folder.train_id, ", station ", folder.station, ": plaintext released at ",
                   folder.time, " is still in ", folder.path),
              {"discard", folder.path}, "plaintext", folder.train_id, folder.place, folder.path, folder.time);
}

}  // namespace

Result<std::vector<OpenTrain>> open_trains(const StateFolder& state) {
  std::vector<OpenTrain> open;
  TRY(const auto records, Records(state).all());
  open.reserve(records.size());
  for (const Record& record : records) open.push_back(of_record(record));
  TRY(const auto folders, PlainFolders(state).there());
  for (const PlainFolder& folder : folders) {
    const bool has_record =
        std::ranges::find(records, std::optional(folder.path), &Record::out) != records.end();
    if (!has_record) open.push_back(of_folder(folder));
  }
  return open;
}

}  // namespace trainseal::cli
