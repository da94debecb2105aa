// Templates: a booted, paused guest for each image and shape, as a sealed memory file and a device state; with an empty
// disk mounted, and that disk, or without one. On disk beside a manifest that names everything they depend on; in
// memory as the file that clones map copy-on-write.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/unique_fd.h"
#include "image/image_store.h"
#include "loop/task.h"
#include "vm/launch.h"

namespace cofferdam::vm {

struct Template : Seed {
  std::string key;
  UniqueFd memory;  // sealed memfd: nobody can change it, or map it shared for writing
  UniqueFd state;   // sealed memfd
};

// Host::processor.
std::string processor_of(AcceleratorKind accelerator);

// What a guest's state depends on, by name.
std::map<std::string, std::string> facts_of(const Host& host, const image::Image& image, model::Shape shape);

class TemplateStore {
 public:
  // `host` outlives the store. Templates lie in STATE/templates.
  explicit TemplateStore(Host& host);

  // The template for this image and shape: loaded and verified, or built. Callers that ask at the same time share the
  // work. With `empty` the guest is prepared on such a disk; without, it has only booted.
  Task<std::shared_ptr<const Template>> get(image::Image image, model::Shape shape, std::optional<EmptyDisk> empty);

 private:
  struct Work;
  // What one template is made from.
  struct Wish {
    image::Image image;
    model::Shape shape;
    std::optional<EmptyDisk> empty;
    std::string manifest;
    std::string key;
  };
  Task<std::shared_ptr<const Template>> load_or_build(Wish wish);
  Task<std::shared_ptr<const Template>> build(Wish wish);
  Task<void> grow(LaunchSpec spec, const Wish& wish, int state);
  void keep(const std::shared_ptr<const Template>& made);

  Host& host_;
  std::string folder_;
  std::map<std::string, std::shared_ptr<Work>> working_;
  std::vector<std::shared_ptr<const Template>> loaded_;  // the latest used last
};

}  // namespace cofferdam::vm
