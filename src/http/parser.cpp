#include "http/parser.h"

#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>

#include "base/text.h"
#include "http/text_rules.h"

namespace cofferdam::http {
namespace {

namespace beast_http = boost::beast::http;
using boost::beast::string_view;
using boost::system::error_code;

std::string to_string(string_view text) { return {text.data(), text.size()}; }

// Beast's state machine with our own callbacks: no field container is built that nobody reads.
template <bool kIsRequest>
class BeastParser final : public beast_http::basic_parser<kIsRequest> {
 public:
  Head head;
  std::string body;
  bool too_many_fields = false;

 private:
  void on_request_impl(beast_http::verb, string_view method, string_view target, int version, error_code&) override {
    head.method = to_string(method);
    head.target = to_string(target);
    head.minor_version = version % 10;
  }
  void on_response_impl(int status, string_view, int version, error_code&) override {
    head.status = status;
    head.minor_version = version % 10;
  }
  void on_field_impl(beast_http::field, string_view name, string_view value, error_code& ec) override {
    // Fields behind the body (trailers) say nothing that anybody asked for.
    if (this->is_header_done()) return;
    if (head.headers.items().size() == kMaxHeaderFields) {
      too_many_fields = true;
      ec = beast_http::error::header_limit;
      return;
    }
    head.headers.add(to_string(name), to_string(value));
  }
  void on_header_impl(error_code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
  std::size_t on_body_impl(string_view bytes, error_code&) override {
    body.append(bytes.data(), bytes.size());
    return bytes.size();
  }
  void on_chunk_header_impl(std::uint64_t, string_view, error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, string_view bytes, error_code&) override {
    body.append(bytes.data(), bytes.size());
    return bytes.size();
  }
  void on_finish_impl(error_code&) override {}
};

}  // namespace

struct Parser::Impl {
  virtual ~Impl() = default;
  virtual std::size_t put(std::string_view bytes, error_code& ec) = 0;
  virtual void put_end(error_code& ec) = 0;
  [[nodiscard]] virtual bool head_done() const = 0;
  [[nodiscard]] virtual bool done() const = 0;
  [[nodiscard]] virtual bool keep_alive() const = 0;
  [[nodiscard]] virtual std::optional<std::uint64_t> content_length() const = 0;
  virtual Head& head() = 0;
  virtual std::string& body() = 0;

  std::size_t max_header_bytes = 0;
  std::size_t head_bytes = 0;
  int failure_status = 0;

  tl::unexpected<Error> refuse(int status, std::string message) {
    failure_status = status;
    return fail(Code::InvalidArgument, std::move(message));
  }

  Result<std::size_t> put_head(std::string_view bytes) {
    error_code ec;
    const std::size_t used = put(bytes, ec);
    head_bytes += used;
    // Beast's own limit starts anew with each line that it has taken.
    const std::size_t held = head_done() ? head_bytes : head_bytes + (bytes.size() - used);
    if (held > max_header_bytes || ec == beast_http::error::header_limit) {
      // Nothing taken and no line end: the first line alone is too long.
      if (head_bytes == 0 && bytes.substr(0, max_header_bytes).find('\n') == std::string_view::npos) {
        return refuse(414, cat("the request line is longer than ", max_header_bytes, " bytes"));
      }
      return refuse(431, cat("the head of the message is longer than ", max_header_bytes, " bytes or ",
                             kMaxHeaderFields, " fields"));
    }
    if (ec && ec != beast_http::error::need_more) return refuse(400, cat("not an HTTP message: ", ec.message()));
    return used;
  }

  Result<std::size_t> put_body(std::string_view bytes) {
    std::size_t used = 0;
    while (used < bytes.size() && !done() && body().size() < kBodyPiece) {
      error_code ec;
      const std::size_t n = put(bytes.substr(used, kBodyPiece), ec);
      used += n;
      if (ec == beast_http::error::need_more) break;
      if (ec) return refuse(400, cat("the body is malformed: ", ec.message()));
    }
    return used;
  }
};

namespace {

template <bool kIsRequest, class Base>
struct ImplFor final : Base {
  BeastParser<kIsRequest> parser;

  std::size_t put(std::string_view bytes, error_code& ec) override {
    return parser.put(boost::asio::const_buffer(bytes.data(), bytes.size()), ec);
  }
  void put_end(error_code& ec) override { parser.put_eof(ec); }
  [[nodiscard]] bool head_done() const override { return parser.is_header_done(); }
  [[nodiscard]] bool done() const override { return parser.is_done(); }
  [[nodiscard]] bool keep_alive() const override { return parser.keep_alive(); }
  [[nodiscard]] std::optional<std::uint64_t> content_length() const override {
    const auto length = parser.content_length();
    return length ? std::optional<std::uint64_t>(*length) : std::nullopt;
  }
  Head& head() override { return parser.head; }
  std::string& body() override { return parser.body; }
};

// What a proxy and we might read differently, and so could hide a second request.
std::string_view ambiguity(const Head& head) {
  const auto& headers = head.headers;
  if (const auto* coding = headers.find("transfer-encoding"); coding != nullptr) {
    if (headers.count("content-length") != 0) return "both Content-Length and Transfer-Encoding";
    if (head.minor_version == 0) return "Transfer-Encoding in HTTP/1.0";
    if (headers.count("transfer-encoding") != 1 || !same_without_case(trim(*coding), "chunked")) {
      return "a Transfer-Encoding other than chunked";
    }
  }
  if (headers.count("content-length") > 1) return "more than one Content-Length";
  return {};
}

}  // namespace

Parser::Parser(MessageKind kind, std::size_t max_header_bytes) {
  // Beast looks for the end only within its limit: a byte more lets our own count decide.
  const auto limit = static_cast<std::uint32_t>(max_header_bytes + 1);
  const auto set_up = [&](auto& parser) {
    parser.header_limit(limit);
    parser.body_limit(boost::none);
    parser.eager(false);
  };
  if (kind == MessageKind::request) {
    auto impl = std::make_unique<ImplFor<true, Impl>>();
    set_up(impl->parser);
    impl_ = std::move(impl);
  } else {
    auto impl = std::make_unique<ImplFor<false, Impl>>();
    set_up(impl->parser);
    impl->parser.skip(kind == MessageKind::response_to_head);
    impl_ = std::move(impl);
  }
  impl_->max_header_bytes = max_header_bytes;
}

Parser::Parser(Parser&&) noexcept = default;
Parser& Parser::operator=(Parser&&) noexcept = default;
Parser::~Parser() = default;

Result<std::size_t> Parser::put(std::string_view bytes) {
  if (done() || bytes.empty()) return 0U;
  if (impl_->head_done()) return impl_->put_body(bytes);
  TRY_ASSIGN(const std::size_t used, impl_->put_head(bytes));
  if (impl_->head_done()) {
    if (const auto why = ambiguity(impl_->head()); !why.empty()) {
      return impl_->refuse(400, cat("the message has ", why));
    }
  }
  return used;
}

Status Parser::put_end() {
  error_code ec;
  if (impl_->head_done()) {
    if (done()) return {};
    impl_->put_end(ec);
    if (!ec) return {};
  }
  impl_->failure_status = 400;
  return fail(Code::DataLoss, "the connection ended in the middle of a message");
}

bool Parser::head_done() const { return impl_->head_done(); }
bool Parser::done() const { return impl_->done(); }
bool Parser::keep_alive() const { return impl_->keep_alive(); }
std::optional<std::uint64_t> Parser::content_length() const { return impl_->content_length(); }
int Parser::failure_status() const { return impl_->failure_status; }
Head& Parser::head() { return impl_->head(); }
std::string Parser::take_body() { return std::exchange(impl_->body(), {}); }

}  // namespace cofferdam::http
