// What the tests of this room share: the API over a real HTTP server on a Unix socket and on a TCP port, with
// workspaces in memory.
#pragma once
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <boost/asio/io_context.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <filesystem>

#include "api/api.h"
#include "api/fake_workspace.h"
#include "api/may_run.h"
#include "base/fd_passing.h"
#include "crypto/aead.h"
#include "crypto/random.h"
#include "http/client.h"
#include "identity/schema.h"
#include "incident/schema.h"
#include "keys/files.h"
#include "keys/holders.h"
#include "keys/schema.h"
#include "loop/run.h"
#include "monitor/schema.h"
#include "net/schema.h"
#include "workspace/schema.h"

namespace cofferdam::api {

using namespace std::chrono_literals;
namespace json = boost::json;
using http::WebSocket;

class ApiTest : public ::testing::Test {
 public:
  ApiTest() {
    std::string pattern = "/tmp/cofferdam-api-XXXXXX";
    dir_ = ::mkdtemp(pattern.data());
    std::filesystem::create_directories(dir_ + "/recipes");
    image::StoreOptions options;
    options.state_dir = dir_ + "/state";
    options.recipes_dir = dir_ + "/recipes";
    options.guest_binary = dir_ + "/none";
    images_ = std::make_unique<image::ImageStore>(image::ImageStore::open(options).value());
    database_ = store::Database::open(dir_ + "/cofferd.db",
                                      store::join({identity::migrations(), keys::migrations(), monitor::migrations(),
                                                   workspace::migrations(), net::migrations(), incident::migrations()}))
                    .value();
    ledger::LedgerOptions record;
    record.files.folder = dir_ + "/ledger";
    record.files.key_path = dir_ + "/keys/ledger.key";
    ledger_ = ledger::Ledger::open(io_.get_executor(), std::move(record)).value();
    ledger_->start();
    identity::IdentityOptions who;
    who.state_dir = dir_;
    who.recorder = ledger_.get();
    who.namespace_of = [this](std::string_view workspace) -> std::optional<std::string> {
      const auto info = manager_.get(std::string(workspace));
      return info ? std::optional(info->spec.namespace_id) : std::nullopt;
    };
    identity_ = identity::Identity::open(*database_, who).value();
    monitor::WebhookOptions hooks;
    hooks.state_dir = dir_;
    webhooks_ = monitor::Webhooks::open(io_.get_executor(), *database_, std::move(hooks)).value();
    // The tables of networks refer to those of workspaces, which the manager in memory has none of.
    manager_.on_event([this](const workspace::Event& event) {
      if (event.kind == workspace::EventKind::created) add_row(event.workspace_id);
    });
    net::NetworksOptions nets;
    nets.key = crypto::random_secret(crypto::kAeadKeyBytes);
    nets.settings.denied_names = {"*.banned.example"};
    networks_ = net::Networks::open(io_.get_executor(), workers_, *database_, std::move(nets)).value();
    networks_->start();
    book_ = incident::IncidentBook::open(*database_).value();
    manager_.contained = [this](const std::string& id) { return book_->because(id); };
    containment_ = std::make_unique<incident::Containment>(
        io_.get_executor(), *book_, incident::Sources{manager_, *networks_, *identity_, ledger_.get()}, *ledger_);
    holder_ = keys::make_file_holder(keys::HostFiles::open(dir_ + "/keys").value(), "root.key");
    keys_ = keys::KeyStore::open(dir_ + "/keys", *holder_).value();
    receipts_ = keys::ReceiptBook::open(*database_, *keys_, dir_ + "/receipt.pub").value();
    usage_ = monitor::UsageHistory::open(*database_).value();
    quotas_ = monitor::Quotas::open(*database_).value();
    manager_.may_run = may_run_in(identity_->namespaces(), *quotas_);
    monitor::WatchOptions watched;
    watched.list = [] { return std::vector<monitor::Watched>(); };
    watched.alerts.recorder = ledger_.get();
    watch_ = monitor::Watch::open(io_.get_executor(), *database_, *webhooks_, std::move(watched)).value();
    watch_->start();
    drills_ = incident::Drills::open(io_.get_executor(), *database_, manager_, *ledger_).value();
    incident::EvidenceOptions evidence;
    evidence.state_dir = dir_;
    evidence_ =
        incident::EvidenceDesk::open(io_.get_executor(), evidence, *containment_, *watch_, *ledger_, workers_).value();
    HostFacts facts;
    facts.version = "1.2.3";
    facts.socket = dir_ + "/s";
    auto shutdown = [this](workspace::Manager::Permanent permanent) -> Task<void> {
      asked_to_end_ = permanent;
      return manager_.shut_down(permanent);
    };
    api_ = std::make_unique<Api>(io_.get_executor(), manager_, *identity_, *webhooks_, *usage_, *quotas_, *watch_,
                                 *networks_, *containment_, *drills_, *evidence_, *images_, *receipts_, workers_, facts,
                                 shutdown, ledger_.get());
    api_->start();
    server_ = std::make_unique<http::Server>(io_.get_executor(), http::ServerOptions{}, api_->handler(),
                                             api_->error_format());
    EXPECT_TRUE(server_->listen_unix(listen_unix(dir_ + "/s", SOCK_STREAM).value(), Api::local_administrators()));
    client_ = std::make_unique<http::Client>(io_.get_executor(), dir_ + "/s");
    address_ = server_->listen_tcp({"127.0.0.1", 0}, Api::anybody()).value();
    http::Endpoint far;
    far.address = address_;
    far_client_ = std::make_unique<http::Client>(io_.get_executor(), far);
  }
  ~ApiTest() override {
    EXPECT_TRUE(run(server_->stop(0ms)));
    EXPECT_TRUE(run(api_->stop()));
    EXPECT_TRUE(run(evidence_->stop()));
    EXPECT_TRUE(run(drills_->stop()));
    EXPECT_TRUE(run(containment_->stop()));
    EXPECT_TRUE(run(watch_->close()));
    EXPECT_TRUE(run(networks_->stop()));
    EXPECT_TRUE(run(webhooks_->close()));
    EXPECT_TRUE(run(identity_->close()));
    EXPECT_TRUE(run(ledger_->close()));
    server_.reset();
    EXPECT_EQ(record_.processes_alive, 0);
    std::filesystem::remove_all(dir_);
  }

  template <class T>
  Result<T> run(Task<T> task) {
    return loop::run_on(io_, std::move(task));
  }

  struct Answer {
    int status = 0;
    std::string text;
    http::Headers headers;
    [[nodiscard]] json::value body() const { return json::parse(text); }
  };
  Task<Answer> send(http::ClientRequest request) { return send(std::move(request), *client_); }
  static Task<Answer> send(http::ClientRequest request, http::Client& client) {
    CO_TRY_ASSIGN(auto response, co_await client.request(std::move(request)));
    Answer answer;
    answer.status = response->status;
    answer.headers = response->headers;
    CO_TRY_ASSIGN(answer.text, co_await response->read_all(64U << 20));
    co_return answer;
  }
  Answer ask(std::string method, std::string target, std::string body = {}) {
    http::ClientRequest request;
    request.method = std::move(method);
    request.target = std::move(target);
    request.body = std::move(body);
    auto answer = run(send(std::move(request)));
    EXPECT_TRUE(answer) << answer.error().message;
    return std::move(answer).value_or(Answer{});
  }
  // Over TCP, with these headers.
  Answer far(std::string method, std::string target, http::Headers headers, std::string body = {}) {
    http::ClientRequest request;
    request.method = std::move(method);
    request.target = std::move(target);
    request.headers = std::move(headers);
    request.body = std::move(body);
    auto answer = run(send(std::move(request), *far_client_));
    EXPECT_TRUE(answer) << answer.error().message;
    return std::move(answer).value_or(Answer{});
  }
  static http::Headers bearer(const std::string& token) { return {{"Authorization", "Bearer " + token}}; }
  std::string mint(const std::string& body) {
    const auto minted = ask("POST", "/tokens", body);
    EXPECT_EQ(minted.status, 201) << minted.text;
    return std::string(minted.body().at("token").as_string());
  }
  std::string make() {
    return std::string(ask("POST", "/workspace", R"({"name": "box"})").body().at("workspace").at("id").as_string());
  }

  // A command's WebSocket, its spec sent.
  std::unique_ptr<WebSocket> open(const std::string& target, const std::string& spec) {
    http::Headers headers{{"Sec-WebSocket-Protocol", "v5.channel.k8s.io"}};
    auto socket = run(client_->websocket(target, headers));
    EXPECT_TRUE(socket) << socket.error().message;
    EXPECT_TRUE(run((*socket)->write(WebSocket::Kind::text, spec)));
    return std::move(*socket);
  }
  struct Ended {
    std::string out, err;
    json::object result;
    int close_code = 0;
  };
  Task<Ended> to_end(WebSocket& socket) {
    Ended ended;
    for (;;) {
      CO_TRY_ASSIGN(const auto message, co_await socket.read());
      if (!message) break;
      EXPECT_EQ(message->kind, WebSocket::Kind::binary);
      EXPECT_LE(message->bytes.size(), WebSocket::kMaxMessageBytes);
      const std::string content = message->bytes.substr(1);
      if (message->bytes[0] == 1) ended.out += content;
      if (message->bytes[0] == 2) ended.err += content;
      if (message->bytes[0] == 3) ended.result = json::parse(content).as_object();
    }
    ended.close_code = socket.peer_close_code();
    co_return ended;
  }
  Ended finish(WebSocket& socket) {
    auto ended = run(to_end(socket));
    EXPECT_TRUE(ended) << ended.error().message;
    return std::move(ended).value_or(Ended{});
  }
  void send_frame(WebSocket& socket, char channel, const std::string& content) {
    EXPECT_TRUE(run(socket.write(WebSocket::Kind::binary, channel + content)));
  }
  void add_row(const std::string& id) {
    auto insert = [id](store::Connection& connection) {
      return connection.execute(
          "INSERT INTO workspaces (id, name, slug, namespace_id, mode, state, created_at, updated_at, record) "
          "VALUES ($1, '', '', '', 'temporary', 'running', 0, 0, '')",
          {id});
    };
    EXPECT_TRUE(database_->run_now(insert));
  }
  void pause() { EXPECT_TRUE(run(loop::sleep_for(100ms))); }

  loop::asio::io_context io_;
  std::string dir_;
  FakeRecord record_;
  FakeManager manager_{io_.get_executor(), record_};
  loop::WorkerPool workers_{1};
  std::unique_ptr<ledger::Ledger> ledger_;
  std::unique_ptr<store::Database> database_;
  std::unique_ptr<identity::Identity> identity_;
  std::unique_ptr<keys::RootHolder> holder_;
  std::unique_ptr<keys::KeyStore> keys_;
  std::unique_ptr<keys::ReceiptBook> receipts_;
  std::unique_ptr<monitor::Webhooks> webhooks_;
  std::unique_ptr<net::Networks> networks_;
  std::unique_ptr<incident::IncidentBook> book_;
  std::unique_ptr<incident::Containment> containment_;
  std::unique_ptr<incident::Drills> drills_;
  std::unique_ptr<incident::EvidenceDesk> evidence_;
  std::unique_ptr<monitor::UsageHistory> usage_;
  std::unique_ptr<monitor::Quotas> quotas_;
  std::unique_ptr<monitor::Watch> watch_;
  std::unique_ptr<image::ImageStore> images_;
  std::unique_ptr<Api> api_;
  std::unique_ptr<http::Server> server_;
  std::unique_ptr<http::Client> client_, far_client_;
  http::TcpAddress address_;
  std::optional<workspace::Manager::Permanent> asked_to_end_;
};

}  // namespace cofferdam::api
