#pragma once
/// Transactions' own copies of cached blocks: made, merged and given back.

#include <ashlar/volume/metadata_cache.hpp>

namespace ashlar::inline v0 {

inline std::uint32_t metadata_cache::shadow_of(std::uint32_t slot, std::uint32_t transaction) const noexcept {
    std::uint32_t shadow = slots_[slot].first_shadow;
    while (shadow != no_slot && shadow_[shadow].transaction != transaction) shadow = shadow_[shadow].next;
    return shadow;
}

inline result<std::uint32_t> metadata_cache::shadow(std::uint32_t slot, std::uint32_t transaction) noexcept {
    ASHLAR_ASSERT(!is_frame(slot));
    if (const auto found = shadow_of(slot, transaction); found != no_slot) return found;
    if (free_shadow_ == no_slot) return error{errc::too_large, slots_[slot].home};
    const std::uint32_t made = free_shadow_;
    free_shadow_             = shadow_[made].next;
    --shadows_free_;
    shadow_[made]             = {.slot = slot, .transaction = transaction, .next = slots_[slot].first_shadow};
    slots_[slot].first_shadow = made;
    pin(slot);
    std::memcpy(shadow_bytes(made).data(), bytes(slot).data(), block_.bytes);
    shadow_changes(made).clear();
    return made;
}

inline void metadata_cache::release_shadow(std::uint32_t shadow) noexcept {
    const std::uint32_t slot = shadow_[shadow].slot;
    std::uint32_t*      link = &slots_[slot].first_shadow;
    while (*link != shadow) link = &shadow_[*link].next;
    *link           = shadow_[shadow].next;
    shadow_[shadow] = {.slot = no_slot, .transaction = 0, .next = free_shadow_};
    free_shadow_    = shadow;
    ++shadows_free_;
    unpin(slot);
}

inline void metadata_cache::merge(std::uint32_t shadow) noexcept {
    const auto slot   = shadow_[shadow].slot;
    const auto source = shadow_bytes(shadow);
    shadow_changes(shadow).for_each_run([&](std::size_t offset, std::size_t length) {
        std::memcpy(bytes(slot).data() + offset, source.data() + offset, length);
        change(slot, offset, length);
        for (auto other = slots_[slot].first_shadow; other != no_slot; other = shadow_[other].next) {
            if (other != shadow) std::memcpy(shadow_bytes(other).data() + offset, source.data() + offset, length);
        }
    });
}

}  // namespace ashlar::inline v0
