#pragma once
/// The only cache: metadata blocks in memory, their pins, and what of them is not at home yet.

#include <ashlar/concepts/block_device.hpp>
#include <ashlar/volume/arena.hpp>
#include <ashlar/volume/cache_slot.hpp>
#include <ashlar/volume/dirty_bits.hpp>

#include <cstring>

namespace ashlar::inline v0 {

class metadata_cache;

/// One pin of a slot.
class [[nodiscard]] block_pin {
  public:
    block_pin() noexcept = default;
    block_pin(metadata_cache& cache, std::uint32_t slot) noexcept;
    block_pin(block_pin&& other) noexcept : cache_{other.cache_}, slot_{other.slot_} { other.cache_ = nullptr; }
    block_pin& operator=(block_pin&& other) noexcept;
    block_pin(const block_pin&)            = delete;
    block_pin& operator=(const block_pin&) = delete;
    ~block_pin() { release(); }

    void                        release() noexcept;
    [[nodiscard]] std::uint32_t slot() const noexcept { return slot_; }

  private:
    metadata_cache* cache_ = nullptr;
    std::uint32_t   slot_  = no_slot;
};

/// A fixed number of block slots, and of shadows. It reads through a source that it is given per call and writes
/// nothing.
class metadata_cache {
  public:
    /// Lays the cache out. `slots` blocks besides the frames; `shadows` blocks that open transactions change together.
    constexpr void take(arena& from, block_size block, std::size_t slots, std::size_t shadows) noexcept {
        block_              = block;
        slots_              = from.take<cache_slot>(slots + frame_slots);
        shadow_             = from.take<cache_shadow>(shadows);
        std::size_t buckets = 16;
        while (buckets < 2 * slots) buckets *= 2;
        heads_        = from.take<std::uint32_t>(buckets);
        open_         = from.take<std::uint32_t>(slots + frame_slots);
        frame_bytes_  = from.take_bytes(frame_slots * frame_content_bytes, io_alignment(block));
        bytes_        = from.take_bytes(slots << block.shift(), io_alignment(block));
        shadow_bytes_ = from.take_bytes(shadows << block.shift(), alignof(std::uint64_t));
        frame_bits_   = from.take<bits_word>(frame_slots * dirty_words(frame_content_bytes));
        bits_         = from.take<bits_word>(slots * dirty_words(block.bytes));
        shadow_bits_  = from.take<bits_word>(shadows * dirty_words(block.bytes));
    }

    /// After `take` with memory: everything empty.
    void clear() noexcept {
        for (auto& head : heads_) head = no_slot;
        for (auto& slot : slots_) slot = cache_slot{};
        for (auto& word : frame_bits_) word = 0;
        for (auto& word : bits_) word = 0;
        for (std::uint32_t i = 0; i < shadow_.size(); ++i) {
            shadow_[i] = {.slot = no_slot, .transaction = 0, .next = i + 1 < shadow_.size() ? i + 1 : no_slot};
        }
        free_shadow_  = shadow_.empty() ? no_slot : 0;
        shadows_free_ = shadow_.size();
        hand_         = frame_slots;
        open_count_   = 0;
        loading_      = 0;
        riding_       = 0;
    }

    [[nodiscard]] static constexpr std::size_t io_alignment(block_size block) noexcept {
        return block.bytes < 4096 ? 512 : 4096;
    }

    [[nodiscard]] std::size_t       slots() const noexcept { return slots_.size() - frame_slots; }
    [[nodiscard]] std::uint32_t     slot_end() const noexcept { return static_cast<std::uint32_t>(slots_.size()); }
    [[nodiscard]] std::size_t       shadows_free() const noexcept { return shadows_free_; }
    [[nodiscard]] cache_slot&       at(std::uint32_t slot) noexcept { return slots_[slot]; }
    [[nodiscard]] const cache_slot& at(std::uint32_t slot) const noexcept { return slots_[slot]; }

    [[nodiscard]] static constexpr bool is_frame(std::uint32_t slot) noexcept { return slot < frame_slots; }

    /// The bytes of a block as all joined transactions left it.
    [[nodiscard]] std::span<std::byte> bytes(std::uint32_t slot) noexcept {
        if (is_frame(slot)) return frame_bytes_.subspan(slot * frame_content_bytes, frame_content_bytes);
        return bytes_.subspan(static_cast<std::size_t>(slot - frame_slots) << block_.shift(), block_.bytes);
    }

    /// Which of them the open batch has changed.
    [[nodiscard]] dirty_bits changes(std::uint32_t slot) noexcept {
        if (is_frame(slot))
            return dirty_bits{
                frame_bits_.subspan(slot * dirty_words(frame_content_bytes), dirty_words(frame_content_bytes))};
        return dirty_bits{bits_.subspan((slot - frame_slots) * dirty_words(block_.bytes), dirty_words(block_.bytes))};
    }

    /// Notes that the open batch changes these bytes. Call it for every change, hints included (R2).
    void change(std::uint32_t slot, std::size_t offset, std::size_t length) noexcept {
        changes(slot).mark(offset, length);
        if (slots_[slot].open) return;
        slots_[slot].open    = true;
        open_[open_count_++] = slot;
    }

    /// The blocks that the open batch changes.
    [[nodiscard]] std::span<const std::uint32_t> open_slots() const noexcept { return open_.first(open_count_); }

    /// The open batch is in the journal, or nothing of it is left.
    void close_batch() noexcept {
        for (const auto slot : open_slots()) {
            slots_[slot].open = false;
            changes(slot).clear();
        }
        open_count_ = 0;
    }

    /// The slot of a block, or `no_slot`. Frames are not looked for: their slots are known.
    [[nodiscard]] std::uint32_t find(block_index home) const noexcept {
        std::uint32_t slot = heads_[bucket(home)];
        while (slot != no_slot && slots_[slot].home != home) slot = slots_[slot].next;
        return slot;
    }

    /// The block, pinned; read and verified through `source` when it is not here.
    /// Errors: those of the source; checksum_differs; too_large when no slot can be evicted.
    /// Cost: nothing when cached, else one block read and hashed.
    template <class Source>
    result<block_pin> get(Source& source, block_index home, const block_identity& identity) noexcept {
        std::uint32_t slot = find(home);
        if constexpr (requires { source.must_give_up(home, identity); }) {
            while (slot != no_slot && slots_[slot].loading) {
                if (source.must_give_up(home, identity)) return error{errc::again, home};
                slot = find(home);
            }
        }
        if (slot != no_slot) {
            if (slots_[slot].identity != identity || slots_[slot].unborn) return error{errc::checksum_differs, home};
            slots_[slot].referenced = true;
            return block_pin{*this, slot};
        }
        if constexpr (requires { source.defers(home, identity); }) {
            if (source.defers(home, identity)) return error{errc::again, home};
        }
        BOOST_OUTCOME_TRY(slot, claim(home, identity));
        block_pin pin{*this, slot};
        auto      read = source.load(home, bytes(slot));
        if (read.has_value() && !is_sealed(bytes(slot), identity.tag, source.seed(identity))) {
            read = error{errc::checksum_differs, home};
        }
        if (read.has_error()) {
            pin.release();
            drop(slot);
            return read.error();
        }
        return pin;
    }

    /// A pinned slot for a block that its caller loads without the lock. Until `loaded` nobody else looks at its bytes.
    /// Error: too_large when no slot can be evicted.
    result<std::uint32_t> begin_loading(block_index home, const block_identity& identity) noexcept {
        BOOST_OUTCOME_TRY(const auto slot, claim(home, identity));
        slots_[slot].loading = true;
        ++slots_[slot].pins;
        ++loading_;
        return slot;
    }
    void loaded(std::uint32_t slot, bool whole) noexcept {
        slots_[slot].loading    = false;
        slots_[slot].referenced = true;
        --slots_[slot].pins;
        --loading_;
        if (!whole || slots_[slot].doomed) drop(slot);
    }
    /// A slot for data that rides in the batch that is being sealed: from there on the journal holds it, and this copy
    /// goes home with the metadata. Error: too_large when no slot can be evicted, or the place is just being loaded.
    result<std::uint32_t> ride(block_index home, std::span<const std::byte> data) noexcept {
        if (const auto old = find(home); old != no_slot) {
            if (!slots_[old].evictable()) return error{errc::too_large, home};
            drop(old);
        }
        BOOST_OUTCOME_TRY(const auto slot, claim(home, {}));
        slots_[slot].riding = true;
        ++riding_;
        std::memcpy(bytes(slot).data(), data.data(), block_.bytes);
        change(slot, 0, block_.bytes);
        return slot;
    }
    /// Data blocks that wait here to go home.
    [[nodiscard]] std::size_t riding() const noexcept { return riding_; }
    /// Such a block's bytes; empty when the device has them.
    [[nodiscard]] std::span<const std::byte> riding_bytes(block_index home) noexcept {
        if (riding_ == 0) return {};
        const auto slot = find(home);
        if (slot == no_slot || !slots_[slot].riding) return {};
        return bytes(slot);
    }

    /// Blocks that are being loaded.
    [[nodiscard]] std::size_t loading() const noexcept { return loading_; }

    /// Forgets a block that was freed, where it is in memory.
    void forget(block_index home) noexcept {
        const auto slot = find(home);
        if (slot == no_slot) return;
        if (slots_[slot].loading) {
            slots_[slot].doomed = true;
        } else {
            drop(slot);
        }
    }

    /// Forgets the blocks of a run that are in memory. Precondition: none of them is changed.
    void forget_run(extent run) noexcept {
        for (std::uint32_t slot = frame_slots; slot < slots_.size(); ++slot) {
            if (!slots_[slot].used || !run.contains(slots_[slot].home)) continue;
            if (slots_[slot].loading) slots_[slot].doomed = true;
            if (slots_[slot].evictable()) drop(slot);
        }
    }

    /// The block as it stands on the device, unverified and unnamed; for recovery, which changes blocks before it can
    /// judge them. Errors: those of the source; too_large when no slot can be evicted.
    template <class Source>
    result<std::uint32_t> get_raw(Source& source, block_index home) noexcept {
        if (const auto found = find(home); found != no_slot) return found;
        BOOST_OUTCOME_TRY(const auto slot, claim(home, {}));
        if (auto read = source.load(home, bytes(slot)); read.has_error()) {
            drop(slot);
            return read.error();
        }
        return slot;
    }

    /// Forgets every block but the frames. Precondition: nothing is pinned or changed.
    void forget_blocks() noexcept {
        for (std::uint32_t slot = frame_slots; slot < slots_.size(); ++slot) {
            if (slots_[slot].used) drop(slot);
        }
    }

    /// A slot for a block that is new: zeroed, pinned, nothing read. An older block of that place is forgotten.
    /// Errors: damaged when the place is in use as another block; too_large when no slot can be evicted.
    result<block_pin> fresh(block_index home, const block_identity& identity) noexcept {
        if (const auto old = find(home); old != no_slot) {
            if (slots_[old].loading) return error{errc::again, home};
            if (!slots_[old].evictable()) return error{errc::damaged, home};  // it has an owner already
            drop(old);
        }
        BOOST_OUTCOME_TRY(const auto slot, claim(home, identity));
        std::memset(bytes(slot).data(), 0, block_.bytes);
        return block_pin{*this, slot};
    }

    /// Makes a frame's slot the home of that frame. The bytes are the caller's to fill.
    std::span<std::byte> install_frame(frame_slot which, block_index home, const block_identity& identity) noexcept {
        const auto slot       = static_cast<std::uint32_t>(which);
        slots_[slot]          = cache_slot{};
        slots_[slot].used     = true;
        slots_[slot].home     = home;
        slots_[slot].identity = identity;
        return bytes(slot);
    }

    /// Forgets a slot and what it holds. Precondition: not pinned.
    void drop(std::uint32_t slot) noexcept {
        auto& dropped = slots_[slot];
        ASHLAR_ASSERT(dropped.pins == 0 && dropped.first_shadow == no_slot && !is_frame(slot));
        std::uint32_t* link = &heads_[bucket(dropped.home)];
        while (*link != slot) link = &slots_[*link].next;
        *link = dropped.next;
        if (dropped.riding) --riding_;
        if (dropped.open) {
            changes(slot).clear();
            std::size_t i = 0;
            while (open_[i] != slot) ++i;
            open_[i] = open_[--open_count_];
        }
        dropped = cache_slot{};
    }

    /// Whether `wanted` slots could be taken now, beside those that are pinned or dirty.
    /// Cost: what is taken next is looked at first, so that few slots are looked at while there is room.
    [[nodiscard]] bool has_room_for(std::size_t wanted) const noexcept {
        std::size_t room = 0;
        const auto  look = [&](std::uint32_t from, std::size_t to) noexcept {
            for (auto i = from; i < to && room < wanted; ++i) {
                if (!slots_[i].used || slots_[i].evictable()) ++room;
            }
        };
        look(hand_, slots_.size());
        look(frame_slots, hand_);
        return room >= wanted;
    }

    void pin(std::uint32_t slot) noexcept { ++slots_[slot].pins; }
    void unpin(std::uint32_t slot) noexcept {
        ASHLAR_ASSERT(slots_[slot].pins > 0);
        --slots_[slot].pins;
    }

    // Shadows. ------------------------------------------------------------------------------------------------------

    [[nodiscard]] std::uint32_t shadow_of(std::uint32_t slot, std::uint32_t transaction) const noexcept;

    /// The transaction's copy of the slot, made now if it has none. Error: too_large when no shadow is left.
    /// Keeps the slot pinned until the shadow is released.
    result<std::uint32_t> shadow(std::uint32_t slot, std::uint32_t transaction) noexcept;

    [[nodiscard]] std::span<std::byte> shadow_bytes(std::uint32_t shadow) noexcept {
        return shadow_bytes_.subspan(static_cast<std::size_t>(shadow) << block_.shift(), block_.bytes);
    }
    [[nodiscard]] dirty_bits shadow_changes(std::uint32_t shadow) noexcept {
        return dirty_bits{shadow_bits_.subspan(shadow * dirty_words(block_.bytes), dirty_words(block_.bytes))};
    }
    [[nodiscard]] std::uint32_t shadow_slot(std::uint32_t shadow) const noexcept { return shadow_[shadow].slot; }

    /// Gives a shadow back. What it changed is lost unless `merge` ran before.
    void release_shadow(std::uint32_t shadow) noexcept;

    /// Copies what the shadow changed into its slot, and into the copies that other transactions have of it: what they
    /// did not change themselves must not grow old. Precondition: no two shadows of a slot change the same bytes.
    void merge(std::uint32_t shadow) noexcept;

  private:
    [[nodiscard]] std::size_t bucket(block_index home) const noexcept {
        const std::uint64_t mixed = home.value * 0x9E3779B97F4A7C15U;
        return static_cast<std::size_t>(mixed >> 32U) & (heads_.size() - 1);
    }

    /// An empty slot under the name `home`, evicting a clean one if need be.
    result<std::uint32_t> claim(block_index home, const block_identity& identity) noexcept {
        const std::uint32_t end = slot_end();
        for (std::uint32_t looked = 0; looked < 2 * (end - frame_slots) + 1; ++looked) {
            const std::uint32_t slot = hand_;
            hand_                    = hand_ + 1 < end ? hand_ + 1 : frame_slots;
            auto& candidate          = slots_[slot];
            if (candidate.used && !candidate.evictable()) continue;
            if (candidate.used && candidate.referenced) {
                candidate.referenced = false;
                continue;
            }
            if (candidate.used) drop(slot);
            candidate.used       = true;
            candidate.home       = home;
            candidate.identity   = identity;
            candidate.next       = heads_[bucket(home)];
            heads_[bucket(home)] = slot;
            return slot;
        }
        return error{errc::too_large, home};
    }

    block_size               block_{};
    std::span<cache_slot>    slots_{};
    std::span<cache_shadow>  shadow_{};
    std::span<std::uint32_t> heads_{};
    std::span<std::uint32_t> open_{};
    std::size_t              open_count_ = 0;
    std::size_t              loading_    = 0;
    std::size_t              riding_     = 0;
    std::span<std::byte>     frame_bytes_{};
    std::span<std::byte>     bytes_{};
    std::span<std::byte>     shadow_bytes_{};
    std::span<bits_word>     frame_bits_{};
    std::span<bits_word>     bits_{};
    std::span<bits_word>     shadow_bits_{};
    std::uint32_t            free_shadow_  = no_slot;
    std::size_t              shadows_free_ = 0;
    std::uint32_t            hand_         = frame_slots;
};

inline block_pin::block_pin(metadata_cache& cache, std::uint32_t slot) noexcept : cache_{&cache}, slot_{slot} {
    cache.pin(slot);
}

inline void block_pin::release() noexcept {
    if (cache_ != nullptr) cache_->unpin(slot_);
    cache_ = nullptr;
}

inline block_pin& block_pin::operator=(block_pin&& other) noexcept {
    if (this != &other) {
        release();
        cache_       = other.cache_;
        slot_        = other.slot_;
        other.cache_ = nullptr;
    }
    return *this;
}

}  // namespace ashlar::inline v0
