// Whatever file is accepted is written and read again as the same; every refusal is an InvalidArgument that names the
// file.
#include <boost/json/serialize.hpp>
#include <cstdlib>

#include "base/bytes.h"
#include "estate/estate.h"
#include "estate/plan.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cofferdam;
  const auto read = estate::read(as_text({data, size}), "f");
  if (!read) {
    if (read.error().code != Code::InvalidArgument || read.error().message.rfind("f:", 0) != 0) std::abort();
    return 0;
  }
  const auto again = estate::read(estate::write(*read), "f");
  if (!again) std::abort();
  if (boost::json::serialize(estate::to_json(*again)) != boost::json::serialize(estate::to_json(*read))) std::abort();
  if (!estate::make_plan(*read, *again).actions.empty()) std::abort();
  return 0;
}
