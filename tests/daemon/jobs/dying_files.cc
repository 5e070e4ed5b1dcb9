#include "tests/daemon/jobs/dying_files.h"

#include <signal.h>
#include <sqlite3.h>

#include <atomic>
#include <cstdlib>
#include <cstring>

namespace interpd::daemon {
namespace {

std::atomic<int64_t> g_count{0};
int64_t g_at = 0;
Death g_death = Death::kBeforeWrite;
sqlite3_vfs* g_real = nullptr;
sqlite3_vfs g_vfs;
sqlite3_io_methods g_methods;

// Behind it in memory comes the real file.
struct File {
  sqlite3_file base;
  sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};

sqlite3_file* Real(sqlite3_file* file) { return reinterpret_cast<File*>(file)->real(); }

[[noreturn]] void Die() {
  raise(SIGKILL);
  abort();
}

bool IsTheOne() { return ++g_count == g_at; }

int Write(sqlite3_file* file, const void* data, int size, sqlite3_int64 offset) {
  if (IsTheOne()) {
    if (g_death == Death::kTornWrite) Real(file)->pMethods->xWrite(Real(file), data, size / 2, offset);
    Die();
  }
  return Real(file)->pMethods->xWrite(Real(file), data, size, offset);
}

int Truncate(sqlite3_file* file, sqlite3_int64 size) {
  if (IsTheOne()) Die();
  return Real(file)->pMethods->xTruncate(Real(file), size);
}

int Sync(sqlite3_file* file, int flags) {
  if (IsTheOne()) Die();
  return Real(file)->pMethods->xSync(Real(file), flags);
}

// Everything else goes to the real file as it is.
template <auto Method, typename... Args>
auto Forward(sqlite3_file* file, Args... args) {
  return (Real(file)->pMethods->*Method)(Real(file), args...);
}

int Open(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out_flags) {
  file->pMethods = nullptr;
  const int result = g_real->xOpen(g_real, name, Real(file), flags, out_flags);
  if (Real(file)->pMethods != nullptr) file->pMethods = &g_methods;
  return result;
}

}  // namespace

void DieAtWrite(int64_t at, Death death) {
  g_at = at;
  g_death = death;
  g_real = sqlite3_vfs_find(nullptr);
  g_vfs = *g_real;
  g_vfs.zName = "dying";
  g_vfs.szOsFile = static_cast<int>(sizeof(File)) + g_real->szOsFile;
  g_vfs.xOpen = Open;
  using M = sqlite3_io_methods;
  g_methods = {.iVersion = 2,
               .xClose = [](sqlite3_file* f) { return Forward<&M::xClose>(f); },
               .xRead = [](sqlite3_file* f, void* data, int size,
                           sqlite3_int64 offset) { return Forward<&M::xRead>(f, data, size, offset); },
               .xWrite = Write,
               .xTruncate = Truncate,
               .xSync = Sync,
               .xFileSize = [](sqlite3_file* f, sqlite3_int64* size) { return Forward<&M::xFileSize>(f, size); },
               .xLock = [](sqlite3_file* f, int level) { return Forward<&M::xLock>(f, level); },
               .xUnlock = [](sqlite3_file* f, int level) { return Forward<&M::xUnlock>(f, level); },
               .xCheckReservedLock = [](sqlite3_file* f, int* out) { return Forward<&M::xCheckReservedLock>(f, out); },
               .xFileControl = [](sqlite3_file* f, int op, void* arg) { return Forward<&M::xFileControl>(f, op, arg); },
               .xSectorSize = [](sqlite3_file* f) { return Forward<&M::xSectorSize>(f); },
               .xDeviceCharacteristics = [](sqlite3_file* f) { return Forward<&M::xDeviceCharacteristics>(f); },
               .xShmMap = [](sqlite3_file* f, int page, int size, int extend,
                             void volatile** out) { return Forward<&M::xShmMap>(f, page, size, extend, out); },
               .xShmLock = [](sqlite3_file* f, int offset, int n,
                              int flags) { return Forward<&M::xShmLock>(f, offset, n, flags); },
               .xShmBarrier = [](sqlite3_file* f) { Forward<&M::xShmBarrier>(f); },
               .xShmUnmap = [](sqlite3_file* f, int remove) { return Forward<&M::xShmUnmap>(f, remove); }};
  sqlite3_vfs_register(&g_vfs, /*makeDflt=*/1);
}

int64_t WriteCount() { return g_count; }

}  // namespace interpd::daemon
