#pragma once
/// Volumes that are damaged block by block, and what may be seen of them then.

#include "../counts.hpp"
#include "../store/store_fixture.hpp"

#include <array>
#include <cstdio>
#include <tuple>

namespace ashlar::test {

/// A device over bytes that nobody changes: what is written lies beside them, until it is forgotten.
class overlay_device {
  public:
    overlay_device(std::span<const std::byte> base, block_size size) : base_{base}, size_{size} {
        place_.resize(whole_blocks(base.size(), size).value, 0);
    }

    [[nodiscard]] device_geometry geometry() const noexcept { return {size_, whole_blocks(base_.size(), size_)}; }
    [[nodiscard]] result<>        read(extent e, std::span<std::byte> in) noexcept {
               if (!transfer_fits(geometry(), e, in.size())) return error{errc::out_of_range, e.first};
        for (std::uint64_t i = 0; i < e.count.value; ++i) {
                   std::memcpy(in.data() + i * size_.bytes, block(e.first + block_count{i}).data(), size_.bytes);
        }
               return success();
    }
    [[nodiscard]] result<> write(extent e, std::span<const std::byte> out) noexcept {
        if (!transfer_fits(geometry(), e, out.size())) return error{errc::out_of_range, e.first};
        for (std::uint64_t i = 0; i < e.count.value; ++i) {
            std::memcpy(change(e.first + block_count{i}).data(), out.data() + i * size_.bytes, size_.bytes);
        }
        return success();
    }
    [[nodiscard]] result<> sync() noexcept { return success(); }
    [[nodiscard]] result<> trim(extent) noexcept { return success(); }

    [[nodiscard]] std::span<const std::byte> block(block_index at) const {
        const auto place = place_[at.value];
        if (place == 0) return base_.subspan(at.value * size_.bytes, size_.bytes);
        return std::span{changed_}.subspan((place - 1) * size_.bytes, size_.bytes);
    }
    /// The block's own copy, to be changed. Earlier spans end.
    [[nodiscard]] std::span<std::byte> change(block_index at) {
        if (place_[at.value] == 0) {
            const auto from = base_.subspan(at.value * size_.bytes, size_.bytes);
            changed_.insert(changed_.end(), from.begin(), from.end());
            blocks_.push_back(at.value);
            place_[at.value] = blocks_.size();
        }
        return std::span{changed_}.subspan((place_[at.value] - 1) * size_.bytes, size_.bytes);
    }
    [[nodiscard]] std::size_t changes() const { return blocks_.size(); }
    void                      forget() {
                             for (const auto at : blocks_) place_[at] = 0;
        blocks_.clear();
                             changed_.clear();
    }

  private:
    std::span<const std::byte> base_;
    block_size                 size_;
    std::vector<std::size_t>   place_;  // of a block in changed_, from 1; 0: as it was
    std::vector<std::uint64_t> blocks_;
    byte_vector                changed_;
};

/// What is damaged as a whole.
struct target {
    std::string name;
    extent      blocks{};
};

/// A volume whose metadata is all in use: several groups, trees, a directory that grew, trimmed blocks.
struct known_volume {
    static constexpr volume_shape shape{.blocks = 16'200, .journal_blocks = 192};

    byte_vector              bytes;
    byte_vector              older;        ///< The same volume at an earlier checkpoint.
    std::vector<model_state> states;       ///< Each that a beginning of its history shows; the last is all of it.
    std::size_t              certain = 0;  ///< Of these, the first that a cut of what nothing confirms may show.
    std::vector<target>      metadata;
    std::vector<target>      data;  ///< Blocks of the last state's objects.
    extent                   ring{};
    sequence                 tail{};  ///< The first batch that replay needs.

    [[nodiscard]] std::span<const std::byte> original(block_index at) const {
        return std::span{bytes}.subspan(at.value * shape.block_bytes, shape.block_bytes);
    }
    [[nodiscard]] std::span<const std::byte> old(block_index at) const {
        return std::span{older}.subspan(at.value * shape.block_bytes, shape.block_bytes);
    }
};

namespace detail {

inline void trim_all(test_store& live) {
    for (int i = 0; i < 10'000; ++i) {
        const auto done = live.trim({4096});
        ASHLAR_ASSERT_OK(done);
        if (done.value().finished) return;
    }
}

inline std::vector<std::uint64_t> ids_of(const model_state& state) {
    std::vector<std::uint64_t> ids;
    for (const auto& [id, bytes] : state) ids.push_back(id);
    return ids;
}

inline void name_metadata(known_volume& made, test_store& live) {
    auto&              volume   = live.volume();
    static const char* frames[] = {"superblock",    "pointers",    "anchor",     "label",     "superblock copy",
                                   "pointers copy", "anchor copy", "label copy", "directory", "directory copy"};
    for (std::uint64_t n = 0; n < frame::count; ++n)
        made.metadata.push_back({frames[n], {frame_home(n, {512}), frame_blocks_of({512})}});
    const auto add = [&](const char* name, block_index home) {
        made.metadata.push_back({name, {home, block_count{1}}});
    };
    made.ring = volume.regions.journal();
    made.tail = volume.journal.tail();
    for (std::uint64_t i = 0; i < made.ring.count.value; ++i) add("journal", made.ring.first + block_count{i});
    for (std::uint64_t i = 0; i < group_table_blocks(volume.geometry.groups, {512}).value; ++i)
        add("group table", volume.regions.group_table({i}).home);
    const std::uint32_t each = checksum_blocks_per_group({512});
    for (std::uint64_t group = 0; group < volume.geometry.groups; ++group) {
        add("bitmap", volume.regions.bitmap(group).home);
        add("trimmed", volume.regions.trimmed(group).home);
        const auto known = space::summary(volume.metadata(), group).value();
        for (std::uint32_t i = 0; i < each; ++i) {
            if ((known.checksums_written >> i & 1U) != 0 || i == each - 1)
                add("checksum table", volume.regions.checksum_block(group * each + i).home);
        }
    }
    for (std::size_t part = 0; part < volume.regions.object_parts().size(); ++part) {
        for (std::uint64_t i = 0; i < volume.regions.object_parts()[part].count.value; ++i)
            add("object table", volume.regions.object_block(part, i).home);
    }
    for (const auto id : ids_of(made.states.back())) {
        auto object = load_object(volume, no_transaction, object_id{id});
        ASHLAR_ASSERT_OK(object);
        auto map = map_of(volume, no_transaction, object.value(), space_use::data);
        ASHLAR_EXPECT_OK(extent_tree::walk_nodes(map.pages(), object.value().map,
                                                 [&](const node_place& node) noexcept -> result<bool> {
                                                     add("tree node", node.block);
                                                     return true;
                                                 }));
        for (const auto& piece : live.extents(object_id{id})) {
            for (std::uint64_t i = 0; i < piece.physical.count.value && !piece.unwritten; ++i)
                made.data.push_back({"data", {piece.physical.first + block_count{i}, block_count{1}}});
        }
    }
}

}  // namespace detail

/// `closed`: everything is home; else a journal of many batches waits to be replayed.
inline known_volume make_known_volume(bool closed) {
    known_volume made;
    auto         memory = make_memory(known_volume::shape);
    format_on(memory, known_volume::shape);
    auto        live = opened_on(memory);
    model_state extra;
    const auto  filler = live.create().value(), large = live.create().value();
    extra[filler.value];
    scenario<test_store> runs{21, live.root(), {.objects_max = 4}};
    const auto           now = [&] {
        auto state = runs.state();
        state.insert(extra.begin(), extra.end());
        return state;
    };
    const auto scatter = [&](std::uint64_t from, std::uint64_t to) {
        for (std::uint64_t i = from; i < to; ++i) {
            const auto bytes = pattern(200, i);
            ASHLAR_EXPECT_OK(live.write(large, i * 1024, bytes));
            model_write(extra[large.value], i * 1024, bytes);
        }
    };
    for (int i = 0; i < 40; ++i) EXPECT_EQ(runs.step(live).why.code, errc::none);
    scatter(0, 60);
    ASHLAR_EXPECT_OK(live.reserve(filler, 0, 11'000 * 512));  // what follows lies in later groups
    detail::trim_all(live);
    ASHLAR_EXPECT_OK(live.checkpoint());
    made.older.assign(memory.bytes().begin(), memory.bytes().end());

    for (std::uint64_t i = 0; i < 40; ++i) {  // so many that the object table grows, and with it the directory
        const auto id    = live.create().value();
        const auto bytes = pattern(i < 7 ? 700 : 0, i);
        ASHLAR_EXPECT_OK(live.write(id, 0, bytes));
        extra[id.value] = bytes;
    }
    scenario<test_store> more{22, live.root()};
    more.restore(runs.state());
    for (int i = 0; i < 80; ++i) EXPECT_EQ(more.step(live).why.code, errc::none);
    runs.restore(more.state());
    scatter(50, 90);
    detail::trim_all(live);
    ASHLAR_EXPECT_OK(live.checkpoint());
    EXPECT_GT(live.volume().regions.object_parts().size(), 1U) << "the directory must change";
    made.states.push_back(now());
    if (closed) {
        detail::name_metadata(made, live);
        ASHLAR_EXPECT_OK(live.close());
    } else {
        std::vector<std::uint64_t> batch{live.info().last.value};
        scenario<test_store>       last{23, live.root(), {.checkpoint = 0}};
        last.restore(more.state());
        for (int i = 0; i < 30; ++i) {
            EXPECT_EQ(last.step(live).why.code, errc::none);
            runs.restore(last.state());
            if (i % 10 == 5) scatter(static_cast<std::uint64_t>(i), static_cast<std::uint64_t>(i) + 1);
            if (i % 3 == 0) ASHLAR_EXPECT_OK(live.sync());
            made.states.push_back(now());
            batch.push_back(i % 3 == 0 ? live.info().last.value : 0);
        }
        ASHLAR_EXPECT_OK(live.sync());
        made.states.push_back(now());
        batch.push_back(live.info().last.value);
        for (std::size_t i = 0; i < batch.size(); ++i) {
            if (batch[i] != 0 && batch[i] <= live.info().confirmed.value) made.certain = i;
        }
        EXPECT_LT(made.certain + 1, made.states.size());
        EXPECT_GT(made.certain, 8U);
        detail::name_metadata(made, live);
        static_cast<void>(live.abandon());
    }
    made.bytes.assign(memory.bytes().begin(), memory.bytes().end());
    return made;
}

/// What can be seen of a damaged volume.
struct sight {
    bool          opened = false;
    error         why{};             ///< Of a refusal.
    bool          failed   = false;  ///< Some object could not be read.
    bool          wrong    = false;  ///< What was read belongs to no state of the history.
    std::size_t   state    = 0;      ///< The newest that all that was read belongs to.
    std::uint64_t findings = 0;
    std::string   first{};  ///< Finding.
};

/// Reads every object that any state has, and compares with the states what could be read.
template <class Store>
void read_everything(Store& live, const known_volume& known, sight& seen) {
    std::set<std::uint64_t>                             ids;
    std::map<std::uint64_t, std::optional<byte_vector>> found;  // empty: could not be read
    for (const auto& state : known.states) {
        for (const auto& [id, bytes] : state) ids.insert(id);
    }
    for (object_id at{};;) {
        const auto next = live.next_object(at);
        if (!next) seen.failed = true;
        if (!next || !next.value() || next.value()->value <= at.value) break;
        at = *next.value();
        ids.insert(at.value);
    }
    for (const auto id : ids) {
        const auto size = live.size(object_id{id});
        if (!size && size.error().code == errc::not_found) continue;
        auto& bytes = found[id];
        if (!size || size.value() > (1U << 24U)) {
            seen.failed = true;
            continue;
        }
        bytes.emplace(static_cast<std::size_t>(size.value()), std::byte{0xEE});
        const auto read = live.read(object_id{id}, 0, std::span<std::byte>{*bytes});
        if (read && read.value() == bytes->size()) continue;
        seen.failed = true;
        bytes.reset();
    }
    const auto agrees = [&](const model_state& state) {
        for (const auto& [id, bytes] : found) {
            const auto expected = state.find(id);
            if (bytes && (expected == state.end() || expected->second != *bytes)) return false;
        }
        for (const auto& [id, bytes] : state) {
            if (found.count(id) == 0) return false;
        }
        return true;
    };
    for (std::size_t i = known.states.size(); i-- > 0;) {
        if (!agrees(known.states[i])) continue;
        seen.state = i;
        return;
    }
    seen.wrong = true;
}

/// Opens the device, reads everything, verifies.
inline sight look_at(overlay_device& device, const known_volume& known, bool read_only) {
    sight seen;
    auto  opened = read_only ? test_store::open_read_only(any_device{device}, with())
                             : test_store::open(any_device{device}, with());
    if (!opened) {
        seen.why = opened.error();
        return seen;
    }
    seen.opened = true;
    auto& live  = opened.value();
    read_everything(live, known, seen);
    const auto report = live.verify([&](const verify_finding& found) {
        if (seen.first.empty())
            seen.first = std::string{name_of(found.problem)} + " at block " + std::to_string(found.block.value);
    });
    EXPECT_TRUE(report.has_value());
    if (report) seen.findings = report.value().findings;
    static_cast<void>(live.abandon());
    return seen;
}

}  // namespace ashlar::test
