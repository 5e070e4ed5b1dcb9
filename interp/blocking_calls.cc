#include "interp/blocking_calls.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "interp/python_api.h"

namespace interpd::interp {
namespace {

// Machine code for "jump to `target`".
std::string JumpTo(void* target) {
  const auto address = reinterpret_cast<uint64_t>(target);
  std::string code;
#if defined(__x86_64__)
  code = std::string("\x49\xbb", 2) + std::string(8, '\0') + "\x41\xff\xe3";  // mov r11, address; jmp r11
  std::memcpy(code.data() + 2, &address, sizeof(address));
#elif defined(__aarch64__)
  code = std::string("\x50\x00\x00\x58\x00\x02\x1f\xd6", 8) + std::string(8, '\0');  // ldr x16, +8; br x16; address
  std::memcpy(code.data() + 8, &address, sizeof(address));
#endif
  return code;
}

// Some systems forbid it (MemoryDenyWriteExecute= of systemd), and say so only when the code is to run again.
absl::Status CheckCodeMayChange() {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  void* probe = mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (probe == MAP_FAILED) return absl::ResourceExhaustedError(absl::StrCat("mmap: ", std::strerror(errno)));
  const int error = mprotect(probe, page, PROT_READ | PROT_EXEC) == 0 ? 0 : errno;
  munmap(probe, page);
  if (error != 0) return absl::PermissionDeniedError(absl::StrCat("code may not be changed: ", std::strerror(error)));
  return absl::OkStatus();
}

absl::Status Replace(const char* name, void* replacement) {
  const std::string jump = JumpTo(replacement);
  if (jump.empty()) return absl::UnimplementedError("this processor architecture is not known");
  void* function = dlsym(RTLD_DEFAULT, name);
  Dl_info info;
  ElfW(Sym)* symbol = nullptr;
  if (function == nullptr || dladdr1(function, &info, reinterpret_cast<void**>(&symbol), RTLD_DL_SYMENT) == 0 ||
      symbol == nullptr || symbol->st_size < jump.size()) {
    return absl::NotFoundError(absl::StrCat("libpython has no ", name, " that could be replaced"));
  }
  const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t first = reinterpret_cast<uintptr_t>(function) & ~(page - 1);
  const size_t length = reinterpret_cast<uintptr_t>(function) + jump.size() - first;
  auto* start = reinterpret_cast<void*>(first);
  if (mprotect(start, length, PROT_READ | PROT_WRITE) != 0) {
    return absl::PermissionDeniedError(absl::StrCat("mprotect: ", std::strerror(errno)));
  }
  std::memcpy(function, jump.data(), jump.size());
  if (mprotect(start, length, PROT_READ | PROT_EXEC) != 0) {
    // Code that cannot be run any more: there is no way on.
    std::abort();
  }
  __builtin___clear_cache(static_cast<char*>(function), static_cast<char*>(function) + jump.size());
  return absl::OkStatus();
}

}  // namespace

int CheckInterrupts() {
  PyThreadState* thread_state = PyThreadState_GetUnchecked();
  if (thread_state == nullptr) return 0;
  // The low byte of the eval breaker holds a bit for each thing that asks for attention; hot loops in C come here.
  constexpr uintptr_t kEvents = 0xff;
  // relaxed: whoever sets a bit sends a signal afterwards, after which the thread comes here again.
  if ((std::atomic_ref(thread_state->eval_breaker).load(std::memory_order_relaxed) & kEvents) == 0) return 0;
  if (_PyEval_MakePendingCalls(thread_state) < 0) return -1;
  // acq_rel: the exception object was made by another thread. CPython takes it with the same exchange.
  PyObject* exception = std::atomic_ref(thread_state->async_exc).exchange(nullptr, std::memory_order_acq_rel);
  if (exception == nullptr) return 0;
  PyErr_SetNone(exception);
  Py_DECREF(exception);
  return -1;
}

absl::Status MakeBlockingCallsInterruptible() {
  absl::Status may = CheckCodeMayChange();
  if (!may.ok()) return may;
  for (const char* name : {"PyErr_CheckSignals", "Py_MakePendingCalls"}) {
    absl::Status replaced = Replace(name, reinterpret_cast<void*>(&CheckInterrupts));
    if (!replaced.ok()) return replaced;
  }
  return absl::OkStatus();
}

}  // namespace interpd::interp
