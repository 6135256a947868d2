#include <utility>

#include "base/text.h"
#include "image/scratch_file.h"
#include "state/images/outbox.h"
#include "store/folder/moves.h"
#include "store/images/work_folder.h"
#include "store/staging.h"
#include "store/train_store.h"

namespace trainseal {
namespace {

std::string place_of(const JournalEntry& entry) { return quoted(entry.staging().parent_path().string()); }

Error stuck(Error error, const std::string& place, const std::filesystem::path& entry_file) {
  error.what = text("an interrupted change in ", place, " cannot be finished: ", error.what);
  if (error.code == ErrorCode::store_failed || error.code == ErrorCode::hostile_path) {
    error.hint = text(
        "bring that folder into order by hand (what was staged lies in it under a name that begins with ",
        kStagingPrefix, "), then remove the file ", quoted(entry_file.string()));
  }
  return error;
}

/// Goes forward; back only where nothing has been moved yet, because later what was replaced may be removed
/// in part.
Result<std::string> finish(const StateFolder& state, JournalEntry entry) {
  const std::string place = place_of(entry);
  if (const auto made = make_moves(entry); !made) {
    TRY(const bool can_give_up, no_move_made(entry));
    if (!can_give_up) return fail(made.error());
    TRY_DO(sweep(std::move(entry)));
    return text("gave up an interrupted change in ", place, ": ", made.error().what);
  }
  TRY_DO(entry.complete(state));
  TRY_DO(sweep(std::move(entry)));
  return text("finished an interrupted change in ", place);
}

Result<std::string> recover_entry(const StateFolder& state, JournalEntry entry) {
  const std::string place = place_of(entry);
  if (!std::string_view(entry.staging().filename().native()).starts_with(kStagingPrefix)) {
    return fail(ErrorCode::state_failed,
                text(quoted(entry.file().string()), " names ", quoted(entry.staging().string()),
                     ", which is no staging folder"),
                "remove that file if you know where it comes from");
  }
  TRY(const auto parent, identify(entry.staging().parent_path()));
  if (!parent) {
    return text("left an interrupted change for later, because ", place,
                " is not there; if it is gone for good, remove ", quoted(entry.file().string()));
  }
  if (entry.decision()) return finish(state, std::move(entry));
  TRY_DO(sweep(std::move(entry)));
  return text("removed what an interrupted command had staged in ", place);
}

}  // namespace

Result<void> note_in_state(const StateFolder& state, const JournalCompletion& completion) {
  TRY(Staging nothing, Staging::create(state, Outbox(state).folder()));
  return nothing.put_in_place({}, completion);
}

Result<std::vector<std::string>> recover(const StateFolder& state) {
  TRY_DO(state.sweep());
  TRY_DO(sweep_work_folders(Outbox(state).folder()));
  // Where nothing can be swept, a command that needs the folder says so.
  [[maybe_unused]] const auto swept = sweep_work_folders(scratch_folder());
  TRY(auto entries, JournalEntry::abandoned(state));
  std::vector<std::string> done;
  std::optional<Error> failure;
  for (JournalEntry& entry : entries) {
    const std::string place = place_of(entry);
    const std::filesystem::path file = entry.file();
    auto recovered = recover_entry(state, std::move(entry));
    if (recovered) {
      done.push_back(*std::move(recovered));
    } else if (!failure) {
      failure = stuck(std::move(recovered).error(), place, file);
    }
  }
  if (failure) return fail(*std::move(failure));
  return done;
}

}  // namespace trainseal
