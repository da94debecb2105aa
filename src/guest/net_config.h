// The guest's network by rtnetlink: loopback up, the card's MAC, address and default route.
#pragma once
#include <array>
#include <cstdint>
#include <string>

#include "base/result.h"
#include "wire/message.h"

namespace cofferdam::guest {

// Loopback and, if there is one, the card, without addresses: a template does this for its clones.
Status bring_links_up();
// The interface as asked; addresses it had before are gone. Without an address nothing is done.
Status configure_network(const wire::Network& network);
Status set_mac(const std::string& interface, const std::array<std::uint8_t, 6>& mac);

}  // namespace cofferdam::guest
