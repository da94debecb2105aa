#include "image/modules.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/text.h"

namespace cofferdam::image {
namespace {

// "kernel/drivers/char/hw_random/virtio-rng.ko.xz" is module "virtio_rng".
std::string module_name(std::string_view path) {
  path = path.substr(path.rfind('/') + 1);
  std::string name(path.substr(0, path.find('.')));
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

struct Graph {
  std::map<std::string, std::vector<std::string>, std::less<>> needs;  // path → paths
  std::map<std::string, std::string> path_of;                          // name → path
};

class Order {
 public:
  explicit Order(const Graph& graph) : graph_(graph) {}

  Status add(const std::string& path) {
    if (done_.count(path) != 0) return {};
    if (!open_.insert(path).second) return fail(Code::DataLoss, cat("modules.dep: '", path, "' needs itself"));
    const auto line = graph_.needs.find(path);
    if (line == graph_.needs.end()) return fail(Code::DataLoss, cat("modules.dep has no line for '", path, "'"));
    for (const auto& needed : line->second) TRY(add(needed));
    open_.erase(path);
    done_.insert(path);
    order_.push_back(path);
    return {};
  }
  std::vector<std::string> take() && { return std::move(order_); }

 private:
  const Graph& graph_;
  std::set<std::string> open_;
  std::set<std::string> done_;
  std::vector<std::string> order_;
};

}  // namespace

Result<std::vector<std::string>> module_load_order(std::string_view modules_dep, std::string_view modules_builtin,
                                                   const std::vector<std::string>& wanted) {
  Graph graph;
  for (const auto& line : split(modules_dep, '\n')) {
    const auto colon = line.find(':');
    if (colon == std::string::npos) continue;
    const std::string path = line.substr(0, colon);
    auto& needs = graph.needs[path];
    for (const auto& needed : split(std::string_view(line).substr(colon + 1), ' ')) {
      if (!needed.empty()) needs.push_back(needed);
    }
    graph.path_of[module_name(path)] = path;
  }
  std::set<std::string> builtin;
  for (const auto& line : split(modules_builtin, '\n')) {
    if (!line.empty()) builtin.insert(module_name(line));
  }

  Order order(graph);
  for (const auto& name : wanted) {
    const std::string key = module_name(name);
    if (const auto found = graph.path_of.find(key); found != graph.path_of.end()) {
      TRY(order.add(found->second));
    } else if (builtin.count(key) == 0) {
      return fail(Code::NotFound, cat("the kernel has no module '", name, "', neither as a file nor built in"));
    }
  }
  return std::move(order).take();
}

const std::vector<std::string>& guest_modules() {
  static const std::vector<std::string> kModules = {
      "virtio_ring",  "virtio",     "virtio_mmio", "virtio_console", "virtio_blk",     "failover",
      "net_failover", "virtio_net", "rng_core",    "virtio_rng",     "crc32c_generic", "libcrc32c",
      "erofs",        "overlay",    "crc16",       "mbcache",        "jbd2",           "ext4",
  };
  return kModules;
}

}  // namespace cofferdam::image
