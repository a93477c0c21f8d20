#pragma once
/// The volume that becomes a copy.

#include <ashlar/copy/copy_source.hpp>
#include <ashlar/device/blocking_queue.hpp>

namespace ashlar::inline v0 {

/// Changes of a target, each a transaction that leaves every object either whole, and as the source had it at one
/// moment, or with generation 0.
template <Blueprint From, Blueprint To>
class copy_target {
  public:
    using volume_type = typename store<To>::volume_type;

    /// What is to be done about an object.
    struct verdict {
        bool copies = false;
        bool held   = false;  ///< The target has blocks of it already.
    };
    /// What a batch came to.
    struct outcome {
        std::uint64_t whole = 0;  ///< Objects that are complete now.
        std::uint64_t raced = 0;  ///< Objects that changed in the source meanwhile.
        block_count   copied{};
    };

    copy_target(store<To>& to, block_count write_max) noexcept : store_{&to}, write_max_{write_max} {}

    [[nodiscard]] volume_type&  volume() const noexcept { return store_->volume(); }
    [[nodiscard]] store<To>&    of() const noexcept { return *store_; }
    [[nodiscard]] std::uint64_t records() const noexcept { return volume().space.totals().records_high_water; }

    /// Gives the volume the features of the source. Errors: copied_features::bring_to.
    result<> begin_pass(const feature_set& wanted) noexcept {
        const entered guard{volume()};
        BOOST_OUTCOME_TRY(copied_features::bring_to(volume(), wanted));
        BOOST_OUTCOME_TRY(features_, copied_features::seen_in(volume()));
        return success();
    }

    /// Makes the record the source's. What has a generation up to `trusted` and the source's own is not copied again.
    result<verdict> prepare(std::uint64_t record, const source_record& seen, std::uint64_t trusted) noexcept {
        auto&         to = volume();
        const entered guard{to};
        if (record >= records_used(to, no_transaction)) {
            BOOST_OUTCOME_TRY(import_record(to, record, seen.name));
            return verdict{.copies = seen.name.in_use};
        }
        BOOST_OUTCOME_TRY(const auto held, load(record));
        if (!held.in_use || held.dying || !seen.name.in_use || held.id != seen.name.id) {
            const bool gone = !seen.name.in_use && (!held.in_use || held.dying);
            if (gone) {
                BOOST_OUTCOME_TRY(const auto name, with_loads(to, [&]() noexcept { return see_record(to, record); }));
                if (name.id == seen.name.id) return verdict{};
            }
            BOOST_OUTCOME_TRY(import_record_again(to, record, seen.name));
            return verdict{.copies = seen.name.in_use};
        }
        const auto& object = seen.object;
        if (held.generation == object.generation && held.map.blocks == object.map.blocks &&
            object.generation <= trusted && held.size <= object.size) {
            BOOST_OUTCOME_TRY(const bool same, keeps(record, seen.kept));
            if (!same || held.size != object.size || held.attributes != object.attributes) {
                BOOST_OUTCOME_TRY(complete(record, seen));
            }
            return verdict{};
        }
        BOOST_OUTCOME_TRY(change_imported(to, held.id, [&](std::uint32_t tx, object_state& changed) noexcept {
            return pin_object(to, tx, changed, 0, object_bytes_max, false);
        }));
        return verdict{.copies = true, .held = held.map.extents != 0};
    }
    /// The source has no such record: it lost it in a crash.
    result<> drop(std::uint64_t record) noexcept {
        const entered guard{volume()};
        BOOST_OUTCOME_TRY(const auto held, load(record));
        if (!held.in_use || held.dying) return success();
        return erase_one(volume(), held.id);
    }

    /// How many blocks of a run of the source the target has already, by their checksums; or else how many it has not.
    struct comparison {
        bool        same = false;
        block_count blocks{};
    };
    result<comparison> compare(typename store<From>::volume_type& from, object_id id, logical_block first,
                               extent run) noexcept {
        using source_volume = typename store<From>::volume_type;
        if constexpr (!volume_type::checksum_type::enabled ||
                      !std::is_same_v<typename volume_type::checksum_type, typename source_volume::checksum_type>) {
            return comparison{.blocks = run.count};
        } else {
            BOOST_OUTCOME_TRY(const auto there, store_->next_extent(id, first));
            if (!there || there->logical > first)
                return comparison{.blocks = there ? std::min(run.count, there->logical - first) : run.count};
            const auto mine = part_of(there->physical, first - there->logical, run.count);
            if (there->unwritten) return comparison{.blocks = mine.count};
            std::array<std::uint64_t, 64> sums, theirs;
            const auto                    count = std::min<std::size_t>(sums.size(), mine.count.value);
            BOOST_OUTCOME_TRY(read_sums(volume(), mine.first, std::span{sums}.first(count)));
            BOOST_OUTCOME_TRY(read_sums(from, run.first, std::span{theirs}.first(count)));
            comparison  answer{.same = sums[0] == theirs[0]};
            std::size_t same = 1;
            while (same < count && (sums[same] == theirs[same]) == answer.same) ++same;
            answer.blocks = {same};
            return answer;
        }
    }

    /// Begins the writes of a batch whose reads are done, into runs of free space that nobody else knows of; what fits
    /// into none is left to `run`. The batch stays as it is until `run` or `give_up`. Errors: those of the queue.
    result<> begin_writes(copy_batch& batch) noexcept {
        auto acts = batch.acts();
        for (auto& object : batch.objects()) {
            for (auto own = acts.first(object.acts); !own.empty() && !object.raced;) {
                if (own.front().what != copy_act::verb::write) {
                    own = own.subspan(1);
                    continue;
                }
                const auto group = group_of(own);
                if (group.acts == 0) break;
                BOOST_OUTCOME_TRY(send(own.front(), group));
                own = own.subspan(group.acts);
            }
            acts = acts.subspan(object.acts);
        }
        return success();
    }
    /// Does what the batch says; its writes were begun. Stops at the first error; nothing of it is in flight then.
    result<outcome> run(copy_batch& batch, copy_source<From>& source) noexcept {
        const auto written = end_writes(batch);
        auto       sum     = written.has_value() ? work_off(batch, source) : result<outcome>{written.error()};
        give_up(batch);
        return sum;
    }
    /// Waits for writes that were begun, and gives back their blocks where no object has them.
    void give_up(copy_batch& batch) noexcept {
        static_cast<void>(await_writes());
        for (auto& one : batch.acts()) {
            if (one.sent) release(one);
        }
    }

    using queue_type = queue_of<typename To::device>;

    /// The queue that data is written through; nothing is in flight between two calls of `run`. Errors: those of
    /// opening it.
    result<queue_type*> queue() noexcept {
        if (!queue_) { BOOST_OUTCOME_TRY(queue_, open_queue_of(volume().device, {.depth = copy_batch::acts_max})); }
        return &*queue_;
    }
    /// It broke: what it has in flight is waited for, and the next write opens another.
    void drop_queue() noexcept { queue_.reset(); }

  private:
    // The data: many writes at a time, into blocks that nobody else knows of. -----------------------------------------

    /// Writes that follow each other, in the object and in memory.
    struct write_group {
        std::size_t          acts = 0;
        block_count          blocks{};
        std::span<std::byte> bytes{};
        error                failure{};  ///< Of the read of the act behind the last.
        bool                 raced = false;
    };
    [[nodiscard]] write_group group_of(std::span<copy_act> acts) const noexcept {
        write_group group{.bytes = {acts.front().memory.data(), 0}};
        for (auto& next : acts) {
            if (next.what != copy_act::verb::write || next.first != acts.front().first + group.blocks ||
                next.memory.data() != group.bytes.data() + group.bytes.size() ||
                (group.acts != 0 && group.blocks + next.count > write_max_))
                break;
            group.raced   = is_race(next.asked);
            group.failure = next.asked.failure;
            if (group.raced || group.failure.code != errc::none) break;
            group.bytes = {group.bytes.data(), group.bytes.size() + next.memory.size()};
            group.blocks += next.count;
            ++group.acts;
        }
        return group;
    }

    /// Errors: those of a write, and of the queue.
    result<> end_writes(copy_batch& batch) noexcept {
        BOOST_OUTCOME_TRY(await_writes());
        for (const auto& one : batch.acts()) {
            if (one.sent && one.put.failure.code != errc::none) return one.put.failure;
        }
        return success();
    }
    result<> send(copy_act& first, const write_group& group) noexcept {
        BOOST_OUTCOME_TRY(queue());
        {
            const entered guard{volume()};
            const auto    run = reserve_imported(volume(), group.blocks);
            if (run.has_error()) return success();
            first.put  = {.blocks = run.value(), .memory = group.bytes.data(), .kind = transfer_kind::write};
            first.sent = true;
        }
        queue_->submit(first.put);
        return reap(0);
    }
    result<> await_writes() noexcept {
        while (queue_ && queue_->in_flight() != 0) { BOOST_OUTCOME_TRY(reap(1)); }
        return success();
    }
    result<> reap(std::size_t at_least) noexcept {
        std::array<transfer*, copy_batch::acts_max> finished;
        const auto                                  count = queue_->complete(finished, at_least);
        if (count.has_value()) return success();
        queue_.reset();  // which waits for what is in flight: nobody writes to the blocks that are released then
        return count.error();
    }
    void release(copy_act& one) noexcept {
        const entered guard{volume()};
        volume().space.release(one.put.blocks, volume().geometry.block);
        one.sent = false;
    }

    // The objects, in order. ------------------------------------------------------------------------------------------

    result<outcome> work_off(copy_batch& batch, copy_source<From>& source) noexcept {
        outcome sum;
        auto    acts = batch.acts();
        for (auto& object : batch.objects()) {
            for (auto own = acts.first(object.acts); !own.empty() && !object.raced;) {
                BOOST_OUTCOME_TRY(const auto done, act(object, own, sum));
                own = own.subspan(done);
            }
            acts = acts.subspan(object.acts);
            if (object.ends) { BOOST_OUTCOME_TRY(end(object, source, sum)); }
        }
        return sum;
    }

    result<object_state> load(std::uint64_t record) noexcept {
        return with_loads(volume(), [&]() noexcept { return load_record(volume(), no_transaction, record); });
    }
    template <class Volume>
    static result<> read_sums(Volume& volume, block_index first, std::span<std::uint64_t> sums) noexcept {
        const entered guard{volume};
        return with_loads(volume, [&]() noexcept { return copy_checksums(volume, first, sums); });
    }

    /// Does one act, or several writes that follow each other; answers how many.
    result<std::size_t> act(copied_object& object, std::span<copy_act> acts, outcome& sum) noexcept {
        const copy_act& one = acts.front();
        if (one.what == copy_act::verb::write) {
            BOOST_OUTCOME_TRY(clear_to(object, one.first));
            return write(object, acts, sum);
        }
        if (one.what == copy_act::verb::pin) {
            BOOST_OUTCOME_TRY(pin(object, one));
        } else if (one.what == copy_act::verb::reserve) {
            BOOST_OUTCOME_TRY(reserve(object, one));
        } else {
            BOOST_OUTCOME_TRY(clear_to(object, one.first));
            object.reached = std::max(object.reached, one.first + one.count);
        }
        return std::size_t{1};
    }

    result<> pin(const copied_object& object, const copy_act& one) noexcept {
        auto&         to   = volume();
        const auto    size = to.geometry.block;
        const entered guard{to};
        return change_imported(to, object.seen.id, [&](std::uint32_t tx, object_state& changed) noexcept {
            return pin_object(to, tx, changed, byte_offset(one.first, size), bytes_of(one.count, size), true);
        });
    }
    /// Blocks that hold nothing take the place of whatever the target had there.
    result<> reserve(copied_object& object, const copy_act& one) noexcept {
        BOOST_OUTCOME_TRY(clear_to(object, one.first + one.count));
        auto&         to   = volume();
        const auto    size = to.geometry.block;
        const entered guard{to};
        BOOST_OUTCOME_TRY(change_imported(to, object.seen.id, [&](std::uint32_t tx, object_state& changed) noexcept {
            return reserve_object(to, tx, changed, byte_offset(one.first, size), bytes_of(one.count, size));
        }));
        object.reached = std::max(object.reached, one.first + one.count);
        return success();
    }

    /// The reads of an object that goes or changes may find it gone, or shorter.
    [[nodiscard]] static bool is_race(const request& asked) noexcept {
        return asked.failure.code == errc::not_found || asked.failure.code == errc::raced ||
               (asked.failure.code == errc::none && asked.moved < asked.memory.size());
    }

    result<std::size_t> write(copied_object& object, std::span<copy_act> acts, outcome& sum) noexcept {
        auto&      to    = volume();
        auto&      one   = acts.front();
        const auto group = group_of(acts);
        if (group.acts == 0) {
            if (!group.raced) return group.failure;
            object.raced = true;
            return std::size_t{1};
        }
        const entered guard{to};
        if (one.sent) {
            BOOST_OUTCOME_TRY(place_imported(to, object.seen.id, one.first, one.put.blocks, group.bytes));
            one.sent = false;
        } else {
            BOOST_OUTCOME_TRY(
                change_imported(to, object.seen.id, [&](std::uint32_t tx, object_state& changed) noexcept {
                    to.transactions[tx].may_stage = true;
                    return write_object(to, tx, changed, byte_offset(one.first, to.geometry.block), group.bytes,
                                        space_use::data);
                }));
        }
        object.reached = one.first + group.blocks;
        sum.copied += group.blocks;
        return group.acts;
    }

    /// What the target has between what is done and `until` does not belong there.
    result<> clear_to(copied_object& object, logical_block until) noexcept {
        if (!object.held) return success();
        while (object.reached < until) {
            BOOST_OUTCOME_TRY(const auto found, store_->next_extent(object.seen.id, object.reached));
            if (!found || found->logical >= until) break;
            const auto    first = std::max(found->logical, object.reached);
            const auto    end   = std::min(found->logical + found->physical.count, until);
            const entered guard{volume()};
            BOOST_OUTCOME_TRY(clear_imported(volume(), object.seen.id, first, end - first));
            object.reached = end;
        }
        object.reached = std::max(object.reached, until);
        return success();
    }

    /// Whether features keep the same in the target's record. What nobody could read is not compared.
    result<bool> keeps(std::uint64_t record, const feature_bytes& kept) noexcept {
        if (kept.count == 0) return true;
        BOOST_OUTCOME_TRY(const auto held, with_loads(volume(), [&]() noexcept {
                              return feature_bytes::read(volume(), record, features_);
                          }));
        return held.count == kept.count && std::memcmp(held.memory.data(), kept.memory.data(), kept.count) == 0;
    }
    /// In one transaction, so that no record is whole without what features keep in it.
    result<> complete(std::uint64_t record, const source_record& as) noexcept {
        return complete_imported(volume(), as.object, [&](std::uint32_t tx) noexcept {
            return as.kept.write(volume(), tx, record, features_);
        });
    }

    result<> end(copied_object& object, copy_source<From>& source, outcome& sum) noexcept {
        BOOST_OUTCOME_TRY(const auto now, source.look(object.record));
        if (object.raced || !now.name.in_use || now.name.id != object.seen.id ||
            now.object.generation != object.seen.generation) {
            ++sum.raced;
            return success();
        }
        BOOST_OUTCOME_TRY(clear_to(object, {~std::uint64_t{0} >> 1U}));
        const entered guard{volume()};
        BOOST_OUTCOME_TRY(complete(object.record, now));
        ++sum.whole;
        return success();
    }

    store<To>*                store_;
    block_count               write_max_;
    std::optional<queue_type> queue_{};
    feature_set               features_{};
};

}  // namespace ashlar::inline v0
