#pragma once
/// Mends what can be mended without guessing: R2, R6, R7.

#include <ashlar/maintenance/alone.hpp>
#include <ashlar/maintenance/group_look.hpp>
#include <ashlar/maintenance/repair_report.hpp>
#include <ashlar/maintenance/verifier.hpp>
#include <ashlar/volume/space_repair.hpp>

namespace ashlar::inline v0 {

/// One repair of an open volume. It looks twice: first at all of it, to know what is proved, then again, group by
/// group, mending.
///
/// Three things speak about each group: its bitmap, its record, and the owners of its blocks. Owners are *proved* when
/// every record and node could be read and no two of them want the same block. Then they decide - unless there is a
/// sign that a record or node is an old one that came back, and the block without an owner belongs to what it said
/// later:
///  - bitmap and record of a group agree that an owned block is free;
///  - blocks have no owner, and the totals know of other objects or extents than are there;
///  - records in use stand behind the end of the records.
/// Then nothing is given back on the whole volume, and what the totals say of objects stays. A block that has an owner
/// is marked as in use in any case, since to be wrong there costs a block and to be wrong the other way costs data.
///
/// Every change is one of metadata like any other: in the journal first, a group's bitmap, record and share of the
/// totals in one batch. A repair that is cut leaves a volume that is as before or better, and another one ends it.
/// Data and its checksums are never touched: nothing that is wrong is made to look right.
template <class Volume, class Sink>
class repairer {
  public:
    repairer(Volume& volume, Sink& sink, repair_options chosen) noexcept
        : volume_{volume}, sink_{sink}, chosen_{chosen} {}

    /// Errors: read_only; busy while transactions are open; those of the device, after which some of what was reported
    /// as done may not be.
    result<repair_report> run() noexcept {
        if (!chosen_.dry_run) { BOOST_OUTCOME_TRY(volume_.writable()); }
        BOOST_OUTCOME_TRY(await_no_transactions(volume_));
        if (chosen_.dry_run) return look_and_mend();
        const detail::no_changes alone{volume_};
        BOOST_OUTCOME_TRY(checkpoint_alone(volume_));  // what is mended rests on what is durable
        auto done = look_and_mend();
        ++volume_.changes;
        BOOST_OUTCOME_TRY(volume_.space.open(volume_.metadata()));  // the groups in memory are as old as before
        BOOST_OUTCOME_TRY(done);
        BOOST_OUTCOME_TRY(checkpoint_alone(volume_));
        BOOST_OUTCOME_TRY(copy_frames());
        return done;
    }

    // For the verifier. ---------------------------------------------------------------------------------------------

    void operator()(const verify_finding& found) noexcept {
        if (phase_ == phase::survey) return survey(found);
        const auto deed = deed_for(found);
        deed == repair_deed::left ? ++report_.left : ++report_.mended;
        if (deed == repair_deed::given_back) report_.given_back += block_count{1};
        if (deed == repair_deed::marked) report_.marked += block_count{1};
        if (found.problem == verify_problem::bad_copy) note_frame(found.block);
        sink_(repair_finding{found, deed});
    }

    void before(std::uint64_t group, std::span<bitmap_word> owners) noexcept {
        owners_ = owners;
        group_  = look_at_group(volume_, group, owners, proved_, proved_ && !lost_);
        if (phase_ == phase::survey) {
            all_known_ = all_known_ && group_.known;
            disowned_  = disowned_ || (group_.disowned && group_.agrees);
            leaks_     = leaks_ || group_.leaks;
        }
    }

    result<> after(std::uint64_t group, std::span<bitmap_word> owners) noexcept {
        if (phase_ == phase::survey) return success();
        if (group_.known && group_.restates && !chosen_.dry_run) { BOOST_OUTCOME_TRY(restate(group, owners)); }
        if (group_.known && !chosen_.dry_run) { BOOST_OUTCOME_TRY(rebuild_sums(group, owners)); }
        return success();
    }

  private:
    enum class phase : std::uint8_t { survey, mend };

    result<repair_report> look_and_mend() noexcept {
        phase_ = phase::survey;
        verifier<Volume, repairer> first{volume_, *this};
        BOOST_OUTCOME_TRY(report_.seen, first.run(false, *this));
        lost_  = disowned_ || (leaks_ && knows_other_objects(first.counted())) || has_later_records();
        phase_ = phase::mend;
        verifier<Volume, repairer> second{volume_, *this};
        BOOST_OUTCOME_TRY(report_.seen, second.run(chosen_.with_data, *this));
        if (chosen_.dry_run) return report_;
        if (list_is_bad_ && proved_) { BOOST_OUTCOME_TRY(link_again()); }
        if (totals_are_bad_ && may_count()) { BOOST_OUTCOME_TRY(count_again(second.counted())); }
        return report_;
    }

    void survey(const verify_finding& found) noexcept {
        const bool of_owners = found.problem == verify_problem::two_owners ||
                               found.problem == verify_problem::bad_record ||
                               found.problem == verify_problem::lost_history ||
                               (found.problem == verify_problem::bad_metadata && found.object);
        proved_         = proved_ && !of_owners;
        list_is_bad_    = list_is_bad_ || found.problem == verify_problem::bad_list;
        totals_are_bad_ = totals_are_bad_ || found.problem == verify_problem::bad_totals;
    }

    [[nodiscard]] bool may_count() const noexcept { return proved_ && all_known_ && !lost_; }

    [[nodiscard]] bool knows_other_objects(const volume_totals& counted) const noexcept {
        const auto& said = volume_.space.totals();
        return counted.objects != said.objects || counted.allocated_extents != said.allocated_extents ||
               counted.objects_with_data != said.objects_with_data || counted.extents != said.extents ||
               counted.generation_counter != said.generation_counter;
    }

    /// Whether a block of the object table is whole and has a record in use behind the end of the records.
    [[nodiscard]] bool has_later_records() noexcept {
        const std::uint64_t capacity = record_capacity(volume_);
        for (std::uint64_t record = records_used(volume_, no_transaction); record < capacity; ++record) {
            const auto place = *place_of_record(volume_, record);
            const auto pin   = volume_.metadata().get(place.block);
            if (pin.has_error()) continue;  // was never written
            const auto bytes = std::span<const std::byte>{volume_.cache.bytes(pin.value().slot())}.subspan(place.byte);
            if ((load_struct<object_record>(bytes).flags & object_flag::in_use) != 0) return true;
        }
        return false;
    }

    [[nodiscard]] repair_deed deed_for(const verify_finding& found) const noexcept {
        const auto when = [](bool sure, repair_deed deed) noexcept { return sure ? deed : repair_deed::left; };
        switch (found.problem) {
            case verify_problem::leaked: return when(group_.gives, repair_deed::given_back);
            case verify_problem::in_use_but_free: return when(group_.restates, repair_deed::marked);
            case verify_problem::bad_summary: return when(group_.restates, repair_deed::counted_again);
            case verify_problem::bad_metadata:
                return when(!found.object && rebuilds(found.block), repair_deed::rebuilt);
            case verify_problem::bad_totals: return when(may_count(), repair_deed::counted_again);
            case verify_problem::bad_list: return when(proved_, repair_deed::linked_again);
            case verify_problem::bad_copy: return repair_deed::copied;
            case verify_problem::two_owners:
            case verify_problem::bad_data:
            case verify_problem::bad_record:
            case verify_problem::lost_history: break;
        }
        return repair_deed::left;
    }

    /// Whether a block of the tables that is not whole can be made anew.
    [[nodiscard]] bool rebuilds(block_index block) const noexcept {
        const auto what = volume_.regions.identity_of(block);
        if (!what) return false;
        if (what->tag == tag::bitmap || what->tag == tag::trimmed) return group_.restates;
        if (what->tag != tag::checksums || !group_.known || !proved_) return false;
        const std::uint32_t each = checksum_blocks_per_group(volume_.geometry.block);
        return !is_owned(what->number % each);
    }

    /// Whether any block of the group that is being compared, whose checksum would stand in that block of the table,
    /// has an owner.
    [[nodiscard]] bool is_owned(std::uint64_t table_block) const noexcept {
        const std::uint32_t per   = sums_per_block(volume_.geometry.block);
        const auto          first = static_cast<std::uint32_t>(table_block) * per;
        const auto          end   = static_cast<std::uint32_t>(owners_.size() * word_bits);
        ASHLAR_ASSERT(first < end);
        const std::uint32_t last = end - first < per ? end : first + per;
        return next_set(owners_, first, last) != last;
    }

    /// Room in cache and ring for a few blocks, written in full. What is looked at next wants half of the cache.
    result<> make_room(std::size_t blocks) noexcept {
        if (volume_.cache.has_room_for(volume_.cache.slots() / 2) && ring_has_room(volume_, blocks)) return success();
        BOOST_OUTCOME_TRY(checkpoint_alone(volume_));
        if (!ring_has_room(volume_, blocks)) return errc::too_large;
        return success();
    }

    /// Owners decide, or stand beside what the bitmap says. The totals follow the groups' records by differences from
    /// then on, so they first say what the records do: else an error of a record would get into totals that were right.
    result<> restate(std::uint64_t group, std::span<bitmap_word> owners) noexcept {
        BOOST_OUTCOME_TRY(make_room(4));
        if (!restated_ && all_known_) {
            BOOST_OUTCOME_TRY(const auto totals, as_records_say(volume_.space.totals()));
            BOOST_OUTCOME_TRY(volume_.space.restate_totals(volume_.metadata(), totals));
        }
        restated_ = true;
        if (!group_.gives) {
            BOOST_OUTCOME_TRY(const auto known, space::summary(volume_.metadata(), group));
            const auto words = volume_.space.scratch();
            if (!load_group_words(volume_, group, known, words))
                return error{errc::checksum_differs, volume_.regions.bitmap(group).home};
            for (std::size_t w = 0; w < owners.size(); ++w) owners[w] |= words[w];
        }
        return volume_.space.restate_group(volume_.metadata(), group, owners);
    }

    /// Makes those blocks of the checksum table anew that are not whole and that no owned block needs: the next write
    /// there would fail.
    result<> rebuild_sums(std::uint64_t group, std::span<const bitmap_word> owners) noexcept {
        if constexpr (Volume::checksum_type::enabled) {
            if (!proved_) return success();
            BOOST_OUTCOME_TRY(const auto known, space::summary(volume_.metadata(), group));
            owners_                  = owners;
            const std::uint32_t each = checksum_blocks_per_group(volume_.geometry.block);
            for (std::uint32_t i = 0; i < each; ++i) {
                if ((known.checksums_written >> i & 1U) == 0) continue;
                const auto block = volume_.regions.checksum_block(group * each + i);
                const auto found = volume_.metadata().get(block);
                if (found.has_value() || is_owned(i)) continue;
                BOOST_OUTCOME_TRY(make_room(1));
                BOOST_OUTCOME_TRY(volume_.metadata().create(block));
            }
        }
        return success();
    }

    /// Puts every object that says so on the list of the dying, one after the other: the list is whole after each.
    result<> link_again() noexcept {
        auto totals       = volume_.space.totals();
        totals.dying_head = 0;
        BOOST_OUTCOME_TRY(make_room(1));
        BOOST_OUTCOME_TRY(volume_.space.restate_totals(volume_.metadata(), totals));
        const std::uint64_t used = records_used(volume_, no_transaction);
        for (std::uint64_t record = 0; record < used; ++record) {
            BOOST_OUTCOME_TRY(auto object, load_record(volume_, no_transaction, record));
            if (!object.in_use || !(object.dying || object.shrinking)) continue;
            BOOST_OUTCOME_TRY(make_room(3));
            const auto place = place_of_record(volume_, record);
            BOOST_OUTCOME_TRY(const auto pin, volume_.metadata().get(place->block));
            object.next_dying = object_id{totals.dying_head};
            totals.dying_head = object.id.value;
            BOOST_OUTCOME_TRY(volume_.space.restate_totals(volume_.metadata(), totals));
            const auto bytes =
                volume_.cache.bytes(pin.slot()).subspan(place->byte, object_encoded_bytes(volume_.inline_extents));
            encode_object(bytes, object);
            volume_.cache.change(pin.slot(), place->byte, bytes.size());
            BOOST_OUTCOME_TRY(follow(record, pin.slot(), place->byte));
        }
        return success();
    }

    /// A record that is in the next table too changes there with it.
    result<> follow(std::uint64_t record, std::uint32_t slot, std::uint32_t byte) noexcept {
        const auto& next = volume_.migration;
        if (record >= next.migrated) return success();
        const auto place = next_place_of_record(volume_, record);
        if (!place) return errc::damaged;
        BOOST_OUTCOME_TRY(const auto pin, volume_.metadata().get(place->block));
        convert_record(volume_.cache.bytes(slot).subspan(byte, volume_.record_bytes), volume_.inline_extents,
                       volume_.cache.bytes(pin.slot()).subspan(place->byte, next.record_bytes), next.inline_extents);
        volume_.cache.change(pin.slot(), place->byte, next.record_bytes);
        return success();
    }

    /// Totals with what the groups' records say of free space.
    result<volume_totals> as_records_say(volume_totals totals) noexcept {
        totals.free = totals.trimmed = 0;
        totals.runs                  = {};
        for (std::uint64_t group = 0; group < volume_.geometry.groups; ++group) {
            BOOST_OUTCOME_TRY(const auto known, space::summary(volume_.metadata(), group));
            totals.free += known.free;
            totals.trimmed += known.trimmed;
            for (std::size_t k = 0; k < run_classes; ++k) totals.runs[k] += known.runs[k];
        }
        return totals;
    }

    /// What was counted stands in the totals, changed by what the groups were mended by.
    result<> count_again(const volume_totals& said) noexcept {
        BOOST_OUTCOME_TRY(auto counted, as_records_say(said));
        counted.dying_head = volume_.space.totals().dying_head;
        BOOST_OUTCOME_TRY(make_room(1));
        volume_.generation = counted.generation_counter;
        return volume_.space.restate_totals(volume_.metadata(), counted);
    }

    void note_frame(block_index home) noexcept {
        for (const auto& pair : frame_pairs) {
            for (unsigned i = 0; i < 2; ++i) {
                if (home == frame_home(pair.copy(i), volume_.geometry.block)) bad_frames_ |= 1U << pair.copy(i);
            }
        }
    }

    /// The twin of each bad copy is what the cache holds, and everything is home. Error: device_failed; behind a sync
    /// that failed writing has ended (R15).
    result<> copy_frames() noexcept {
        volume_.recovered.bad_frames = bad_frames_;
        volume_.recovered.mended_frames &= ~bad_frames_;
        if (const auto synced = mend_frames(volume_); synced.has_error()) return volume_.end_writing(synced.error());
        if ((bad_frames_ & ~volume_.recovered.mended_frames) != 0) return errc::device_failed;
        return success();
    }

    Volume&                      volume_;
    Sink&                        sink_;
    repair_options               chosen_;
    repair_report                report_{};
    group_look                   group_{};
    std::span<const bitmap_word> owners_{};
    std::uint32_t                bad_frames_     = 0;
    phase                        phase_          = phase::survey;
    bool                         proved_         = true;
    bool                         disowned_       = false;
    bool                         leaks_          = false;
    bool                         lost_           = false;  ///< Owners may be missing.
    bool                         all_known_      = true;
    bool                         list_is_bad_    = false;
    bool                         totals_are_bad_ = false;
    bool                         restated_       = false;  ///< A group was written again.
};

}  // namespace ashlar::inline v0
