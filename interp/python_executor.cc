#include "interp/python_executor.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "channels/error.h"
#include "interp/python_runtime.h"

namespace interpd::interp {
namespace {

constexpr size_t kMaxParsedTargets = 256;
constexpr size_t kMaxRegisteredSources = 64;
constexpr size_t kMaxRegisteredBytes = 1 << 20;

// Any Python text as valid UTF-8; lone surrogates are written out.
std::string ToUtf8(PyObject* text) {
  if (text == nullptr || !PyUnicode_Check(text)) return "";
  PyRef bytes = PyRef::Steal(PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace"));
  if (!bytes) {
    PyErr_Clear();
    return "";
  }
  return std::string(PyBytes_AS_STRING(bytes.get()), static_cast<size_t>(PyBytes_GET_SIZE(bytes.get())));
}

PyRef FromUtf8(std::string_view text) {
  return PyRef::Steal(PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "surrogateescape"));
}

// From the tuple that hosted.describe returns.
std::unique_ptr<ExceptionInfo> ToExceptionInfo(PyObject* tuple) {
  if (!PyTuple_Check(tuple) || PyTuple_GET_SIZE(tuple) != 8) return nullptr;
  auto info = std::make_unique<ExceptionInfo>();
  info->type = ToUtf8(PyTuple_GET_ITEM(tuple, 0));
  info->qualified_name = ToUtf8(PyTuple_GET_ITEM(tuple, 1));
  info->message = ToUtf8(PyTuple_GET_ITEM(tuple, 2));
  info->formatted = ToUtf8(PyTuple_GET_ITEM(tuple, 3));
  PyObject* frames = PyTuple_GET_ITEM(tuple, 4);
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(frames); ++i) {
    PyObject* frame = PyList_GET_ITEM(frames, i);
    info->frames.push_back({.filename = ToUtf8(PyTuple_GET_ITEM(frame, 0)),
                            .line = static_cast<int>(PyLong_AsLong(PyTuple_GET_ITEM(frame, 1))),
                            .function = ToUtf8(PyTuple_GET_ITEM(frame, 2)),
                            .source = ToUtf8(PyTuple_GET_ITEM(frame, 3))});
  }
  PyObject* notes = PyTuple_GET_ITEM(tuple, 5);
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(notes); ++i) info->notes.push_back(ToUtf8(PyList_GET_ITEM(notes, i)));
  info->cause = ToExceptionInfo(PyTuple_GET_ITEM(tuple, 6));
  info->context = ToExceptionInfo(PyTuple_GET_ITEM(tuple, 7));
  return info;
}

// The public callables of a namespace, for error messages: "; it has: f, g" or "".
std::string WhatExists(PyObject* dict) {
  std::vector<std::string> names;
  Py_ssize_t position = 0;
  PyObject* key;
  PyObject* value;
  while (dict != nullptr && PyDict_Check(dict) && PyDict_Next(dict, &position, &key, &value)) {
    if (!PyUnicode_Check(key) || !PyCallable_Check(value)) continue;
    std::string name = ToUtf8(key);
    if (name.empty() || name[0] == '_') continue;
    names.push_back(std::move(name));
    if (names.size() > 20) return "";
  }
  if (names.empty()) return "";
  std::sort(names.begin(), names.end());
  return absl::StrCat("; it has: ", absl::StrJoin(names, ", "));
}

// Makes this thread the interpreter's main thread in the eyes of `threading`, which would take the process's.
// Must come before `threading` is imported.
bool BecomeMainThread() {
  static PyMethodDef method = {"_get_main_thread_ident", [](PyObject* ident, PyObject*) { return Py_NewRef(ident); },
                               METH_NOARGS, nullptr};
  PyRef module = PyRef::Steal(PyImport_ImportModule("_thread"));
  PyRef ident = PyRef::Steal(PyLong_FromUnsignedLong(PyThread_get_thread_ident()));
  PyRef function = ident ? PyRef::Steal(PyCFunction_New(&method, ident.get())) : PyRef();
  return module && function && PyObject_SetAttrString(module.get(), method.ml_name, function.get()) == 0;
}

bool IsAwaitable(PyObject* object) {
  const PyAsyncMethods* methods = Py_TYPE(object)->tp_as_async;
  return methods != nullptr && methods->am_await != nullptr;
}

}  // namespace

// ---- hosted.py ----------------------------------------------------------------------------------------------------

PyRef PythonExecutor::Hosted(const char* function) {
  if (!hosted_) {
    const std::string& code = PythonRuntime::hosted_code();
    PyRef object = PyRef::Steal(PyMarshal_ReadObjectFromString(code.data(), static_cast<Py_ssize_t>(code.size())));
    if (!object) return {};
    hosted_ = PyRef::Steal(PyImport_ExecCodeModule("_interpd_hosted", object.get()));
    if (!hosted_) return {};
  }
  return PyRef::Steal(PyObject_GetAttrString(hosted_.get(), function));
}

template <typename... Args>
PyRef PythonExecutor::CallHosted(const char* function, const char* format, Args... args) {
  PyRef callable = Hosted(function);
  if (!callable) return {};
  PyRef tuple = PyRef::Steal(Py_BuildValue(format, args...));
  if (!tuple) return {};
  return PyRef::Steal(PyObject_CallObject(callable.get(), tuple.get()));
}

// ---- beginning and end --------------------------------------------------------------------------------------------

absl::Status PythonExecutor::SetUp(const InterpreterConfig& config) {
  auto failed = [&](std::string_view what) {
    std::unique_ptr<ExceptionInfo> info = DescribeException();
    return channels::MakeError(absl::StatusCode::kFailedPrecondition, "INTERPRETER_FAILED",
                               absl::StrCat(what, ":\n", info->formatted));
  };
  main_dict_ = PyRef::Borrow(PyModule_GetDict(PyImport_AddModule("__main__")));
  PyRef builtins = PyRef::Borrow(PyEval_GetBuiltins());
  compile_ = PyRef::Borrow(PyDict_GetItemString(builtins.get(), "compile"));
  flush_name_ = PyRef::Steal(PyUnicode_InternFromString("flush"));
  PyRef sys = PyRef::Steal(PyImport_ImportModule("sys"));
  if (!main_dict_ || !compile_ || !flush_name_ || !sys) return failed("the interpreter is incomplete");
  sys_dict_ = PyRef::Borrow(PyModule_GetDict(sys.get()));
  for (const char* name : {"stdout", "stderr"}) {
    OwnStream& stream = streams_[name == std::string_view("stderr")];
    stream.name = PyRef::Steal(PyUnicode_InternFromString(name));
    stream.object = stream.name ? PyRef::Borrow(PyDict_GetItemWithError(sys_dict_.get(), stream.name.get())) : PyRef();
    if (!stream.object) return failed("the interpreter is incomplete");
    stream.peek = StreamPeek(stream.object.get());
  }

  if (!BecomeMainThread()) return failed("the thread could not be set up");
  // Output goes out line by line, as on a terminal, so that it streams.
  PyRef reconfigure = PyRef::Steal(PyObject_GetAttrString(streams_[0].object.get(), "reconfigure"));
  PyRef no_args = PyRef::Steal(PyTuple_New(0));
  PyRef line_buffering = PyRef::Steal(Py_BuildValue("{s:O}", "line_buffering", Py_True));
  if (!reconfigure || !no_args || !line_buffering ||
      !PyRef::Steal(PyObject_Call(reconfigure.get(), no_args.get(), line_buffering.get()))) {
    return failed("sys.stdout could not be set up");
  }

  if (!config.path.empty() || !config.venv.empty() || config.site) {
    PyRef path = PyRef::Steal(PyList_New(0));
    for (const std::string& entry : config.path) {
      PyRef text = FromUtf8(entry);
      if (!path || !text || PyList_Append(path.get(), text.get()) < 0) return failed("sys.path could not be set up");
    }
    if (!CallHosted("set_up", "(OsO)", path.get(), config.venv.c_str(), config.site ? Py_True : Py_False)) {
      return failed("sys.path could not be set up");
    }
  }
  if (!config.setup_source.empty()) {
    ExecResult result = Exec({.source = config.setup_source, .filename = "<setup>"});
    PyDict_DelItemString(main_dict_.get(), "__file__");
    PyErr_Clear();
    FlushOwnStreams();
    if (result.exit_code != 0) {
      return channels::MakeError(
          absl::StatusCode::kFailedPrecondition, "INTERPRETER_FAILED",
          result.exception ? absl::StrCat("the set-up code raised an exception:\n", result.exception->formatted)
                           : absl::StrCat("the set-up code exited with code ", result.exit_code));
    }
  }
  return absl::OkStatus();
}

void PythonExecutor::RunAtExit() {
  // Not loaded: no event loop was ever made.
  if (hosted_ && !CallHosted("close_runner", "()")) PyErr_Print();
  PyRef atexit = PyRef::Steal(PyImport_ImportModule("atexit"));
  if (!atexit || !PyRef::Steal(PyObject_CallMethod(atexit.get(), "_run_exitfuncs", nullptr))) PyErr_Print();
  FlushReplacedStreams();
  FlushOwnStreams();
}

std::string PythonExecutor::Stacks() {
  PyRef text = CallHosted("stacks", "()");
  if (!text) PyErr_Clear();
  return ToUtf8(text.get());
}

void PythonExecutor::FlushStream(PyObject* stream) {
  PyRef done = PyRef::Steal(PyObject_CallMethodNoArgs(stream, flush_name_.get()));
  if (!done) PyErr_Clear();  // closed, or an object without flush: nothing to write
}

void PythonExecutor::FlushReplacedStreams() {
  for (const OwnStream& own : streams_) {
    PyRef stream = PyRef::Borrow(PyDict_GetItemWithError(sys_dict_.get(), own.name.get()));
    if (!stream) PyErr_Clear();
    const bool replaced = stream && stream.get() != streams_[0].object.get() &&
                          stream.get() != streams_[1].object.get() && stream.get() != Py_None;
    if (replaced) FlushStream(stream.get());
  }
}

void PythonExecutor::FlushOwnStreams() {
  for (const OwnStream& own : streams_) {
    if (own.peek.MayHoldText()) FlushStream(own.object.get());
  }
}

// ---- exec ---------------------------------------------------------------------------------------------------------

absl::Status PythonExecutor::SetArguments(const ExecRequest& request) {
  PyRef argv = PyRef::Steal(PyList_New(0));
  PyRef first = FromUtf8(request.filename.empty() ? "-c" : request.filename);
  if (!argv || !first || PyList_Append(argv.get(), first.get()) < 0) return absl::InternalError("");
  for (const std::string& arg : request.args) {
    PyRef text = FromUtf8(arg);
    if (!text || PyList_Append(argv.get(), text.get()) < 0) return absl::InternalError("");
  }
  if (PySys_SetObject("argv", argv.get()) < 0) return absl::InternalError("");
  if (!request.filename.empty()) {
    if (PyDict_SetItemString(main_dict_.get(), "__file__", first.get()) < 0) return absl::InternalError("");
  } else if (PyDict_DelItemString(main_dict_.get(), "__file__") < 0) {
    PyErr_Clear();  // there was none
  }
  return absl::OkStatus();
}

void PythonExecutor::RegisterSource(const std::string& filename, PyObject* source) {
  // What cannot be decoded or is huge goes without source lines in tracebacks.
  if (static_cast<size_t>(PyBytes_GET_SIZE(source)) <= kMaxRegisteredBytes) {
    PyRef text = PyRef::Steal(PyUnicode_FromEncodedObject(source, "utf-8", "replace"));
    if (text && CallHosted("register_source", "(sO)", filename.c_str(), text.get())) {
      if (filename[0] == '<') registered_sources_.push_back(filename);
      if (registered_sources_.size() > kMaxRegisteredSources) {
        CallHosted("forget_source", "(s)", registered_sources_.front().c_str());
        registered_sources_.pop_front();
      }
    }
  }
  PyErr_Clear();
}

ExecResult PythonExecutor::Exec(const ExecRequest& request) {
  const std::string filename = request.filename.empty() ? absl::StrCat("<exec-", ++exec_count_, ">") : request.filename;
  if (!SetArguments(request).ok()) return TakeException();
  PyRef name = FromUtf8(filename);
  PyRef source =
      PyRef::Steal(PyBytes_FromStringAndSize(request.source.data(), static_cast<Py_ssize_t>(request.source.size())));
  if (!name || !source) return TakeException();
  RegisterSource(filename, source.get());

  PyRef code;
  if (request.interactive) {
    PyRef text = PyRef::Steal(PyUnicode_FromEncodedObject(source.get(), "utf-8", "strict"));
    if (text) code = CallHosted("compile_interactive", "(OO)", text.get(), name.get());
    if (code.get() == Py_None) return {.incomplete = true};
  } else {
    // The built-in takes care of coding lines, NULs and invalid UTF-8. Its last argument: do not inherit future flags.
    code = PyRef::Steal(PyObject_CallFunction(compile_.get(), "OOsiO", source.get(), name.get(), "exec", 0, Py_True));
  }
  if (!code) return TakeException();
  source = PyRef();  // what runs may run for long
  PyRef result = PyRef::Steal(PyEval_EvalCode(code.get(), main_dict_.get(), main_dict_.get()));
  if (!result) return TakeException();
  return {};
}

ExecResult PythonExecutor::TakeException() {
  ExecResult result{.exit_code = 1};
  if (!PyErr_ExceptionMatches(PyExc_SystemExit)) {
    result.exception = DescribeException();
    return result;
  }
  PyRef exit = PyRef::Steal(PyErr_GetRaisedException());
  PyRef code = PyRef::Steal(PyObject_GetAttrString(exit.get(), "code"));
  if (!code) PyErr_Clear();
  if (!code || code.get() == Py_None) {
    result.exit_code = 0;
  } else if (PyLong_Check(code.get())) {
    int overflow = 0;
    result.exit_code = static_cast<int>(PyLong_AsLongAndOverflow(code.get(), &overflow));
    if (overflow != 0) result.exit_code = -1;
  } else {
    // As `python` does: the object goes to stderr.
    PyRef text = PyRef::Steal(PyObject_Str(code.get()));
    PyObject* stream = PySys_GetObject("stderr");
    if (text && stream != nullptr && stream != Py_None && PyFile_WriteObject(text.get(), stream, Py_PRINT_RAW) == 0) {
      PyFile_WriteString("\n", stream);
    }
    PyErr_Clear();
  }
  return result;
}

std::unique_ptr<ExceptionInfo> PythonExecutor::DescribeException() {
  PyRef error = PyRef::Steal(PyErr_GetRaisedException());
  auto info = std::make_unique<ExceptionInfo>();
  if (!error) {
    info->type = info->qualified_name = "SystemError";
    info->formatted = "SystemError: an error without an exception\n";
    return info;
  }
  // An interrupt that is repeated until its code ends may hit here too: describing takes less long than its pauses.
  for (int attempt = 0; attempt < 3; ++attempt) {
    PyRef tuple = CallHosted("describe", "(O)", error.get());
    auto described = tuple ? ToExceptionInfo(tuple.get()) : nullptr;
    if (described) return described;
    const bool interrupted = PyErr_ExceptionMatches(PyExc_KeyboardInterrupt);
    PyErr_Clear();
    if (!interrupted) break;
  }
  // Python is short of memory or stack: say what C can say.
  info->type = info->qualified_name = Py_TYPE(error.get())->tp_name;
  PyRef text = PyRef::Steal(PyObject_Str(error.get()));
  PyErr_Clear();
  info->message = ToUtf8(text.get());
  info->formatted = absl::StrCat(info->type, ": ", info->message, "\n");
  return info;
}

// ---- call ---------------------------------------------------------------------------------------------------------

const PythonExecutor::Target* PythonExecutor::FindTarget(const std::string& text) {
  if (last_target_ != nullptr && last_target_->first == text) return &last_target_->second;
  auto known = targets_.find(text);
  if (known != targets_.end()) {
    last_target_ = &*known;
    return &known->second;
  }
  Target target;
  std::string_view names = text;
  if (size_t colon = names.find(':'); colon != std::string_view::npos) {
    if (colon == 0) return nullptr;
    target.module = FromUtf8(names.substr(0, colon));
    if (!target.module) return nullptr;
    names.remove_prefix(colon + 1);
  }
  for (std::string_view name : absl::StrSplit(names, '.')) {
    if (name.empty()) return nullptr;
    PyObject* interned = FromUtf8(name).release();
    if (interned == nullptr) return nullptr;
    PyUnicode_InternInPlace(&interned);
    target.attributes.push_back(PyRef::Steal(interned));
  }
  if (targets_.size() >= kMaxParsedTargets) targets_.clear();
  last_target_ = &*targets_.emplace(text, std::move(target)).first;
  return &last_target_->second;
}

absl::StatusOr<PyRef> PythonExecutor::Resolve(const std::string& text, std::unique_ptr<ExceptionInfo>* exception) {
  auto not_found = [&](std::string_view why) {
    return channels::MakeError(absl::StatusCode::kNotFound, "TARGET_NOT_FOUND", why, {{"target", text}});
  };
  const Target* target = FindTarget(text);
  if (target == nullptr) {
    PyErr_Clear();
    return not_found(absl::StrCat("'", text, "' is not of the form MODULE:FUNCTION or NAME"));
  }
  PyRef object;
  size_t next = 0;
  std::string holder;
  if (target->module) {
    // What is imported already is found without going through the import system.
    object = PyRef::Steal(PyImport_GetModule(target->module.get()));
    if (!object && !PyErr_Occurred()) object = PyRef::Steal(PyImport_Import(target->module.get()));
    holder = ToUtf8(target->module.get());
    if (!object) {
      PyRef error = PyRef::Steal(PyErr_GetRaisedException());
      if (PyErr_GivenExceptionMatches(error.get(), PyExc_ModuleNotFoundError)) {
        PyRef missing = PyRef::Steal(PyObject_GetAttrString(error.get(), "name"));
        PyErr_Clear();
        std::string name = ToUtf8(missing.get());
        if (!name.empty() && (holder == name || holder.starts_with(name + "."))) {
          return not_found(absl::StrCat("there is no module '", name, "' on the interpreter's sys.path"));
        }
      }
      PyErr_SetRaisedException(error.release());
      *exception = DescribeException();
      return PyRef();
    }
  } else {
    holder = "__main__";
    object = PyRef::Borrow(PyDict_GetItemWithError(main_dict_.get(), target->attributes[0].get()));
    next = 1;
    if (!object) {
      PyErr_Clear();
      return not_found(
          absl::StrCat("__main__ has no '", ToUtf8(target->attributes[0].get()), "'", WhatExists(main_dict_.get())));
    }
  }
  for (; next < target->attributes.size(); ++next) {
    PyRef attribute = PyRef::Steal(PyObject_GetAttr(object.get(), target->attributes[next].get()));
    if (!attribute) {
      if (!PyErr_ExceptionMatches(PyExc_AttributeError)) {
        *exception = DescribeException();
        return PyRef();
      }
      PyErr_Clear();
      PyObject* dict = PyModule_Check(object.get()) ? PyModule_GetDict(object.get()) : nullptr;
      return not_found(
          absl::StrCat("'", holder, "' has no '", ToUtf8(target->attributes[next].get()), "'", WhatExists(dict)));
    }
    holder = absl::StrCat(holder, next == 0 && target->module ? ":" : ".", ToUtf8(target->attributes[next].get()));
    object = std::move(attribute);
  }
  return object;
}

absl::StatusOr<CallResult> PythonExecutor::Call(const CallRequest& request) {
  CallResult result;
  absl::StatusOr<PyRef> function = Resolve(request.target, &result.exception);
  if (!function.ok()) return function.status();
  if (result.exception) return result;
  if (!PyCallable_Check(function->get())) {
    const char* type = Py_TYPE(function->get())->tp_name;
    return channels::MakeError(absl::StatusCode::kInvalidArgument, "TARGET_NOT_CALLABLE",
                               absl::StrCat("'", request.target, "' is a ", type, " and cannot be called"),
                               {{"target", request.target}, {"type", type}});
  }
  PyRef args = request.args.kind() == channels::Kind::kNone ? PyRef::Steal(PyTuple_New(0)) : Decode(request.args);
  PyRef kwargs;
  if (args && request.kwargs.kind() != channels::Kind::kNone) {
    kwargs = Decode(request.kwargs);
    if (!kwargs) args = PyRef();
  }
  if (!args) {
    std::unique_ptr<ExceptionInfo> info = DescribeException();
    return channels::MakeError(
        absl::StatusCode::kInvalidArgument, "INVALID_VALUE",
        absl::StrCat("the arguments cannot be made in Python: ", info->type, ": ", info->message), {{"field", "args"}});
  }
  PyRef value = PyRef::Steal(PyObject_Call(function->get(), args.get(), kwargs.get()));
  if (value && IsAwaitable(value.get())) value = CallHosted("run_awaitable", "(O)", value.get());
  if (!value) {
    result.exception = DescribeException();
    return result;
  }
  absl::StatusOr<channels::Value> encoded = Encode(value.get(), limits_);
  if (!encoded.ok()) return encoded.status();
  result.value = *std::move(encoded);
  return result;
}

}  // namespace interpd::interp
