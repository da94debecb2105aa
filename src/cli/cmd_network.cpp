#include <unistd.h>

#include <algorithm>

#include "base/file.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/safe_text.h"
#include "cli/simple_call.h"

namespace cofferdam::cli {
namespace {

namespace json = boost::json;

std::string list_text(const json::object& object, std::string_view field) {
  std::string text;
  for (const auto& item : array_field(object, field)) {
    const std::string one =
        item.is_string() ? std::string(item.get_string()) : cat(item.is_number() ? item.to_number<double>() : 0);
    text += cat(text.empty() ? "" : ", ", printable(one));
  }
  return text;
}

std::string describe(const json::object& network) {
  std::string text;
  const auto line = [&text](std::string_view title, const std::string& value) {
    if (!value.empty()) text += cat(title, value, "\n");
  };
  const auto egress = list_text(network, "egress");
  const bool internet = flag_field(network, "allow_internet");
  line("may reach:  ", !egress.empty() ? egress : internet ? "the whole internet" : "nothing");
  line("ports:      ", list_text(network, "egress_ports"));
  const auto& proxy = object_field(network, "outbound_proxy");
  if (!proxy.empty()) {
    line("goes out by:", cat(" ", printable(text_field(proxy, "host")), ":", whole_field(proxy, "port"),
                             flag_field(proxy, "has_credentials") ? ", with a login" : "",
                             flag_field(proxy, "resolves") ? ", which is told names" : ""));
  }
  line("address:    ", printable(text_field(network, "ip")));
  for (const auto& item : array_field(network, "private_links")) {
    if (!item.is_object()) continue;
    const auto& link = item.get_object();
    const auto name = text_field(link, "name");
    text +=
        cat(text_field(link, "direction") == "out" ? "link to:    " : "link from:  ",
            printable(name.empty() ? text_field(link, "workspace_id") : name), " :", list_text(link, "ports"), "\n");
  }
  return text;
}

class NetworkShow : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "network show"; }
  [[nodiscard]] std::string_view summary() const override { return "Show what a workspace may reach"; }
  void declare(Options& options) override { options.argument("WORKSPACE", workspace_, "id or name", Need::required); }
  int run(Session& session) override {
    return session.wait(make_call(session, "GET", workspace_target(workspace_, "/network"), {}, describe));
  }

 private:
  std::string workspace_;
};

class NetworkAllow : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "network allow"; }
  [[nodiscard]] std::string_view summary() const override {
    return "Say what a workspace may reach, instead of before";
  }
  void declare(Options& options) override {
    options.argument("WORKSPACE", workspace_, "id or name", Need::required);
    options.arguments("DESTINATION", destinations_,
                      "pypi.org, *.debian.org:80, 203.0.113.0/24:22, or a preset: pypi, npm, debian, github, openai, "
                      "anthropic",
                      Need::optional);
    options.flag("--internet", internet_, "everything that is public");
    options.flag("--none", none_, "nothing at all");
  }
  Status accept() override {
    if (int{internet_} + int{none_} + int{!destinations_.empty()} == 1) return {};
    return fail(Code::InvalidArgument, "give destinations, or --internet, or --none");
  }
  int run(Session& session) override {
    json::array egress;
    for (const auto& one : destinations_) egress.emplace_back(one);
    json::object body{{"allow_internet", internet_}, {"egress", std::move(egress)}};
    return session.wait(
        make_call(session, "PATCH", workspace_target(workspace_, "/network"), std::move(body), describe));
  }

 private:
  std::string workspace_;
  std::vector<std::string> destinations_;
  bool internet_ = false, none_ = false;
};

// "proxy.example:3128", "[2606:4700::1]:3128".
Result<std::pair<std::string, std::int64_t>> parse_place(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) {
    return fail(Code::InvalidArgument, cat("PROXY: '", text, "' is not HOST:PORT"));
  }
  TRY_ASSIGN(const auto port, parse_int("the port of PROXY", text.substr(colon + 1), 1, 65535));
  return std::pair(std::string(text.substr(0, colon)), port);
}

class NetworkProxy : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "network proxy"; }
  [[nodiscard]] std::string_view summary() const override {
    return "Say by which HTTP proxy a workspace's connections go out";
  }
  void declare(Options& options) override {
    options.argument("WORKSPACE", workspace_, "id or name", Need::required);
    options.argument("PROXY", proxy_, "HOST:PORT of a proxy that takes CONNECT", Need::optional);
    options.value("--login", "FILE", login_, "USER:PASSWORD, from a file, or - for stdin");
    options.flag("--resolves", resolves_, "the proxy is told names, and chooses the address");
    options.flag("--none", none_, "by none of its own");
  }
  Status accept() override {
    if (none_ == !proxy_.empty()) return fail(Code::InvalidArgument, "give PROXY, or --none");
    if (none_ && (resolves_ || !login_.empty())) {
      return fail(Code::InvalidArgument, "--none goes with neither --login nor --resolves");
    }
    return none_ ? Status() : parse_place(proxy_).map([](const auto&) {});
  }
  int run(Session& session) override {
    auto body = wish();
    if (!body) return session.failed(body.error());
    return session.wait(
        make_call(session, "PATCH", workspace_target(workspace_, "/network"), std::move(*body), describe));
  }

 private:
  [[nodiscard]] Result<json::object> wish() const {
    constexpr std::size_t kMaxLogin = 4096;
    if (none_) return json::object{{"outbound_mode", "managed"}};
    TRY_ASSIGN(const auto place, parse_place(proxy_));
    json::object proxy{{"host", place.first}, {"port", place.second}, {"resolves", resolves_}};
    if (!login_.empty()) {
      TRY_ASSIGN(auto text, login_ == "-" ? read_fd(STDIN_FILENO, kMaxLogin) : read_file(login_, kMaxLogin));
      if (text.ends_with('\n')) text.pop_back();
      const auto colon = text.find(':');
      if (colon == std::string::npos) return fail(Code::InvalidArgument, "--login: what is there is not USER:PASSWORD");
      proxy["username"] = text.substr(0, colon);
      proxy["password"] = text.substr(colon + 1);
      std::fill(text.begin(), text.end(), '\0');
    }
    return json::object{{"outbound_mode", "custom"}, {"custom_proxy", std::move(proxy)}};
  }

  std::string workspace_, proxy_, login_;
  bool resolves_ = false, none_ = false;
};

class PortExpose : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "port expose"; }
  [[nodiscard]] std::string_view summary() const override { return "Give a port of a workspace a URL on this host"; }
  void declare(Options& options) override {
    options.argument("WORKSPACE", workspace_, "id or name", Need::required);
    options.argument("PORT", port_, "that a server in it listens on", Need::required);
    options.value("--slug", "NAME", slug_, "part of the URL (default: nobody guesses it)");
    options.value("--label", "TEXT", label_, "for people");
    options.flag("--token", token_, "only for who shows a token, which is printed once");
    options.flag("--force", force_, "also when it is a port that databases use");
  }
  Status accept() override {
    return parse_int("PORT", port_, 1, 65535).map([](auto) {});
  }
  int run(Session& session) override {
    json::object body{{"port", parse_int("PORT", port_, 1, 65535).value_or(0)}, {"token", token_}, {"force", force_}};
    if (!slug_.empty()) body["slug"] = slug_;
    if (!label_.empty()) body["label"] = label_;
    const auto say = [](const json::object& answer) {
      const auto& port = object_field(answer, "port");
      const auto token = text_field(port, "token");
      return cat(text_field(port, "url"), "\n", text_field(port, "path_url"),
                 token.empty() ? "" : cat("\ntoken: ", token));
    };
    return session.wait(
        make_call(session, "POST", workspace_target(workspace_, "/public-access"), std::move(body), say));
  }

 private:
  std::string workspace_, port_, slug_, label_;
  bool token_ = false, force_ = false;
};

class PortList : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "port ls"; }
  [[nodiscard]] std::string_view summary() const override { return "List the exposed ports of a workspace"; }
  void declare(Options& options) override { options.argument("WORKSPACE", workspace_, "id or name", Need::required); }
  int run(Session& session) override {
    return session.wait(show_list(
        session, workspace_target(workspace_, "/public-access"), "ports",
        {{"PORT", "port"}, {"URL", "url"}, {"BY PATH", "path_url"}, {"TOKEN", "protected"}, {"LABEL", "label"}}));
  }

 private:
  std::string workspace_;
};

class PortClose : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "port close"; }
  [[nodiscard]] std::string_view summary() const override { return "Close an exposed port"; }
  void declare(Options& options) override {
    options.argument("WORKSPACE", workspace_, "id or name", Need::required);
    options.argument("PORT", port_, "its number", Need::required);
  }
  int run(Session& session) override {
    return session.wait(make_call(session, "DELETE", workspace_target(workspace_, target_of("/public-access", port_)),
                                  {}, [](const json::object&) { return std::string(); }));
  }

 private:
  std::string workspace_, port_;
};

class Connections : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "connections"; }
  [[nodiscard]] std::string_view summary() const override {
    return "Show what a workspace's network let through, and what it refused";
  }
  void declare(Options& options) override {
    options.argument("WORKSPACE", workspace_, "id or name", Need::required);
    options.value("--limit", "N", limit_, "the last so many (default 100)");
    options.flag("-f,--follow", follow_, "go on with each one that comes");
  }
  Status accept() override {
    if (limit_.empty()) return {};
    return parse_int("--limit", limit_, 1, 10'000).map([](auto) {});
  }
  int run(Session& session) override { return session.wait(work(session)); }

 private:
  Task<int> work(Session& session) {
    Api api(session);
    if (!follow_) {
      auto answer = co_await api.get(
          workspace_target(workspace_, cat("/connections", limit_.empty() ? "" : cat("?limit=", limit_))));
      if (!answer) co_return session.failed(answer.error());
      if (session.json()) {
        session.print_json(std::move(*answer));
        co_return kDone;
      }
      for (const auto& item : array_field(*answer, "connections")) {
        if (item.is_object()) session.print(line_of(item.get_object()));
      }
      co_return kDone;
    }
    http::ClientRequest request;
    request.target = workspace_target(workspace_, "/connections/stream");
    auto response = co_await api.open(std::move(request));
    if (!response) co_return session.failed(response.error());
    const auto show = [&session](const json::object& flow) {
      if (session.json()) {
        session.print_json(flow);
      } else {
        session.print(line_of(flow));
      }
    };
    const auto followed = co_await follow_events(**response, show);
    co_return followed ? kDone : session.failed(followed.error());
  }

  static std::string line_of(const json::object& flow) {
    const auto time = printable(text_field(flow, "time"));
    if (const auto omitted = whole_field(flow, "omitted"); omitted > 0) {
      return cat(time, "  (", omitted, " more were left out)\n");
    }
    const auto name = text_field(flow, "name");
    const auto address = text_field(flow, "address");
    std::string where = name.empty() ? address : name;
    if (const auto port = whole_field(flow, "port"); port != 0) where += cat(":", port);
    if (!name.empty() && !address.empty()) where += cat(" (", address, ")");
    std::string text = cat(time, "  ", printable(text_field(flow, "event")), "  ", printable(text_field(flow, "kind")),
                           "  ", printable(where));
    if (const auto peer = text_field(flow, "peer"); !peer.empty() && peer != name)
      text += cat("  [", printable(peer), "]");
    if (text_field(flow, "event") == "closed") {
      text += cat("  ", whole_field(flow, "bytes_out"), " out, ", whole_field(flow, "bytes_in"), " in, ",
                  static_cast<std::int64_t>(number_field(flow, "duration_ms")), " ms");
    }
    if (const auto via = text_field(flow, "via"); !via.empty() && via != "direct")
      text += cat("  via ", printable(via));
    const auto reason = text_field(flow, "reason");
    if (!reason.empty() && reason != "none" && reason != "ended") text += cat("  ", printable(reason));
    return text + "\n";
  }

  std::string workspace_, limit_;
  bool follow_ = false;
};

}  // namespace

CommandPtr make_network_show() { return std::make_unique<NetworkShow>(); }
CommandPtr make_network_allow() { return std::make_unique<NetworkAllow>(); }
CommandPtr make_network_proxy() { return std::make_unique<NetworkProxy>(); }
CommandPtr make_port_expose() { return std::make_unique<PortExpose>(); }
CommandPtr make_port_ls() { return std::make_unique<PortList>(); }
CommandPtr make_port_close() { return std::make_unique<PortClose>(); }
CommandPtr make_connections() { return std::make_unique<Connections>(); }

}  // namespace cofferdam::cli
