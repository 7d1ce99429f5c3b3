// The slot in which each module of the process keeps its pointer to what is one for all (process_state.h), and the way
// by which a module finds those of the others.
//
// Design. A module that uses the library carries an ELF note, which says where its slot is. At its first use it looks
// at the notes of all loaded modules (dl_iterate_phdr), takes over the pointer of one that has it, or makes the object
// and is the one that has it from then on. The loader's lock, which is held meanwhile, lets one module look at a time.
//
// The notes need nothing of how a module is built: they are there with hidden symbols, in an executable that exports
// none, in static ones, under RTLD_LOCAL, after strip. What was considered instead:
//   - a symbol that the linker makes unique (STB_GNU_UNIQUE): only of g++, only where it is exported; and no module
//     that has one is ever unloaded;
//   - dlsym(RTLD_DEFAULT): finds exported symbols only, of modules that are loaded globally;
//   - the environment: no thread may change it while others read it, and programs that are executed inherit it.
//
// Where there is no ELF the slot is an inline variable, which is one in the process as far as the linker makes it so.

#ifndef DECOUPLE_INTERNAL_BASE_MODULE_SLOT_H_
#define DECOUPLE_INTERNAL_BASE_MODULE_SLOT_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#if defined(__ELF__) && defined(__linux__)
#define DECOUPLE_INTERNAL_HAS_MODULE_NOTES 1
#include <dlfcn.h>
#include <link.h>

#include <cstring>
#else
#define DECOUPLE_INTERNAL_HAS_MODULE_NOTES 0
#endif

#include "decouple/internal/base/module_layout.h"
#include "decouple/internal/base/process_state.h"

namespace decouple::inline v0_1::internal {

// The first two fields lie there in all versions of the library: they tell which modules may share a state.
struct ModuleSlot {
  std::uint64_t layout = kModuleLayout;
  std::uint64_t size = sizeof(ProcessState);
  std::atomic<ProcessState*> state{nullptr};
};

#if DECOUPLE_INTERNAL_HAS_MODULE_NOTES

[[gnu::visibility("hidden")]] inline constinit ModuleSlot module_slot;

// Hidden, as is all here that refers to it: each module has its own, also where it could do with another's.
// The note: three lengths, the owner's name, and the distance from here to the slot. In no group of sections, as then
// the linker may take it for unneeded; so there may be several in a module, which all say the same.
#define DECOUPLE_INTERNAL_NOTE_OWNER "decouple module"
[[gnu::visibility("hidden")]] inline void EmitModuleNote() {
  asm(".pushsection .note.decouple, \"a\", %%note\n"
      ".balign 4\n"
      ".long 16, 4, 1\n"
      ".asciz \"" DECOUPLE_INTERNAL_NOTE_OWNER
      "\"\n"
      ".long %c0 - .\n"
      ".popsection"
      :
      : "i"(&module_slot));
}

// One look at all modules.
class __attribute__((visibility("hidden"))) ModuleSearch {
 public:
  // The state of a module that has one. Null: none has.
  ProcessState* FindState() {
    dl_iterate_phdr(&VisitModule, this);
    return found_;
  }

  // The file of this module; empty if it is the executable. Valid after FindState(), and as long as the module is
  // loaded.
  const char* own_file() const { return own_file_; }

 private:
  static int VisitModule(dl_phdr_info* module, std::size_t, void* search) {
    for (int i = 0; i < module->dlpi_phnum; ++i) {
      const auto& segment = module->dlpi_phdr[i];
      if (segment.p_type != PT_NOTE) continue;
      static_cast<ModuleSearch*>(search)->VisitNotes(*module, module->dlpi_addr + segment.p_vaddr, segment.p_memsz);
    }
    return 0;  // go on: our own has to be found, too
  }

  // Looks for the name instead of following the lengths, as notes of other owners may be aligned otherwise. The size of
  // all notes of a module is some hundred bytes.
  void VisitNotes(const dl_phdr_info& module, std::uintptr_t begin, std::size_t size) {
    constexpr std::size_t kName = sizeof(DECOUPLE_INTERNAL_NOTE_OWNER);
    std::int32_t distance = 0;
    for (std::size_t at = 0; at + kName + sizeof(distance) <= size; at += 4) {
      const auto* const name = reinterpret_cast<const char*>(begin + at);  // NOLINT: the loader has numbers
      if (std::memcmp(name, DECOUPLE_INTERNAL_NOTE_OWNER, kName) != 0) continue;
      std::memcpy(&distance, name + kName, sizeof(distance));
      const std::uintptr_t slot = begin + at + kName + static_cast<std::uintptr_t>(std::intptr_t{distance});
      VisitSlot(module, *reinterpret_cast<const ModuleSlot*>(slot));  // NOLINT: as above
    }
  }

  void VisitSlot(const dl_phdr_info& module, const ModuleSlot& slot) {
    if (&slot == &module_slot) own_file_ = module.dlpi_name;
    if (slot.layout != kModuleLayout || slot.size != sizeof(ProcessState)) return;
    // Acquire: pairs with the release in FindOrMakeState().
    if (ProcessState* const state = slot.state.load(std::memory_order_acquire)) found_ = state;
  }

  ProcessState* found_ = nullptr;
  const char* own_file_ = "";
};

// Keeps this module loaded to the end of the process. A weak reference, as a static executable has no dlopen(): there,
// as in any executable, nothing has to be done.
[[gnu::weakref("dlopen")]] static void* DlopenIfThere(const char* file, int flags);
[[gnu::visibility("hidden")]] inline void KeepModuleLoaded() {
  ModuleSearch search;
  search.FindState();
  if (*search.own_file() != '\0' && DlopenIfThere != nullptr) {
    DlopenIfThere(search.own_file(), RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
  }
}

// Sets the slot of this module to the state of the process, and returns it: another module's if one has it, else a new
// one, in which case `is_new` is set. Calls prepare(state, is_new) before it shows the state to anyone.
[[gnu::visibility("hidden")]] inline ProcessState& FindOrMakeState(void (*prepare)(ProcessState&, bool is_new),
                                                                   bool& is_new) {
  EmitModuleNote();
  struct Request {
    void (*prepare)(ProcessState&, bool is_new);
    bool& is_new;
  } request = {prepare, is_new};
  // The loader holds a recursive lock while it calls back, so no other module decides meanwhile.
  dl_iterate_phdr(
      [](dl_phdr_info*, std::size_t, void* data) {
        const Request& wanted = *static_cast<Request*>(data);
        ProcessState* state = ModuleSearch().FindState();
        wanted.is_new = state == nullptr;
        if (wanted.is_new) state = new ProcessState;
        wanted.prepare(*state, wanted.is_new);
        module_slot.state.store(state, std::memory_order_release);
        return 1;  // that was all
      },
      &request);
  return *module_slot.state.load(std::memory_order_relaxed);
}

#else

inline constinit ModuleSlot module_slot;

inline void KeepModuleLoaded() {}

inline ProcessState& FindOrMakeState(void (*prepare)(ProcessState&, bool is_new), bool& is_new) {
  static ProcessState& state = [&]() -> ProcessState& {
    auto& made = *new ProcessState;
    is_new = true;
    prepare(made, is_new);
    module_slot.state.store(&made, std::memory_order_release);
    return made;
  }();
  return state;
}

#endif

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_BASE_MODULE_SLOT_H_
