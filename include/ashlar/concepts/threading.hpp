#pragma once
/// Locks and waits, as the engine needs them.

#include <concepts>
#include <cstdint>

namespace ashlar::inline v0 {

/// Semantics: `mutex` excludes; `condition::wait` gives the mutex up, blocks until a wake that began after the wait,
/// and takes it again; `wake` wakes all. A `counter` is changed under a mutex and read by anybody at any time. A model
/// may have `yield()`, which lets other threads run. With `concurrent` false only one thread may ever enter, and all of
/// it is empty.
template <class T>
concept Threading = requires(typename T::mutex& mutex, typename T::condition& condition, typename T::counter& counter,
                             const typename T::counter& seen, std::uint64_t n) {
    { T::concurrent } -> std::convertible_to<bool>;
    mutex.lock();
    mutex.unlock();
    condition.wait(mutex);
    condition.wake();
    { counter.add(n) }
    noexcept;
    { counter.set(n) }
    noexcept;
    { seen.value() }
    noexcept->std::same_as<std::uint64_t>;
};

/// Holds a mutex for a scope.
template <Threading T>
class [[nodiscard]] locked {
  public:
    explicit locked(typename T::mutex& mutex) noexcept : mutex_{mutex} { mutex_.lock(); }
    ~locked() { mutex_.unlock(); }
    locked(const locked&)            = delete;
    locked& operator=(const locked&) = delete;

  private:
    typename T::mutex& mutex_;
};

}  // namespace ashlar::inline v0
