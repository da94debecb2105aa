// Visitors of exposed ports: told apart from clients of the API by the Host they ask for, or by the path.
#pragma once
#include <optional>
#include <string>

#include "api/services.h"
#include "http/message.h"

namespace cofferdam::api {

struct Preview {
  std::string slug;
  enum class Form { host, path } form = Form::host;
};

// "SLUG.preview.DOMAIN" as Host, or /preview/SLUG/… as path; nullopt: no visitor.
std::optional<Preview> preview_slug(const http::Request& request, const std::string& domain);
Task<http::Response> serve_preview(Services& services, Preview preview, http::Request& request);

// Where the port of that slug is reached from outside, in both forms; each empty when there is none.
struct PreviewUrls {
  std::string by_host, by_path;
};
PreviewUrls preview_urls(const Services& services, const std::string& slug);
// Whether the workspace is marked as a database: its metadata has "type" or "role" as "database".
net::Marked marked_as(const model::WorkspaceSpec& spec);

}  // namespace cofferdam::api
