// flows: what data workspaces can reach, where it flows, who can see it, what becomes of it.
#include <map>
#include <set>
#include <vector>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/dot.h"
#include "cli/safe_text.h"
#include "cli/simple_call.h"

namespace cofferdam::cli {
namespace {

namespace json = boost::json;

std::string lines(std::string_view title, const json::array& items) {
  std::string text;
  for (const auto& item : items) {
    if (item.is_string()) text += cat("  ", title, printable(std::string(item.get_string())), "\n");
  }
  return text;
}

std::string reaches_text(const json::object& reaches) {
  std::string text = cat("  image ", printable(text_field(reaches, "image")), ", a disk of ",
                         whole_field(reaches, "disk_mib"), " MiB\n");
  text += lines("secret ", array_field(reaches, "secrets"));
  text += lines("environment ", array_field(reaches, "environment"));
  if (flag_field(reaches, "internet")) text += "  every public address\n";
  text += lines("", array_field(reaches, "egress"));
  for (const auto& item : array_field(reaches, "workspaces")) {
    if (!item.is_object()) continue;
    const auto& link = item.get_object();
    const auto name = text_field(link, "name");
    text += cat("  workspace ", printable(name.empty() ? text_field(link, "workspace") : name), ", ports ",
                printable(text_field(link, "ports")), "\n");
  }
  return text;
}

std::string proxy_name(std::string_view proxy) {
  return proxy == "operator" ? std::string("the operator's proxy") : cat("the proxy ", proxy);
}

// The ways of a flow outside, each as the names of the proxies on it; one that leads nowhere else is empty.
std::vector<std::vector<std::string>> ways_of(const json::object& flow) {
  std::vector<std::vector<std::string>> ways;
  for (const auto& item : array_field(flow, "ways")) {
    if (!item.is_array()) continue;
    auto& way = ways.emplace_back();
    for (const auto& proxy : item.get_array()) {
      if (proxy.is_string()) way.push_back(proxy_name(std::string_view(proxy.get_string())));
    }
  }
  return ways;
}

// "gate, the proxy proxy.example:3128"; of several ways, "gate or gate, …".
std::string through_text(const json::object& flow) {
  const auto through = printable(text_field(flow, "through"));
  std::string text;
  for (const auto& way : ways_of(flow)) {
    text += cat(text.empty() ? "" : " or ", through);
    for (const auto& proxy : way) text += cat(", ", printable(proxy));
  }
  return text.empty() ? through : text;
}

std::string flow_text(const json::object& flow) {
  std::string text = cat("  ", printable(text_field(flow, "from")), " -> ", printable(text_field(flow, "to")),
                         "  through ", through_text(flow));
  if (!flag_field(flow, "observed")) return cat(text, ": allowed\n");
  return cat(text, ": ", whole_field(flow, "connections"), " connections, ", whole_field(flow, "refused"), " refused, ",
             whole_field(flow, "bytes_out"), " bytes out, ", whole_field(flow, "bytes_in"), " in\n");
}

std::string describe(const json::object& answer) {
  std::string text;
  for (const auto& item : array_field(answer, "workspaces")) {
    if (!item.is_object()) continue;
    const auto& one = item.get_object();
    const auto name = text_field(one, "name");
    text +=
        cat(text.empty() ? "" : "\n", text_field(one, "workspace"), name.empty() ? "" : cat(" (", printable(name), ")"),
            ", ", text_field(one, "state"), flag_field(one, "contained") ? ", contained" : "", "\n");
    text += cat("What it can reach:\n", reaches_text(object_field(one, "reaches")));
    text += "Where its data flows:\n";
    for (const auto& flow : array_field(one, "flows")) {
      if (flow.is_object()) text += flow_text(flow.get_object());
    }
    const auto& seen = object_field(one, "seen_by");
    text += cat("Who can see it:\n", lines("at rest: ", array_field(seen, "at_rest")),
                lines("in transit: ", array_field(seen, "in_transit")));
    for (const auto& token : array_field(seen, "tokens")) {
      if (!token.is_object()) continue;
      const auto& held = token.get_object();
      text += cat("  holder of ", text_field(held, "token"), " ", printable(text_field(held, "label")), ": ",
                  text_field(held, "verbs"), "\n");
    }
    text += cat("  ", printable(text_field(seen, "administrators")), "\n");
    const auto& end = object_field(one, "when_destroyed");
    text += cat("When it is destroyed:\n", lines("gone: ", array_field(end, "gone")),
                lines("stays: ", array_field(end, "stays")), lines("out of reach: ", array_field(end, "beyond_reach")));
  }
  return text;
}

// The edges from workspaces to proxies and between them, each once; true: something went there.
using Led = std::map<std::pair<std::string, std::string>, bool>;

// Where the last edge of a flow begins: with its workspace, or with the last proxy of each way that it takes.
std::set<std::string> last_hops(const json::object& flow, Led& led) {
  std::set<std::string> last;
  for (const auto& way : ways_of(flow)) {
    std::string from = text_field(flow, "from");
    for (const auto& proxy : way) {
      led[{from, proxy}] |= flag_field(flow, "observed");
      from = proxy;
    }
    last.insert(from);
  }
  if (last.empty()) last.insert(text_field(flow, "from"));
  return last;
}

std::string edge(std::string_view from, std::string_view to, std::string_view style, std::string_view label) {
  return cat("  ", dot_quoted(from), " -> ", dot_quoted(to), " [style=", style, ", label=", dot_quoted(label), "];\n");
}

// Observed flows are solid, those that are only allowed dashed, those that were only refused red.
std::string dot_of(const json::object& answer) {
  std::string text = "digraph flows {\n  rankdir=LR;\n";
  Led led;
  for (const auto& item : array_field(answer, "workspaces")) {
    if (!item.is_object()) continue;
    const auto& one = item.get_object();
    const auto name = text_field(one, "name");
    const auto id = text_field(one, "workspace");
    text += cat("  ", dot_quoted(id), " [shape=box, label=", dot_quoted(name.empty() ? id : name),
                flag_field(one, "contained") ? ", color=red" : "", "];\n");
    for (const auto& each : array_field(one, "flows")) {
      if (!each.is_object()) continue;
      const auto& flow = each.get_object();
      const bool observed = flag_field(flow, "observed");
      std::string label = text_field(flow, "through");
      if (observed)
        label += cat(", ", whole_field(flow, "bytes_out"), " B out, ", whole_field(flow, "bytes_in"), " B in");
      const auto style = cat(observed ? "solid" : "dashed", flag_field(flow, "allowed") ? "" : ", color=red");
      for (const auto& from : last_hops(flow, led)) text += edge(from, text_field(flow, "to"), style, label);
    }
  }
  std::set<std::string> proxies;
  for (const auto& [ends, observed] : led) {
    proxies.insert(ends.second);
    text += edge(ends.first, ends.second, observed ? "solid" : "dashed", "gate");
  }
  for (const auto& proxy : proxies) text += cat("  ", dot_quoted(proxy), " [shape=diamond];\n");
  return text + "}\n";
}

class Flows : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "flows"; }
  [[nodiscard]] std::string_view summary() const override {
    return "Show what data workspaces can reach, where it flows, who can see it, and what becomes of it";
  }
  void declare(Options& options) override {
    options.argument("WORKSPACE", workspace_, "id or name (default: all)", Need::optional);
    options.flag("--dot", dot_, "for Graphviz: coffer flows --dot | dot -Tsvg");
  }
  int run(Session& session) override {
    const std::string query = workspace_.empty() ? "" : cat("?workspace=", target_of("", workspace_).substr(1));
    return session.wait(make_call(session, "GET", cat("/flows", query), {}, dot_ ? dot_of : describe));
  }

 private:
  std::string workspace_;
  bool dot_ = false;
};

}  // namespace

CommandPtr make_flows() { return std::make_unique<Flows>(); }

}  // namespace cofferdam::cli
