#pragma once
/// What is counted and listed of a volume's space: reserved, in use, retired, held; rules R3, R7 and R10.

#include <ashlar/format/group_bitmap.hpp>
#include <ashlar/volume/metadata_access.hpp>
#include <ashlar/volume/retired_runs.hpp>
#include <ashlar/volume/space_request.hpp>
#include <ashlar/volume/withheld_run.hpp>

namespace ashlar::inline v0 {

struct space_limits {
    std::size_t groups_loaded = 16;    ///< Groups whose free runs are in memory.
    std::size_t hint_cells    = 4096;  ///< Bytes that say how long the free runs of the other groups are at most.
    std::size_t retired       = 4096;  ///< Runs that wait until their batch is confirmed.
    std::size_t holds         = 16;    ///< Runs that readers keep from reuse.
};

/// Space of one volume, without the groups whose free runs are in memory: these are `space_of`'s.
///
/// Invariants: a block may be allocated only when its bit is clear in the durable bitmap and it is neither reserved nor
/// retired. Bits of the durable bitmap change only when a transaction joins a batch.
class space {
  public:
    /// Reads the totals. Errors: those of the device; damaged.
    template <class Source>
    result<> open(const metadata_access<Source>& at) noexcept {
        const auto block = at.regions.group_table(block_count{0});
        BOOST_OUTCOME_TRY(const auto pin, at.get(block));
        const auto totals =
            decode_totals(load_struct<volume_totals_record>(at.cache.bytes(pin.slot())), at.geometry.blocks);
        if (!totals) return error{errc::damaged, block.home};
        totals_        = *totals;
        durable_group_ = no_group;
        withhold({}, at.geometry);
        last_group_ = 0;
        last_end_   = {};
        return success();
    }

    /// Blocks that a volume of so many keeps for its metadata, and with those of moves (R7).
    [[nodiscard]] static constexpr block_count metadata_reserve(block_count volume) noexcept {
        return {bounded(volume.value >> 9U, 8, 512)};
    }
    [[nodiscard]] static constexpr block_count reserve_of(block_count volume) noexcept {
        return metadata_reserve(volume) + block_count{bounded(volume.value >> 7U, 8, 4096)};
    }

    [[nodiscard]] const volume_totals& totals() const noexcept { return totals_; }

    /// Blocks that could be reserved now by that use.
    [[nodiscard]] block_count available(space_use use) const noexcept {
        const std::uint64_t held = retired_.blocks().value + reserved_blocks_ + withheld_.free().value + floor_of(use);
        return {totals_.free > held ? totals_.free - held : 0};
    }
    /// Whether metadata has all of its reserve.
    [[nodiscard]] bool has_reserve() const noexcept { return available(space_use::metadata).value >= metadata_blocks_; }
    /// Where the last data was placed: what has no better goal goes on there.
    [[nodiscard]] block_index last_end() const noexcept { return last_end_; }
    /// Blocks that a confirmed batch and a checkpoint would make available.
    [[nodiscard]] block_count draining() const noexcept { return retired_.blocks(); }
    [[nodiscard]] std::size_t retired_room() const noexcept { return retired_.room(); }
    /// See retired_runs.
    [[nodiscard]] std::optional<extent> next_retired(block_index from) const noexcept { return retired_.next(from); }
    /// Blocks that nobody is given, whoever asks and for whatever. Empty: there are none. It lasts until the volume is
    /// closed. What comes free inside is free, and waits there. See withheld_space.hpp.
    [[nodiscard]] extent withheld() const noexcept { return withheld_.blocks(); }
    /// Counted when `withhold` returned, and exact from then on. Cost: the lists of what is reserved and retired.
    [[nodiscard]] withheld_blocks withheld_now() const noexcept;
    /// What moves could take outside of these blocks, of which so many are free, were they withheld and `waits` of all
    /// that is draining free.
    [[nodiscard]] block_count available_outside(extent blocks, block_count free, block_count waits,
                                                const volume_geometry& geometry) const noexcept {
        const auto          all  = available(space_use::metadata) + waits;
        const std::uint64_t held = free.value + metadata_reserve(geometry.blocks - blocks.count).value;
        return {all.value > held ? all.value - held : 0};
    }
    /// Whether all of a group is withheld.
    template <class Source>
    [[nodiscard]] bool withholds(const metadata_access<Source>& at, std::uint64_t group) const noexcept {
        return !withheld().empty() &&
               part_in_group(withheld(), group, at.geometry.block).count == at.geometry.group_blocks(group);
    }

    [[nodiscard]] bool can_reserve() const noexcept { return !reserved_.full(); }
    /// Counts what was reserved, ever: who searched for a run without holding the lock all the time sees whether
    /// somebody else may have it.
    [[nodiscard]] std::uint64_t reservations() const noexcept { return reservations_; }

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

    /// For a repair, which says anew what is in use; see space_repair.hpp.
    template <class Source>
    result<> restate_group(const metadata_access<Source>& at, std::uint64_t group,
                           std::span<const bitmap_word> in_use) noexcept;
    template <class Source>
    result<> restate_totals(const metadata_access<Source>& at, const volume_totals& now) noexcept;

    /// The group record that contradicted its bitmap, if one did: then nothing of the open batch may be written.
    [[nodiscard]] std::optional<block_index> contradiction() const noexcept { return contradiction_; }

    /// A reader begins: what is retired from now on is not reused before it has left. Cost: one count.
    [[nodiscard]] std::uint32_t enter_reader() noexcept { return retired_.readers.enter(); }
    void                        leave_reader(std::uint32_t ticket) noexcept { retired_.readers.leave(ticket); }
    [[nodiscard]] std::uint32_t readers() const noexcept { return retired_.readers.all(); }
    /// The readers of now; and whether all that began in such a phase are gone.
    [[nodiscard]] std::uint32_t reader_phase() const noexcept { return retired_.readers.phase(); }
    [[nodiscard]] bool readers_left(std::uint32_t phase) const noexcept { return retired_.readers.left(phase); }
    /// Whether a block at or behind `from` is reserved, or waits to be free.
    [[nodiscard]] bool is_waited_for(block_index from) const noexcept {
        for (const auto& run : reserved_.all()) {
            if (run.end() > from) return true;
        }
        return retired_.next(from).has_value();
    }

    /// A reader keeps the run from reuse. Error: busy when all holds are taken.
    result<> hold(extent run) noexcept { return retired_.hold(run); }
    void     unhold(extent run) noexcept { retired_.unhold(run); }

    /// Memory for the words of one group, lent to whoever looks at a group, until it gives up the engine's lock.
    [[nodiscard]] std::span<bitmap_word> scratch() const noexcept { return scratch_; }

    /// What is known of a group, without its bitmap.
    template <class Source>
    static result<group_summary> summary(const metadata_access<Source>& at, std::uint64_t group) noexcept {
        if (group >= at.geometry.groups) return error{errc::out_of_range};  // the volume shrank meanwhile
        const auto place = group_record_of(group, at.geometry.block);
        const auto block = at.regions.group_table(place.block);
        BOOST_OUTCOME_TRY(const auto pin, at.get(block));
        const auto record = load_struct<group_record>(at.cache.bytes(pin.slot()).subspan(place.byte));
        const auto answer = decode_group(record, at.geometry.group_blocks(group));
        if (!answer) return error{errc::damaged, block.home};
        return *answer;
    }

    /// Fills `claim()`, words of a group, with all that may not be allocated of it: the durable bitmap, what is
    /// reserved and what is retired. Answers whether there is any; where there is none the words are not filled.
    /// Nothing is claimed where it fails, and nothing is waited for after that; no words mean that they are not wanted
    /// any more. Errors: those of reading the group's record and bitmap.
    template <class Source, class Claim>
    result<bool> read_busy(const metadata_access<Source>& at, std::uint64_t group, Claim claim) const noexcept {
        const auto size = at.geometry.block;
        BOOST_OUTCOME_TRY(const auto known, summary(at, group));
        std::uint32_t          blocks = at.geometry.group_blocks(group);
        std::span<bitmap_word> words{};
        if (known.bitmap_written) {
            BOOST_OUTCOME_TRY(const auto pin, at.get(at.regions.bitmap(group)));
            if (group >= at.geometry.groups) return error{errc::out_of_range};
            blocks = at.geometry.group_blocks(group);
            words  = claim();
            if (!words.empty()) load_bitmap(words, at.cache.bytes(pin.slot()), blocks);
        } else {
            words = claim();
        }
        if (words.empty()) return false;
        bool       any  = known.bitmap_written;
        const auto mark = [&](extent run) noexcept {
            const auto part = part_in_group(run, group, size);
            if (part.count == 0) return;
            if (!any) clear_bitmap(words, blocks);
            any = true;
            set_bits(words, part);
        };
        for (const auto& run : reserved_.all()) mark(run);
        for (const auto& run : retired_.all()) mark(run.blocks);
        mark(withheld());
        return any;
    }

    /// Counts what is free in the next group of what is withheld. Answers whether more groups follow.
    /// Errors: those of reading the group's record and bitmap.
    template <class Source>
    result<bool> count_withheld(const metadata_access<Source>& at) noexcept;

  protected:
    constexpr void take(arena& from, block_size block, const space_limits& limits, std::size_t reserved_max,
                        std::size_t cache_slots) noexcept {
        scratch_ = from.take<bitmap_word>(words_for(blocks_per_group(block)));
        durable_ = from.take<bitmap_word>(words_for(blocks_per_group(block)));
        reserved_.lend(from.take<extent>(reserved_max));
        retired_.take(from, limits.retired, limits.holds);
        prepared_.lend(from.take<std::uint32_t>(cache_slots + frame_slots));
    }

    /// Errors of a request that cannot be served whatever the groups hold; bounds the others by what there is.
    result<> admit(space_request& request, block_size size) const noexcept {
        const auto room = available(request.use);
        if (room < request.least) {
            return error{available(space_use::metadata) < request.least ? errc::no_space : errc::reserve_only};
        }
        if (request.blocks > room) request.blocks = room;
        if (reserved_.full()) return error{errc::too_large};
        const std::uint64_t in_group = blocks_per_group(size);
        if (request.least.value > in_group) return error{errc::no_contiguous_space};
        if (request.blocks.value > in_group) request.blocks = block_count{in_group};
        return success();
    }

    /// Withholds these blocks and no others; the reserves become those of a volume of what is left. Nothing is counted
    /// yet.
    void withhold(extent blocks, const volume_geometry& geometry) noexcept {
        const std::uint64_t left = (geometry.blocks - blocks.count).value;
        metadata_blocks_         = metadata_reserve(block_count{left}).value;
        reserve_blocks_          = reserve_of(block_count{left}).value;
        withheld_.begin(blocks);
        ++reservations_;
    }
    /// What is left of a run that comes free, for others: its parts before and behind what is withheld.
    template <class Each>
    void for_each_not_withheld(extent run, Each each) noexcept {
        if (!overlap(run, withheld())) return each(run);
        const auto inside = common_part(run, withheld());
        withheld_.came_free(inside);
        if (run.first < inside.first) each(extent{run.first, inside.first - run.first});
        if (inside.end() < run.end()) each(extent{inside.end(), run.end() - inside.end()});
    }

    void note_reserved(extent run) noexcept {
        reserved_.push(run);
        reserved_blocks_ += run.count.value;
        ++reservations_;
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

    template <class Each>
    void drain_retired(sequence confirmed, sequence tail, Each each) noexcept {
        retired_.drain(confirmed, tail, each);
    }

    /// Where a run is allocated, for the next request without a goal to go on.
    void note_placed(extent run, bool is_data, block_size size) noexcept {
        last_group_ = place_of(run.first, size).group;
        if (is_data) last_end_ = run.end();
    }
    /// Without a goal data goes on where the last went, and what is moved goes to the volume's beginning.
    [[nodiscard]] std::uint64_t first_group_for(const space_request&   request,
                                                const volume_geometry& geometry) const noexcept {
        if (request.goal.value == 0) return request.use == space_use::relocation ? 0 : last_group_;
        const std::uint64_t group = place_of(request.goal, geometry.block).group;
        return group < geometry.groups ? group : 0;
    }

  private:
    static constexpr std::uint64_t no_group = ~std::uint64_t{0};

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

    template <class Source>
    void store_totals(const metadata_access<Source>& at, std::uint32_t slot, const volume_totals& now) noexcept;
    template <class Source>
    static result<block_pin> get_or_create(const metadata_access<Source>& at, const region_block& block,
                                           bool written) noexcept;

    std::span<bitmap_word>      scratch_{};
    std::span<bitmap_word>      durable_{};                 ///< The durable bitmap of the group that changed last.
    std::uint64_t               durable_group_ = no_group;  ///< Which one that is.
    bounded_list<extent>        reserved_{};
    retired_runs                retired_{};
    bounded_list<std::uint32_t> prepared_{};
    volume_totals               totals_{};
    std::optional<block_index>  contradiction_{};
    std::uint64_t               reserved_blocks_ = 0;
    std::uint64_t               reservations_    = 0;
    withheld_run                withheld_{};
    std::uint64_t               metadata_blocks_ = 0;
    std::uint64_t               reserve_blocks_  = 0;  // both reserves
    std::uint64_t               last_group_      = 0;
    block_index                 last_end_{};
};

}  // namespace ashlar::inline v0
