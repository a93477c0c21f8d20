// The n-th read, write and sync fails, once and for good, while regions are added, written, moved and removed.

#include "region_fixture.hpp"

#include "../counts.hpp"

#include <ashlar/compaction.hpp>
#include <ashlar/testing/faulty_device.hpp>

namespace ashlar::test {
namespace region_faults_test {

const volume_shape shape{.block_bytes = 512, .blocks = 1200, .journal_blocks = 96};

constexpr std::uint32_t news = tag_of("NEWS");

byte_vector block_of(std::uint32_t version) {
    byte_vector bytes(512, static_cast<std::byte>(version * 37 & 0xFFU));
    std::memcpy(bytes.data(), &version, sizeof version);
    return bytes;
}

/// What one region may hold: of each block, the versions since the last that is durable.
struct region_model {
    struct version {
        std::uint32_t number = 0;
        bool          sure   = false;  ///< Its write succeeded.
    };
    std::vector<std::vector<version>> blocks;
    bool                              there   = true;
    bool                              certain = true;  ///< That it is there, or not, is durable.

    void synced() {
        certain = true;
        for (auto& one : blocks) {
            auto last = one.size();
            while (last > 0 && !one[last - 1].sure) --last;
            if (last > 1) one.erase(one.begin(), one.begin() + static_cast<std::ptrdiff_t>(last - 1));
        }
    }
    /// `reopened`: a move may have been taken back, and with it what was written behind the last sync.
    [[nodiscard]] bool may_hold(std::size_t block, std::span<const std::byte> bytes, bool reopened) const {
        const auto& all = blocks[block];
        if (all.empty()) return true;
        for (auto i = all.size(); i-- > 0;) {
            const auto whole = block_of(all[i].number);
            if (std::memcmp(whole.data(), bytes.data(), bytes.size()) == 0) return true;
            if (all[i].sure && !reopened) return false;
        }
        return !all.front().sure;
    }
};

struct fault {
    transfer_kind kind   = transfer_kind::read;
    std::uint64_t nth    = 0;
    fault_lasts   lasts  = fault_lasts::once;
    failed_write  leaves = failed_write::left_nothing;
};

/// A store and what is known of its regions.
class region_life {
  public:
    explicit region_life(test_store& live) : live_{live} {}

    void add(std::uint32_t type, std::uint64_t blocks, std::uint64_t from = 0) {
        const auto name =
            note(store_regions{live_}.add({.type = type, .blocks = block_count{blocks}, .from = block_index{from}}));
        if (!name) return;
        region_model made;
        made.blocks.resize(static_cast<std::size_t>(blocks));
        made.certain        = false;
        models_[key(*name)] = made;
        write(*name, 0, blocks);
    }
    void remove(region_id name) {
        if (!note(store_regions{live_}.remove(name))) return;
        models_[key(name)].there   = false;
        models_[key(name)].certain = false;
    }
    void write(region_id name, std::uint64_t first, std::uint64_t count) {
        auto opened = note(store_regions{live_}.open(name));
        if (!opened) return;
        byte_vector bytes;
        ++version_;
        for (std::uint64_t i = 0; i < count; ++i) {
            const auto one = block_of(version_);
            bytes.insert(bytes.end(), one.begin(), one.end());
        }
        const bool done = note(opened->write({block_index{first}, block_count{count}}, bytes)).has_value();
        for (std::uint64_t i = first; i < first + count; ++i)
            models_[key(name)].blocks[static_cast<std::size_t>(i)].push_back({version_, done});
    }
    void sync(region_id name) {
        auto opened = note(store_regions{live_}.open(name));
        if (!opened || !note(opened->sync())) return;
        for (auto& [at, model] : models_) model.synced();
    }
    void sync_store() {
        if (!note(live_.sync())) return;
        for (auto& [at, model] : models_) model.certain = true;
    }
    void checkpoint() {
        if (!note(live_.checkpoint())) return;
        for (auto& [at, model] : models_) model.certain = true;
    }
    /// What changes nothing.
    template <class T>
    void ask(const result<T>& answer) {
        if (!answer) ++errors_;
    }
    void go_on(const region_life& before) {
        models_  = before.models_;
        version_ = before.version_;
    }
    [[nodiscard]] std::uint64_t errors() const { return errors_; }

    /// Everything that is known is there.
    void expect(bool reopened) {
        for (const auto& [at, model] : models_) {
            const region_id name{static_cast<std::uint32_t>(at >> 32U), static_cast<std::uint32_t>(at)};
            auto            opened = store_regions{live_}.open(name);
            if (!reopened || model.certain) { EXPECT_EQ(code_of(opened), model.there ? errc::none : errc::not_found); }
            if (!opened) continue;
            const auto bytes = read_all(opened.value());
            for (std::size_t i = 0; i < model.blocks.size(); ++i) {
                if (model.may_hold(i, std::span{bytes}.subspan(i * 512, 512), reopened)) continue;
                ADD_FAILURE() << "block " << i << " of region " << name.number << " holds what was never written";
                break;
            }
        }
    }

  private:
    static std::uint64_t key(region_id name) { return std::uint64_t{name.type} << 32U | name.number; }

    /// Counts errors, and makes of a result what it holds.
    template <class T>
    std::optional<T> note(result<T>&& answer) {
        if (answer) return std::move(answer).value();
        ++errors_;
        return std::nullopt;
    }
    std::optional<bool> note(result<>&& answer) {
        if (answer) return true;
        ++errors_;
        return std::nullopt;
    }

    test_store&                           live_;
    std::map<std::uint64_t, region_model> models_;
    std::uint32_t                         version_ = 0;
    std::uint64_t                         errors_  = 0;
};

/// A gap-to-be, two regions behind it, an object.
class region_faults {
  public:
    /// A gap of less than 60 blocks holds neither of the regions, so that they slide.
    explicit region_faults(std::uint64_t gap, std::size_t entries_max = small_limits().indirection_entries_max)
        : memory_{make_memory(shape)}, base_life_{live_} {
        limits_.indirection_entries_max = entries_max;
        format_on(memory_, shape);
        live_ = opened_on(memory_, limits_);
        base_life_.add(maps, gap);
        base_life_.add(logs, 60);
        base_life_.add(logs, 40);
        ASHLAR_EXPECT_OK(live_.append(live_.root(), object_));
        base_life_.sync({logs, 0});
        ASHLAR_EXPECT_OK(live_.close());
        base_.assign(memory_.bytes().begin(), memory_.bytes().end());
    }

    /// Runs the scene with the fault. Answers whether it was met.
    bool run(const fault& planned) {
        std::copy(base_.begin(), base_.end(), memory_.bytes().begin());
        faulty_device<memory_device> device{memory_};
        device.failing_writes(planned.leaves);
        device.fail(planned.kind, planned.nth, planned.lasts);
        auto       opened = test_store::open(any_device{device}, with<test_store>(limits_));
        const bool in     = opened.has_value();
        device_errors_    = 0;
        live_             = in ? std::move(opened).value() : test_store{};
        region_life life{live_};
        life.go_on(base_life_);
        if (!in) {
            EXPECT_EQ(opened.error().code, errc::device_failed);
        } else {
            play(life);
        }
        const bool met  = device.failures() != 0;
        const auto said = life.errors() + device_errors_;
        if (in && !met) { EXPECT_EQ(said, 0U) << "an error without a fault"; }
        if (in && met && planned.lasts == fault_lasts::for_good) { EXPECT_GT(said, 0U) << "a fault without an error"; }
        device.heal();
        if (in) look_at_live(life, planned);
        live_ = opened_on(memory_, limits_);
        life.expect(true);
        expect_object();
        EXPECT_EQ(findings_of(live_), "");
        expect_nothing_kept();
        static_cast<void>(live_.abandon());
        return met;
    }

  private:
    void play(region_life& life) {
        life.remove({maps, 0});
        life.checkpoint();
        life.add(news, 20, 700);
        life.sync({news, 0});
        auto compacting =
            compaction<test_blueprint<>>::open(live_, {.regions = {.threshold_permille = 1, .chunk_bytes = 16 * 512}});
        ASHLAR_ASSERT_OK(compacting);
        region_move lines[8];
        life.ask(compacting.value().plan(lines));
        life.ask(store_regions{live_}.can_add({.type = news, .blocks = block_count{20}}));
        life.ask(store_regions{live_}.for_each_free([](extent) noexcept { return true; }));
        for (std::uint64_t i = 0;; ++i) {
            const auto said = compacting.value().step({.blocks_max = 24});
            if (said.failure.code != errc::none) ++device_errors_;
            anew_ += live_.volume().indirection.folded().empty() ? 0U : 1U;
            if (said.reasons != stop_reason::budget_spent) break;
            life.write({logs, 0}, i * 7 % 50, 1 + i % 5);
            life.write({logs, 1}, i * 11 % 36, 2);
        }
        moved_ = compacting.value().last_result().regions_moved;
        slid_  = compacting.value().last_result().regions_slid;
        life.sync({logs, 0});
        life.remove({logs, 1});
        life.sync_store();
        life.write({logs, 0}, 3, 4);
    }

    void look_at_live(region_life& life, const fault& planned) {
        life.expect(false);
        expect_object();
        expect_nothing_kept();
        if (planned.kind == transfer_kind::sync && planned.lasts == fault_lasts::for_good && planned.nth < 3) {
            EXPECT_TRUE(live_.read_only());
        }
        if (live_.read_only() || planned.nth % 2 == 0) {
            static_cast<void>(live_.abandon());
        } else {
            ASHLAR_EXPECT_OK(live_.close());
        }
    }
    void expect_object() {
        byte_vector seen(object_.size());
        ASHLAR_EXPECT_OK(live_.read(live_.root(), 0, seen));
        EXPECT_EQ(seen, object_);
    }
    /// Nothing is reserved, read, held or moved by anybody.
    void expect_nothing_kept() {
        const auto  said  = live_.info();
        const auto& space = live_.volume().space;
        const auto  left  = said.free.value - space.draining().value - said.available.value;
        if (floor_ == 0) floor_ = left;
        EXPECT_EQ(left, floor_) << "blocks stay reserved";
        EXPECT_EQ(space.readers(), 0U);
        EXPECT_EQ(live_.volume().region_traffic.motion, nullptr);
    }

    memory_device memory_;
    volume_limits limits_ = small_limits();
    test_store    live_;
    region_life   base_life_;
    byte_vector   object_ = pattern(3, 512, 9);
    byte_vector   base_;
    std::uint64_t floor_         = 0;
    std::uint64_t device_errors_ = 0;

  public:
    std::uint64_t moved_ = 0;  ///< Regions, in the last run,
    std::uint64_t slid_  = 0;  ///< and of them in parts.
    std::uint64_t anew_  = 0;  ///< Steps that left a table that was begun anew, of all runs.
};

void fail_each(transfer_kind kind, std::uint64_t gap = 90,
               std::size_t entries_max = small_limits().indirection_entries_max) {
    region_faults world{gap, entries_max};
    EXPECT_FALSE(world.run({kind, 0}));
    EXPECT_EQ(world.moved_, 3U) << "without a fault all regions move";
    EXPECT_EQ(world.slid_, gap < 60 ? 2U : 0U);
    EXPECT_EQ(world.anew_ != 0, entries_max < 60);
    std::uint64_t runs = 0;
    for (const auto lasts : {fault_lasts::once, fault_lasts::for_good}) {
        for (const auto leaves : {failed_write::left_nothing, failed_write::wrote_all}) {
            if (kind != transfer_kind::write && leaves == failed_write::wrote_all) continue;
            for (std::uint64_t nth = 1; world.run({kind, nth, lasts, leaves}); ++nth) {
                ++runs;
                ASSERT_FALSE(testing::Test::HasFailure())
                    << "call " << nth << (lasts == fault_lasts::once ? " once" : " and all later ones")
                    << (leaves == failed_write::wrote_all ? ", although it wrote" : "");
            }
        }
    }
    EXPECT_GT(runs, 20U);
    count("fault runs", runs);
}

TEST(RegionFaults, AReadThatFails) { fail_each(transfer_kind::read); }
TEST(RegionFaults, AWriteThatFails) { fail_each(transfer_kind::write); }
TEST(RegionFaults, ASyncThatFails) { fail_each(transfer_kind::sync); }
TEST(RegionFaults, AReadThatFailsWhileTablesOfSlidesAreBegunAnew) { fail_each(transfer_kind::read, 25, 18); }
TEST(RegionFaults, AWriteThatFailsWhileTablesOfSlidesAreBegunAnew) { fail_each(transfer_kind::write, 25, 18); }
TEST(RegionFaults, ASyncThatFailsWhileTablesOfSlidesAreBegunAnew) { fail_each(transfer_kind::sync, 25, 18); }
TEST(RegionFaults, AReadThatFailsWhileRegionsSlide) { fail_each(transfer_kind::read, 25); }
TEST(RegionFaults, AWriteThatFailsWhileRegionsSlide) { fail_each(transfer_kind::write, 25); }
TEST(RegionFaults, ASyncThatFailsWhileRegionsSlide) { fail_each(transfer_kind::sync, 25); }

}  // namespace region_faults_test
}  // namespace ashlar::test
