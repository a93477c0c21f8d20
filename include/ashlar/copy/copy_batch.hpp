#pragma once
/// A batch of a copy: what is read together, and then done to the target in order.

#include <ashlar/channel_request.hpp>
#include <ashlar/concepts/transfer_queue.hpp>
#include <ashlar/format/object_record.hpp>
#include <ashlar/vocabulary/extent.hpp>
#include <ashlar/vocabulary/ratio.hpp>
#include <ashlar/volume/arena.hpp>

namespace ashlar::inline v0 {

/// One thing to do to the object that is copied.
struct copy_act {
    enum class verb : std::uint8_t {
        write,    ///< What was read from the source.
        keep,     ///< The target has it already.
        reserve,  ///< Blocks that hold nothing yet.
        pin,
    };

    verb                 what = verb::keep;
    logical_block        first{};
    block_count          count{};
    block_index          physical{};   ///< In the source.
    std::uint64_t        granted = 0;  ///< By the throttle.
    request              asked{};      ///< The read.
    std::span<std::byte> memory{};     ///< Whole blocks.

    /// The write of this act and those that follow it, where it begins one: into blocks that the target has reserved.
    transfer put{};
    bool     sent = false;  ///< It was begun: its blocks are to be placed, or released.
};

/// An object, or the part of it that this batch has.
struct copied_object {
    object_state  seen{};  ///< When it was begun.
    std::uint64_t record = 0;
    std::size_t   acts   = 0;
    bool          ends   = false;  ///< Its last part.
    bool          held   = false;  ///< The target had something of it: what does not belong there goes.
    bool          raced  = false;  ///< It changed meanwhile: it stays incomplete until the next pass.
    logical_block reached{};       ///< What lies before is as in the source.
};

class copy_batch {
  public:
    static constexpr std::size_t acts_max    = 32;
    static constexpr std::size_t objects_max = 32;
    static constexpr std::size_t lanes_max   = 2;  ///< Transfers of a region: few and long ones.

    void take(arena& from, std::size_t bytes, std::size_t alignment) noexcept {
        objects_ = from.take<copied_object>(objects_max);
        acts_    = from.take<copy_act>(acts_max);
        order_   = from.take<copy_act*>(acts_max);
        memory_  = from.take_bytes(bytes, alignment);
    }

    void clear() noexcept { used_ = objects_used_ = acts_used_ = reads_ = 0; }

    [[nodiscard]] bool                     empty() const noexcept { return objects_used_ == 0; }
    [[nodiscard]] std::span<copied_object> objects() noexcept { return objects_.first(objects_used_); }
    [[nodiscard]] std::span<copy_act>      acts() noexcept { return acts_.first(acts_used_); }
    [[nodiscard]] std::span<std::byte>     memory_left() const noexcept { return memory_.subspan(used_); }
    [[nodiscard]] bool                     has_room_for_object() const noexcept { return objects_used_ < objects_max; }
    /// For an act, and the pin behind it.
    [[nodiscard]] bool has_room_for_act() const noexcept { return acts_used_ + 2 <= acts_max; }

    /// Acts of an empty batch, each with an equal part of its memory, in whole blocks.
    [[nodiscard]] std::span<copy_act> lanes(block_size size) noexcept {
        const auto blocks = whole_blocks(memory_.size(), size).value;
        const auto count  = static_cast<std::size_t>(std::min<std::uint64_t>(blocks, lanes_max));
        const auto each   = static_cast<std::size_t>(bytes_of({quotient_of(blocks, count)}, size));
        for (std::size_t i = 0; i < count; ++i) {
            acts_[i]        = {};
            acts_[i].memory = memory_.subspan(i * each, each);
        }
        return acts_.first(count);
    }

    copied_object& add(const copied_object& object) noexcept { return objects_[objects_used_++] = object; }

    /// An act of the newest object.
    copy_act& add(copy_act::verb what, logical_block first, block_count count) noexcept {
        ++objects_[objects_used_ - 1].acts;
        acts_[acts_used_] = {.what = what, .first = first, .count = count};
        return acts_[acts_used_++];
    }
    /// Gives the newest act memory for its blocks. Precondition: there is so much.
    void lend(copy_act& act, block_size size) noexcept {
        const auto bytes = static_cast<std::size_t>(bytes_of(act.count, size));
        act.memory       = memory_.subspan(used_, bytes);
        used_ += bytes;
        auto at = reads_++;
        for (; at > 0 && order_[at - 1]->physical > act.physical; --at) order_[at] = order_[at - 1];
        order_[at] = &act;
    }
    /// What is to be read, in the order in which it lies on the source.
    [[nodiscard]] std::span<copy_act* const> reads() const noexcept { return order_.first(reads_); }

  private:
    std::span<copied_object> objects_{};
    std::span<copy_act>      acts_{};
    std::span<copy_act*>     order_{};
    std::span<std::byte>     memory_{};
    std::size_t              used_         = 0;
    std::size_t              objects_used_ = 0;
    std::size_t              acts_used_    = 0;
    std::size_t              reads_        = 0;
};

}  // namespace ashlar::inline v0
