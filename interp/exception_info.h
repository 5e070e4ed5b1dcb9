// An uncaught Python exception as plain data: a result that crosses threads and processes.
#ifndef INTERPD_INTERP_EXCEPTION_INFO_H_
#define INTERPD_INTERP_EXCEPTION_INFO_H_

#include <memory>
#include <string>
#include <vector>

namespace interpd::interp {

struct ExceptionInfo {
  struct Frame {
    std::string filename;
    int line = 0;          // from 1; 0 when unknown
    std::string function;  // qualified name
    std::string source;    // the line, stripped; empty when unknown
  };

  std::string type;            // type(e).__name__
  std::string qualified_name;  // module.qualname; without "builtins."
  std::string message;         // str(e)
  std::string formatted;       // as Python prints it
  std::vector<Frame> frames;   // outermost call first
  std::vector<std::string> notes;
  std::unique_ptr<ExceptionInfo> cause;
  std::unique_ptr<ExceptionInfo> context;
};

}  // namespace interpd::interp

#endif  // INTERPD_INTERP_EXCEPTION_INFO_H_
