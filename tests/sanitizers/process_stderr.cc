// Sends sanitizers' reports to the process's standard error as well, when the thread that makes them has another one.
//
// An interpreter's thread has a file descriptor table of its own, in which fd 2 is a pipe that ends in the output of
// hosted code. Reports would be lost there.
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>

// Called by the sanitizers for each piece of text they print. Plain system calls: it may run inside anything.
extern "C" __attribute__((no_sanitize("address", "thread", "undefined"))) void __sanitizer_on_print(const char* text) {
  // The descriptors of the process are those of its first thread.
  const long process = syscall(SYS_pidfd_open, getpid(), 0);
  if (process < 0) return;
  const long fd = syscall(SYS_pidfd_getfd, process, STDERR_FILENO, 0);
  struct stat ours, theirs;
  if (fd >= 0 && fstat(STDERR_FILENO, &ours) == 0 && fstat(fd, &theirs) == 0 &&
      (ours.st_ino != theirs.st_ino || ours.st_dev != theirs.st_dev)) {
    syscall(SYS_write, fd, text, strlen(text));
  }
  if (fd >= 0) syscall(SYS_close, fd);
  syscall(SYS_close, process);
}
