// Templates: a booted, paused guest for each image and shape, as a sealed memory file and a device state. On disk
// beside a manifest that names everything they depend on; in memory as the file that clones map copy-on-write.
#pragma once
#include <map>
#include <memory>
#include <string>

#include "base/unique_fd.h"
#include "image/image_store.h"
#include "loop/task.h"
#include "vm/launch.h"

namespace cofferdam::vm {

struct Template {
  std::string key;
  UniqueFd memory;  // sealed memfd: nobody can change it, or map it shared for writing
  UniqueFd state;   // sealed memfd
  [[nodiscard]] Result<UniqueFd> open_state() const;  // a description of its own, at the start
};

class TemplateStore {
 public:
  // `host` outlives the store. Templates lie in STATE/templates.
  explicit TemplateStore(Host& host);

  // The template for this image and shape: loaded and verified, or built. Callers that ask at the same time share the
  // work.
  Task<std::shared_ptr<const Template>> get(image::Image image, model::Shape shape);

 private:
  struct Work;
  Task<std::shared_ptr<const Template>> load_or_build(std::string key, std::string manifest, image::Image image,
                                                      model::Shape shape);
  Task<std::shared_ptr<const Template>> build(std::string key, std::string manifest, image::Image image,
                                              model::Shape shape);
  void keep(const std::shared_ptr<const Template>& made);

  Host& host_;
  std::string folder_;
  std::map<std::string, std::shared_ptr<Work>> working_;
  std::vector<std::shared_ptr<const Template>> loaded_;  // the latest used last
};

}  // namespace cofferdam::vm
