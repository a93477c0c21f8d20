#pragma once
/// Turns the parts of a batch into its bytes on the ring.

#include <ashlar/format/batch.hpp>
#include <ashlar/journal/ring_writer.hpp>

namespace ashlar::inline v0 {

/// What a new batch says about the batches before it.
struct batch_context {
    batch_boundary at{};
    std::uint64_t  epoch = 0;
    sequence       acknowledged{};
    sequence       completion{};  ///< Home writes up to here are synced; zero: nothing to say.
};

/// Blocks that a batch takes. A caller that does not know yet whether a completion marker rides in it says yes.
[[nodiscard]] constexpr block_count batch_blocks(batch_shape shape, bool completion, block_size size) noexcept {
    return blocks_for(batch_bytes(shape.data, shape.entries, shape.entry_bytes, completion), size);
}

/// Keeps the order header, list, completion marker, entries, commit marker, and holds the caller to the shape told
/// first.
class batch_writer {
  public:
    template <BlockDevice D>
    result<> begin(D& device, const ring_layout& ring, const batch_context& context, batch_shape shape,
                   std::span<std::byte> memory) noexcept {
        const bool   completes = context.completion.value != 0;
        batch_header header;
        header.flags        = completes ? batch_has_completion : std::uint16_t{0};
        header.volume       = ring.volume;
        header.epoch        = context.epoch;
        header.sequence     = context.at.number.value;
        header.acknowledged = context.acknowledged.value;
        header.previous     = context.at.chain;
        header.length       = batch_bytes(shape.data, shape.entries, shape.entry_bytes, completes);
        header.entries      = shape.entries;
        header.data         = shape.data;
        seal_header(header, batch_seed(ring.volume, context.epoch, context.at.position));

        number_     = context.at.number;
        completion_ = context.completion;
        shape_ = left_ = shape;
        bytes_.start(ring, context.at.position, memory, batch_seed(ring.volume, context.epoch, context.at.position));
        BOOST_OUTCOME_TRY(put(device, ring, header));
        return shape.data == 0 ? put_completion(device, ring) : success();
    }

    template <BlockDevice D>
    result<> data(D& device, const ring_layout& ring, block_index block, std::uint64_t checksum) noexcept {
        ASHLAR_ASSERT(left_.data > 0);
        batch_data_item item;
        item.block    = block.value;
        item.checksum = checksum;
        --left_.data;
        BOOST_OUTCOME_TRY(put(device, ring, item));
        return left_.data == 0 ? put_completion(device, ring) : success();
    }

    template <BlockDevice D>
    result<> entry(D& device, const ring_layout& ring, block_index target, std::uint32_t offset,
                   std::span<const std::byte> bytes) noexcept {
        ASHLAR_ASSERT(left_.data == 0 && left_.entries > 0 && left_.entry_bytes >= bytes.size());
        ASHLAR_ASSERT(target.value < commit_marker_target);
        ASHLAR_ASSERT(offset <= entry_bytes_max(ring.size) && bytes.size() <= entry_bytes_max(ring.size) - offset);
        journal_entry_head head;
        head.target = target.value;
        head.length = static_cast<std::uint32_t>(bytes.size());
        head.offset = offset;
        std::byte text[sizeof head];
        store_struct(text, head);
        xxh64_stream hash{bytes_.seed() + bytes_.place()};
        hash.update(text);
        hash.update(bytes);
        --left_.entries;
        left_.entry_bytes -= bytes.size();
        BOOST_OUTCOME_TRY(put(device, ring, head));
        BOOST_OUTCOME_TRY(bytes_.put(device, ring, bytes));
        return put(device, ring, le_u64{hash.digest()});
    }

    /// Puts the commit marker; what is left in memory is the caller's to write. Answers the hash that the next batch
    /// names as previous.
    template <BlockDevice D>
    result<std::uint64_t> seal(D& device, const ring_layout& ring, ring_writes& left) noexcept {
        ASHLAR_ASSERT(left_.data == 0 && left_.entries == 0 && left_.entry_bytes == 0);
        journal_marker marker;
        marker.target   = commit_marker_target;
        marker.sequence = number_.value;
        marker.entries  = shape_.entries;
        std::byte text[marker_bytes];
        store_struct(text, marker);
        BOOST_OUTCOME_TRY(bytes_.put(device, ring, std::span{text}.first(offsetof(journal_marker, hash))));
        const auto hash = bytes_.digest();
        BOOST_OUTCOME_TRY(put(device, ring, le_u64{hash}));
        left = bytes_.finish(ring);
        return hash;
    }

  private:
    template <BlockDevice D, class Struct>
    result<> put(D& device, const ring_layout& ring, const Struct& value) noexcept {
        std::byte text[sizeof(Struct)];
        store_struct(text, value);
        return bytes_.put(device, ring, text);
    }
    template <BlockDevice D>
    result<> put_completion(D& device, const ring_layout& ring) noexcept {
        if (completion_.value == 0) return success();
        return put(device, ring, make_completion(completion_, bytes_.seed(), bytes_.place()));
    }

    ring_writer bytes_;
    batch_shape shape_{};
    batch_shape left_{};
    sequence    number_{};
    sequence    completion_{};
};

}  // namespace ashlar::inline v0
