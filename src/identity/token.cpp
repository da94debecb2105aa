#include "identity/token.h"

#include <algorithm>

#include "base/text.h"

namespace cofferdam::identity {
namespace {

constexpr std::size_t kMaxLabel = 255;

}  // namespace

VerbSet runtime_verbs() { return {Verb::read, Verb::exec, Verb::files, Verb::network}; }

Status validate_label(std::string_view label) {
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  if (label.size() <= kMaxLabel && std::none_of(label.begin(), label.end(), is_control)) return {};
  return fail(Code::InvalidArgument, cat("label: more than ", kMaxLabel, " bytes, or control characters in it"));
}

bool matches(const Token& token, const TokenFilter& filter) {
  if (!filter.workspace_id.empty()) {
    const auto* some = std::get_if<SomeWorkspaces>(&token.grant.scope);
    if (some == nullptr || !covers(*some, filter.workspace_id, "")) return false;
  }
  if (filter.namespace_id.empty()) return true;
  const auto* one = std::get_if<OneNamespace>(&token.grant.scope);
  return one != nullptr && one->id == filter.namespace_id;
}

}  // namespace cofferdam::identity
