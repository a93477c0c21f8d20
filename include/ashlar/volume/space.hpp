#pragma once
/// Which blocks are free, reserved, in use or retired: rules R3, R7 and R10.

#include <ashlar/allocator/group_arithmetic.hpp>
#include <ashlar/format/group_bitmap.hpp>
#include <ashlar/volume/group_windows.hpp>
#include <ashlar/volume/metadata_access.hpp>
#include <ashlar/volume/transaction.hpp>

namespace ashlar::inline v0 {

/// Who asks for blocks; decides which reserve it may use.
enum class space_use : std::uint8_t { data, relocation, metadata };

struct space_request {
    block_count blocks{1};
    block_count least{1};  ///< A shorter run is of no use. Equal to `blocks`: one run or nothing.
    block_index goal{};    ///< As near behind it as possible; the volume's beginning asks for a good fit instead.
    space_use   use     = space_use::data;
    bool        is_data = false;  ///< Later data without a better goal goes on behind it; nodes are none.
};

struct space_limits {
    std::size_t groups_loaded = 4;     ///< Groups whose free runs are in memory.
    std::size_t retired       = 4096;  ///< Runs that wait until their batch is confirmed.
    std::size_t holds         = 16;    ///< Runs that readers keep from reuse.
};

/// Space of one volume.
///
/// Invariants: a block is allocated only when its bit is clear in its group's window, which is the durable bitmap and
/// all that is reserved or retired. Bits of the durable bitmap change only when a transaction joins a batch.
class space {
  public:
    constexpr void take(arena& from, block_size block, const space_limits& limits, std::size_t reserved_max,
                        std::size_t cache_slots) noexcept {
        windows_.take(from, limits.groups_loaded, blocks_per_group(block));
        scratch_ = from.take<bitmap_word>(words_for(blocks_per_group(block)));
        reserved_.lend(from.take<extent>(reserved_max));
        retired_.lend(from.take<retired_run>(limits.retired));
        holds_.lend(from.take<extent>(limits.holds));
        prepared_.lend(from.take<std::uint32_t>(cache_slots + frame_slots));
    }

    /// Reads the totals. Errors: those of the device; damaged.
    template <class Source>
    result<> open(const metadata_access<Source>& at) noexcept {
        windows_.clear();
        metadata_blocks_ = bounded(at.geometry.blocks.value >> 9U, 8, 512);
        reserve_blocks_  = metadata_blocks_ + bounded(at.geometry.blocks.value >> 7U, 8, 4096);
        const auto block = at.regions.group_table(block_count{0});
        BOOST_OUTCOME_TRY(const auto pin, at.get(block));
        const auto totals =
            decode_totals(load_struct<volume_totals_record>(at.cache.bytes(pin.slot())), at.geometry.blocks);
        if (!totals) return error{errc::damaged, block.home};
        totals_ = *totals;
        return success();
    }

    [[nodiscard]] const volume_totals& totals() const noexcept { return totals_; }

    /// Blocks that could be reserved now by that use.
    [[nodiscard]] block_count available(space_use use) const noexcept {
        const std::uint64_t held = retired_blocks_ + reserved_blocks_ + floor_of(use);
        return {totals_.free > held ? totals_.free - held : 0};
    }
    /// Where the last data was placed: what has no better goal goes on there.
    [[nodiscard]] block_index last_end() const noexcept { return last_end_; }
    /// Blocks that a confirmed batch and a checkpoint would make available.
    [[nodiscard]] block_count draining() const noexcept { return {retired_blocks_}; }
    [[nodiscard]] std::size_t retired_room() const noexcept { return retired_.room(); }

    /// Takes a run. It belongs to the caller until it joins a batch or is released.
    /// Errors: no_space, reserve_only, no_contiguous_space; those of reading group records and bitmaps.
    template <Allocator A, class Source>
    result<extent> reserve(const metadata_access<Source>& at, const A& allocator, space_request request) noexcept {
        const auto room = available(request.use);
        if (room < request.least) {
            return error{available(space_use::metadata) < request.least ? errc::no_space : errc::reserve_only};
        }
        if (request.blocks > room) request.blocks = room;
        if (reserved_.full()) return error{errc::too_large};
        const std::uint64_t in_group = blocks_per_group(at.geometry.block);
        if (request.least.value > in_group) return error{errc::no_contiguous_space};
        if (request.blocks.value > in_group) request.blocks = block_count{in_group};

        // Without a goal data goes on where the last went, and what is moved goes to the volume's beginning.
        const std::uint64_t anywhere = request.use == space_use::relocation ? 0 : last_group_;
        const std::uint64_t start =
            request.goal.value != 0 ? place_of(request.goal, at.geometry.block).group : anywhere;
        BOOST_OUTCOME_TRY(auto found, search(at, allocator, request, start, request.blocks, near_groups));
        if (found.empty() && request.least < request.blocks) {
            BOOST_OUTCOME_TRY(const auto group, roomiest(at, start));
            BOOST_OUTCOME_TRY(found, look_in(at, allocator, request, group, request.least));
        }
        if (found.empty()) {
            BOOST_OUTCOME_TRY(found, search(at, allocator, request, start, request.least, at.geometry.groups));
        }
        if (found.empty()) return error{errc::no_contiguous_space};
        last_group_ = place_of(found.first, at.geometry.block).group;
        if (request.is_data) last_end_ = found.end();
        reserve_run(found, at.geometry.block);
        return found;
    }

    /// Gives a reserved run back. It was never in use, so it is free at once.
    void release(extent run, block_size size) noexcept {
        unreserve(run);
        windows_.set_free(run, size);
    }

    [[nodiscard]] bool can_reserve() const noexcept { return !reserved_.full(); }

    /// Takes a run that the caller found free in its group's window.
    void reserve_run(extent run, block_size size) noexcept {
        windows_.set_busy(run, size);
        reserved_.push(run);
        reserved_blocks_ += run.count.value;
    }

    /// Notes in the open batch that the device knows the run to be free. Precondition: it is reserved by the caller.
    template <class Source>
    result<> note_trimmed(const metadata_access<Source>& at, extent run) noexcept;

    // Joining a batch. ----------------------------------------------------------------------------------------------

    /// Loads and pins every block that `apply` will change, so that `apply` cannot fail.
    template <class Source>
    result<> prepare(const metadata_access<Source>& at, transaction_state& tx, bool sums) noexcept;

    /// Flips the bits of what the transaction took and gave, in bitmap, group records and totals; retires what it gave.
    template <class Source>
    void apply(const metadata_access<Source>& at, transaction_state& tx, sequence batch) noexcept;

    /// The group record that contradicted its bitmap, if one did: then nothing of the open batch may be written.
    [[nodiscard]] std::optional<block_index> contradiction() const noexcept { return contradiction_; }

    /// Frees what waited: runs whose batch is confirmed, and for former metadata also behind the journal's tail.
    void drain(sequence confirmed, sequence tail, block_size size) noexcept;

    /// A reader begins: what is retired from now on is not reused before it has left. Cost: one count.
    [[nodiscard]] std::uint32_t enter_reader() noexcept {
        const std::uint32_t ticket = phase_ & 1U;
        ++readers_[ticket];
        return ticket;
    }
    void leave_reader(std::uint32_t ticket) noexcept {
        ASHLAR_ASSERT(readers_[ticket] > 0);
        --readers_[ticket];
    }
    [[nodiscard]] std::uint32_t readers() const noexcept { return readers_[0] + readers_[1]; }

    /// A reader keeps the run from reuse. Error: busy when all holds are taken.
    result<> hold(extent run) noexcept {
        if (holds_.full()) return error{errc::busy, run.first};
        holds_.push(run);
        return success();
    }
    void unhold(extent run) noexcept {
        for (std::size_t i = 0; i < holds_.size(); ++i) {
            if (holds_[i] == run) return holds_.remove(i);
        }
        ASHLAR_ASSERT(false);
    }

    /// Memory for one group's words; whoever borrows it may not change space meanwhile.
    [[nodiscard]] std::span<bitmap_word> scratch() noexcept {
        scratch_group_ = no_group;
        return scratch_;
    }

    /// What is known of a group, without its bitmap.
    template <class Source>
    static result<group_summary> summary(const metadata_access<Source>& at, std::uint64_t group) noexcept {
        const auto place = group_record_of(group, at.geometry.block);
        const auto block = at.regions.group_table(place.block);
        BOOST_OUTCOME_TRY(const auto pin, at.get(block));
        const auto record = load_struct<group_record>(at.cache.bytes(pin.slot()).subspan(place.byte));
        const auto answer = decode_group(record, at.geometry.group_blocks(group));
        if (!answer) return error{errc::damaged, block.home};
        return *answer;
    }

    /// The group's window: durable bitmap and everything that may not be allocated.
    template <class Source>
    result<group_view> window(const metadata_access<Source>& at, std::uint64_t group) noexcept {
        const std::uint32_t blocks = at.geometry.group_blocks(group);
        if (const auto loaded = windows_.find(group); !loaded.empty()) return group_view{loaded, blocks};
        BOOST_OUTCOME_TRY(const auto known, summary(at, group));
        if (known.bitmap_written) {
            BOOST_OUTCOME_TRY(const auto pin, at.get(at.regions.bitmap(group)));
            load_bitmap(windows_.claim(group), at.cache.bytes(pin.slot()), blocks);
        } else {
            clear_bitmap(windows_.claim(group), blocks);
        }
        for (const auto& run : reserved_.all()) windows_.set_busy(run, at.geometry.block);
        for (const auto& run : retired_.all()) windows_.set_busy(run.blocks, at.geometry.block);
        return group_view{windows_.find(group), blocks};
    }

    /// The first run at or behind `from` that may be allocated; empty at the end. Cost: the windows of the groups
    /// between.
    template <class Source>
    result<std::optional<extent>> next_free(const metadata_access<Source>& at, block_index from) noexcept {
        auto place = place_of(from, at.geometry.block);
        for (; place.group < at.geometry.groups; place = {place.group + 1, 0}) {
            BOOST_OUTCOME_TRY(const auto view, window(at, place.group));
            const std::uint32_t first = next_clear(view.busy, place.offset, view.blocks);
            if (first == view.blocks) continue;
            const std::uint32_t end = next_set(view.busy, first, view.blocks);
            return std::optional{
                extent{first_of_group(place.group, at.geometry.block) + block_count{first}, block_count{end - first}}};
        }
        return std::optional<extent>{};
    }

  private:
    struct retired_run {
        extent        blocks{};
        sequence      batch{};
        std::uint32_t phase    = 0;  ///< Of the readers that may still look at it.
        bool          metadata = false;
    };

    static constexpr std::uint64_t near_groups = 16;  // looked at before a split is accepted
    static constexpr std::uint64_t no_group    = ~std::uint64_t{0};

    [[nodiscard]] static constexpr std::uint64_t bounded(std::uint64_t n, std::uint64_t least,
                                                         std::uint64_t most) noexcept {
        return n < least ? least : (n > most ? most : n);
    }

    [[nodiscard]] std::uint64_t floor_of(space_use use) const noexcept {
        switch (use) {
            case space_use::data: return reserve_blocks_;
            case space_use::relocation: return metadata_blocks_;
            case space_use::metadata: break;
        }
        return 0;
    }

    template <Allocator A, class Source>
    result<extent> look_in(const metadata_access<Source>& at, const A& allocator, const space_request& request,
                           std::uint64_t group, block_count least) noexcept {
        BOOST_OUTCOME_TRY(const auto view, window(at, group));
        const auto    goal = place_of(request.goal, at.geometry.block);
        group_request wanted{.count     = static_cast<std::uint32_t>(request.blocks.value),
                             .count_min = static_cast<std::uint32_t>(least.value)};
        wanted.near_goal = request.goal.value != 0 && goal.group == group;
        wanted.goal      = wanted.near_goal ? goal.offset : 0;
        const auto run   = allocator.find(view, wanted);
        return extent{first_of_group(group, at.geometry.block) + block_count{run.first}, block_count{run.count}};
    }

    /// The first run of at least `least` blocks in the groups from `start` on.
    template <Allocator A, class Source>
    result<extent> search(const metadata_access<Source>& at, const A& allocator, const space_request& request,
                          std::uint64_t start, block_count least, std::uint64_t groups_max) noexcept {
        const std::uint64_t groups = at.geometry.groups;
        for (std::uint64_t i = 0; i < groups && i < groups_max; ++i) {
            const std::uint64_t group = start + i < groups ? start + i : start + i - groups;
            BOOST_OUTCOME_TRY(const auto known, summary(at, group));
            if (known.largest < least.value) continue;
            BOOST_OUTCOME_TRY(const auto found, look_in(at, allocator, request, group, least));
            if (!found.empty()) return found;
        }
        return extent{};
    }

    /// Of the groups near `start`, the one with the longest free run.
    template <class Source>
    result<std::uint64_t> roomiest(const metadata_access<Source>& at, std::uint64_t start) noexcept {
        const std::uint64_t groups  = at.geometry.groups;
        std::uint64_t       best    = start;
        std::uint32_t       largest = 0;
        for (std::uint64_t i = 0; i < groups && i < near_groups; ++i) {
            const std::uint64_t group = start + i < groups ? start + i : start + i - groups;
            BOOST_OUTCOME_TRY(const auto known, summary(at, group));
            if (known.largest > largest) {
                largest = known.largest;
                best    = group;
            }
        }
        return best;
    }

    void unreserve(extent run) noexcept {
        for (std::size_t i = reserved_.size(); i-- > 0;) {
            auto& reserved = reserved_[i];
            if (!lies_in(run, reserved)) continue;
            // A transaction may give back a part: the front or the end of what it reserved.
            reserved_blocks_ -= run.count.value;
            if (run == reserved) return reserved_.remove(i);
            if (run.first == reserved.first) reserved.first = run.end();
            reserved.count -= run.count;
            return;
        }
        ASHLAR_ASSERT(false);
    }

    [[nodiscard]] bool is_held(extent run) const noexcept {
        for (const auto& held : holds_.all()) {
            if (overlap(held, run)) return true;
        }
        return false;
    }

    /// Whether a reader that began before the run was retired may still read it. Readers are counted in two phases: the
    /// phase changes when nobody of the one before is left, so two changes outlast every reader of that time.
    [[nodiscard]] bool may_be_read(const retired_run& run) const noexcept {
        return readers() != 0 && phase_ - run.phase < 2;
    }

    void retire(retired_run run) noexcept {
        run.phase = phase_;
        retired_blocks_ += run.blocks.count.value;
        if (!retired_.empty()) {
            auto& last = retired_[retired_.size() - 1];
            if (last.batch == run.batch && last.metadata == run.metadata && last.phase == run.phase &&
                last.blocks.end() == run.blocks.first) {
                last.blocks.count += run.blocks.count;
                return;
            }
        }
        retired_.push(run);
    }

    void keep(metadata_cache& cache, block_pin pin) noexcept {
        if (cache.at(pin.slot()).prepared) return;
        cache.at(pin.slot()).prepared = true;
        cache.pin(pin.slot());
        prepared_.push(pin.slot());
    }

    void unprepare(metadata_cache& cache) noexcept {
        for (const auto slot : prepared_.all()) {
            cache.at(slot).prepared = false;
            cache.unpin(slot);
        }
        prepared_.clear();
    }

    template <class Source>
    result<> prepare_all(const metadata_access<Source>& at, transaction_state& tx, bool sums) noexcept;

    template <class Source>
    result<> prepare_group(const metadata_access<Source>& at, std::uint64_t group, group_run part, bool sums) noexcept;

    /// Compares a bitmap with its group's record, once for as long as it is cached: nothing read from a device is
    /// trusted.
    template <class Source>
    result<> check(const metadata_access<Source>& at, std::uint64_t group, const group_summary& known,
                   std::uint32_t slot) noexcept;

    /// Changes one run in the durable bitmap, its group's record and the totals. Everything it touches is prepared.
    template <class Source>
    void flip(const metadata_access<Source>& at, extent blocks, bool take) noexcept;

    template <class Source>
    group_view durable_words(const metadata_access<Source>& at, std::uint64_t group,
                             std::uint32_t bitmap_slot) noexcept;

    /// A block in use is not known to be trimmed any more.
    template <class Source>
    void untrim(const metadata_access<Source>& at, std::uint64_t group, group_run run, group_summary& known) noexcept;

    void add_totals(const totals_change& change, std::uint64_t generation) noexcept;

    group_windows               windows_{};
    std::span<bitmap_word>      scratch_{};
    std::uint64_t               scratch_group_ = no_group;
    bounded_list<extent>        reserved_{};
    bounded_list<retired_run>   retired_{};
    bounded_list<extent>        holds_{};
    bounded_list<std::uint32_t> prepared_{};
    volume_totals               totals_{};
    std::optional<block_index>  contradiction_{};
    std::uint64_t               reserved_blocks_ = 0;
    std::uint64_t               retired_blocks_  = 0;
    std::uint64_t               metadata_blocks_ = 0;
    std::uint64_t               reserve_blocks_  = 0;  // both reserves
    std::uint64_t               last_group_      = 0;
    block_index                 last_end_{};
    std::uint32_t               phase_ = 0;
    std::uint32_t               readers_[2]{};
};

}  // namespace ashlar::inline v0
