#pragma once
/// How a transaction sees and changes metadata: its own copy where it has one.

#include <ashlar/volume/cache_shadows.hpp>
#include <ashlar/volume/volume_state.hpp>

namespace ashlar::inline v0 {

/// No transaction: reads see what has joined.
inline constexpr std::uint32_t no_transaction = ~std::uint32_t{0};

/// A metadata block to read.
class block_view {
  public:
    block_view(block_pin pin, std::span<const std::byte> bytes) noexcept : pin_{std::move(pin)}, bytes_{bytes} {}
    [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return bytes_; }

  private:
    block_pin                  pin_;
    std::span<const std::byte> bytes_;
};

/// A metadata block to change: the transaction's copy of it, which nobody else sees before it joins a batch (R2).
class block_edit {
  public:
    block_edit(block_pin pin, metadata_cache& cache, std::uint32_t shadow) noexcept
        : pin_{std::move(pin)}, cache_{&cache}, shadow_{shadow} {}

    [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return cache_->shadow_bytes(shadow_); }

    /// Bytes to write; they become redo entries, so ask for no more than changes.
    [[nodiscard]] std::span<std::byte> modify(std::size_t offset, std::size_t length) noexcept {
        cache_->shadow_changes(shadow_).mark(offset, length);
        return cache_->shadow_bytes(shadow_).subspan(offset, length);
    }

  private:
    block_pin       pin_;
    metadata_cache* cache_;
    std::uint32_t   shadow_;
};

namespace detail {

/// Pins a block; one that the transaction itself made is known to it before anybody else.
template <class Volume>
result<block_pin> pin_block(Volume& volume, std::uint32_t tx, block_index home,
                            const block_identity& identity) noexcept {
    if (tx != no_transaction) {
        const auto slot = volume.cache.find(home);
        if (slot != no_slot && volume.cache.at(slot).unborn && volume.cache.shadow_of(slot, tx) != no_slot) {
            if (volume.cache.at(slot).identity != identity) return error{errc::checksum_differs, home};
            return block_pin{volume.cache, slot};
        }
    }
    return volume.metadata().get({home, identity});
}

}  // namespace detail

/// The block as transaction `tx` sees it. Errors: those of reading it; checksum_differs.
template <class Volume>
result<block_view> view_block(Volume& volume, std::uint32_t tx, block_index home,
                              const block_identity& identity) noexcept {
    BOOST_OUTCOME_TRY(auto pin, detail::pin_block(volume, tx, home, identity));
    const auto                       slot   = pin.slot();
    const auto                       shadow = tx == no_transaction ? no_slot : volume.cache.shadow_of(slot, tx);
    const std::span<const std::byte> bytes =
        shadow == no_slot ? volume.cache.bytes(slot) : volume.cache.shadow_bytes(shadow);
    return block_view{std::move(pin), bytes};
}

/// The transaction's copy of the block. Errors: those of reading it; too_large when no copy is left.
template <class Volume>
result<block_edit> edit_block(Volume& volume, std::uint32_t tx, block_index home,
                              const block_identity& identity) noexcept {
    BOOST_OUTCOME_TRY(auto pin, detail::pin_block(volume, tx, home, identity));
    const bool had = volume.cache.shadow_of(pin.slot(), tx) != no_slot;
    BOOST_OUTCOME_TRY(const auto shadow, volume.cache.shadow(pin.slot(), tx));
    if (!had) volume.transactions[tx].shadows.push(shadow);
    return block_edit{std::move(pin), volume.cache, shadow};
}

/// A block that becomes metadata with this transaction, zeroed. Errors: damaged; busy; too_large.
template <class Volume>
result<block_edit> create_block(Volume& volume, std::uint32_t tx, block_index home,
                                const block_identity& identity) noexcept {
    auto& state = volume.transactions[tx];
    if (volume.cache.shadows_free() == 0 || state.born.full()) return error{errc::too_large, home};
    BOOST_OUTCOME_TRY(auto pin, volume.cache.fresh(home, identity));
    volume.cache.at(pin.slot()).unborn = true;
    state.born.push(pin.slot());
    const auto shadow = volume.cache.shadow(pin.slot(), tx);
    state.shadows.push(shadow.value());
    return block_edit{std::move(pin), volume.cache, shadow.value()};
}

}  // namespace ashlar::inline v0
