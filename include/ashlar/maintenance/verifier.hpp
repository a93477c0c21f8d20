#pragma once
/// Proves that a volume is whole: one owner for each block (R6), no leak, every checksum, every count.

#include <ashlar/maintenance/frame_copies.hpp>
#include <ashlar/maintenance/verify_report.hpp>
#include <ashlar/object/object_operation.hpp>

namespace ashlar::inline v0 {

/// What is done with each group while a volume is verified: nothing.
struct no_group_work {
    void     before(std::uint64_t, std::span<bitmap_word>) noexcept {}
    result<> after(std::uint64_t, std::span<bitmap_word>) noexcept { return success(); }
};

/// One run over a volume, in windows of as many groups as the workspace holds bitmaps for.
template <class Volume, class Sink>
class verifier {
  public:
    verifier(Volume& volume, Sink& sink) noexcept : volume_{volume}, sink_{sink} {}

    /// Errors: none but those of `work`; what is wrong with the volume goes to the sink.
    /// Cost: all data once; all metadata once a window. `with_data` off skips the data.
    /// `work` is called before and after each group is compared, with the owners of its blocks as bits; what it changes
    /// has no part in what is compared afterwards.
    template <class Work = no_group_work>
    result<verify_report> run(bool with_data, Work&& work = {}) noexcept {
        const std::uint64_t at_once = volume_.claims.size() / words_per_group();
        totals_                     = volume_.space.totals();
        if (volume_.recovered.damage.code != errc::none)
            find(verify_problem::lost_history, volume_.recovered.damage.where, {}, volume_.recovered.damage);
        for_each_bad_copy(volume_, [&](unsigned i, const frame_pair& pair, error why) noexcept {
            find(verify_problem::bad_copy, frame_home(pair.copy(i), volume_.geometry.block), {}, why);
        });
        for (std::uint64_t group = 0; group < volume_.geometry.groups; group += at_once) {
            first_group_             = group;
            const std::uint64_t left = volume_.geometry.groups - group;
            groups_                  = left < at_once ? left : at_once;
            with_data_               = with_data;
            counting_                = group == 0;
            for (auto& word : volume_.claims) word = 0;
            claim_tables();
            claim_objects();
            if (counting_) check_list();
            for (std::uint64_t i = 0; i < groups_; ++i) {
                work.before(first_group_ + i, claims_of(i));
                compare_group(i);
                BOOST_OUTCOME_TRY(work.after(first_group_ + i, claims_of(i)));
            }
        }
        compare_totals();
        return report_;
    }

    /// The totals as `run` counted them: of groups what their bitmaps say, of objects what is there.
    [[nodiscard]] volume_totals counted() const noexcept {
        volume_totals now      = totals_;
        now.free               = free_;
        now.trimmed            = trimmed_;
        now.runs               = runs_;
        now.objects            = report_.objects;
        now.allocated_extents  = report_.extents;
        now.objects_with_data  = report_.objects - classes_[0];
        now.generation_counter = generation_ > totals_.generation_counter ? generation_ : totals_.generation_counter;
        for (std::size_t k = 0; k < extents_classes; ++k) now.extents[k] = static_cast<std::uint32_t>(classes_[k]);
        return now;
    }

  private:
    [[nodiscard]] std::size_t words_per_group() const noexcept {
        return words_for(blocks_per_group(volume_.geometry.block));
    }

    void find(verify_problem problem, block_index block, object_id object = {}, error why = {}) noexcept {
        ++report_.findings;
        sink_(verify_finding{problem, block, object, why});
    }

    [[nodiscard]] bool in_window(block_index block) const noexcept {
        const auto group = place_of(block, volume_.geometry.block).group;
        return group >= first_group_ && group - first_group_ < groups_;
    }

    /// Notes an owner for the blocks that lie in the window.
    /// Answers whether it is the first to want each of them.
    bool claim(extent blocks, object_id owner) noexcept {
        if (!lies_in(blocks, {block_index{0}, volume_.geometry.blocks})) {
            if (counting_) find(verify_problem::bad_record, blocks.first, owner);
            return false;
        }
        bool       alone = true;
        const auto note  = [&](std::uint64_t group, group_run run) noexcept -> result<> {
            alone = claim_in(group, run, owner) && alone;
            return success();
        };
        static_cast<void>(for_each_group_part(blocks, volume_.geometry.block, note));
        return alone;
    }

    bool claim_in(std::uint64_t group, group_run run, object_id owner) noexcept {
        if (group < first_group_ || group - first_group_ >= groups_) return true;
        const auto words = claims_of(group - first_group_);
        const bool alone = all_clear(words, run);
        if (!alone) {
            const auto both = block_count{next_set(words, run.first, run.first + run.count)};
            find(verify_problem::two_owners, first_of_group(group, volume_.geometry.block) + both, owner);
        }
        set_bits(words, run);
        return alone;
    }

    void claim_piece(const mapped_extent& piece, const object_state& object) noexcept {
        // An extent with blocks of another's is found already. A volume may have a million of them, and reading each
        // would take for ever; so no block is read twice.
        const bool alone = claim(piece.physical, object.id);
        if (alone && !piece.unwritten && !object.dying) check_data(piece.physical, object.id);
    }

    void claim_node(block_index block, object_id owner) noexcept {
        claim({block, block_count{1}}, owner);
        if (counting_) ++report_.nodes;
    }

    [[nodiscard]] std::span<bitmap_word> claims_of(std::uint64_t i) noexcept {
        return volume_.claims.subspan(static_cast<std::size_t>(i) * words_per_group(), words_per_group());
    }

    void claim_tables() noexcept {
        const block_size size = volume_.geometry.block;
        claim({block_index{0}, block_count{frames_end(size).value}}, {});
        const auto content = volume_.cache.bytes(static_cast<std::uint32_t>(frame_slot::directory));
        for (std::uint32_t i = 0; i < volume_.regions.slots(); ++i) {
            claim(load_struct<region_slot>(content.subspan(region_slot_offset(i))).place(), {});
        }
        if (!counting_) return;
        // What a slide has beside its region is a region too, so all blocks of one that lies in parts are claimed here.
        const auto entries = check_indirection(volume_);
        if (entries.has_error()) find(verify_problem::bad_metadata, entries.error().where, {}, entries.error());
    }

    void claim_objects() noexcept {
        const std::uint64_t used = records_used(volume_, no_transaction);
        for (std::uint64_t record = 0; record < used; ++record) {
            auto object = load_record(volume_, no_transaction, record);
            if (object.has_error()) {
                if (counting_)
                    find(verify_problem::bad_metadata, object.error().where, object_id_of(record, 0), object.error());
                continue;
            }
            if (object.value().in_use) claim_object(object.value());
        }
    }

    void claim_object(object_state& object) noexcept {
        std::uint64_t extents = 0;
        std::uint64_t blocks  = 0;
        auto          map     = map_of(volume_, no_transaction, object, space_use::data);
        auto          walked  = map.walk({0}, {no_bound}, [&](const mapped_extent& piece) noexcept -> result<bool> {
            ++extents;
            blocks += piece.physical.count.value;
            claim_piece(piece, object);
            return true;
        });
        if constexpr (Volume::map_type::has_tree) {
            if (walked.has_value()) {
                walked = Volume::map_type::walk_nodes(map.pages(), object.map,
                                                      [&](const node_place& node) noexcept -> result<bool> {
                                                          claim_node(node.block, object.id);
                                                          return true;
                                                      });
            }
        }
        if (!counting_) return;
        if (walked.has_error())
            return find(verify_problem::bad_metadata, walked.error().where, object.id, walked.error());
        if (extents != object.map.extents || blocks != object.map.blocks)
            find(verify_problem::bad_record, {}, object.id);
        if (object.dying || object.shrinking) ++report_.dying;
        if (object.generation > generation_) generation_ = object.generation;
        if (object.dying) return;
        ++report_.objects;
        report_.extents += extents;
        ++classes_[extents_class(extents)];
    }

    /// Follows the list of the dying: it must hold as many objects as say that they are on it, and none else.
    void check_list() noexcept {
        object_id     at{totals_.dying_head};
        std::uint64_t listed = 0;
        for (; at && listed <= report_.dying; ++listed) {
            if (!names_record(at)) return find(verify_problem::bad_list, list_home());
            const auto object = load_record(volume_, no_transaction, record_of(at));
            if (object.has_error() || object.value().id != at || !object.value().in_use ||
                !(object.value().dying || object.value().shrinking)) {
                return find(verify_problem::bad_list, list_home());
            }
            at = object.value().next_dying;
        }
        if (listed != report_.dying) find(verify_problem::bad_list, list_home());
    }
    [[nodiscard]] block_index list_home() const noexcept { return volume_.regions.group_table(block_count{0}).home; }

    /// Reads data that begins in the window, so that each extent is read in one pass. Precondition: it was claimed.
    void check_data(extent blocks, object_id owner) noexcept {
        if (!with_data_ || !in_window(blocks.first)) return;
        const block_count most = whole_blocks(volume_.staging.size(), volume_.geometry.block);
        while (!blocks.empty()) {
            const extent part = part_of(blocks, block_count{0}, most);
            const auto   bytes =
                volume_.staging.first(static_cast<std::size_t>(bytes_of(part.count, volume_.geometry.block)));
            if (const auto read = read_blocks(volume_, part, bytes); read.has_error()) check_each(part, owner);
            report_.data_blocks += part.count.value;
            blocks = part_of(blocks, part.count, blocks.count);
        }
    }

    /// Names every bad block of a run that failed as a whole.
    void check_each(extent blocks, object_id owner) noexcept {
        const auto bytes = volume_.staging.first(volume_.geometry.block.bytes);
        for (; !blocks.empty(); blocks = part_of(blocks, block_count{1}, blocks.count)) {
            const auto read = read_blocks(volume_, {blocks.first, block_count{1}}, bytes);
            if (read.has_error()) find(verify_problem::bad_data, blocks.first, owner, read.error());
        }
    }

    /// Compares owners with the bitmap, and the bitmap with the group's record.
    void compare_group(std::uint64_t i) noexcept {
        const std::uint64_t group  = first_group_ + i;
        const std::uint32_t blocks = volume_.geometry.group_blocks(group);
        const auto          first  = first_of_group(group, volume_.geometry.block);
        const auto          words  = claims_of(i);
        const auto          known  = space::summary(volume_.metadata(), group);
        if (known.has_error()) return find(verify_problem::bad_metadata, known.error().where, {}, known.error());
        const auto scratch = volume_.space.scratch();
        if (known.value().bitmap_written) {
            const auto bitmap = volume_.metadata().get(volume_.regions.bitmap(group));
            if (bitmap.has_error()) return find(verify_problem::bad_metadata, bitmap.error().where, {}, bitmap.error());
            load_bitmap(scratch, volume_.cache.bytes(bitmap.value().slot()), blocks);
        } else {
            clear_bitmap(scratch, blocks);
        }
        const auto counted = summarize({scratch, blocks});
        if (counted.free != known.value().free || counted.runs != known.value().runs ||
            counted.largest != known.value().largest || counted.head != known.value().head ||
            counted.tail != known.value().tail) {
            find(verify_problem::bad_summary, first);
        }
        check_trimmed(group, known.value(), scratch, blocks);
        check_sums(group, known.value());
        free_ += counted.free;
        for (std::size_t k = 0; k < run_classes; ++k) runs_[k] += counted.runs[k];
        report_.in_use += block_count{blocks - counted.free};
        for (std::uint32_t at = 0; at < blocks; ++at) {
            if (words[at / word_bits] == scratch[at / word_bits] && at % word_bits == 0 && at + word_bits <= blocks) {
                at += word_bits - 1;
                continue;
            }
            const bool owned = is_set(words, at);
            if (owned == is_set(scratch, at)) continue;
            report_.leaked += block_count{owned ? 0U : 1U};
            find(owned ? verify_problem::in_use_but_free : verify_problem::leaked, first + block_count{at});
        }
    }

    /// A block that is known to be trimmed is free, and the count agrees.
    void check_trimmed(std::uint64_t group, const group_summary& known, std::span<const bitmap_word> in_use,
                       std::uint32_t blocks) noexcept {
        trimmed_ += known.trimmed;
        if (!known.trimmed_written) return;
        const auto pin = volume_.metadata().get(volume_.regions.trimmed(group));
        if (pin.has_error()) return find(verify_problem::bad_metadata, pin.error().where, {}, pin.error());
        const auto    bytes = volume_.cache.bytes(pin.value().slot());
        std::uint32_t count = 0;
        bool          free  = true;
        for (std::uint32_t at = 0; at < blocks; ++at) {
            const bool trimmed = (bytes[at / 8U] >> (at % 8U) & std::byte{1}) != std::byte{0};
            count += trimmed ? 1U : 0U;
            free = free && !(trimmed && is_set(in_use, at));
        }
        if (count != known.trimmed || !free) find(verify_problem::bad_summary, volume_.regions.trimmed(group).home);
    }

    /// Every block of the checksum table that was written must be whole, also where no data needs it: the next write
    /// may.
    void check_sums(std::uint64_t group, const group_summary& known) noexcept {
        if constexpr (Volume::checksum_type::enabled) {
            const std::uint32_t each = checksum_blocks_per_group(volume_.geometry.block);
            for (std::uint32_t i = 0; i < each; ++i) {
                if ((known.checksums_written >> i & 1U) == 0) continue;
                const auto pin = volume_.metadata().get(volume_.regions.checksum_block(group * each + i));
                if (pin.has_error()) find(verify_problem::bad_metadata, pin.error().where, {}, pin.error());
            }
        }
    }

    void compare_totals() noexcept {
        if (counted() != totals_) find(verify_problem::bad_totals, list_home());
    }

    Volume&                                volume_;
    Sink&                                  sink_;
    verify_report                          report_{};
    std::uint64_t                          first_group_ = 0;
    std::uint64_t                          groups_      = 0;
    std::uint64_t                          free_        = 0;
    std::uint64_t                          trimmed_     = 0;
    std::uint64_t                          generation_  = 0;  ///< The newest of any mapping.
    volume_totals                          totals_{};         ///< As they stood when the run began.
    std::array<std::uint32_t, run_classes> runs_{};
    std::uint64_t                          classes_[extents_classes]{};
    bool                                   with_data_ = true;
    bool                                   counting_  = true;
};

}  // namespace ashlar::inline v0
