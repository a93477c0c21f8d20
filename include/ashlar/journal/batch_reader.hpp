#pragma once
/// Decides whether a whole batch stands at a place of the ring, and shows what it says.

#include <ashlar/format/batch.hpp>
#include <ashlar/journal/ring_reader.hpp>

#include <optional>

namespace ashlar::inline v0 {

/// What the next batch must be to count.
struct batch_expected {
    sequence      number{};
    std::uint64_t chain = 0;
    sequence      epoch_first{};  ///< From here on a batch carries `epoch`; before, an older one.
    std::uint64_t epoch = 0;

    [[nodiscard]] bool allows(const batch_header& header) const noexcept {
        if (header.sequence != number.value || header.previous != chain) return false;
        return number >= epoch_first ? header.epoch == epoch : header.epoch < epoch;
    }
};

/// A batch that counts.
struct batch_found {
    std::uint64_t blocks = 0;
    std::uint64_t bytes  = 0;  ///< From its header to its commit marker.
    std::uint64_t seed   = 0;  ///< Of its hashes.
    std::uint64_t hash   = 0;  ///< What the next batch must name as previous.
    sequence      acknowledged{};
};

/// Sees nothing: to learn whether a batch is whole.
struct batch_ignored {
    result<> data(block_index, std::uint64_t) noexcept { return success(); }
    result<> entry(sequence, block_index, std::uint32_t, std::span<const std::byte>) noexcept { return success(); }
};

/// Reads one batch. Bytes that do not add up are an answer, not an error: nothing read is trusted before its bounds are
/// checked, and what a visitor is shown counts only once the whole batch was found whole.
template <BlockDevice D, class Visitor>
class batch_reader {
  public:
    batch_reader(ring_reader<D>& ring, Visitor& visitor) noexcept : ring_{ring}, visitor_{visitor} {}

    /// The batch that begins at the reader's block `block`, or nothing. Errors: the device's, or the visitor's.
    result<std::optional<batch_found>> read(std::uint64_t block, const batch_expected& expected) noexcept {
        const std::optional<batch_found> none{};
        if (block >= ring_.blocks()) return none;
        base_ = block << ring_.ring().size.shift();
        BOOST_OUTCOME_TRY(const auto head, ring_.view(base_, batch_header_bytes));
        const auto header = decode_header(head, ring_.ring().volume, ring_.position_of(block));
        if (!header || !expected.allows(*header)) return none;
        header_           = *header;
        const auto blocks = blocks_for(header_.length, ring_.ring().size).value;
        if (blocks > ring_.blocks() - block) return none;

        seed_ = batch_seed(ring_.ring().volume, header_.epoch, ring_.position_of(block));
        hash_.restart(seed_);
        hash_.update(head);
        place_ = batch_header_bytes;
        end_   = header_.length - marker_bytes;  // decode_header saw to it that the fixed parts fit in.
        BOOST_OUTCOME_TRY(read_list());
        BOOST_OUTCOME_TRY(const bool completed, read_completion());
        if (!completed) return none;
        BOOST_OUTCOME_TRY(const bool entered, read_entries(expected.number));
        if (!entered) return none;
        BOOST_OUTCOME_TRY(const auto hash, read_commit());
        if (!hash) return none;
        return std::optional{batch_found{blocks, header_.length, seed_, *hash, {header_.acknowledged}}};
    }

  private:
    /// The next bytes of the batch, hashed and passed over.
    result<std::span<const std::byte>> take(std::size_t length) noexcept {
        BOOST_OUTCOME_TRY(const auto bytes, ring_.view(base_ + place_, length));
        hash_.update(bytes);
        place_ += length;
        return bytes;
    }

    result<> read_list() noexcept {
        for (std::uint32_t left = header_.data; left > 0;) {
            constexpr std::uint32_t items_max = block_bytes_min / batch_data_item_bytes;
            const auto              items     = left < items_max ? left : items_max;
            BOOST_OUTCOME_TRY(const auto bytes, take(items * batch_data_item_bytes));
            for (std::uint32_t i = 0; i < items; ++i) {
                const auto item = load_struct<batch_data_item>(bytes.subspan(i * batch_data_item_bytes));
                BOOST_OUTCOME_TRY(visitor_.data({item.block}, item.checksum));
            }
            left -= items;
        }
        return success();
    }

    result<bool> read_completion() noexcept {
        if ((header_.flags & batch_has_completion) == 0) return true;
        const auto place = place_;
        BOOST_OUTCOME_TRY(const auto bytes, take(marker_bytes));
        const auto marker = load_struct<journal_marker>(bytes);
        return marker.target == completion_marker_target && marker.sequence < header_.sequence && marker.entries == 0 &&
               marker.hash == item_hash(bytes.first(marker_bytes - 8), seed_, place);
    }

    /// Whether exactly the entries that the header counts fill the batch up to its commit marker.
    result<bool> read_entries(sequence number) noexcept {
        for (std::uint32_t left = header_.entries; left > 0; --left) {
            const auto room = end_ - place_;
            if (room < entry_overhead_bytes) return false;
            const auto place = place_;
            BOOST_OUTCOME_TRY(const auto first, ring_.view(base_ + place_, sizeof(journal_entry_head)));
            const auto          head   = load_struct<journal_entry_head>(first);
            const std::uint32_t length = head.length;
            const std::uint32_t most   = entry_bytes_max(ring_.ring().size);
            if (head.target >= commit_marker_target || length > most || length > room - entry_overhead_bytes)
                return false;
            if (head.offset > most - length) return false;
            BOOST_OUTCOME_TRY(const auto whole, take(entry_overhead_bytes + length));
            const auto covered = whole.first(sizeof(journal_entry_head) + length);
            if (load_little<std::uint64_t>(whole.last(8).data()) != item_hash(covered, seed_, place)) return false;
            BOOST_OUTCOME_TRY(
                visitor_.entry(number, {head.target}, head.offset, covered.subspan(sizeof(journal_entry_head))));
        }
        return place_ == end_;
    }

    /// The batch's hash, when the marker is in order.
    result<std::optional<std::uint64_t>> read_commit() noexcept {
        const std::optional<std::uint64_t> none{};
        BOOST_OUTCOME_TRY(const auto bytes, ring_.view(base_ + place_, marker_bytes));
        const auto marker = load_struct<journal_marker>(bytes);
        hash_.update(bytes.first(marker_bytes - 8));
        if (marker.target != commit_marker_target || marker.sequence != header_.sequence ||
            marker.entries != header_.entries)
            return none;
        if (marker.hash != hash_.digest()) return none;
        return std::optional<std::uint64_t>{marker.hash};
    }

    ring_reader<D>& ring_;
    Visitor&        visitor_;
    batch_header    header_{};
    xxh64_stream    hash_;
    std::uint64_t   seed_  = 0;
    std::uint64_t   base_  = 0;  // Where the batch begins, in the reader's bytes.
    std::uint64_t   place_ = 0;  // How far it is read.
    std::uint64_t   end_   = 0;  // Where its commit marker begins.
};

}  // namespace ashlar::inline v0
