// Word that a credential is over, for those who hold a stream open under it. Used on the loop only.
#pragma once
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <string>

#include "identity/principal.h"

namespace cofferdam::identity {

struct Ended {
  enum class Reason { revoked, expired, rotated };
  std::string principal_id;
  Reason reason = Reason::revoked;
  // A rotation ends the secrets before it and not the one it made.
  std::uint64_t generations_up_to = std::numeric_limits<std::uint64_t>::max();

  [[nodiscard]] bool ends(const Principal& principal) const {
    return principal.id == principal_id && principal.generation <= generations_up_to;
  }
};

class Revocations {
 public:
  using Listener = std::function<void(const Ended&)>;

  // Ends the subscription when it is destroyed; may outlive the Revocations.
  class Subscription {
   public:
    Subscription() = default;
    Subscription(Subscription&&) noexcept = default;
    Subscription& operator=(Subscription&& other) noexcept {
      std::swap(listeners_, other.listeners_);
      std::swap(key_, other.key_);
      return *this;
    }
    ~Subscription() {
      if (const auto listeners = listeners_.lock()) listeners->erase(key_);
    }

   private:
    friend class Revocations;
    std::weak_ptr<std::map<std::uint64_t, Listener>> listeners_;
    std::uint64_t key_ = 0;
  };

  // `listener` is called for every credential that ends, in the middle of what ends it: it cuts, and does not wait.
  [[nodiscard]] Subscription on_revoked(Listener listener) {
    Subscription subscription;
    subscription.key_ = next_++;
    subscription.listeners_ = listeners_;
    listeners_->emplace(subscription.key_, std::move(listener));
    return subscription;
  }

  void announce(const Ended& ended) {
    // A listener may end its own subscription, or another's: the next one is looked up each time.
    for (auto at = listeners_->begin(); at != listeners_->end();) {
      const auto key = at->first;
      const auto listener = at->second;
      listener(ended);
      at = listeners_->upper_bound(key);
    }
  }

 private:
  std::shared_ptr<std::map<std::uint64_t, Listener>> listeners_ = std::make_shared<std::map<std::uint64_t, Listener>>();
  std::uint64_t next_ = 1;
};

}  // namespace cofferdam::identity
