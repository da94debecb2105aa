// The guest's network: loopback up, the card's MAC, address and default route.
#pragma once
#include <array>
#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "wire/message.h"

namespace cofferdam::guest {

// A template does this for its clones. The card stays down until somebody gives it an address.
Status bring_loopback_up();
// The interface as asked; addresses it had before are gone. Without an address nothing is done.
Status configure_network(const wire::Network& network);
// A socket for set_mac().
Result<UniqueFd> open_card_control();
Status set_mac(const UniqueFd& control, const std::string& interface, const std::array<std::uint8_t, 6>& mac);

}  // namespace cofferdam::guest
