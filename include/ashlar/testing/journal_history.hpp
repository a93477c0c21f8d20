#pragma once
/// What the durable bytes of a volume say about its metadata: which batch changed which block to what, and what is
/// confirmed.

#include <ashlar/format/group_record.hpp>
#include <ashlar/journal/ring_journal.hpp>
#include <ashlar/testing/frame_reader.hpp>

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace ashlar::inline v0 {

/// A metadata block as the journal knows it.
struct journaled_block {
    struct version {
        sequence      batch{};
        std::uint64_t hash = 0;  ///< Of the whole block after that batch.
    };
    std::vector<std::byte> image;     ///< After the newest batch.
    std::vector<version>   versions;  ///< Oldest first.
    sequence               home{};    ///< The newest version that is durable at home; zero when that was not seen.
    bool is_data = false;             ///< Data that rode in a batch: its entry is the whole block, without trailer.
};

/// A block whose bit a batch cleared.
struct freed_block {
    sequence batch{};
    bool     journaled = false;  ///< It was metadata, or rode in a batch that replay needs: it could still be written.
};

/// Follows the journal of one volume by reading the device after each sync, with the decoders of the format and nothing
/// of the engine. It sees batches when they are durable. For tests: it allocates as it likes.
class journal_history {
  public:
    using violations = std::vector<std::string>;

    [[nodiscard]] bool     is_open() const noexcept { return open_; }
    [[nodiscard]] sequence confirmed() const noexcept { return confirmed_; }
    [[nodiscard]] sequence tail() const noexcept { return tail_.number; }  ///< Both anchors name it or a later one.
    [[nodiscard]] sequence last() const noexcept { return {next_.number.value - 1}; }
    [[nodiscard]] const volume_id& volume() const noexcept { return ring_.volume; }

    void close() noexcept { *this = {}; }

    /// Reads superblock, anchors, ring and directory. False where they make no volume with a journal, or a read fails.
    template <BlockDevice D>
    bool open(D& device) {
        close();
        const auto geometry = device.geometry();
        size_               = geometry.size;
        if (!frames_.read_superblock(device)) return false;
        const auto seen = frames_.read_anchor_copies(device);
        if (!seen) return false;
        const auto& anchors = *seen;
        if (!anchors[0] && !anchors[1]) return false;
        const auto& newest =
            !anchors[1] || (anchors[0] && anchors[0]->generation >= anchors[1]->generation) ? *anchors[0] : *anchors[1];
        ring_ = {{{newest.ring_first}, {newest.ring_blocks}}, size_, frames_.volume()};
        if (!lies_in(ring_.blocks, {block_index{0}, geometry.blocks})) return false;
        epoch_       = newest.epoch;
        epoch_first_ = {newest.first};
        tail_ = next_ = {{newest.tail}, newest.tail_position, newest.tail_chain};
        open_         = true;
        note_anchors(anchors);
        frames_.read_directory(device);
        violations ignored;  // what an older run did cannot be judged from its traces
        follow(device, ignored);
        return open_;
    }

    /// After a sync: takes in the batches that have become durable. Adds to `found` what they do too early.
    template <BlockDevice D>
    void follow(D& device, violations& found) {
        const auto             durable_before   = last();
        const auto             confirmed_before = confirmed_;
        std::vector<std::byte> memory(ring_journal::staging_bytes(size_));
        ring_reader<D>         reader{device, ring_, next_.position, ring_.blocks.count.value, memory};
        for (std::uint64_t block = 0;;) {
            entries      visitor;
            batch_reader batches{reader, visitor};
            const auto   batch = batches.read(block, {next_.number, next_.chain, epoch_first_, epoch_});
            if (!batch) return close();
            if (!batch.value()) break;
            if (batch.value()->acknowledged > durable_before) {
                found.push_back("batch " + text(next_.number) + " says that batch " +
                                text(batch.value()->acknowledged) +
                                " was acknowledged, but no sync had made that durable");
            }
            confirmed_ = std::max(confirmed_, batch.value()->acknowledged);
            if (!take_in(device, visitor.all, confirmed_before, found)) return close();
            block += batch.value()->blocks;
            next_ = {
                {next_.number.value + 1}, ring_.advance(next_.position, batch.value()->blocks), batch.value()->hash};
        }
    }

    /// After a sync that may have covered an anchor. A new epoch or ring means that a recovery decided what counts:
    /// then everything is read again.
    template <BlockDevice D>
    void follow_anchors(D& device) {
        const auto anchors = frames_.read_anchor_copies(device);
        if (!anchors) return close();
        for (const auto& copy : *anchors) {
            if (copy && (copy->epoch > epoch_ || copy->ring_first != ring_.blocks.first.value)) {
                open(device);
                return;
            }
        }
        note_anchors(*anchors);
    }

    [[nodiscard]] journaled_block* find(block_index home) noexcept {
        const auto found = blocks_.find(home);
        return found == blocks_.end() ? nullptr : &found->second;
    }
    [[nodiscard]] const std::map<block_index, journaled_block>& blocks() const noexcept { return blocks_; }

    [[nodiscard]] const freed_block* freed(block_index block) const noexcept {
        const auto found = freed_.find(block);
        return found == freed_.end() ? nullptr : &found->second;
    }

    /// Whether replay and readers are done with a freed block, so that it may be trimmed or reused.
    [[nodiscard]] bool is_settled(const freed_block& freed) const noexcept {
        return freed.batch <= confirmed_ && (!freed.journaled || tail_.number > freed.batch);
    }

    /// The block has a new owner.
    void forget(block_index block) noexcept {
        freed_.erase(block);
        blocks_.erase(block);
    }

    /// Drops versions that neither replay nor a home write can meet again.
    void forget_before_tail() {
        for (auto& [home, block] : blocks_) {
            auto keep = block.versions.begin();
            while (keep + 1 < block.versions.end() && (keep + 1)->batch < tail_.number) ++keep;
            block.versions.erase(block.versions.begin(), keep);
        }
    }

    /// Whether the newest durable bitmap says that a block is in use.
    template <BlockDevice D>
    [[nodiscard]] bool is_in_use(D& device, block_index block) {
        const auto place  = place_of(block, size_);
        const auto bitmap = frames_.find_in(tag::bitmap, place.group);
        if (!bitmap || !bitmap->used) return false;
        std::vector<std::byte> bytes(size_.bytes);
        if (const auto* known = find(bitmap->home)) {
            bytes = known->image;
        } else if (!device.read({bitmap->home, {1}}, bytes) || !is_bitmap(bytes, *bitmap)) {
            return false;  // never written: all is free
        }
        return (std::to_integer<unsigned>(bytes[place.offset / 8U]) >> (place.offset % 8U) & 1U) != 0;
    }

    [[nodiscard]] bool in_ring(block_index block) const noexcept { return ring_.blocks.contains(block); }

    /// Whether replay needs this block of the ring.
    [[nodiscard]] bool in_live_ring(block_index block) const noexcept {
        const auto position = (block - ring_.blocks.first).value;
        return in_ring(block) && ring_.distance(tail_.position, position) < blocks_between(ring_, tail_, next_);
    }
    [[nodiscard]] bool in_engine_region(block_index block) const noexcept { return frames_.in_engine_region(block); }
    /// Whether a table has the block for a larger volume: what it holds was never read.
    [[nodiscard]] bool is_spare(block_index block) const { return frames_.is_spare(block); }

    [[nodiscard]] static std::string text(sequence s) { return std::to_string(s.value); }

  private:
    struct change {
        block_index            target{};
        std::uint32_t          offset = 0;
        std::vector<std::byte> bytes;
    };
    struct entries {
        std::vector<change> all;
        result<>            data(block_index, std::uint64_t) noexcept { return success(); }
        result<> entry(sequence, block_index target, std::uint32_t offset, std::span<const std::byte> bytes) noexcept {
            all.push_back({target, offset, {bytes.begin(), bytes.end()}});
            return success();
        }
    };
    /// What an anchor permits holds once both copies say it.
    void note_anchors(const frame_reader::anchor_copies& copies) noexcept {
        if (!copies[0] || !copies[1]) return;
        confirmed_ =
            std::max(confirmed_, sequence{std::min<std::uint64_t>(copies[0]->confirmed, copies[1]->confirmed)});
        const auto& older = copies[0]->tail <= copies[1]->tail ? *copies[0] : *copies[1];
        if (older.tail > tail_.number.value) tail_ = {{older.tail}, older.tail_position, older.tail_chain};
    }

    [[nodiscard]] bool is_bitmap(std::span<const std::byte> block, const frame_reader::table_block& of) const noexcept {
        return is_sealed(block, tag::bitmap, identity_seed(ring_.volume, of.identity));
    }

    /// Whether the group's record says that its bitmap was ever written: if not, what stands there is of an older life.
    template <BlockDevice D>
    [[nodiscard]] bool is_bitmap_written(D& device, std::uint64_t group) {
        const auto             place = group_record_of(group, size_);
        const auto             table = frames_.find_in(tag::groups, place.block.value);
        std::vector<std::byte> image;
        if (!table || !load_image(device, table->home, image)) return true;
        const auto record = load_struct<group_record>(std::span<const std::byte>{image}.subspan(place.byte));
        return (record.flags & group_flag::bitmap_written) != 0;
    }

    /// Another size counts: what was behind the end of the volume, or lies there now, has no past.
    void change_size(std::span<const std::byte> content) {
        const auto before = frames_.blocks();
        if (!frames_.learn_size(content) || frames_.blocks() == before) return;
        const block_index end{std::min(before, frames_.blocks()).value};
        blocks_.erase(blocks_.lower_bound(end), blocks_.end());
        freed_.erase(freed_.lower_bound(end), freed_.end());
    }

    /// Applies a batch: first its bitmaps, so that blocks with a new owner lose their past, then everything else.
    template <BlockDevice D>
    bool take_in(D& device, const std::vector<change>& batch, sequence confirmed_before, violations& found) {
        std::map<block_index, std::vector<std::byte>> changed;
        for (const auto& one : batch) {
            auto& image = changed[one.target];
            if (image.empty() && !load_image(device, one.target, image)) return false;
            if (one.offset + one.bytes.size() > image.size()) return false;
            std::copy(one.bytes.begin(), one.bytes.end(), image.begin() + one.offset);
        }
        if (const auto super = changed.find(frame_home(frame::superblock, size_)); super != changed.end())
            change_size(super->second);
        if (const auto directory = changed.find(frame_home(frame::directory, size_)); directory != changed.end())
            frames_.learn_regions(directory->second);
        for (const auto& [home, image] : changed) {
            const auto bitmap = frames_.find_at(tag::bitmap, home);
            if (bitmap && !take_in_bitmap(device, *bitmap, image, confirmed_before, found)) return false;
        }
        for (auto& [home, image] : changed) {
            auto& block = blocks_[home];
            block.versions.push_back({next_.number, xxh3_64(image)});
            block.image   = std::move(image);
            block.is_data = false;
        }
        for (const auto& one : batch) {
            if (one.offset == 0 && one.bytes.size() == size_.bytes) blocks_[one.target].is_data = true;
        }
        return true;
    }

    template <BlockDevice D>
    [[nodiscard]] bool load_image(D& device, block_index home, std::vector<std::byte>& image) {
        const bool in_frames = home < frames_end(size_);
        if (const auto* known = find(home)) {
            image = known->image;
            return true;
        }
        image.resize(in_frames ? frame_bytes_of(size_) : size_.bytes);
        if (!device.read({home, whole_blocks(image.size(), size_)}, image)) return false;
        if (in_frames) image.resize(frame_bytes_min);
        return true;
    }

    [[nodiscard]] bool may_be_replayed(block_index block) const noexcept {
        const auto known = blocks_.find(block);
        if (known == blocks_.end()) return false;
        return !known->second.is_data || known->second.versions.back().batch >= tail_.number;
    }

    /// Compares a bitmap before and after a batch. Where an older run already wrote it home, the bits before its replay
    /// are newer than the first batches; what that seems to free or give away does no harm.
    template <BlockDevice D>
    bool take_in_bitmap(D& device, const frame_reader::table_block& bitmap, std::span<const std::byte> image,
                        sequence confirmed_before, violations& found) {
        const auto             group = bitmap.number;
        std::vector<std::byte> before;
        if (!bitmap.used || !load_image(device, bitmap.home, before)) return false;
        if ((find(bitmap.home) == nullptr && !is_bitmap(before, bitmap)) || !is_bitmap_written(device, group))
            before.assign(before.size(), std::byte{0});  // never written
        const auto blocks = blocks_of_group(group, frames_.blocks(), size_);
        for (std::uint32_t i = 0; i < blocks; ++i) {
            const auto mask = static_cast<std::byte>(1U << (i % 8U));
            const auto was  = before[i / 8U] & mask;
            const auto is   = image[i / 8U] & mask;
            if (was == is) continue;
            const auto block = first_of_group(group, size_) + block_count{i};
            if (is == std::byte{0}) {
                freed_[block] = {next_.number, may_be_replayed(block)};
                continue;
            }
            const auto* old = freed(block);
            if (old == nullptr) continue;
            if (!is_settled(*old) || old->batch > confirmed_before) {
                found.push_back("block " + std::to_string(block.value) + " was freed by batch " + text(old->batch) +
                                " and given away by batch " + text(next_.number) + " before that was confirmed" +
                                (old->journaled ? " and behind the tail" : ""));
            }
            forget(block);
        }
        return true;
    }

    bool                                   open_ = false;
    block_size                             size_{};
    ring_layout                            ring_{};
    std::uint64_t                          epoch_ = 0;
    sequence                               epoch_first_{};
    sequence                               confirmed_{};
    batch_boundary                         tail_{};
    batch_boundary                         next_{};
    frame_reader                           frames_;
    std::map<block_index, journaled_block> blocks_;
    std::map<block_index, freed_block>     freed_;
};

}  // namespace ashlar::inline v0
