#pragma once
/// Finds out which history counts after a stop, and makes sure that it stays.

#include <ashlar/format/anchor.hpp>
#include <ashlar/journal/batch_reader.hpp>
#include <ashlar/journal/ring_writer.hpp>

namespace ashlar::inline v0 {

/// Compares the listed data blocks of the batches for which it is wanted.
template <class Data>
struct data_comparison {
    Data&         source;
    std::uint64_t checked = 0;
    bool          wanted  = false;
    bool          whole   = true;

    result<> data(block_index block, std::uint64_t checksum) noexcept {
        if (!wanted || !whole) return success();
        auto matches = source.matches(block, checksum);
        if (!matches) matches = source.matches(block, checksum);  // A fault that passes must not cut history.
        BOOST_OUTCOME_TRY(whole, std::move(matches));
        ++checked;
        return success();
    }
    result<> entry(sequence, block_index, std::uint32_t, std::span<const std::byte>) noexcept { return success(); }
};

/// Writes the listed data blocks again, where asked to.
template <class Data>
struct data_repetition {
    Data& source;
    bool  wanted = false;

    result<> data(block_index block, std::uint64_t) noexcept {
        if (!wanted) return success();
        return source.repeat(block);
    }
    result<> entry(sequence, block_index, std::uint32_t, std::span<const std::byte>) noexcept { return success(); }
};

/// Steps 2 to 5 of recovery. Every loop ends with the ring, since a batch takes a block at least.
template <BlockDevice D, class Data>
class ring_recovery {
  public:
    /// `boundaries` begins with the anchor's tail alone and ends with all that is found. Memory as for staging.
    ring_recovery(D& device, Data& data, const ring_layout& ring, const anchor_content& anchor,
                  std::span<std::byte> memory, batch_boundaries& boundaries, recovery_report& report) noexcept
        : device_{device},
          data_{data},
          ring_{ring},
          anchor_{anchor},
          memory_{memory},
          boundaries_{boundaries},
          report_{report} {}

    /// Decides where history ends; writes nothing. Error `damaged`: a batch that was acknowledged is missing, and the
    /// boundaries end before it. `where` is its first block.
    result<> decide() noexcept {
        report_.confirmed = {anchor_.confirmed};
        BOOST_OUTCOME_TRY(walk());
        BOOST_OUTCOME_TRY(check_data());
        report_.last = {boundaries_.next().number.value - 1};
        return success();
    }

    /// Writes what is not confirmed again in place and syncs: it may have been read from a cache, or from one leg of a
    /// mirror.
    result<> repeat() noexcept {
        auto       at  = boundaries_.at_or_before({report_.confirmed.value + 1});
        const auto end = boundaries_.next();
        while (at.number < end.number) {
            data_repetition<Data> visitor{data_, at.number > report_.confirmed};
            ring_reader<D>        reader{device_, ring_, at.position, blocks_between(ring_, at, end), memory_};
            BOOST_OUTCOME_TRY(const auto found, batch_reader(reader, visitor).read(0, expected(at)));
            if (!found) return error{errc::checksum_differs, reader.where(0)};
            if (at.number > report_.confirmed) { BOOST_OUTCOME_TRY(write_again(at.position, *found)); }
            at = after(at, *found);
        }
        return device_.sync();
    }

  private:
    [[nodiscard]] batch_expected expected(const batch_boundary& at) const noexcept {
        return {at.number, at.chain, {anchor_.first}, anchor_.epoch};
    }
    [[nodiscard]] batch_boundary after(const batch_boundary& at, const batch_found& found) const noexcept {
        return {{at.number.value + 1}, ring_.advance(at.position, found.blocks), found.hash};
    }

    /// Whether the ring may stay unread: the anchor says that no batch was begun behind it, and none stands where the
    /// first one would. Cost: one block.
    result<bool> nothing_follows() noexcept {
        if (anchor_.clean == 0) return false;
        const auto     next = boundaries_.tail();
        ring_reader<D> reader{device_, ring_, next.position, 1, memory_};
        BOOST_OUTCOME_TRY(const auto bytes, reader.view(0, batch_header_bytes));
        report_.bytes_read += reader.bytes_read();
        const auto header = decode_header(bytes, ring_.volume, next.position);
        if (header && header->epoch > anchor_.epoch) return false;
        return !header || header->epoch < anchor_.epoch || header->sequence < next.number.value;
    }

    /// Follows the chain from the tail, then looks behind its end for a word that it was longer. Before the first batch
    /// of an epoch both anchors of it are durable: where one stands and neither anchor says so, the device lost both.
    result<> walk() noexcept {
        BOOST_OUTCOME_TRY(const bool empty, nothing_follows());
        if (empty) return success();
        ring_reader<D> reader{device_, ring_, boundaries_.tail().position, ring_.blocks.count.value, memory_};
        batch_ignored  ignored;
        batch_reader   batches{reader, ignored};
        std::uint64_t  block = 0;
        for (;;) {
            BOOST_OUTCOME_TRY(const auto found, batches.read(block, expected(boundaries_.next())));
            if (!found) break;
            block += found->blocks;
            boundaries_.remember(after(boundaries_.next(), *found));
            confirm(found->acknowledged);
        }
        const sequence missing = boundaries_.next().number;
        for (auto later = block; later < reader.blocks(); ++later) {
            BOOST_OUTCOME_TRY(const auto bytes, reader.view(later << ring_.size.shift(), batch_header_bytes));
            const auto header = decode_header(bytes, ring_.volume, reader.position_of(later));
            if (header && header->epoch > anchor_.epoch) return error{errc::damaged, reader.where(later)};
            if (header && header->epoch == anchor_.epoch && header->sequence >= missing.value)
                confirm({header->acknowledged});
        }
        report_.bytes_read += reader.bytes_read();
        if (report_.confirmed >= missing) return error{errc::damaged, reader.where(block)};
        return success();
    }

    void confirm(sequence acknowledged) noexcept {
        if (acknowledged > report_.confirmed) report_.confirmed = acknowledged;
    }

    /// Cuts at the first unconfirmed batch whose data is not all there.
    result<> check_data() noexcept {
        auto                  at    = boundaries_.at_or_before({report_.confirmed.value + 1});
        const auto            end   = boundaries_.next();
        std::uint64_t         block = 0;
        data_comparison<Data> comparison{data_};
        ring_reader<D>        reader{device_, ring_, at.position, blocks_between(ring_, at, end), memory_};
        batch_reader          batches{reader, comparison};
        while (at.number < end.number && comparison.whole) {
            comparison.wanted = at.number > report_.confirmed;
            BOOST_OUTCOME_TRY(const auto found, batches.read(block, expected(at)));
            if (!found) return error{errc::checksum_differs, reader.where(block)};
            if (!comparison.whole) {
                report_.batches_cut = end.number.value - at.number.value;
                boundaries_.cut_at(at);
            }
            block += found->blocks;
            at = after(at, *found);
        }
        report_.data_checked = comparison.checked;
        report_.bytes_read += reader.bytes_read();
        return success();
    }

    /// Copies a batch onto itself. Its last run is written only if all of it was read as it was found.
    result<> write_again(std::uint64_t position, const batch_found& batch) noexcept {
        xxh64_stream        hash{batch.seed};
        const std::uint64_t run_max = whole_blocks(memory_.size(), ring_.size).value;
        std::uint64_t       hashed  = batch.bytes - 8;  // The marker's own hash is not part of it.
        for (std::uint64_t done = 0; done < batch.blocks;) {
            const auto     left = batch.blocks - done;
            const auto     run  = left < run_max ? left : run_max;
            ring_reader<D> reader{device_, ring_, ring_.advance(position, done), run, memory_};
            BOOST_OUTCOME_TRY(const auto bytes, reader.view(0, static_cast<std::size_t>(bytes_of({run}, ring_.size))));
            const auto part = hashed < bytes.size() ? static_cast<std::size_t>(hashed) : bytes.size();
            hash.update(bytes.first(part));
            hashed -= part;
            if (run == left && hash.digest() != batch.hash) return error{errc::checksum_differs, reader.where(0)};
            BOOST_OUTCOME_TRY(write_ring(device_, ring_, reader.position_of(0), bytes));
            done += run;
        }
        return success();
    }

    D&                    device_;
    Data&                 data_;
    const ring_layout&    ring_;
    const anchor_content& anchor_;
    std::span<std::byte>  memory_;
    batch_boundaries&     boundaries_;
    recovery_report&      report_;
};

}  // namespace ashlar::inline v0
