#include "interp/constant_pool.h"

#include <memory>
#include <mutex>
#include <utility>

#include "interp/constant_books.h"
#include "interp/constant_builder.h"
#include "interp/python_runtime.h"
#include "interp/subinterpreter.h"

namespace interpd::interp {
namespace {

using channels::Ref;

// A hidden interpreter, with a GIL of its own, to be attached to while building: comparing and hashing keys needs one,
// and the others are not to wait. Made when it is first wanted.
class BuildersInterpreter {
 public:
  BuildersInterpreter() = default;
  BuildersInterpreter(const BuildersInterpreter&) = delete;
  BuildersInterpreter& operator=(const BuildersInterpreter&) = delete;
  ~BuildersInterpreter() {
    if (state_ == nullptr) return;
    PyThreadState* thread_state = PyThreadState_New(state_);
    PyEval_RestoreThread(thread_state);
    Py_EndInterpreter(thread_state);
  }

  // Runs `build` attached, one at a time.
  template <typename Build>
  auto Run(Build&& build) -> decltype(build()) {
    {
      std::lock_guard lock(mutex_);
      absl::Status made = Make();
      if (!made.ok()) return made;
    }
    PyThreadState* thread_state = PyThreadState_New(state_);
    if (thread_state == nullptr) return absl::ResourceExhaustedError("there is not enough memory for the constant");
    PyEval_RestoreThread(thread_state);
    auto result = build();
    DeleteCurrent(thread_state);
    return result;
  }

 private:
  static void DeleteCurrent(PyThreadState* thread_state) {
    PyThreadState_Clear(thread_state);
    PyThreadState_DeleteCurrent();
  }

  // Requires mutex_.
  absl::Status Make() {
    if (state_ != nullptr) return absl::OkStatus();
    absl::StatusOr<SubInterpreter> made = SubInterpreter::Create();
    if (!made.ok()) return made.status();
    state_ = made->interpreter_state();
    DeleteCurrent(made->thread_state());  // whoever comes brings one of its own
    return absl::OkStatus();
  }

  std::mutex mutex_;
  PyInterpreterState* state_ = nullptr;
};

class Pool final : public ConstantPool {
 public:
  explicit Pool(std::shared_ptr<ConstantBooks> books) : books_(std::move(books)) {}

  absl::StatusOr<Ref<Constant>> Build(const channels::Value& value, BuildOptions options) override {
    absl::Status possible = PythonRuntime::constants_status();
    if (!possible.ok()) return possible;
    absl::StatusOr<Ref<BuiltConstant>> built =
        interpreter_.Run([&] { return BuildConstant(value, books_->limits(), std::move(options.progress)); });
    if (!built.ok()) return built.status();
    return Ref<Constant>(*std::move(built));
  }

  absl::StatusOr<PublishResult> Publish(std::string_view name, Ref<Constant> constant) override {
    // There is no other kind.
    return books_->Publish(name, Ref<BuiltConstant>::Adopt(static_cast<BuiltConstant*>(constant.release())));
  }

  absl::StatusOr<ConstantInfo> Get(std::string_view name) const override { return books_->Get(name); }
  std::vector<ConstantInfo> List(std::string_view after, size_t limit) const override {
    return books_->List(after, limit);
  }
  absl::Status Delete(std::string_view name) override { return books_->Delete(name); }
  ConstantTotals totals() const override { return books_->totals(); }

  absl::StatusOr<Ref<channels::ConstantRef>> Reference(std::string_view name) const override {
    absl::StatusOr<ConstantBooks::Newest> newest = books_->Find(name);
    if (!newest.ok()) return newest.status();
    PyObject* root = newest->constant->root();
    return Ref<channels::ConstantRef>(channels::MakeRef<ConstantObject>(std::move(newest->constant), root));
  }

 private:
  const std::shared_ptr<ConstantBooks> books_;
  BuildersInterpreter interpreter_;
};

}  // namespace

std::unique_ptr<ConstantPool> MakeConstantPool(std::shared_ptr<ConstantBooks> books) {
  return std::make_unique<Pool>(std::move(books));
}

}  // namespace interpd::interp
