#include <map>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/dot.h"
#include "cli/safe_text.h"
#include "cli/simple_call.h"

namespace cofferdam::cli {
namespace {

namespace json = boost::json;

std::string ports_of(const json::object& edge) {
  std::string text;
  for (const auto& port : array_field(edge, "ports")) {
    text += cat(text.empty() ? "" : ",", port.is_string() ? std::string(port.get_string())
                                                          : cat(port.is_number() ? port.to_number<double>() : 0));
  }
  return text;
}

class Graph : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "graph"; }
  [[nodiscard]] std::string_view summary() const override { return "Show who can reach whom"; }
  void declare(Options& options) override {
    options.flag("--dot", dot_, "for Graphviz: coffer graph --dot | dot -Tsvg");
  }
  int run(Session& session) override { return session.wait(work(session)); }

 private:
  Task<int> work(Session& session) {
    Api api(session);
    auto graph = co_await api.get("/graph");
    if (!graph) co_return session.failed(graph.error());
    if (session.json()) {
      session.print_json(std::move(*graph));
    } else {
      session.print(dot_ ? as_dot(*graph) : as_text(*graph));
    }
    co_return kDone;
  }

  static std::map<std::string, std::string> names_of(const json::object& graph) {
    std::map<std::string, std::string> names;
    for (const auto& item : array_field(graph, "nodes")) {
      if (!item.is_object()) continue;
      const auto& node = item.get_object();
      const auto id = text_field(node, "id");
      const auto name = text_field(node, "name");
      names[id] = name.empty() ? id : name;
    }
    return names;
  }

  static std::string as_text(const json::object& graph) {
    const auto names = names_of(graph);
    const auto shown = [&names](const std::string& id) {
      const auto known = names.find(id);
      return printable(known == names.end() ? id : known->second);
    };
    std::string text;
    for (const auto& [id, name] : names) {
      text += cat(printable(name), name == id ? "" : cat("  (", printable(id), ")"), "\n");
      std::size_t edges = 0;
      for (const auto& item : array_field(graph, "edges")) {
        if (!item.is_object()) continue;
        const auto& edge = item.get_object();
        const auto from = text_field(edge, "from");
        const auto to = text_field(edge, "to");
        const auto ports = ports_of(edge);
        const std::string at = ports.empty() ? "" : cat(" :", printable(ports));
        if (from == id) text += cat("  -> ", shown(to), at, "  ", printable(text_field(edge, "kind")), "\n");
        if (to == id) text += cat("  <- ", shown(from), at, "  ", printable(text_field(edge, "kind")), "\n");
        edges += from == id || to == id ? 1 : 0;
      }
      if (edges == 0) text += "  nothing in, nothing out\n";
    }
    return text;
  }

  static std::string as_dot(const json::object& graph) {
    std::string text = "digraph cofferdam {\n  rankdir=LR;\n  node [shape=box];\n";
    for (const auto& [id, name] : names_of(graph))
      text += cat("  ", dot_quoted(id), " [label=", dot_quoted(name), "];\n");
    for (const auto& item : array_field(graph, "edges")) {
      if (!item.is_object()) continue;
      const auto& edge = item.get_object();
      const auto kind = text_field(edge, "kind");
      const char* style = kind == "link" ? "solid" : kind == "egress" ? "dashed" : "bold";
      text += cat("  ", dot_quoted(text_field(edge, "from")), " -> ", dot_quoted(text_field(edge, "to")),
                  " [style=", style, ", label=", dot_quoted(ports_of(edge)), "];\n");
    }
    return text + "}\n";
  }
  bool dot_ = false;
};

}  // namespace

CommandPtr make_graph() { return std::make_unique<Graph>(); }

}  // namespace cofferdam::cli
