#pragma once
/// Shared by the tests of repairs: a closed volume whose metadata can be changed behind the store's back.

#include "../counts.hpp"
#include "../store/store_fixture.hpp"

#include <ashlar/testing/faulty_device.hpp>

#include <algorithm>

namespace ashlar::test {

/// Findings and deeds as text, each kind once with its number.
struct heard {
    std::map<std::string, std::uint64_t> seen;
    std::vector<repair_finding>          findings;  ///< The first ones.

    void operator()(const repair_finding& one) {
        if (findings.size() < 100) findings.push_back(one);
        ++seen[std::string{name_of(one.found.problem)} + ": " + message(one.deed)];
        EXPECT_STRNE(message(one.found.problem), "has an unknown problem");
        if (one.deed == repair_deed::left) { EXPECT_GT(std::strlen(advice_for(one.found.problem)), 10U); }
    }
    [[nodiscard]] std::uint64_t of(const char* what) const {
        const auto at = seen.find(what);
        return at == seen.end() ? 0 : at->second;
    }
    [[nodiscard]] std::string text() const {
        std::string all;
        for (const auto& [what, times] : seen) all += what + " (" + std::to_string(times) + "); ";
        return all;
    }
};

/// A closed volume whose metadata can be changed behind the store's back, seals kept right.
class Repairer : public testing::Test {
  protected:
    explicit Repairer(std::uint64_t blocks = 1600) : shape_{.blocks = blocks}, memory_{make_memory(shape_)} {
        format_on(memory_, shape_);
        auto live = opened_on(memory_);
        for (std::uint64_t i = 0; i < 5; ++i) {
            const auto id = live.create().value();
            write(live, id, 0, pattern(600 * (i + 1), i));
            ids_.push_back(id);
        }
        for (std::uint64_t i = 0; i < 30; ++i) write(live, ids_[0], 5000 + i * 2048, pattern(100, i));  // a tree
        model_[live.root().value] = {};
        ASHLAR_EXPECT_OK(live.sync());
        while (!live.trim({1000}).value().finished) {}
        ASHLAR_EXPECT_OK(live.erase(ids_[4]));  // in use again, or not known to be trimmed
        model_.erase(ids_[4].value);
        regions_ = live.volume().regions;
        ASHLAR_EXPECT_OK(live.close());
    }

    void write(test_store& live, object_id id, std::uint64_t offset, const byte_vector& bytes) {
        ASHLAR_EXPECT_OK(live.write(id, offset, bytes));
        model_write(model_[id.value], offset, bytes);
    }

    [[nodiscard]] std::span<std::byte> raw(block_index home) { return memory_.bytes().subspan(home.value * 512, 512); }
    /// Changes a metadata block and seals it again.
    template <class Change>
    void edit(const region_block& block, Change&& change) {
        change(raw(block.home));
        seal_block(raw(block.home), block.identity.tag, {}, identity_seed(shape_.format().volume, block.identity));
    }
    /// Changes a group's bitmap; with `told` its record and the totals change with it, as a bug in the engine would.
    template <class Change>
    void edit_bitmap(std::uint64_t group, bool told, Change&& change) {
        const auto               blocks = volume_geometry::of({512}, {shape_.blocks}).group_blocks(group);
        std::vector<bitmap_word> words(words_for(blocks));
        edit(regions_.bitmap(group), [&](std::span<std::byte> bytes) {
            load_bitmap(words, bytes, blocks);
            change(words);
            store_bitmap(bytes, words, blocks);
        });
        if (!told) return;
        const auto place = group_record_of(group, {512});
        auto       after = summarize({words, blocks});
        edit(regions_.group_table(place.block), [&](std::span<std::byte> bytes) {
            const auto before       = *decode_group(load_struct<group_record>(bytes.subspan(place.byte)), blocks);
            after.bitmap_written    = true;
            after.trimmed_written   = before.trimmed_written;
            after.trimmed           = before.trimmed_written ? trimmed_left(group, words) : 0;
            after.checksums_written = before.checksums_written;
            store_struct(bytes.subspan(place.byte), encode_group(after));
            edit_totals_in(place.block.value == 0 ? bytes : std::span<std::byte>{}, before, after);
        });
    }
    /// Takes blocks in use from the bitmap of trimmed blocks; answers how many are left.
    std::uint32_t trimmed_left(std::uint64_t group, std::span<const bitmap_word> in_use) {
        std::uint32_t left = 0;
        edit(regions_.trimmed(group), [&](std::span<std::byte> bytes) {
            for (std::uint32_t at = 0; at < (512 - trailer_bytes) * 8; ++at) {
                const auto bit = static_cast<std::byte>(1U << (at % 8));
                if (at / word_bits >= in_use.size() || is_set(in_use, at)) bytes[at / 8] &= ~bit;
                left += (bytes[at / 8] & bit) != std::byte{0} ? 1U : 0U;
            }
        });
        return left;
    }
    void edit_totals_in(std::span<std::byte> same, const group_summary& before, const group_summary& after) {
        const auto change = [&](std::span<std::byte> bytes) {
            auto totals = *decode_totals(load_struct<volume_totals_record>(bytes), {shape_.blocks});
            totals.free += std::uint64_t{after.free} - before.free;
            totals.trimmed += std::uint64_t{after.trimmed} - before.trimmed;
            for (std::size_t k = 0; k < run_classes; ++k)
                totals.runs[k] +=
                    static_cast<std::uint32_t>(after.runs[k]) - static_cast<std::uint32_t>(before.runs[k]);
            store_struct(bytes, encode_totals(totals));
        };
        if (!same.empty()) return change(same);
        edit(regions_.group_table({0}), change);
    }
    template <class Change>
    void edit_totals(Change&& change) {
        edit(regions_.group_table({0}), [&](std::span<std::byte> bytes) {
            auto totals = *decode_totals(load_struct<volume_totals_record>(bytes), {shape_.blocks});
            change(totals);
            store_struct(bytes, encode_totals(totals));
        });
    }
    template <class Change>
    void edit_record(object_id id, Change&& change) {
        const std::uint32_t per = (512 - trailer_bytes) / object_record_bytes;
        edit(regions_.object_block(0, record_of(id) / per), [&](std::span<std::byte> bytes) {
            const auto at     = bytes.subspan((record_of(id) % per) * object_record_bytes, object_record_bytes);
            auto       object = decode_object(at, inline_extents_for(object_record_bytes)).value();
            change(object);
            encode_object(at, object);
        });
    }
    [[nodiscard]] block_index first_block_of(object_id id) {
        auto       live  = opened_on(memory_);
        const auto found = live.next_extent(id, {}).value()->physical.first;
        static_cast<void>(live.abandon());
        return found;
    }

    /// Repairs, first dry; checks that both say the same, that the dry one wrote nothing, that what is left is what
    /// verify still finds, and that the contents stayed. Answers what was said.
    heard repaired(std::uint64_t left = 0) {
        const byte_vector before(memory_.bytes().begin(), memory_.bytes().end());
        heard             dry, wet;
        {
            auto looked = test_store::open_read_only(any_device{memory_}, with());
            EXPECT_TRUE(looked.has_value()) << said(looked);
            if (!looked) return dry;
            const auto done = looked.value().repair(dry, {.dry_run = true});
            ASHLAR_EXPECT_OK(done);
            EXPECT_TRUE(std::equal(before.begin(), before.end(), memory_.bytes().begin())) << "a dry run wrote";
        }
        auto       live = opened_on(memory_);
        const auto done = live.repair(wet);
        ASHLAR_EXPECT_OK(done);
        EXPECT_EQ(dry.text(), wet.text());
        EXPECT_EQ(done.value().left, left) << wet.text();
        if (left == 0) {
            EXPECT_EQ(findings_of(live), "");
            EXPECT_EQ(difference(live, model_), "");
            use(live);
        }
        static_cast<void>(live.abandon());
        if (left == 0) {
            auto again = opened_on(memory_);
            EXPECT_EQ(findings_of(again), "");
            EXPECT_EQ(difference(again, model_), "");
            heard nothing;
            EXPECT_EQ(again.repair(nothing).value().mended, 0U) << nothing.text();
            ASHLAR_EXPECT_OK(again.close());
        }
        return wet;
    }
    /// The mended volume is one to work with.
    void use(test_store& live) {
        const auto made = live.create();
        ASHLAR_EXPECT_OK(made);
        write(live, made.value(), 0, pattern(9000, 77));
        ASHLAR_EXPECT_OK(live.erase(ids_[1]));
        model_.erase(ids_[1].value);
        ASHLAR_EXPECT_OK(live.trim({500}));
        ASHLAR_EXPECT_OK(live.sync());
        EXPECT_EQ(findings_of(live), "");
    }

    volume_shape           shape_;
    memory_device          memory_;
    region_table           regions_{};
    std::vector<object_id> ids_;
    model_state            model_;
};

constexpr group_run free_run{1400, 37};  // behind all that the volume holds

/// Damage of every kind that can be mended, at once, over several groups.
class RepairerOfManyGroups : public Repairer {
  protected:
    RepairerOfManyGroups() : Repairer(9000) {
        {
            auto live = opened_on(memory_);
            ASHLAR_EXPECT_OK(live.reserve(live.root(), 0, 3800 * 512));  // most of the second group
            ASHLAR_EXPECT_OK(live.reserve(ids_[2], 1U << 20U, 900 * 512));
            auto tx = live.begin().value();
            ASHLAR_EXPECT_OK(tx.erase(ids_[0]));
            ASHLAR_EXPECT_OK(tx.commit());
            model_.erase(ids_[0].value);
            ASHLAR_EXPECT_OK(live.close());
        }
        damage();
        limits_.verify_groups = 1;
    }
    void damage() {
        edit_bitmap(1, true, [](auto& words) { leak(words, 60); });
        edit_bitmap(2, false, [](auto& words) { leak(words, 60); });
        raw(regions_.bitmap(0).home)[17] ^= std::byte{4};
        edit_totals([](volume_totals& totals) {
            totals.dying_head = 0;
            ++totals.runs[3];
        });
    }
    /// Sets the last bits that are clear.
    static void leak(std::span<bitmap_word> words, std::uint32_t count) {
        for (auto at = static_cast<std::uint32_t>(words.size() * word_bits); count != 0 && at-- > 0;) {
            if (is_set(words, at)) continue;
            set_bits(words, {at, 1});
            --count;
        }
        EXPECT_EQ(count, 0U);
    }

    volume_limits limits_ = small_limits();
};

}  // namespace ashlar::test
