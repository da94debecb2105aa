// Who asks, and from where.
#pragma once
#include <optional>
#include <string>

#include "base/address.h"
#include "identity/activity.h"
#include "identity/principal.h"
#include "identity/token_text.h"

namespace cofferdam::api {

struct Caller {
  identity::Principal who;
  // Which table of routes answers: nothing that a runtime token may ask is asked of the control plane, nor the reverse.
  identity::TokenKind kind = identity::TokenKind::control;
  std::optional<Address> source;  // nullopt: the Unix socket
  std::string user_agent;

  [[nodiscard]] identity::Actor actor() const { return {who.id, source ? source->text() : "", user_agent}; }
};

}  // namespace cofferdam::api
