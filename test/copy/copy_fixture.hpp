#pragma once
/// Shared by the tests of copies: what a volume holds in words, a volume with everything in it, and users who change
/// it.

#include "../region/region_fixture.hpp"

#include <ashlar/features.hpp>
#include <ashlar/testing/crash_states.hpp>
#include <ashlar/volume_copy.hpp>

namespace ashlar::test {

/// The features of a volume, and what they keep in each record: not where it stands.
template <class Store>
std::string features_of(Store& live) {
    std::string    text;
    store_features features{live};
    for (std::uint32_t bit = 0; bit < feature_rows; ++bit) {
        const auto row = features::row_of(live.volume(), bit);
        if (!features.has(bit) && row.empty()) continue;
        text += "feature " + std::to_string(bit) + (features.has(bit) ? " has " : " had ") + std::to_string(row.bytes) +
                " bytes, regions " + std::to_string(row.region) + "\n";
        for (const auto id : live.objects()) {
            byte_vector bytes(row.bytes);
            if (features.has(bit)) { EXPECT_EQ(features.read(id, bit, bytes).value(), bytes.size()); }
            text += std::to_string(id.value) + " keeps " + std::to_string(xxh3_64(bytes)) + "\n";
        }
    }
    return text;
}

/// All that a volume holds for its users, in words that can be compared: not where it lies.
template <class Store>
std::string content_of(Store& live) {
    std::string text;
    for (const auto id : live.objects()) {
        const auto info = live.info(id).value();
        text += std::to_string(id.value) + " size " + std::to_string(info.size) + " attributes ";
        for (const auto byte : info.attributes) text += std::to_string(static_cast<int>(byte)) + ",";
        byte_vector bytes(static_cast<std::size_t>(info.size));
        EXPECT_EQ(live.read(id, 0, bytes).value(), bytes.size());
        text += " hash " + std::to_string(xxh3_64(bytes)) + " ";
        std::vector<int> kinds(static_cast<std::size_t>(info.size / 512 + 64));  // a letter a block
        for (const auto& piece : live.extents(id)) {
            for (std::uint64_t i = 0; i < piece.physical.count.value; ++i)
                kinds.at(piece.logical.value + i) = 1 + (piece.unwritten ? 1 : 0) + (piece.pinned ? 2 : 0);
        }
        for (const auto kind : kinds) text += static_cast<char>('0' + kind);
        text += "\n";
    }
    text += features_of(live);
    store_regions                                                  regions{live};
    std::map<std::pair<std::uint32_t, std::uint32_t>, std::string> sorted;
    for (std::uint32_t i = 0; i < regions.count(); ++i) {
        const auto one = regions.at(i).value();
        if (one.engine) continue;
        auto region = regions.open(one.name).value();
        sorted[{one.name.type, one.name.number}] =
            std::to_string(one.pinned) + " " + std::to_string(xxh3_64(read_all(region)));
    }
    for (const auto& [name, what] : sorted) text += std::to_string(name.second) + " " + what + "\n";
    return text;
}

/// Objects of every kind: large, sparse, reserved, pinned, empty, erased; and two regions.
template <class Store>
void fill(Store& live) {
    random_bits            random{5};
    std::vector<object_id> ids;
    for (int i = 0; i < 40; ++i) {
        const auto id = live.create().value();
        ids.push_back(id);
        for (std::uint64_t parts_left = random.below(6); parts_left > 0; --parts_left) {
            const auto bytes = pattern(1 + random.below(6), 512, static_cast<std::uint32_t>(random.next()));
            ASHLAR_ASSERT_OK(
                live.write(id, random.below(20'000), std::span{bytes}.first(1 + random.below(bytes.size()))));
        }
        std::array<std::byte, attribute_bytes> attributes{std::byte(i)};
        ASHLAR_ASSERT_OK(live.set_attributes(id, attributes));
    }
    const auto large = pattern(300, 512, 3);
    for (std::size_t at = 0; at < large.size(); at += 8192)
        ASHLAR_ASSERT_OK(live.write(
            live.root(), at, std::span{large}.subspan(at).first(std::min<std::size_t>(8192, large.size() - at))));
    ASHLAR_ASSERT_OK(live.reserve(ids[0], 30'000, 4'000));
    ASHLAR_ASSERT_OK(live.pin(ids[1], 0, 40'000));
    ASHLAR_ASSERT_OK(live.truncate(ids[2], 70'000));
    for (const int gone : {3, 7, 8, 39}) ASHLAR_ASSERT_OK(live.erase(ids[static_cast<std::size_t>(gone)]));
    ASHLAR_ASSERT_OK(live.create());  // in a record that was used before
    for (const std::uint64_t blocks : {30U, 7U, 150U}) {
        auto region = store_regions{live}
                          .open(store_regions{live}.add({.type = logs, .blocks = block_count{blocks}}).value())
                          .value();
        ASHLAR_ASSERT_OK(region.write({block_index{0}, block_count{blocks}}, pattern(blocks, 512, 9)));
    }
    ASHLAR_ASSERT_OK(store_regions{live}.remove({logs, 0}));
    ASHLAR_ASSERT_OK(store_regions{live}.pin({logs, 1}));
    ASHLAR_ASSERT_OK(live.sync());
}

/// A volume whose power can be cut.
struct cut_volume {
    explicit cut_volume(volume_shape chosen, std::uint64_t number = 1)
        : shape{chosen}, memory{make_memory(chosen)}, device{memory} {
        format_on(memory, shape, number);
        device.reset();
        live = opened_on(device);
    }
    ~cut_volume() { static_cast<void>(live.abandon()); }

    /// Takes what was not synced, or some of it.
    void cut(random_bits& random) {
        static_cast<void>(live.abandon());
        constexpr unsynced kinds[] = {unsynced::none, unsynced::all, unsynced::some_writes, unsynced::some_sectors};
        device.restart({kinds[random.below(4)], 0, random.next()});
        live = opened_on(device);
    }

    volume_shape                    shape;
    memory_device                   memory;
    power_cut_device<memory_device> device;
    test_store                      live;
};

/// Records with room for features: 40 bytes behind two extents.
inline constexpr std::uint32_t roomy_record_bytes = 176;

/// Features with bytes, with regions, and with both; and bytes that are free between them.
template <class Store>
void add_features(Store& live) {
    store_features features{live};
    ASHLAR_ASSERT_OK(features.add({.bit = 7, .record_bytes = 8}));
    ASHLAR_ASSERT_OK(features.add({.bit = 3, .record_bytes = 13}));
    ASHLAR_ASSERT_OK(features.add({.bit = 31, .record_bytes = 8, .region = maps, .blocks = block_count{20}}));
    ASHLAR_ASSERT_OK(features.add({.bit = 0, .region = tag_of("TAGS"), .blocks = block_count{3}}));
    ASHLAR_ASSERT_OK(features.remove(7));
    for (const auto type : {maps, tag_of("TAGS")}) {  // what a new region holds is not said until it is written
        auto       region = store_regions{live}.open({type, 0}).value();
        const auto blocks = region.geometry().blocks;
        ASHLAR_ASSERT_OK(region.write({block_index{0}, blocks}, pattern(blocks.value, 512, type)));
    }
    for (const auto id : live.objects()) {
        ASHLAR_ASSERT_OK(features.write(id, 3, ashlar::pattern(16, id.value)));
        if (id.value % 2 == 0) { ASHLAR_ASSERT_OK(features.write(id, 31, ashlar::pattern(8, id.value + 9))); }
    }
    ASHLAR_ASSERT_OK(live.sync());
}

/// Somebody who uses features of a volume while it is copied, and lets them come and go. What is refused is no matter.
class feature_user {
  public:
    explicit feature_user(std::uint64_t seed) : random_{seed} {}

    template <class Store>
    void change(Store& live) {
        store_features features{live};
        const auto     bit = static_cast<std::uint32_t>(random_.below(6));
        switch (random_.below(24)) {
            case 0: static_cast<void>(features.remove(bit)); break;
            case 1:
                static_cast<void>(features.add({.bit = bit, .record_bytes = random_.below(2) == 0 ? 8U : 16U}));
                break;
            case 2: leave_half_removed(live, bit); break;
            case 3: add_with_region(live, bit); break;
            default: write(live, random_.below(3) == 0 ? bit : 3); break;
        }
    }

  private:
    template <class Store>
    void write(Store& live, std::uint32_t bit) {
        std::vector<object_id> ids;
        for (const auto id : live.objects()) ids.push_back(id);
        if (ids.empty()) return;
        const auto bytes = ashlar::pattern(1 + random_.below(8), random_.next());
        static_cast<void>(
            store_features{live}.write(ids[static_cast<std::size_t>(random_.below(ids.size()))], bit, bytes));
    }
    template <class Store>
    void add_with_region(Store& live, std::uint32_t bit) {
        const auto blocks = block_count{1 + random_.below(9)};
        if (!store_features{live}.add({.bit = bit, .record_bytes = 8, .region = tag_of("MORE"), .blocks = blocks}))
            return;
        auto region = store_regions{live}.open({tag_of("MORE"), 0});
        if (!region) return;
        static_cast<void>(region.value().write({block_index{0}, blocks}, pattern(blocks.value, 512, bit)));
    }
    /// As a removal that is stopped leaves it.
    template <class Store>
    void leave_half_removed(Store& live, std::uint32_t bit) {
        const entered guard{live.volume()};
        const auto    row = features::row_of(live.volume(), bit);
        if (!row.empty()) static_cast<void>(features::change_row(live.volume(), bit, row, row));
    }

    random_bits random_;
};

/// Somebody who uses a volume while it is copied. What a change refuses, as a pinned extent may, is no matter.
class random_user {
  public:
    explicit random_user(std::uint64_t seed) : random_{seed} {}

    template <class Store>
    void change(Store& live) {
        const auto ids = all_of(live);
        if (ids.empty()) return;  // a device that fails shows none
        const auto id = ids[static_cast<std::size_t>(random_.below(ids.size()))];
        switch (random_.below(18)) {
            case 0: static_cast<void>(live.append(id, bytes())); break;
            case 1: static_cast<void>(live.truncate(id, random_.below(30'000))); break;
            case 2: static_cast<void>(live.punch(id, random_.below(20'000), random_.below(9'000))); break;
            case 3: static_cast<void>(live.reserve(id, random_.below(24'000), 1 + random_.below(3'000))); break;
            case 4: static_cast<void>(live.pin(id, random_.below(20'000), 1 + random_.below(5'000))); break;
            case 5: static_cast<void>(live.unpin(id, 0, 60'000)); break;
            case 6:
                if (ids.size() < 60) static_cast<void>(live.create());
                break;
            case 7:
                if (id != live.root()) static_cast<void>(live.erase(id));
                break;
            case 8: {
                std::array<std::byte, attribute_bytes> attributes{std::byte(random_.below(256))};
                static_cast<void>(live.set_attributes(id, attributes));
                break;
            }
            case 9: static_cast<void>(live.sync()); break;
            case 10: static_cast<void>(live.checkpoint()); break;
            case 11:
                if (const auto size = live.size(id))
                    static_cast<void>(live.truncate(id, size.value() + random_.below(3'000)));
                break;
            case 12:
            case 13: change_region(live); break;
            default: static_cast<void>(live.write(id, random_.below(24'000), bytes())); break;
        }
    }

  private:
    template <class Store>
    static std::vector<object_id> all_of(Store& live) {
        std::vector<object_id> ids;
        for (const auto id : live.objects()) ids.push_back(id);
        return ids;
    }
    [[nodiscard]] byte_vector bytes() {
        return ashlar::pattern(static_cast<std::size_t>(1 + random_.below(random_.below(4) == 0 ? 6'000 : 600)),
                               random_.next());
    }
    template <class Store>
    void change_region(Store& live) {
        store_regions   regions{live};
        const region_id name{logs, static_cast<std::uint32_t>(random_.below(4))};
        switch (random_.below(8)) {
            case 0: {  // what it holds is not said until it is written, as of a device
                const auto made = regions.add({.type = logs, .blocks = block_count{1 + random_.below(90)}});
                if (made) write(regions, made.value(), true);
                break;
            }
            case 1: static_cast<void>(regions.remove(name)); break;
            case 2: static_cast<void>(regions.pin(name, random_.below(2) == 0)); break;
            default: write(regions, name, false); break;
        }
    }
    template <class Regions>
    void write(Regions& regions, region_id name, bool whole) {
        auto region = regions.open(name);
        if (!region) return;
        const auto blocks = region.value().geometry().blocks.value;
        const auto first  = whole ? 0 : random_.below(blocks);
        const auto count  = whole ? blocks : 1 + random_.below(std::min<std::uint64_t>(blocks - first, 5));
        static_cast<void>(
            region.value().write({block_index{first}, block_count{count}},
                                 pattern(static_cast<std::size_t>(count), 512, std::uint32_t(random_.next()))));
    }

    random_bits random_;
};

}  // namespace ashlar::test
