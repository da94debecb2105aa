// Links and exposed ports: what there is of them, and their ends.
#include <algorithm>

#include "base/id.h"
#include "base/log.h"
#include "base/text.h"
#include "loop/deadline.h"
#include "model/workspace_spec.h"
#include "net/network.h"

namespace cofferdam::net {
namespace {

using std::chrono::system_clock;

constexpr std::chrono::milliseconds kTurn = std::chrono::minutes(1);
constexpr std::chrono::hours kLongestSleep{1};

}  // namespace

const gate::Ports& Networks::ingress_ports(const std::string& workspace) const {
  static const gate::Ports kNone;
  const auto network = find(workspace);
  return network ? network->ingress_ports : kNone;
}

Task<void> Networks::set_ingress_ports(std::string workspace, gate::Ports ports, model::Origin by) {
  CO_TRY(check_not_isolated(workspace));
  if (ports.size() > gate::kMaxPortRanges) {
    co_return fail(Code::InvalidArgument, cat("/ingress_ports: more than ", gate::kMaxPortRanges));
  }
  const auto network = of(workspace);
  CO_TRY_ASSIGN(const auto place, co_await network->lane.enter(kTurn));
  NetworkRow row = network->row();
  row.ingress_ports = ports;
  CO_TRY(co_await table_.write(std::move(row)));
  network->ingress_ports = std::move(ports);
  record_.policy(by, network->row(), network->generation);
  co_return Status{};
}

Task<Link> Networks::add_link(LinkWish wish) {
  for (const auto& end : {wish.source, wish.target}) CO_TRY(check_not_isolated(end));
  if (wish.source == wish.target)
    co_return fail(Code::InvalidArgument, "/to: a workspace reaches itself without a link");
  if (wish.ports.empty())
    co_return fail(Code::InvalidArgument, "/ports: none", "name the ports that are to be reached");
  if (wish.ports.size() > gate::kMaxPortRanges) {
    co_return fail(Code::InvalidArgument, cat("/ports: more than ", gate::kMaxPortRanges));
  }
  if (wish.note.size() > kMaxNote)
    co_return fail(Code::InvalidArgument, cat("/note: longer than ", kMaxNote, " bytes"));
  if (wish.expires_at && *wish.expires_at <= system_clock::now()) {
    co_return fail(Code::InvalidArgument, "/expires_at: is over already");
  }
  const auto of_one = [this](auto end, const std::string& id) {
    return std::count_if(links_.begin(), links_.end(), [&](const auto& item) { return item.second.*end == id; });
  };
  if (of_one(&Link::source, wish.source) >= static_cast<std::ptrdiff_t>(kMaxLinksOfOne) ||
      of_one(&Link::target, wish.target) >= static_cast<std::ptrdiff_t>(kMaxLinksOfOne)) {
    co_return fail(Code::ResourceExhausted, cat("a workspace has at most ", kMaxLinksOfOne, " links each way"),
                   "remove some: coffer link ls");
  }
  Link link;
  link.id = new_id("lnk");
  link.source = std::move(wish.source);
  link.target = std::move(wish.target);
  link.ports = std::move(wish.ports);
  link.note = std::move(wish.note);
  link.expires_at = wish.expires_at;
  link.created_at = system_clock::now();
  link.created_by = std::move(wish.created_by);
  const auto source = of(link.source);
  const auto target = of(link.target);
  {
    // Whoever has a link to it must know its address, also while it does not run.
    CO_TRY_ASSIGN(const auto place, co_await target->lane.enter(kTurn));
    CO_TRY(co_await need_pair(target));
  }
  CO_TRY(co_await table_.add(link));
  links_.emplace(link.id, link);
  record_.link(wish.by, link, "created");
  links_changed_.notify();
  CO_TRY(co_await refresh(target));
  CO_TRY(co_await refresh(source));
  co_return link;
}

Task<void> Networks::remove_link(std::string id, model::Origin by) {
  return end_link(std::move(id), std::move(by), "removed");
}

Task<void> Networks::end_link(std::string id, model::Origin by, std::string_view action) {
  const auto found = links_.find(id);
  if (found == links_.end()) co_return fail(Code::NotFound, cat("there is no link '", id.substr(0, 64), "'"));
  const Link link = found->second;
  CO_TRY(co_await table_.remove_link(id));
  if (links_.erase(id) == 0) co_return fail(Code::NotFound, cat("there is no link '", id, "' any more"));
  record_.link(by, link, action);
  // The one who may no longer begin comes first.
  if (const auto source = find(link.source)) CO_TRY(co_await refresh(source));
  if (const auto target = find(link.target)) CO_TRY(co_await refresh(target));
  co_return Status{};
}

Task<void> Networks::keep_links() {
  for (;;) {
    auto next = system_clock::now() + kLongestSleep;
    std::vector<std::string> over;
    for (const auto& [id, link] : links_) {
      if (!link.expires_at) continue;
      if (*link.expires_at <= system_clock::now()) {
        over.push_back(id);
      } else {
        next = std::min(next, *link.expires_at);
      }
    }
    for (const auto& id : over) {
      auto removed = co_await end_link(id, {}, "expired");
      if (!removed && removed.error().code == Code::Cancelled) co_return removed;
      if (!removed && removed.error().code != Code::NotFound) {
        log_error("a link whose time is over was not removed", {{"link", id}, {"error", removed.error().message}});
      }
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - system_clock::now());
    auto woken = co_await loop::with_deadline(links_changed_.wait(), std::max(left, std::chrono::milliseconds(1)),
                                              "end of a link");
    if (!woken && woken.error().code == Code::Cancelled) co_return woken;
  }
}

std::vector<Exposure> Networks::exposures(const std::string& workspace) const {
  std::vector<Exposure> own;
  for (const auto& [slug, exposure] : exposures_) {
    if (exposure.workspace == workspace) own.push_back(exposure);
  }
  std::sort(own.begin(), own.end(), [](const Exposure& a, const Exposure& b) { return a.port < b.port; });
  return own;
}

const Exposure* Networks::exposure_of(const std::string& slug) const {
  const auto found = exposures_.find(slug);
  return found == exposures_.end() ? nullptr : &found->second;
}

std::string Networks::address_of(const Exposure& exposure) const {
  return cat(exposure.slug, ".preview.", preview_domain());
}

Task<Exposure> Networks::expose(Exposure exposure, model::Origin by) {
  CO_TRY(check_not_isolated(exposure.workspace));
  if (exposure.slug.empty()) co_return fail(Code::InvalidArgument, "/slug: is empty");
  CO_TRY(model::validate_slug(exposure.slug));
  if (exposure.label.size() > kMaxNote) {
    co_return fail(Code::InvalidArgument, cat("/label: longer than ", kMaxNote, " bytes"));
  }
  const auto taken = exposures_.find(exposure.slug);
  const bool own =
      taken != exposures_.end() && taken->second.workspace == exposure.workspace && taken->second.port == exposure.port;
  if (taken != exposures_.end() && !own) {
    co_return fail(Code::AlreadyExists, cat("/slug: '", exposure.slug, "' is taken"), "choose another slug");
  }
  const auto before = exposures(exposure.workspace);
  const bool replaces =
      std::any_of(before.begin(), before.end(), [&](const Exposure& one) { return one.port == exposure.port; });
  if (!replaces && before.size() >= kMaxExposuresOfOne) {
    co_return fail(Code::ResourceExhausted, cat("a workspace has at most ", kMaxExposuresOfOne, " exposed ports"));
  }
  CO_TRY(co_await table_.write(exposure));
  end_exposures([&](const Exposure& one) { return one.workspace == exposure.workspace && one.port == exposure.port; });
  exposures_.insert_or_assign(exposure.slug, exposure);
  record_.port(by, exposure, "opened", address_of(exposure));
  co_return exposure;
}

void Networks::end_exposures(const std::function<bool(const Exposure&)>& over) {
  std::erase_if(exposures_, [&](const auto& item) {
    if (!over(item.second)) return false;
    if (exposure_ended_) exposure_ended_(item.first);
    return true;
  });
}

Task<void> Networks::unexpose(std::string workspace, std::uint16_t port, model::Origin by) {
  const auto found = std::find_if(exposures_.begin(), exposures_.end(), [&](const auto& item) {
    return item.second.workspace == workspace && item.second.port == port;
  });
  if (found == exposures_.end()) co_return fail(Code::NotFound, cat("port ", port, " is not exposed"));
  const Exposure closed = found->second;
  CO_TRY(co_await table_.remove_exposure(std::move(workspace), port));
  // Whatever it is called by now.
  end_exposures([&](const Exposure& one) { return one.workspace == closed.workspace && one.port == closed.port; });
  record_.port(by, closed, "closed", address_of(closed));
  co_return Status{};
}

}  // namespace cofferdam::net
