// Each call to the pages fails once, and each node reads otherwise once, in changes of every kind.

#include "memory_pages.hpp"

#include <ashlar/object/extent_map.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <random>
#include <vector>

namespace extent_map_faults_test {

using namespace ashlar;
using ashlar_test::memory_pages;

/// A map and its pages, as a transaction would see them; a copy is what the transaction may spoil.
struct subject {
    memory_pages     pages{512};
    extent_map_state map;

    subject() {
        map.owner           = {77};
        map.inline_capacity = 2;
        pages.guards_edits  = false;
    }
};

/// One call, which may fail; `sink_fails_at` is the number of the extent that its sink or visitor refuses.
using operation = std::function<result<>(subject&, std::uint64_t sink_fails_at)>;

/// A sink that refuses one extent.
struct choosy_sink {
    std::uint64_t fails_at = 0;
    std::uint64_t heard    = 0;

    result<> operator()(const mapped_extent& removed) noexcept {
        if (++heard == fails_at) return error{errc::cancelled, removed.physical.first};
        return success();
    }
};

std::vector<mapped_extent> random_pieces(std::mt19937_64& random, std::uint64_t first, std::uint64_t count) {
    std::vector<mapped_extent> pieces;
    const auto                 kind = random() % 4;
    for (std::uint64_t at = first; at < first + count && kind != 0;) {
        const auto left   = first + count - at;
        const auto length = std::min<std::uint64_t>(left, kind == 1 ? left : 1 + random() % 4);
        if (kind == 1 || random() % 4 != 0)
            pieces.push_back({{at}, {{1'000'000'000 * (random() % 3) + at}, {length}}, random() % 9 == 0, false});
        at += length;
    }
    return pieces;
}

operation random_change(std::mt19937_64& random, std::uint64_t space) {
    const auto first = random() % space;
    const auto count = std::min(space - first, 1 + random() % (random() % 16 == 0 ? space / 4 : 24));
    const auto verb  = random() % 24;
    if (verb == 0) {
        const auto value = static_cast<std::uint32_t>(random() % 4);
        return [=](subject& it, std::uint64_t) {
            return extent_tree::set_flags(it.pages, it.map, {first}, {count}, extent_flag::known, value);
        };
    }
    if (verb == 1) {
        const auto extents_max = 1 + random() % 40;
        return [=](subject& it, std::uint64_t sink_fails_at) -> result<> {
            choosy_sink sink{sink_fails_at};
            BOOST_OUTCOME_TRY(extent_tree::remove_last(it.pages, it.map, extents_max, {first}, sink));
            return success();
        };
    }
    const auto pieces = random_pieces(random, first, count);
    return [=](subject& it, std::uint64_t sink_fails_at) {
        choosy_sink sink{sink_fails_at};
        return extent_tree::replace(it.pages, it.map, {first}, {count}, pieces, sink);
    };
}

operation random_look(std::mt19937_64& random, const subject& it, std::uint64_t space) {
    const auto first = random() % space;
    const auto verb  = random() % 3;
    if (verb == 0) {
        return [=](subject& in, std::uint64_t sink_fails_at) {
            choosy_sink sink{sink_fails_at};
            return extent_tree::walk(in.pages, in.map, {first}, {first + 40},
                                     [&](const mapped_extent& piece) noexcept -> result<bool> {
                                         BOOST_OUTCOME_TRY(sink(piece));
                                         return true;
                                     });
        };
    }
    if (verb == 1) {
        return [=](subject& in, std::uint64_t sink_fails_at) {
            choosy_sink sink{sink_fails_at};
            return extent_tree::walk_nodes(in.pages, in.map, [&](const node_place& at) noexcept -> result<bool> {
                BOOST_OUTCOME_TRY(sink({{}, {at.block, {1}}}));
                return true;
            });
        };
    }
    std::vector<node_place> places;
    auto                    seen = it;
    EXPECT_TRUE(extent_tree::walk_nodes(seen.pages, seen.map, [&](const node_place& at) noexcept -> result<bool> {
                    places.push_back(at);
                    return true;
                }).has_value());
    if (places.empty()) return [=](subject&, std::uint64_t) -> result<> { return success(); };
    const auto at = places[random() % places.size()];
    return [=](subject& in, std::uint64_t) -> result<> {
        BOOST_OUTCOME_TRY(const auto moved,
                          extent_tree::relocate_node(in.pages, in.map, at.key, at.level, at.node, at.block));
        static_cast<void>(moved);
        return success();
    };
}

/// Runs a few hundred changes and looks; before each, `probe(subject, operation)` may do with copies what it likes.
template <class Probe>
void each_step(std::uint64_t seed, std::uint64_t space, int steps, Probe&& probe) {
    std::mt19937_64 random{seed};
    subject         it;
    for (int step = 0; step < steps && !testing::Test::HasFailure(); ++step) {
        const auto look = step % 8 == 7;
        const auto next = look ? random_look(random, it, space) : random_change(random, space);
        probe(it, next);
        const auto done = next(it, 0);
        ASSERT_TRUE(done.has_value()) << message(done.error().code);
    }
}

void expect_no_pin(const subject& it) {
    ASSERT_EQ(it.pages.pins, 0);
    ASSERT_LE(it.pages.pins_most, 3);
}

TEST(ExtentTree, EachCallToThePagesMayFailAndItsErrorIsTheAnswer) {
    std::uint64_t runs = 0;
    for (const std::uint64_t space : {60U, 400U, 1000U}) {
        each_step(space, space, 250, [&](const subject& before, const operation& next) {
            for (std::uint64_t nth = 1;; ++nth, ++runs) {
                auto it           = before;
                it.pages.calls    = 0;
                it.pages.fails_at = nth;
                const auto done   = next(it, 0);
                expect_no_pin(it);
                if (it.pages.calls < nth) {
                    ASSERT_TRUE(done.has_value());
                    break;
                }
                ASSERT_TRUE(done.has_error()) << "call " << nth << " failed, and nobody said so";
                ASSERT_TRUE(done.error().code == errc::device_failed || done.error().code == errc::no_space ||
                            done.error().code == errc::too_large)
                    << message(done.error().code);
            }
        });
    }
    EXPECT_GT(runs, 5000U);
}

TEST(ExtentTree, ASinkThatRefusesAnExtentEndsTheCall) {
    std::uint64_t refused = 0;
    each_step(9, 600, 500, [&](const subject& before, const operation& next) {
        for (std::uint64_t nth = 1; nth < 20; ++nth) {
            auto       it   = before;
            const auto done = next(it, nth);
            expect_no_pin(it);
            if (done.has_value()) break;
            ASSERT_EQ(done.error().code, errc::cancelled);
            ++refused;
        }
    });
    EXPECT_GT(refused, 300U);
}

/// Changes a node so that one check or another must see it.
void spoil(std::span<std::byte> node, std::uint64_t kind, std::mt19937_64& random) {
    const auto capacity = node_capacity({static_cast<std::uint32_t>(node.size())});
    const auto count    = load_struct<node_header>(node).count;
    const auto set      = [&](std::uint32_t n) {
        store_little<std::uint16_t>(node.data() + offsetof(node_header, count), static_cast<std::uint16_t>(n));
    };
    const auto set_key = [&](std::uint32_t i, std::uint64_t key) {
        store_little<std::uint64_t>(node.data() + node_header_bytes + std::size_t{i} * entry_bytes, key);
    };
    switch (kind) {
        case 0: node[0] ^= std::byte{1}; return;
        case 1: return set(0);
        case 2: return set(1);
        case 3: return set(capacity);
        case 4: return set(capacity / 2U);
        case 5: return set_key(count > 1 ? count - 1U : 0U, 0);
        case 6: return set_key(count > 1 ? count / 2U : 0U, no_bound);
        case 7: return set_key(0, 3);
        case 8: node[node_header_bytes + offsetof(leaf_entry_record, flags)] ^= std::byte{4}; return;
        default: {
            const auto value = random();
            std::memcpy(node.data() + node_header_bytes + random() % (count + 1U) * entry_bytes + random() % 3 * 8,
                        &value, 8);
        }
    }
}

bool is_damage(errc code) {
    return code == errc::damaged || code == errc::unsupported || code == errc::checksum_differs ||
           code == errc::out_of_range;
}

TEST(ExtentTree, ANodeThatReadsOtherwiseTheNextTimeGivesAnErrorOrAnAnswerAndNeverACrash) {
    std::mt19937_64 random{8};
    std::uint64_t   runs = 0, noticed = 0;
    for (const std::uint64_t space : {70U, 300U, 800U}) {
        each_step(space + 1, space, 80, [&](const subject& before, const operation& next) {
            for (std::uint64_t kind = 0; kind < 11; ++kind) {
                for (std::uint64_t nth = 1;; ++nth) {
                    auto       it     = before;
                    const auto second = kind < 10 ? 0 : nth + 1 + random() % 4;
                    it.pages.calls    = 0;
                    it.pages.lie      = [&](std::uint64_t call, std::span<std::byte> node) {
                        if (call != nth && call != second) return false;
                        spoil(node, kind < 10 ? kind : 3, random);
                        return true;
                    };
                    const auto done = next(it, 0);
                    expect_no_pin(it);
                    if (it.pages.calls < nth) break;
                    ++runs;
                    if (done.has_value()) continue;
                    ASSERT_TRUE(is_damage(done.error().code)) << message(done.error().code);
                    ++noticed;
                }
            }
        });
    }
    EXPECT_GT(noticed, runs / 4);
}

}  // namespace extent_map_faults_test
