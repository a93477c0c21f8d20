#pragma once
/// A device whose power can be cut, and every state that a disk may be found in afterwards.

#include <ashlar/concepts/block_device.hpp>
#include <ashlar/testing/random_bits.hpp>

#include <algorithm>
#include <concepts>
#include <cstring>
#include <mutex>
#include <span>
#include <vector>

namespace ashlar::inline v0 {

/// What of the work since the last sync is found after a power cut.
enum class unsynced : std::uint8_t {
    none,            ///< Nothing of it.
    all,             ///< All of it, in order.
    drop_one,        ///< All but operation `at`.
    keep_one,        ///< Only operation `at`.
    tear_last,       ///< All, but of the last operation only the first `at` sectors.
    tear_last_tail,  ///< All, but of the last operation only the sectors from `at` on.
    some_writes,     ///< A random choice of whole operations.
    some_sectors,    ///< A random choice of single sectors of every operation.
};

/// One outcome of a power cut. The same choice of the same work gives the same bytes.
struct crash_choice {
    unsynced      keep = unsynced::none;
    std::uint64_t at   = 0;  ///< Number of an operation among the unsynced, or of a sector of the last; else not used.
    std::uint64_t seed = 0;  ///< For the random choices.
};

/// What a trimmed block holds: all of these are allowed by the fault model.
enum class trim_leaves : std::uint8_t { old_bytes, zeros, garbage };

/// Any device, minus power. The inner device holds the newest bytes, which is what reads answer; beside it stand the
/// bytes that a sync has made durable and the list of writes and trims since then. A cut chooses among these, per
/// sector of 512 bytes.
///
/// Made for many cuts of one image: `keep_base` remembers a state, `reset` goes back to it and copies only blocks that
/// were touched since; nothing is allocated once the lists have grown. Memory: three times the device in all.
/// Safe from: several threads.
template <BlockDevice Inner>
class power_cut_device {
  public:
    static constexpr std::size_t sector_bytes = 512;

    /// What `inner` holds counts as durable and becomes the base. Precondition: it can be read.
    explicit power_cut_device(Inner& inner, trim_leaves trimmed = trim_leaves::garbage)
        : inner_{inner}, trimmed_{trimmed} {
        const auto shape = inner_.geometry();
        durable_.resize(static_cast<std::size_t>(bytes_of(shape.blocks, shape.size)));
        must(inner_.read({block_index{0}, shape.blocks}, durable_));
        base_ = durable_;
        touched_.resize(static_cast<std::size_t>(shape.blocks.value));
    }

    [[nodiscard]] device_geometry geometry() const noexcept { return inner_.geometry(); }

    [[nodiscard]] result<> read(extent e, std::span<std::byte> in) noexcept {
        const std::lock_guard lock{mutex_};
        if (!powered_) return error{errc::device_failed, e.first};
        return inner_.read(e, in);
    }

    [[nodiscard]] result<> write(extent e, std::span<const std::byte> out) noexcept {
        const std::lock_guard lock{mutex_};
        if (!powered_) return error{errc::device_failed, e.first};
        BOOST_OUTCOME_TRY(inner_.write(e, out));
        note(e, out);
        ++writes_;
        if (armed_ && --writes_left_ == 0) powered_ = false;
        return success();
    }

    [[nodiscard]] result<> sync() noexcept {
        const std::lock_guard lock{mutex_};
        if (!powered_) return errc::device_failed;
        BOOST_OUTCOME_TRY(inner_.sync());
        apply({.keep = unsynced::all}, durable_);
        forget();
        ++syncs_;
        return success();
    }

    [[nodiscard]] result<> trim(extent e) noexcept {
        const std::lock_guard lock{mutex_};
        if (!powered_) return error{errc::device_failed, e.first};
        BOOST_OUTCOME_TRY(inner_.trim(e));
        if (trimmed_ == trim_leaves::old_bytes || e.empty()) return success();
        scratch_.assign(static_cast<std::size_t>(bytes_of(e.count, geometry().size)), std::byte{0});
        if (trimmed_ == trim_leaves::garbage) random_bits{e.first.value + 1}.fill(scratch_);
        BOOST_OUTCOME_TRY(inner_.write(e, scratch_));
        note(e, scratch_);
        return success();
    }

    /// Power goes as soon as `writes` more writes have returned; 0 cuts at once. From then on every call fails until
    /// `restart` or `reset`.
    void cut_after(std::uint64_t writes) noexcept {
        const std::lock_guard lock{mutex_};
        armed_       = writes > 0;
        writes_left_ = writes;
        powered_     = writes > 0;
    }

    [[nodiscard]] bool          powered() const noexcept { return powered_; }
    [[nodiscard]] std::uint64_t writes() const noexcept { return writes_; }  ///< Since construction or `reset`.
    [[nodiscard]] std::uint64_t syncs() const noexcept { return syncs_; }

    /// Writes and effective trims since the last sync: the range of `at` for drop_one and keep_one.
    [[nodiscard]] std::size_t operations_unsynced() const noexcept { return pending_.size(); }
    /// Sectors of the last of them: `at` from 1 to one less tears it.
    [[nodiscard]] std::size_t sectors_of_last() const noexcept {
        return pending_.empty() ? 0 : pending_.back().bytes / sector_bytes;
    }

    /// Writes into `image` what the disk would hold. Precondition: `image` has the size of the device.
    void crash_image(crash_choice choice, std::span<std::byte> image) const noexcept {
        const std::lock_guard lock{mutex_};
        ASHLAR_ASSERT(image.size() == durable_.size());
        std::memcpy(image.data(), durable_.data(), durable_.size());
        apply(choice, image);
    }

    /// The same as a list of pieces, in order: `kept(at, bytes)` says which bytes of the disk become which. What is not
    /// named stays as it is durable.
    template <class Kept>
    void for_each_kept(crash_choice choice, Kept kept) const {
        const std::lock_guard lock{mutex_};
        apply(choice, kept);
    }

    /// Cuts the power now, if it is not off yet, and comes up again in the state chosen, all of it durable.
    void restart(crash_choice choice) noexcept {
        const std::lock_guard lock{mutex_};
        apply(choice, durable_);
        for (const auto& one : pending_) put_back(one.first, one.bytes, durable_);
        forget();
        power_on();
    }

    /// Remembers what is durable as the state that `reset` returns to.
    void keep_base() noexcept {
        const std::lock_guard lock{mutex_};
        const auto            size = geometry().size;
        for (const auto block : touched_list_) {
            const auto at = static_cast<std::size_t>(byte_offset(block, size));
            std::memcpy(base_.data() + at, durable_.data() + at, size.bytes);
        }
        untouch();
        for (const auto& one : pending_) touch(one.first, one.bytes);
    }

    /// Makes `image` the base and the state. Precondition: it has the size of the device.
    void set_base(std::span<const std::byte> image) noexcept {
        const std::lock_guard lock{mutex_};
        ASHLAR_ASSERT(image.size() == base_.size());
        std::memcpy(base_.data(), image.data(), image.size());
        std::memcpy(durable_.data(), image.data(), image.size());
        put_back(block_index{0}, durable_.size(), durable_);
        forget();
        untouch();
        power_on();
        writes_ = syncs_ = 0;
    }

    /// Goes back to the base with power on and counters at zero. Cost: a copy of the blocks touched since.
    void reset() noexcept {
        const std::lock_guard lock{mutex_};
        const auto            size = geometry().size;
        for (const auto block : touched_list_) {
            const auto at = static_cast<std::size_t>(byte_offset(block, size));
            std::memcpy(durable_.data() + at, base_.data() + at, size.bytes);
            put_back(block, size.bytes, durable_);
        }
        forget();
        untouch();
        power_on();
        writes_ = syncs_ = 0;
    }

    [[nodiscard]] std::span<const std::byte> durable() const noexcept { return durable_; }

  private:
    struct operation {
        block_index first{};
        std::size_t bytes = 0;
        std::size_t at    = 0;  // of its bytes in arena_
    };

    static void must(const result<>& done) noexcept { ASHLAR_ASSERT(done.has_value()); }

    void note(extent e, std::span<const std::byte> out) {
        if (out.empty()) return;
        pending_.push_back({e.first, out.size(), arena_.size()});
        arena_.insert(arena_.end(), out.begin(), out.end());
        touch(e.first, out.size());
    }

    void touch(block_index first, std::size_t bytes) {
        const auto blocks = whole_blocks(bytes, geometry().size);
        for (block_count i{}; i < blocks; i += block_count{1}) {
            const auto block = first + i;
            if (touched_[static_cast<std::size_t>(block.value)]) continue;
            touched_[static_cast<std::size_t>(block.value)] = true;
            touched_list_.push_back(block);
        }
    }

    void untouch() noexcept {
        for (const auto block : touched_list_) touched_[static_cast<std::size_t>(block.value)] = false;
        touched_list_.clear();
    }

    void forget() noexcept {
        pending_.clear();
        arena_.clear();
    }

    void power_on() noexcept {
        powered_ = true;
        armed_   = false;
    }

    void put_back(block_index first, std::size_t bytes, std::span<const std::byte> image) noexcept {
        const auto size = geometry().size;
        const auto at   = static_cast<std::size_t>(byte_offset(first, size));
        must(inner_.write({first, whole_blocks(bytes, size)}, image.subspan(at, bytes)));
    }

    void apply(crash_choice choice, std::span<std::byte> image) const noexcept {
        apply(choice, [&](std::size_t at, std::span<const std::byte> bytes) noexcept {
            std::memcpy(image.data() + at, bytes.data(), bytes.size());
        });
    }

    template <class Kept>
        requires std::invocable<Kept&, std::size_t, std::span<const std::byte>>
    void apply(crash_choice choice, Kept&& kept) const {
        random_bits random{choice.seed};
        for (std::size_t i = 0; i < pending_.size(); ++i) {
            const auto& one     = pending_[i];
            const auto  sectors = one.bytes / sector_bytes;
            for (std::size_t s = 0; s < sectors; ++s) {
                if (s == 0 && choice.keep == unsynced::some_writes && random.next() % 2 == 0) break;
                if (!survives(choice, random, i, s)) continue;
                const auto to = static_cast<std::size_t>(byte_offset(one.first, geometry().size)) + s * sector_bytes;
                kept(to, std::span<const std::byte>{arena_}.subspan(one.at + s * sector_bytes, sector_bytes));
            }
        }
    }

    bool survives(crash_choice choice, random_bits& random, std::size_t number, std::size_t sector) const noexcept {
        const bool last = number + 1 == pending_.size();
        switch (choice.keep) {
            case unsynced::none: return false;
            case unsynced::all: return true;
            case unsynced::drop_one: return number != choice.at;
            case unsynced::keep_one: return number == choice.at;
            case unsynced::tear_last: return !last || sector < choice.at;
            case unsynced::tear_last_tail: return !last || sector >= choice.at;
            case unsynced::some_writes: return true;  // decided once for the whole operation
            case unsynced::some_sectors: return random.next() % 2 == 0;
        }
        return false;
    }

    Inner&                   inner_;
    trim_leaves              trimmed_;
    mutable std::mutex       mutex_;
    std::vector<std::byte>   durable_;
    std::vector<std::byte>   base_;
    std::vector<std::byte>   arena_;  // bytes of the unsynced operations, one after the other
    std::vector<operation>   pending_;
    std::vector<std::byte>   scratch_;
    std::vector<bool>        touched_;  // since the base
    std::vector<block_index> touched_list_;
    std::uint64_t            writes_      = 0;
    std::uint64_t            syncs_       = 0;
    std::uint64_t            writes_left_ = 0;
    bool                     armed_       = false;
    bool                     powered_     = true;
};

}  // namespace ashlar::inline v0
