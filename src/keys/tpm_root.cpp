// The only file that includes tpm2-tss.
#include <string.h>
#include <tss2/tss2_esys.h>
#include <tss2/tss2_rc.h>
#include <tss2/tss2_tctildr.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>

#include "base/log.h"
#include "base/rollback.h"
#include "base/text.h"
#include "keys/holders.h"
#include "keys/root_record.h"

namespace cofferdam::keys {
namespace {

constexpr std::size_t kIndexBytes = 256;
constexpr std::int32_t kTimeoutMs = 30'000;

struct FreeEsys {
  void operator()(void* memory) const { Esys_Free(memory); }
};
template <class T>
using EsysPtr = std::unique_ptr<T, FreeEsys>;

tl::unexpected<Error> tpm_failed(std::string_view what, TSS2_RC rc) {
  return fail(Code::Unavailable, cat(what, ": ", Tss2_RC_Decode(rc)),
              "see whether the TPM answers (tpm2_getcap properties-fixed), and whether cofferd may use it");
}

// The storage key that a session's secret is sent under; of the null hierarchy, which needs no permission.
TPM2B_PUBLIC session_key_template() {
  TPM2B_PUBLIC key{};
  key.publicArea.type = TPM2_ALG_ECC;
  key.publicArea.nameAlg = TPM2_ALG_SHA256;
  key.publicArea.objectAttributes = TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT | TPMA_OBJECT_FIXEDTPM |
                                    TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN |
                                    TPMA_OBJECT_USERWITHAUTH;
  auto& ecc = key.publicArea.parameters.eccDetail;
  ecc.symmetric.algorithm = TPM2_ALG_AES;
  ecc.symmetric.keyBits.aes = 128;
  ecc.symmetric.mode.aes = TPM2_ALG_CFB;
  ecc.scheme.scheme = TPM2_ALG_NULL;
  ecc.curveID = TPM2_ECC_NIST_P256;
  ecc.kdf.scheme = TPM2_ALG_NULL;
  return key;
}

// A connection to the TPM with a session that encrypts what is secret on its way there and back.
class Tpm {
 public:
  static Result<std::unique_ptr<Tpm>> connect(const std::string& tcti);
  Tpm(const Tpm&) = delete;
  Tpm& operator=(const Tpm&) = delete;
  ~Tpm() {
    if (session_ != ESYS_TR_NONE) (void)Esys_FlushContext(esys_, session_);
    if (esys_ != nullptr) Esys_Finalize(&esys_);
    if (tcti_ != nullptr) Tss2_TctiLdr_Finalize(&tcti_);
  }

  // Those of `count` indices from `first` on that are defined.
  Result<std::vector<TPM2_HANDLE>> defined(TPM2_HANDLE first, std::uint32_t count);
  Status define(TPM2_HANDLE index);
  Status undefine(TPM2_HANDLE index);
  Status write(TPM2_HANDLE index, std::string_view bytes);
  // nullopt: it was defined and never written, or is of another size than ours.
  struct Content {
    bool written = false;
    SecureBytes bytes;
  };
  Result<Content> read(TPM2_HANDLE index);

 private:
  Tpm() = default;
  Status start_session();
  Result<ESYS_TR> handle(TPM2_HANDLE index);
  void forget(ESYS_TR& handle) { (void)Esys_TR_Close(esys_, &handle); }

  TSS2_TCTI_CONTEXT* tcti_ = nullptr;
  ESYS_CONTEXT* esys_ = nullptr;
  ESYS_TR session_ = ESYS_TR_NONE;
};

Result<std::unique_ptr<Tpm>> Tpm::connect(const std::string& tcti) {
  auto tpm = std::unique_ptr<Tpm>(new Tpm);
  const std::string what = cat("open the TPM at '", tcti, "'");
  if (const auto rc = Tss2_TctiLdr_Initialize(tcti.c_str(), &tpm->tcti_); rc != TSS2_RC_SUCCESS) {
    return tpm_failed(what, rc);
  }
  if (const auto rc = Esys_Initialize(&tpm->esys_, tpm->tcti_, nullptr); rc != TSS2_RC_SUCCESS) {
    return tpm_failed(what, rc);
  }
  if (const auto rc = Esys_SetTimeout(tpm->esys_, kTimeoutMs); rc != TSS2_RC_SUCCESS) return tpm_failed(what, rc);
  TRY(tpm->start_session());
  return tpm;
}

Status Tpm::start_session() {
  const TPM2B_SENSITIVE_CREATE sensitive{};
  const TPM2B_PUBLIC wanted = session_key_template();
  const TPM2B_DATA outside{};
  const TPML_PCR_SELECTION no_pcrs{};
  ESYS_TR key = ESYS_TR_NONE;
  auto rc = Esys_CreatePrimary(esys_, ESYS_TR_RH_NULL, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &sensitive,
                               &wanted, &outside, &no_pcrs, &key, nullptr, nullptr, nullptr, nullptr);
  if (rc != TSS2_RC_SUCCESS) return tpm_failed("make a key for a session with the TPM", rc);
  TPMT_SYM_DEF symmetric{};
  symmetric.algorithm = TPM2_ALG_AES;
  symmetric.keyBits.aes = 128;
  symmetric.mode.aes = TPM2_ALG_CFB;
  rc = Esys_StartAuthSession(esys_, key, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, nullptr, TPM2_SE_HMAC,
                             &symmetric, TPM2_ALG_SHA256, &session_);
  (void)Esys_FlushContext(esys_, key);
  if (rc != TSS2_RC_SUCCESS) return tpm_failed("start a session with the TPM", rc);
  constexpr TPMA_SESSION kWanted = TPMA_SESSION_CONTINUESESSION | TPMA_SESSION_DECRYPT | TPMA_SESSION_ENCRYPT;
  rc = Esys_TRSess_SetAttributes(esys_, session_, kWanted, 0xff);
  if (rc != TSS2_RC_SUCCESS) return tpm_failed("start a session with the TPM", rc);
  return {};
}

Result<std::vector<TPM2_HANDLE>> Tpm::defined(TPM2_HANDLE first, std::uint32_t count) {
  std::vector<TPM2_HANDLE> found;
  TPMI_YES_NO more = TPM2_NO;
  TPMS_CAPABILITY_DATA* raw = nullptr;
  const auto rc =
      Esys_GetCapability(esys_, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, TPM2_CAP_HANDLES, first, count, &more, &raw);
  const EsysPtr<TPMS_CAPABILITY_DATA> data(raw);
  if (rc != TSS2_RC_SUCCESS) return tpm_failed("list the TPM's indices", rc);
  const auto& handles = data->data.handles;
  for (std::uint32_t i = 0; i < handles.count; ++i) {
    if (handles.handle[i] >= first && handles.handle[i] < first + count) found.push_back(handles.handle[i]);
  }
  return found;
}

Status Tpm::define(TPM2_HANDLE index) {
  const TPM2B_AUTH no_password{};
  TPM2B_NV_PUBLIC wanted{};
  wanted.nvPublic.nvIndex = index;
  wanted.nvPublic.nameAlg = TPM2_ALG_SHA256;
  wanted.nvPublic.attributes = TPMA_NV_AUTHREAD | TPMA_NV_AUTHWRITE | TPMA_NV_NO_DA;
  wanted.nvPublic.dataSize = kIndexBytes;
  ESYS_TR made = ESYS_TR_NONE;
  const auto rc =
      Esys_NV_DefineSpace(esys_, ESYS_TR_RH_OWNER, session_, ESYS_TR_NONE, ESYS_TR_NONE, &no_password, &wanted, &made);
  if (rc != TSS2_RC_SUCCESS) return tpm_failed(cat("define the TPM's index 0x", std::hex, index), rc);
  forget(made);
  return {};
}

Result<ESYS_TR> Tpm::handle(TPM2_HANDLE index) {
  ESYS_TR found = ESYS_TR_NONE;
  const auto rc = Esys_TR_FromTPMPublic(esys_, index, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &found);
  if (rc != TSS2_RC_SUCCESS) return tpm_failed(cat("look at the TPM's index 0x", std::hex, index), rc);
  return found;
}

Status Tpm::undefine(TPM2_HANDLE index) {
  TRY_ASSIGN(const ESYS_TR nv, handle(index));
  const auto rc = Esys_NV_UndefineSpace(esys_, ESYS_TR_RH_OWNER, nv, session_, ESYS_TR_NONE, ESYS_TR_NONE);
  if (rc != TSS2_RC_SUCCESS) return tpm_failed(cat("undefine the TPM's index 0x", std::hex, index), rc);
  return {};
}

Status Tpm::write(TPM2_HANDLE index, std::string_view bytes) {
  TRY_ASSIGN(ESYS_TR nv, handle(index));
  Rollback always;
  TPM2B_MAX_NV_BUFFER data{};
  always.add([&] {
    ::explicit_bzero(&data, sizeof data);
    forget(nv);
  });
  data.size = static_cast<UINT16>(bytes.size());
  std::memcpy(&data.buffer[0], bytes.data(), bytes.size());
  const auto rc = Esys_NV_Write(esys_, nv, nv, session_, ESYS_TR_NONE, ESYS_TR_NONE, &data, 0);
  if (rc != TSS2_RC_SUCCESS) return tpm_failed(cat("write the TPM's index 0x", std::hex, index), rc);
  return {};
}

Result<Tpm::Content> Tpm::read(TPM2_HANDLE index) {
  TRY_ASSIGN(ESYS_TR nv, handle(index));
  Rollback always;
  always.add([&] { forget(nv); });
  TPM2B_NV_PUBLIC* raw_public = nullptr;
  auto rc = Esys_NV_ReadPublic(esys_, nv, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &raw_public, nullptr);
  const EsysPtr<TPM2B_NV_PUBLIC> about(raw_public);
  if (rc != TSS2_RC_SUCCESS) return tpm_failed(cat("look at the TPM's index 0x", std::hex, index), rc);
  if ((about->nvPublic.attributes & TPMA_NV_WRITTEN) == 0) return Content{};
  Content content{true, {}};
  if (about->nvPublic.dataSize != kIndexBytes) return content;
  TPM2B_MAX_NV_BUFFER* raw = nullptr;
  rc = Esys_NV_Read(esys_, nv, nv, session_, ESYS_TR_NONE, ESYS_TR_NONE, kIndexBytes, 0, &raw);
  const EsysPtr<TPM2B_MAX_NV_BUFFER> data(raw);
  if (rc != TSS2_RC_SUCCESS) return tpm_failed(cat("read the TPM's index 0x", std::hex, index), rc);
  content.bytes = SecureBytes::copy_of({reinterpret_cast<const char*>(&data->buffer[0]), data->size});
  ::explicit_bzero(raw, sizeof *raw);
  return content;
}

class TpmHolder : public RootHolder {
 public:
  TpmHolder(std::string tcti, std::uint32_t first) : tcti_(std::move(tcti)), first_(first) {
    // What fails is in our errors; the library would write to stderr as well.
    ::setenv("TSS2_LOG", "all+none", 0);
  }

  [[nodiscard]] std::string name() const override {
    return cat("the TPM at '", tcti_, "', index 0x", std::hex, first_);
  }
  Result<std::vector<Root>> load(const std::string& store) override {
    return connected([&](Tpm& tpm) { return load_from(tpm, store); });
  }
  Status add(const std::string& store, const Root& root) override {
    return connected([&](Tpm& tpm) { return add_to(tpm, store, root); });
  }
  Status remove(const std::string& store, const std::string& id) override {
    return connected([&](Tpm& tpm) { return remove_from(tpm, store, id); });
  }

 private:
  struct Slot {
    TPM2_HANDLE index;
    std::optional<RootRecord> record;  // none: it is blank
  };

  // After an error the connection is made anew: a TPM that was reset has forgotten the session.
  template <class Work>
  std::invoke_result_t<Work, Tpm&> connected(Work work) {
    if (!tpm_) {
      TRY_ASSIGN(tpm_, Tpm::connect(tcti_));
    }
    auto done = work(*tpm_);
    if (!done) tpm_.reset();
    return done;
  }

  Result<std::vector<Slot>> slots(Tpm& tpm);
  Result<std::vector<Root>> load_from(Tpm& tpm, const std::string& store);
  Status add_to(Tpm& tpm, const std::string& store, const Root& root);
  Status remove_from(Tpm& tpm, const std::string& store, const std::string& id);

  std::string tcti_;
  TPM2_HANDLE first_;
  std::unique_ptr<Tpm> tpm_;
};

Result<std::vector<TpmHolder::Slot>> TpmHolder::slots(Tpm& tpm) {
  TRY_ASSIGN(const auto defined, tpm.defined(first_, kTpmIndices));
  std::vector<Slot> slots;
  for (const auto index : defined) {
    TRY_ASSIGN(const auto content, tpm.read(index));
    auto record = decode_record(content.bytes.view());
    const auto bytes = content.bytes.view();
    // Defined and not yet written, or wiped and not yet undefined.
    const bool blank =
        !content.written || (!bytes.empty() && std::all_of(bytes.begin(), bytes.end(), [](char c) { return c == 0; }));
    if (!record && !blank) {
      return fail(Code::FailedPrecondition, cat("the TPM's index 0x", std::hex, index, " is used by something else"),
                  "choose another one with keys.tpm_index");
    }
    slots.push_back({index, std::move(record)});
  }
  return slots;
}

Result<std::vector<Root>> TpmHolder::load_from(Tpm& tpm, const std::string& store) {
  TRY_ASSIGN(auto found, slots(tpm));
  std::vector<Root> roots;
  for (auto& slot : found) {
    if (!slot.record) continue;
    if (slot.record->store != store) {
      return fail(Code::FailedPrecondition, cat(name(), " holds the root ", slot.record->id, " of another key tree"),
                  "is this the state folder you mean, and is its disk mounted? Two installations need indices of their "
                  "own (keys.tpm_index); a root whose tree is gone for good is removed with tpm2_nvundefine");
    }
    if (slot.record->payload.size() != kRootKeyBytes) return fail(Code::DataLoss, cat(name(), " holds no root"));
    roots.push_back({std::move(slot.record->id), std::move(slot.record->payload)});
  }
  return roots;
}

Status TpmHolder::add_to(Tpm& tpm, const std::string& store, const Root& root) {
  TRY_ASSIGN(const auto found, slots(tpm));
  std::optional<TPM2_HANDLE> free;
  for (const auto& slot : found) {
    if (!slot.record) free = slot.index;
  }
  for (auto index = first_; !free && index < first_ + kTpmIndices; ++index) {
    const bool used = std::any_of(found.begin(), found.end(), [&](const Slot& slot) { return slot.index == index; });
    if (used) continue;
    TRY(tpm.define(index));
    free = index;
  }
  if (!free) return fail(Code::ResourceExhausted, cat(name(), ": all ", kTpmIndices, " indices hold roots"));
  const auto record = encode_record(store, root.id, root.key.view());
  static_assert(kIndexBytes <= kRecordBytes);
  return tpm.write(*free, record.view().substr(0, kIndexBytes));
}

Status TpmHolder::remove_from(Tpm& tpm, const std::string& store, const std::string& id) {
  TRY_ASSIGN(const auto found, slots(tpm));
  for (const auto& slot : found) {
    if (!slot.record || slot.record->store != store || slot.record->id != id) continue;
    TRY(tpm.write(slot.index, std::string(kIndexBytes, '\0')));
    TRY(tpm.undefine(slot.index));
  }
  return {};
}

}  // namespace

std::unique_ptr<RootHolder> make_tpm_holder(const std::string& tcti, std::uint32_t nv_index) {
  return std::make_unique<TpmHolder>(tcti, nv_index);
}

}  // namespace cofferdam::keys
