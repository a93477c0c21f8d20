#include <ashlar/format/object_record.hpp>

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace object_record_test {

using namespace ashlar;

object_state small_object() {
    object_state object;
    object.id         = {42};
    object.size       = 5000;
    object.in_use     = true;
    object.generation = 9;
    object.attributes.fill(std::byte{7});
    object.map.owner     = object.id;
    object.map.extents   = 2;
    object.map.blocks    = 3;
    object.map.next_node = 4;
    store_entry(object.map.entries.data(), {0, 100, 2, 0});
    store_entry(object.map.entries.data() + entry_bytes, {5, 200, 1, extent_flag::pinned});
    return object;
}

std::vector<std::byte> encoded(const object_state& object) {
    std::vector<std::byte> record(object_record_bytes, std::byte{0xEE});
    encode_object(record, object);
    return record;
}

errc refusal(const std::vector<std::byte>& record) {
    const auto decoded = decode_object(record, 2);
    return decoded.has_value() ? errc::none : decoded.error().code;
}

TEST(ObjectRecord, ComesBackAsItWas) {
    const auto object  = small_object();
    const auto decoded = decode_object(encoded(object), 2).value();
    EXPECT_EQ(decoded.id, object.id);
    EXPECT_EQ(decoded.size, object.size);
    EXPECT_TRUE(decoded.in_use && !decoded.dying && !decoded.shrinking);
    EXPECT_EQ(decoded.generation, 9U);
    EXPECT_EQ(decoded.attributes, object.attributes);
    EXPECT_EQ(decoded.map.extents, 2U);
    EXPECT_EQ(decoded.map.blocks, 3U);
    EXPECT_EQ(decoded.map.next_node, 4U);
    EXPECT_EQ(entry_at(decoded.map.entries.data(), 0), (extent_entry{0, 100, 2, 0}));
    EXPECT_EQ(entry_at(decoded.map.entries.data(), 1), (extent_entry{5, 200, 1, extent_flag::pinned}));
    EXPECT_EQ(encoded(decoded), encoded(object));
}

TEST(ObjectRecord, OfATreeHoldsItsRootWhereTheExtentsWere) {
    auto object          = small_object();
    object.dying         = true;
    object.next_dying    = {43};
    object.map.height    = 3;
    object.map.extents   = 1000;
    object.map.blocks    = 2000;
    object.map.root      = {777};
    object.map.root_node = 12;
    const auto decoded   = decode_object(encoded(object), 2).value();
    EXPECT_TRUE(decoded.dying);
    EXPECT_EQ(decoded.next_dying.value, 43U);
    EXPECT_EQ(decoded.map.height, 3U);
    EXPECT_EQ(decoded.map.root.value, 777U);
    EXPECT_EQ(decoded.map.root_node, 12U);
    EXPECT_EQ(encoded(decoded), encoded(object));
}

TEST(ObjectRecord, LeavesBytesOfFeaturesAlone) {
    std::vector<std::byte> wide(160, std::byte{0xEE});
    encode_object(wide, small_object());
    for (std::size_t i = object_encoded_bytes(2); i < wide.size(); ++i) EXPECT_EQ(wide[i], std::byte{0xEE});
}

TEST(ObjectRecord, ThatIsNotInUseIsAnEmptyObject) {
    const std::vector<std::byte> record(object_record_bytes, std::byte{0});
    const auto                   decoded = decode_object(record, 2).value();
    EXPECT_FALSE(decoded.in_use);
    EXPECT_FALSE(static_cast<bool>(decoded.id));
}

TEST(ObjectRecord, EncodedWhenItIsNotInUseIsAnEmptyObjectAgain) {
    auto object        = small_object();
    object.in_use      = false;
    const auto decoded = decode_object(encoded(object), 2).value();
    EXPECT_FALSE(decoded.in_use);
    EXPECT_EQ(decoded.map.extents, 0U);
}

TEST(ObjectRecord, WidthsAreWholeWordsThatHoldTheirExtents) {
    EXPECT_EQ(inline_extents_for(0), 0U);
    EXPECT_EQ(inline_extents_for(object_header_bytes - 1), 0U);
    EXPECT_EQ(inline_extents_for(object_header_bytes + entry_bytes - 1), 0U);
    EXPECT_EQ(inline_extents_for(object_header_bytes + entry_bytes), 1U);
    EXPECT_EQ(inline_extents_for(record_bytes_max), inline_extents_limit);
    EXPECT_EQ(inline_extents_for(2 * record_bytes_max), inline_extents_limit);
    EXPECT_TRUE(is_record_width(object_record_bytes, 2));
    EXPECT_TRUE(is_record_width(record_bytes_max, inline_extents_limit));
    EXPECT_FALSE(is_record_width(record_bytes_max + 8, 2)) << "too wide";
    EXPECT_FALSE(is_record_width(object_record_bytes + 4, 2)) << "half a word";
    EXPECT_FALSE(is_record_width(object_record_bytes, 0)) << "room for no extent";
    EXPECT_FALSE(is_record_width(object_record_bytes, 3)) << "more extents than fit";
}

TEST(ObjectRecord, ThatContradictsItselfIsRefused) {
    const auto with = [](auto change) {
        auto object = small_object();
        change(object);
        return refusal(encoded(object));
    };
    EXPECT_EQ(with([](object_state&) {}), errc::none);
    EXPECT_EQ(with([](object_state& o) { o.id = {0}; }), errc::damaged);
    EXPECT_EQ(with([](object_state& o) { o.map.blocks = 4; }), errc::damaged);
    EXPECT_EQ(with([](object_state& o) { o.map.extents = 1; }), errc::damaged);
    EXPECT_EQ(with([](object_state& o) { o.next_dying = {1}; }), errc::damaged);
    EXPECT_EQ(with([](object_state& o) { o.map.height = tree_height_max + 1; }), errc::damaged);
    EXPECT_EQ(with([](object_state& o) { o.map.height = 1; }), errc::damaged) << "a tree without a root";
    const auto tree = [](object_state& o) { o.map.height = 1, o.map.root_node = 12; };
    EXPECT_EQ(with(tree), errc::none);
    EXPECT_EQ(with([&](object_state& o) { tree(o), o.map.extents = 0; }), errc::damaged) << "a tree of nothing";
    EXPECT_EQ(with([](object_state& o) { o.map.next_node = 0; }), errc::damaged);
    EXPECT_EQ(with([](object_state& o) { o.next_dying = {1}, o.shrinking = true; }), errc::none);
    EXPECT_EQ(with([](object_state& o) {
                  store_entry(o.map.entries.data(), {6, 100, 2, 0});
              }),
              errc::damaged)
        << "out of order";
    EXPECT_EQ(with([](object_state& o) {
                  store_entry(o.map.entries.data(), {4, 100, 2, 0});
              }),
              errc::damaged)
        << "overlap";
    EXPECT_EQ(with([](object_state& o) { store_entry(o.map.entries.data(), {0, ~0ULL, 2, 0}); }), errc::damaged);
    EXPECT_EQ(with([](object_state& o) {
                  store_entry(o.map.entries.data(), {0, 100, 2, extent_flag::shared});
              }),
              errc::unsupported);
    auto record = encoded(small_object());
    store_little<std::uint64_t>(record.data() + 24, 3);
    EXPECT_EQ(refusal(record), errc::damaged) << "more extents than fit";
    record     = encoded(small_object());
    record[16] = std::byte{9};
    EXPECT_EQ(refusal(record), errc::unsupported) << "an unknown flag";
}

TEST(ObjectRecord, OfAnyBytesGivesAResultOrAnError) {
    std::mt19937_64 random{51};
    for (int i = 0; i < 20'000; ++i) {
        auto record = encoded(small_object());
        for (auto flips = 1 + random() % 4; flips > 0; --flips)
            record[random() % record.size()] = static_cast<std::byte>(random());
        const auto decoded = decode_object(record, 2);
        if (!decoded.has_value() || !decoded.value().in_use) continue;
        ASSERT_LE(decoded.value().map.height, tree_height_max);
        if (decoded.value().map.height == 0) { ASSERT_LE(decoded.value().map.extents, 2U); }
    }
}

TEST(TreeNode, AWholeCheckSeesWhatLookupsPassBy) {
    std::vector<std::byte> block(512, std::byte{0});
    node_header            header;
    header.owner = 5U, header.node = 6U, header.key = 10U;
    header.count = static_cast<std::uint16_t>(3);
    store_struct(block, header);
    std::byte* const entries = block.data() + node_header_bytes;
    for (std::uint32_t i = 0; i < 3; ++i) store_entry(entries + i * entry_bytes, {10 + i * 10, 1000, 5, 0});
    const node_place place{{1}, 6, 10, 40, 0};
    EXPECT_TRUE(check_node_whole(block, 5, place).has_value());
    EXPECT_FALSE(check_node_whole(block, 4, place).has_value()) << "another owner";
    EXPECT_FALSE(check_node_whole(block, 5, {{1}, 7, 10, 40, 0}).has_value()) << "another node";
    EXPECT_FALSE(check_node_whole(block, 5, {{1}, 6, 10, 40, 1}).has_value()) << "another level";
    EXPECT_FALSE(check_node_whole(block, 5, {{1}, 6, 10, 34, 0}).has_value()) << "an extent crosses the bound";
    store_entry(entries + entry_bytes, {14, 1000, 5, 0});
    EXPECT_FALSE(check_node_whole(block, 5, place).has_value()) << "an overlap";
    EXPECT_EQ(check_node(block, 5, place).value(), 3U);
    store_little<std::uint16_t>(block.data() + offsetof(node_header, count), 20);
    EXPECT_FALSE(check_node(block, 5, place).has_value()) << "more entries than fit";
}

TEST(TreeNode, AnInnerNodeIsCheckedBeforeAnyOfItsChildrenIs) {
    std::vector<std::byte> block(512, std::byte{0});
    const auto             write = [&](std::uint16_t count, std::initializer_list<std::uint64_t> keys) {
        node_header header;
        header.owner = 5U, header.node = 6U, header.key = 10U;
        header.level = std::uint16_t{1};
        header.count = count;
        store_struct(block, header);
        std::size_t at = node_header_bytes;
        for (const auto key : keys) {
            inner_entry_record child;
            child.key   = key;
            child.block = key + 100;
            child.node  = key + 200;
            store_struct(std::span{block}.subspan(at), child);
            at += entry_bytes;
        }
    };
    const node_place place{{1}, 6, 10, 40, 1};
    write(3, {10, 20, 30});
    ASSERT_TRUE(check_node_whole(block, 5, place));
    const auto last = child_for(block, 3, 39, place);
    ASSERT_TRUE(last);
    EXPECT_EQ(last.value().key, 30U);
    EXPECT_EQ(last.value().upper, 40U);
    EXPECT_EQ(last.value().block.value, 130U);
    EXPECT_EQ(child_index(block, 3, 5), 0U) << "what is before the first belongs to none and is looked for in it";
    EXPECT_EQ(child_for(block, 3, 9, place).value().key, 10U);

    write(0, {10, 20, 30});
    EXPECT_EQ(check_node(block, 5, place).error(), (error{errc::damaged, place.block})) << "an inner node of nothing";
    write(3, {11, 20, 30});
    EXPECT_EQ(check_node(block, 5, place).error(), (error{errc::damaged, place.block})) << "its first key is another";
    write(3, {10, 20, 20});
    EXPECT_TRUE(check_node(block, 5, place));
    EXPECT_EQ(check_node_whole(block, 5, place).error(), (error{errc::damaged, place.block})) << "a child of nothing";
    write(3, {10, 20, 45});
    EXPECT_EQ(check_node_whole(block, 5, place).error(), (error{errc::damaged, place.block})) << "beyond the bound";
    EXPECT_EQ(child_at(block, 3, 2, place).error(), (error{errc::damaged, place.block}));
}

}  // namespace object_record_test
