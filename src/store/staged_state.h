#pragma once

#include "store/folder/folder_tree.h"
#include "store/staged_train.h"
#include "store/staging.h"

namespace trainseal {

/// What the stores in this folder need to know of a staged train.
struct StagedTrain::State {
  Staging staging;
  FolderTree tree;  ///< its content: a folder for each part, and the files at the top
};

}  // namespace trainseal
