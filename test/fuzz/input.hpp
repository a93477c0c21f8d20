#pragma once
/// Reads an input from its front; writes one for the seeds.

#include "target.hpp"

#include <ashlar/vocabulary/little_endian.hpp>

#include <cstring>
#include <initializer_list>
#include <utility>

namespace ashlar::fuzz {

/// What lies past the end reads as zeros, so that each prefix of an input is an input.
class input_reader {
  public:
    explicit input_reader(bytes_in input) noexcept : left_{input} {}

    [[nodiscard]] bool     ended() const noexcept { return left_.empty(); }
    [[nodiscard]] bytes_in rest() noexcept { return std::exchange(left_, {}); }

    template <class T>
    [[nodiscard]] T number() noexcept {
        std::byte  bytes[sizeof(T)]{};
        const auto have = left_.size() < sizeof(T) ? left_.size() : sizeof(T);
        if (have > 0) std::memcpy(bytes, left_.data(), have);
        left_ = left_.subspan(have);
        return load_little<T>(bytes);
    }
    [[nodiscard]] std::uint8_t  u8() noexcept { return number<std::uint8_t>(); }
    [[nodiscard]] std::uint16_t u16() noexcept { return number<std::uint16_t>(); }

    /// As many bytes as are left, at most `count`.
    [[nodiscard]] bytes_in bytes(std::size_t count) noexcept {
        const auto taken = left_.first(left_.size() < count ? left_.size() : count);
        left_            = left_.subspan(taken.size());
        return taken;
    }

  private:
    bytes_in left_;
};

class input_writer {
  public:
    template <class T>
    input_writer& number(T value) {
        std::byte bytes[sizeof(T)];
        store_little<T>(bytes, value);
        made_.insert(made_.end(), std::begin(bytes), std::end(bytes));
        return *this;
    }
    input_writer& u8(unsigned value) { return number(static_cast<std::uint8_t>(value)); }
    input_writer& u16(unsigned value) { return number(static_cast<std::uint16_t>(value)); }
    input_writer& bytes(bytes_in more) {
        made_.insert(made_.end(), more.begin(), more.end());
        return *this;
    }
    input_writer& u8s(std::initializer_list<unsigned> values) {
        for (const auto value : values) u8(value);
        return *this;
    }
    [[nodiscard]] const byte_vector& made() const noexcept { return made_; }

  private:
    byte_vector made_{};
};

}  // namespace ashlar::fuzz
