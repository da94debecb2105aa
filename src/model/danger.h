// Permissions that undo a safe default, as types: whoever includes this opens a hole, and that is how to find them.
#pragma once

namespace cofferdam::model {

// A workspace may reach any public address and name.
struct OpenInternet {
  explicit OpenInternet() = default;
  bool operator==(const OpenInternet&) const = default;
};

// A port that databases use may be reached from outside all the same.
struct ForceExpose {
  explicit ForceExpose() = default;
  bool operator==(const ForceExpose&) const = default;
};

}  // namespace cofferdam::model
