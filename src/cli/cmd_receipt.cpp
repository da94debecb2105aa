#include <unistd.h>

#include <boost/json/serialize.hpp>

#include "base/file.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/safe_text.h"
#include "cli/simple_call.h"
#include "cli/table.h"
#include "http/url.h"
#include "keys/receipt.h"

namespace cofferdam::cli {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxReceipt = 1U << 20;
constexpr std::size_t kMaxKey = 4096;

std::string text_field(const json::object& object, std::string_view field) {
  const auto* value = object.if_contains(field);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

class ReceiptList : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "receipt ls"; }
  [[nodiscard]] std::string_view summary() const override { return "List the receipts of what was erased"; }
  void declare(Options& options) override { options.value("--workspace", "ID", workspace_, "those of one workspace"); }
  int run(Session& session) override { return session.wait(list(session, workspace_)); }

 private:
  static Task<int> list(Session& session, std::string workspace) {
    Api api(session);
    const std::string query = workspace.empty() ? "" : cat("?workspace=", http::percent_encode(workspace));
    auto answer = co_await api.get(cat("/receipts", query));
    if (!answer) co_return session.failed(answer.error());
    if (session.json()) {
      session.print_json(std::move(*answer));
      co_return kDone;
    }
    Table table({{"ID"}, {"WORKSPACE"}, {"ERASED"}, {"KEY"}});
    for (const auto& item : array_field(*answer, "receipts")) {
      if (!item.is_object()) continue;
      const auto& receipt = object_field(item.get_object(), "receipt");
      table.add({text_field(receipt, "id"), text_field(receipt, "workspace_id"), text_field(receipt, "erased_at"),
                 text_field(receipt, "key_id")});
    }
    session.print(table.render());
    co_return kDone;
  }

  std::string workspace_;
};

class ReceiptShow : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "receipt show"; }
  [[nodiscard]] std::string_view summary() const override { return "Print a receipt with its signature, as JSON"; }
  void declare(Options& options) override { options.argument("ID", id_, "of the receipt", Need::required); }
  int run(Session& session) override {
    // In a file, this is what `receipt verify` reads.
    const auto say = [](const json::object& answer) {
      json::object signed_part;
      for (const char* member : {"receipt", "signature"}) {
        if (const auto* value = answer.if_contains(member)) signed_part[member] = *value;
      }
      return json::serialize(signed_part);
    };
    return session.wait(make_call(session, "GET", target_of("/receipts", id_), {}, say));
  }

 private:
  std::string id_;
};

// Asks no daemon: that is the point of it.
class ReceiptVerify : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "receipt verify"; }
  [[nodiscard]] std::string_view summary() const override { return "Check a receipt's signature, without the daemon"; }
  void declare(Options& options) override {
    options.argument("FILE", file_, "what `receipt show` printed; - is stdin", Need::required);
    options.value("--key", "PUB", key_, "public key of the host, a file or 64 hex digits (default: STATE/receipt.pub)");
  }
  int run(Session& session) override {
    const auto checked = verify(session.settings().state_dir);
    if (!checked) return session.failed(checked.error());
    if (session.json()) {
      session.print_json({{"id", checked->id},
                          {"workspace_id", checked->workspace_id},
                          {"key_id", checked->key_id},
                          {"erased_at", checked->erased_at}});
    } else {
      session.print(printable_lines(cat("good: receipt ", checked->id, ": workspace ", checked->workspace_id,
                                        " was erased at ", checked->erased_at, ", key ", checked->key_id)));
      session.print("\n");
    }
    return kDone;
  }

 private:
  [[nodiscard]] Result<keys::CheckedReceipt> verify(const std::string& state_dir) const {
    TRY_ASSIGN(const std::string key, public_key(state_dir));
    auto text = file_ == "-" ? read_fd(STDIN_FILENO, kMaxReceipt) : read_file(file_, kMaxReceipt);
    if (!text) return fail(std::move(text.error()));
    return keys::verify_receipt(*text, key);
  }

  [[nodiscard]] Result<std::string> public_key(const std::string& state_dir) const {
    constexpr std::size_t kHexDigits = 64;
    if (key_.size() == kHexDigits && from_hex(key_)) return key_;
    const std::string path = key_.empty() ? state_dir + "/receipt.pub" : key_;
    auto key = read_file(path, kMaxKey);
    if (!key && key_.empty()) {
      return fail(std::move(key.error())
                      .in("the public key of this host")
                      .with_hint("give the key of the host that issued the receipt: --key receipt.pub"));
    }
    return key;
  }

  std::string file_, key_;
};

}  // namespace

CommandPtr make_receipt_ls() { return std::make_unique<ReceiptList>(); }
CommandPtr make_receipt_show() { return std::make_unique<ReceiptShow>(); }
CommandPtr make_receipt_verify() { return std::make_unique<ReceiptVerify>(); }

}  // namespace cofferdam::cli
