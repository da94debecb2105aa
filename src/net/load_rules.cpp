#include <nftables/libnftables.h>

#include <memory>
#include <mutex>

#include "base/text.h"
#include "net/rules.h"

namespace cofferdam::net {
namespace {

struct Free {
  void operator()(nft_ctx* context) const { nft_ctx_free(context); }
};

// The library keeps tables of its own that threads share.
std::mutex library;

}  // namespace

Status load_rules(const std::string& text) {
  const std::lock_guard<std::mutex> alone(library);
  const std::unique_ptr<nft_ctx, Free> context(nft_ctx_new(NFT_CTX_DEFAULT));
  if (!context) return fail(Code::ResourceExhausted, "load packet rules: no memory");
  if (nft_ctx_buffer_error(context.get()) != 0 || nft_ctx_buffer_output(context.get()) != 0) {
    return fail(Code::Internal, "load packet rules: no buffer");
  }
  if (nft_run_cmd_from_buffer(context.get(), text.c_str()) == 0) return {};
  const std::string_view said = nft_ctx_get_error_buffer(context.get());
  return fail(Code::FailedPrecondition, cat("load packet rules: ", trim(said.substr(0, 512))),
              "the host's kernel needs nf_tables with its netdev, limit, log and tproxy parts");
}

}  // namespace cofferdam::net
