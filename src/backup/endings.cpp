#include "backup/endings.h"

#include "ledger/query.h"

namespace cofferdam::backup {
namespace {

constexpr std::size_t kAtOnce = 4096;
constexpr std::uint8_t kFirst = 16;  // the numbers of an event's own fields
constexpr std::uint8_t kSecond = 17;
constexpr std::uint8_t kReceipt = 23;  // of a destroyed key: the whole workspace went with it

void take(const ledger::Decoded& entry, Endings& endings) {
  const std::string workspace(entry.text(ledger::kWorkspace));
  const std::string space(entry.text(ledger::kNamespace));
  const std::string first(entry.text(kFirst));
  switch (entry.kind) {
    case model::WorkspaceRemoved::kKind.number:
      endings.workspaces.insert(workspace);
      endings.contained.erase(workspace);
      break;
    case model::KeyDestroyed::kKind.number:
      endings.keys.insert(first);
      if (!entry.text(kReceipt).empty()) endings.workspaces.insert(workspace);
      break;
    case model::TokenRevoked::kKind.number:
    case model::TokenRotated::kKind.number:
      endings.credentials.insert(first);
      break;
    case model::SecretRemoved::kKind.number:
      endings.secrets.emplace(space, first);
      break;
    case model::WorkspaceContained::kKind.number:
      endings.contained[workspace] = {first, std::string(entry.text(kSecond)), space, entry.stamp.time_us};
      break;
    case model::WorkspaceReleased::kKind.number:
      endings.contained.erase(workspace);
      break;
    default:
      break;
  }
}

}  // namespace

bool Endings::has(const KeptKey& kept) const {
  return keys.contains(kept.key.id) || workspaces.contains(kept.name.owner);
}

Result<Endings> endings_in(const std::string& folder, std::uint64_t from) {
  Endings endings;
  ledger::EntryReader reader(folder, from);
  for (;;) {
    TRY_ASSIGN(const auto entries, reader.read(UINT64_MAX, kAtOnce));
    if (entries.empty()) break;
    for (const auto& bytes : entries) {
      TRY_ASSIGN(const auto entry, ledger::decode(bytes));
      take(entry, endings);
    }
  }
  endings.until = reader.next();
  return endings;
}

}  // namespace cofferdam::backup
