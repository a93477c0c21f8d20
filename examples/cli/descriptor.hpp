#pragma once
/// A file descriptor that closes itself.

#include <unistd.h>

#include <utility>

namespace cli {

class descriptor {
  public:
    descriptor() noexcept = default;
    explicit descriptor(int number) noexcept : number_{number} {}
    descriptor(descriptor&& other) noexcept : number_{std::exchange(other.number_, -1)} {}
    descriptor& operator=(descriptor&& other) noexcept {
        std::swap(number_, other.number_);
        return *this;
    }
    ~descriptor() {
        if (number_ >= 0) ::close(number_);
    }

    [[nodiscard]] int  number() const noexcept { return number_; }
    [[nodiscard]] bool open() const noexcept { return number_ >= 0; }
    [[nodiscard]] int  release() noexcept { return std::exchange(number_, -1); }

  private:
    int number_ = -1;
};

}  // namespace cli
